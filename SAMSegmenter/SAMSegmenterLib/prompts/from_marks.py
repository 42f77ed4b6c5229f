"""Conversion of marks in mm to the prompts of one stack of slices, and of masks back to marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from ..image.stack import FrameStack
from .marks import Mark
from .types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment, contradiction

OFF_SLICE = 0.75  # slices by which a shape may leave its slice; beyond that, it was drawn in another plane
DEEP_ENOUGH = 0.1  # of a lasso's smaller side: the distance from the lasso at which a corner counts as outside


class AcrossSlices(InputError):
    """A shape that was drawn in another plane than that of the slices on which it is to be used."""


def prompt_set(marks: Iterable[Mark], stack: FrameStack, title: Callable[[str], str] = str) -> PromptSet:
    """Return `marks` as prompts on the slices of `stack`, segment by segment in the order of their first marks.

    Segments are known by their IDs; messages say the `title` of an ID.

    Raises:
        AcrossSlices: a shape was drawn across the slices.
        InputError: a mark lies outside the volume.
    """
    keyframes: dict[str, dict[int, Keyframe]] = {}
    for mark in marks:
        of_segment = keyframes.setdefault(mark.segment, {})
        for found in _keyframes(mark, stack):
            known = of_segment.get(found.slice)
            of_segment[found.slice] = _joined(known, found) if known else found
    return PromptSet(tuple(Segment(id, tuple(each.values()), title=title(id)) for id, each in keyframes.items()), stack.axis)


def contradicted_by(mark: Mark, earlier: Iterable[Mark], stack: FrameStack) -> tuple[list[Mark], int]:
    """Return the `earlier` marks of the same segment that a later mark contradicts, and the first slice where it does.

    Returns no marks, and slice -1, if it contradicts none. Only the last box of a slice counts, as in `prompt_set`.

    Raises:
        InputError: the mark cannot be used on `stack`.
    """
    earlier, wrong, first = list(earlier), [], -1
    for found in _keyframes(mark, stack):
        others = [(each, there) for each in earlier for there in _keyframes(each, stack) if there.slice == found.slice]
        whole = found
        for _each, there in reversed(others):
            whole = _joined(there, whole)
        if not contradiction(whole):
            continue
        boxed = [each for each, there in others if there.box]
        counts = [(each, there) for each, there in others if not there.box or each is boxed[-1]]
        against = [each for each, there in counts if contradiction(_joined(there, found)) and each not in wrong]
        if against and first < 0:
            first = found.slice
        wrong += against
    return wrong, first


def slices_of(mark: Mark, stack: FrameStack) -> list[int]:
    """Return the indices of the slices of `stack` on which a mark lies, in ascending order.

    Raises:
        InputError: as `prompt_set`.
    """
    indices, _xy = _located(mark, stack)
    return sorted({int(index) for index in indices if 0 <= index < len(stack)})


def mask_mark(segment: str, stack: FrameStack, index: int, mask: np.ndarray, kind: str = "mask") -> Mark:
    """Return a mask ``(rows, columns)`` of a slice as a mark: painted by the user, or ("prior") found there and to be corrected."""
    corner = stack.to_ras(index, np.array([(0, 0), (1, 0), (0, 1)]))
    return Mark(segment, kind, corner, mask=np.array(mask) != 0, item=index if stack.is_time else None)


def _keyframes(mark: Mark, stack: FrameStack) -> list[Keyframe]:
    indices, xy = _located(mark, stack)
    if mark.kind == "scribble":
        return [Keyframe(index, scribbles=(Scribble(path, mark.positive),)) for index, path in _pieces(indices, xy, stack)]
    return [_BUILDERS[mark.kind](int(indices[0]), xy, mark, stack)]


def _located(mark: Mark, stack: FrameStack) -> tuple[np.ndarray, np.ndarray]:
    """Return the slice indices ``(n,)`` of a mark's positions, and their pixels ``(n, 2)``.

    Only the positions of a scribble may lie on different slices.
    """
    places, xy = stack.from_ras(mark.positions)
    if stack.is_time:
        places = _times(mark, places)
    if mark.kind == "scribble":
        return np.rint(places).astype(int), xy
    index = int(np.rint(places.mean()))
    if mark.kind != "point" and np.abs(places - index).max() > OFF_SLICE:
        raise AcrossSlices(
            f"this {mark.kind} was drawn across the slices in use (along axis {stack.axis}). "
            "Draw it in the view in which the first prompt was placed, or remove the prompts to begin in another one."
        )
    if not 0 <= index < len(stack):
        raise InputError(f"this {mark.kind} lies outside the volume {stack.volume.name}. Place it inside.")
    return np.full(len(places), index), xy


def _times(mark: Mark, places: np.ndarray) -> np.ndarray:
    """Return the time points at which a mark was placed, one for each of its positions."""
    if mark.item is None or np.abs(places).max() > OFF_SLICE:
        raise InputError(f"this {mark.kind} does not lie on the slice that is followed through time. Place it there.")
    return np.full(len(places), float(mark.item))


def _pieces(indices: np.ndarray, xy: np.ndarray, stack: FrameStack) -> list[tuple[int, tuple]]:
    """Return the positions of a path on each slice that it crosses, in their order."""
    if not ((indices >= 0) & (indices < len(stack))).any():
        raise InputError(f"this scribble lies outside the volume {stack.volume.name}. Draw it inside.")
    found = []
    for index in dict.fromkeys(int(n) for n in indices if 0 <= n < len(stack)):
        found.append((index, tuple(tuple(map(float, each)) for each in xy[indices == index])))
    return found


def _point(index: int, xy: np.ndarray, mark: Mark, stack: FrameStack) -> Keyframe:
    return Keyframe(index, points=(Point(float(xy[0, 0]), float(xy[0, 1]), mark.positive),))


def _box(index: int, xy: np.ndarray, mark: Mark, stack: FrameStack) -> Keyframe:
    return Keyframe(index, box=_bounds(xy, stack))


def _line(index: int, xy: np.ndarray, mark: Mark, stack: FrameStack) -> Keyframe:
    return Keyframe(index, line=Line(*map(float, xy.reshape(-1))))


def _mask(index: int, xy: np.ndarray, mark: Mark, stack: FrameStack) -> Keyframe:
    assert mark.mask is not None
    painted = MaskPrompt(_resampled(mark.mask, xy, stack.shape))
    return Keyframe(index, mask=painted) if mark.kind == "mask" else Keyframe(index, prior=painted)


def _lasso(index: int, xy: np.ndarray, mark: Mark, stack: FrameStack) -> Keyframe:
    """Return a rough outline as prompts that networks know: its box, a point deep inside, and points in corners that it leaves out."""
    inside, outside = _deepest(_on_slice(xy, stack))
    if not mark.positive:
        return Keyframe(index, points=tuple(Point(*each, positive=False) for each in inside))
    points = [Point(*each) for each in inside] + [Point(*each, positive=False) for each in outside]
    return Keyframe(index, points=tuple(points), box=_bounds(xy, stack))


_BUILDERS = {"point": _point, "box": _box, "line": _line, "mask": _mask, "prior": _mask, "lasso": _lasso}


def _joined(first: Keyframe, second: Keyframe) -> Keyframe:
    """Return two keyframes of one slice as one: the points and scribbles of both, and the later of boxes, lines and masks."""
    return Keyframe(
        first.slice,
        first.points + second.points,
        second.box or first.box,
        first.scribbles + second.scribbles,
        second.line or first.line,
        second.mask or first.mask,
        second.prior or first.prior,
    )


def _bounds(xy: np.ndarray, stack: FrameStack) -> Box:
    """Return the box around positions, cut at the slice's border: a hand that slips over the border means the border."""
    inside = _on_slice(xy, stack)
    low, high = inside.min(0), inside.max(0)
    if (high <= low).any():
        raise InputError("the box lies outside the slice. Draw it around the segment.")
    return Box(*map(float, (*low, *high)))


