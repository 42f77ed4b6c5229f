"""Draws prompts in a slice view: an icon for each kind, green inside the segment and red outside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import vtk
from numpy.typing import ArrayLike

from ...prompts.marks import MASKS, Mark
from ..mrml import ViewGeometry

INSIDE, OUTSIDE, DISPUTED, HALO = (0.2, 0.9, 0.3), (1.0, 0.25, 0.2), (1.0, 0.9, 0.1), (0.0, 0.0, 0.0)
# In pixels of an ordinary screen; a denser one has more of them.
RADIUS = 6  # of a point's icon
GRIP = 4  # half a corner's handle
GRIP_REACH = 9  # within which the mouse is on a grip, and shows it
REACH = 16  # within which the tool that moves marks picks one up
HALO_WIDTH, WIDTH, DISPUTED_WIDTH = 4, 2, 3  # of lines
STROKES = ("scribble", "lasso")  # have one grip, where they begin
CIRCLE = RADIUS * np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)), np.sin(np.linspace(0, 2 * np.pi, 17))], 1)


class MarkPicture:
    """The marks that one slice view shows. Its actors belong to the view as long as the effect is active."""

    def __init__(self) -> None:
        self._data = {color: vtk.vtkPolyData() for color in (INSIDE, OUTSIDE, DISPUTED)}
        self._halos = [_actor(data, HALO) for data in self._data.values()]
        self._lines = {color: _actor(data, color) for color, data in self._data.items()}
        self.actors = [*self._halos, *self._lines.values()]

    def draw(self, marks: Iterable[Mark], view: ViewGeometry, reach_mm: float, disputed: Iterable[Mark] = ()) -> None:
        """Show those of `marks` that lie within `reach_mm` of the view's plane, and highlight those that are `disputed`."""
        disputed = list(disputed)
        paths: dict[tuple, list[np.ndarray]] = {color: [] for color in self._data}
        for mark in marks:
            if shown_in(mark, view, reach_mm):
                xy = view.xyz(mark.positions)[:, :2] / view.density
                color = DISPUTED if any(mark is each for each in disputed) else INSIDE if mark.positive else OUTSIDE
                paths[color] += [path * view.density for path in icon(mark, xy)]
        for color, found in paths.items():
            _set_paths(self._data[color], found)
            self._lines[color].GetProperty().SetLineWidth((DISPUTED_WIDTH if color == DISPUTED else WIDTH) * view.density)
        for halo in self._halos:
            halo.GetProperty().SetLineWidth(HALO_WIDTH * view.density)


def shown_in(mark: Mark, view: ViewGeometry, reach_mm: float) -> bool:
    """Return whether a mark lies in a view's plane; a prior is never shown."""
    return mark.kind != "prior" and bool(view.distance_mm(mark.positions).max() <= reach_mm)


def icon(mark: Mark, xy: np.ndarray) -> list[np.ndarray]:
    """Return the icon of a mark as paths ``(n, 2)``; its positions are `xy`, all in pixels of an ordinary screen."""
    if mark.kind == "point":
        return [xy[0] + CIRCLE, *(xy[0] + stroke for stroke in _sign(mark.positive))]
    if mark.kind == "box":
        return [np.vstack([xy, xy[:1]]), *(_square(corner, GRIP) for corner in xy)]
    if mark.kind == "line":
        across = (xy[1] - xy[0])[::-1] * (-1, 1) / max(np.linalg.norm(xy[1] - xy[0]), 1e-6) * RADIUS
        return [xy, *(np.stack([end - across, end + across]) for end in xy)]
    if mark.kind == "lasso":
        return [np.vstack([xy, xy[:1]]), _square(xy[0], GRIP)]
    if mark.kind == "mask":  # a framed cross in the middle of what was painted
        middle = mask_centre(mark, xy)
        return [_square(middle, RADIUS), *(middle + stroke for stroke in _sign(True))]
    return [xy, _square(xy[0], GRIP)] if len(xy) > 1 else [_square(xy[0], GRIP)]


def mask_centre(mark: Mark, xy: np.ndarray) -> np.ndarray:
    """Return where the middle of a mask's pixels lies, ``(2,)``, in the coordinates of its three positions `xy` ``(3, 2)``."""
    rows, columns = np.nonzero(mark.mask)
    if not len(rows):
        return xy[0]
    return xy[0] + columns.mean() * (xy[1] - xy[0]) + rows.mean() * (xy[2] - xy[0])


def grip_at(marks: Iterable[Mark], xy: ArrayLike, view: ViewGeometry, reach_mm: float, anywhere: bool) -> tuple[Mark, int | None] | None:
    """Return the mark under a pixel of a view and which of its positions, or None for all of it; nothing if there is none.

    A mark is picked up by the grips that are drawn; or, if `anywhere`, by any position of it.
    """
    best, nearest = None, (REACH if anywhere else GRIP_REACH) * view.density
    for mark in marks:
        if not shown_in(mark, view, reach_mm):
            continue
        places = view.xyz(mark.positions)[:, :2]
        if mark.kind in MASKS:
            places = mask_centre(mark, places)[None]
        elif mark.kind in STROKES and not anywhere:
            places = places[:1]
        distances = np.linalg.norm(places - xy, axis=1)
        if distances.min() <= nearest:
            nearest = float(distances.min())
            movable = mark.kind in ("point", "box", "line")
            best = mark, int(distances.argmin()) if movable else None
    return best


def _sign(positive: bool) -> list[np.ndarray]:
    half = RADIUS / 2
    strokes = [np.array([(-half, 0), (half, 0)])]
    return [*strokes, np.array([(0, -half), (0, half)])] if positive else strokes


def _square(centre: np.ndarray, half: float) -> np.ndarray:
    return centre + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])


def _actor(data: vtk.vtkPolyData, color: tuple[float, float, float]) -> vtk.vtkActor2D:
    mapper, actor = vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
    mapper.SetInputData(data)
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(color)
    return actor


def _set_paths(data: vtk.vtkPolyData, paths: list[np.ndarray]) -> None:
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for path in paths:
        lines.InsertNextCell(len(path))
        for x, y in path:
            lines.InsertCellPoint(points.InsertNextPoint(float(x), float(y), 0.0))
    data.SetPoints(points)
    data.SetLines(lines)
    data.Modified()
