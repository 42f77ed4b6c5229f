"""Turns a drag of the mouse in a slice view into a mark."""

from __future__ import annotations

import numpy as np

from ...prompts.marks import Mark
from ..mrml import ViewGeometry

# Of an ordinary screen; a denser one has more of them.
LEAST_PIXELS = 3  # a shorter drag is a slip of the hand
STROKE_PIXELS = 2  # between positions of a stroke


class Gesture:
    """A mark that is being drawn, from pressing the button to letting it go.

    Args:
        kind: of the mark; see `marks.KINDS`.
        segment: ID of the segment that it will belong to.
        positive: whether it lies inside the segment.
        view: in which it is drawn.
        xy: pixel of the view where the button was pressed.
    """

    def __init__(self, kind: str, segment: str, positive: bool, view: ViewGeometry, xy: tuple[float, float]) -> None:
        self.kind, self.segment, self.positive, self.view = kind, segment, positive, view
        self._path = [np.asarray(xy, float)]

    def move(self, xy: tuple[float, float]) -> None:
        """Follow the mouse to a pixel of the view."""
        place = np.asarray(xy, float)
        if self.kind in ("scribble", "lasso"):
            if np.linalg.norm(place - self._path[-1]) >= STROKE_PIXELS * self.view.density:
                self._path.append(place)
        elif self.kind != "point":
            self._path = [self._path[0], place]

    def mark(self) -> Mark | None:
        """Return the mark as it is now; None as long as it is too small to mean anything."""
        path = np.array(self._path)
        size = np.ptp(path, 0) / self.view.density
        if (self.kind == "box" and size.min() < LEAST_PIXELS) or (self.kind in ("line", "lasso") and size.max() < LEAST_PIXELS):
            return None
        if self.kind == "lasso" and (len(path) < 3 or size.min() < LEAST_PIXELS):
            return None
        if self.kind == "box":
            (x0, y0), (x1, y1) = path
            path = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        positive = self.positive or self.kind in ("box", "line")  # these two have no other meaning
        return Mark(self.segment, self.kind, self.view.local(path), positive)


class Shift:
    """A mark that is being moved.

    Args:
        mark: as it was.
        handle: which of its positions follows the mouse; None for all of it.
        view: in which it is moved.
        xy: pixel of the view where the button was pressed.
    """

    def __init__(self, mark: Mark, handle: int | None, view: ViewGeometry, xy: tuple[float, float]) -> None:
        self.old, self.handle, self.view = mark, handle, view
        self._start = self._now = np.asarray(xy, float)

    def move(self, xy: tuple[float, float]) -> None:
        """Follow the mouse to a pixel of the view."""
        self._now = np.asarray(xy, float)

    def mark(self) -> Mark | None:
        """Return the mark where it is now; None if it has not been moved."""
        if np.abs(self._now - self._start).max() < self.view.density:
            return None
        start, now = self.view.local(np.array([self._start, self._now]))
        return self.old.moved(self.handle, now, now - start)