def _on_slice(xy: np.ndarray, stack: FrameStack) -> np.ndarray:
    rows, columns = stack.shape
    return np.clip(xy, -0.5, (columns - 0.5, rows - 0.5))


def _resampled(mask: np.ndarray, xy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask on the pixels of a slice, bool of `shape`.

    The mask's first pixel, the next in its row and the next in its column lie at `xy` ``(3, 2)`` of the slice.
    """
    if mask.shape == shape and np.allclose(xy, [(0, 0), (1, 0), (0, 1)], atol=1e-4):
        return mask
    steps = np.stack([xy[1] - xy[0], xy[2] - xy[0]], 1)
    if not abs(np.linalg.det(steps)) > 0:
        raise InputError("this mask was drawn across the slices in use. Remove it, and paint the segment on one of them.")
    y, x = np.mgrid[: shape[0], : shape[1]]
    columns, rows = np.linalg.solve(steps, np.stack([x.ravel(), y.ravel()]) - xy[0][:, None])
    columns, rows = np.rint(columns).astype(int), np.rint(rows).astype(int)
    known = (columns >= 0) & (columns < mask.shape[1]) & (rows >= 0) & (rows < mask.shape[0])
    resampled = np.zeros(shape[0] * shape[1], bool)
    resampled[known] = mask[rows[known], columns[known]]
    return resampled.reshape(shape)


def _deepest(path: np.ndarray) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return the place deepest inside a closed path, and the corners of its box that lie well outside it, in the path's coordinates."""
    low, size = path.min(0), np.maximum(np.ptp(path, 0), 1e-3)
    count = 64  # pixels of the raster that depths are read from
    raster = Image.new("1", (count, count))
    ImageDraw.Draw(raster).polygon([tuple(each) for each in (path - low) / size * (count - 1)], fill=1, outline=1)
    filled = np.pad(np.array(raster), 1)
    depth, grown = np.zeros(filled.shape, int), filled
    while grown.any():
        depth += grown
        grown = _shrunk(grown)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    inside = [(float(x), float(y)) for x, y in [low + (np.array([column, row]) - 1) / (count - 1) * size]]
    near, far = DEEP_ENOUGH / 2, 1 - DEEP_ENOUGH / 2
    corners = [np.array(corner) for corner in ((near, near), (far, near), (near, far), (far, far))]
    clear = [corner for corner in corners if not filled[_around(corner[1], count), _around(corner[0], count)].any()]
    return inside, [(float(x), float(y)) for x, y in (low + corner * size for corner in clear)]


def _shrunk(region: np.ndarray) -> np.ndarray:
    smaller = region.copy()
    smaller[1:] &= region[:-1]
    smaller[:-1] &= region[1:]
    smaller[:, 1:] &= region[:, :-1]
    smaller[:, :-1] &= region[:, 1:]
    return smaller


def _around(place: float, count: int) -> slice:
    middle, reach = 1 + round(place * (count - 1)), round(DEEP_ENOUGH * count)
    return slice(max(0, middle - reach), middle + reach + 1)
