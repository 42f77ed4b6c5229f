"""The region to look at: a square around the object that follows it from slice to slice.

The network sees a small object large. docs/figures.md says what that is worth, and what following the object is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image.extent import edges
from ..image.stack import FrameStack
from ..image.view import View

MARGIN = 1.6  # side of the region, in longer sides of the object
SMALLEST_PIXELS = 24  # a region narrower than this shows the network more interpolation than image
TIGHTEST = 1.25  # the region is renewed when its side falls below this multiple of the object's
WIDEST = 2.6  # ... or rises above this one; the network was trained between them
BORDER = 0.06  # ... or when the object comes this close to its border, in parts of its side
LARGEST = 32  # of the slice's longer side: where pixels are needles, a square in mm would have millions of them


@dataclass(frozen=True)
class Extent:
    """The bounding box of an object on a slice: edges in slice pixels (voxel centres at integers, edges at halves)."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> Extent | None:
        """Return the extent of a bool slice ``(rows, columns)``; None if it is empty."""
        found = edges(mask)
        return None if found is None else cls(*found)

    @classmethod
    def of_points(cls, xy: np.ndarray) -> Extent:
        """Return the extent of positions ``(n, 2)``."""
        (left, top), (right, bottom) = np.min(xy, 0), np.max(xy, 0)
        return cls(left, top, right, bottom)

    def side_mm(self, stack: FrameStack) -> float:
        """Return the longer side in mm."""
        x_mm, y_mm = stack.spacing_mm
        return max((self.right - self.left) * x_mm, (self.bottom - self.top) * y_mm)


def region_around(extent: Extent, stack: FrameStack, size: int, margin: float) -> View:
    """Return a view that is square in mm, centred on `extent`, with sides of `margin` times its longer side."""
    side_mm = max(extent.side_mm(stack) * margin, SMALLEST_PIXELS * min(stack.spacing_mm))
    return square((extent.left + extent.right) / 2, (extent.top + extent.bottom) / 2, side_mm, stack, size)


def square(x: float, y: float, side_mm: float, stack: FrameStack, size: int) -> View:
    """Return a view, in whole pixels, that is square in mm around the slice position (x, y); less so if pixels are extremely long."""
    most = LARGEST * max(stack.shape)
    width, height = (max(2, round(min(side_mm / spacing, most))) for spacing in stack.spacing_mm)
    return View(round(x + 0.5 - width / 2), round(y + 0.5 - height / 2), width, height, size)


def following(view: View, extent: Extent | None, stack: FrameStack, margin: float) -> View:
    """Return the view for the next slice: the same as long as it suits the object, otherwise a new one around it."""
    if extent is None or _suits(view, extent, stack):
        return view
    return region_around(extent, stack, view.size, margin)


def _suits(view: View, extent: Extent, stack: FrameStack) -> bool:
    side = max(extent.side_mm(stack), SMALLEST_PIXELS * min(stack.spacing_mm) / WIDEST)
    ratio = view.width * stack.spacing_mm[0] / side
    if not TIGHTEST <= ratio <= WIDEST:
        return False
    x_gap, y_gap = BORDER * view.width, BORDER * view.height
    return (
        extent.left - (view.left - 0.5) >= x_gap
        and view.left - 0.5 + view.width - extent.right >= x_gap
        and extent.top - (view.top - 0.5) >= y_gap
        and view.top - 0.5 + view.height - extent.bottom >= y_gap
    )
