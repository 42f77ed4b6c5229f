"""The part of a volume around an object as small tensors, and the intensities that the object is known to have there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..evidence.intensities import Intensities
from ..image.stack import FrameStack
from ..image.view import View
from ..keyframes.seed import Seed
from ..network.region import Extent
from ..network.slice_result import SliceResult

MARGIN = 1.8  # side of the grid in longer sides of the object
LARGEST = 96  # cells along the longer side of an object; larger ones are seen coarser
LEAST_ROOM = 8  # pixels around the object
MOST_CELLS = 192  # along the side, which bounds memory and time where an object wanders, or a pass has leaked


class CellGrid:
    """A square of every slice as `size` x `size` cells, each `coarseness` pixels wide and high.

    Args:
        stack: the slices.
        seeds: keyframes, at least one of them not empty.
        results: what passes have found besides.
    """

    def __init__(self, stack: FrameStack, seeds: Sequence[Seed], results: Sequence[SliceResult]) -> None:
        self._stack = stack
        extents = [Extent.of_mask(seed.mask) for seed in seeds]
        pixels = max(_side(extent) for extent in extents if extent)
        everything = np.zeros(stack.shape, bool)  # one mask at a time: those of hundreds of slices would fill the memory
        for mask in itertools.chain((seed.mask for seed in seeds), (result.mask(stack.shape) for result in results)):
            everything |= mask
        around = Extent.of_mask(everything)
        assert around is not None  # it holds that of a seed
        self.view = _around(around, pixels)
        self.coarseness = self.view.width // self.view.size
        self.size = self.view.size
        x_mm, y_mm = (each * self.coarseness for each in stack.spacing_mm)
        self.spacing_mm = stack.slice_spacing_mm, y_mm, x_mm
        self._beside = seeds[0].beside
        shown = [(self._unclaimed(seed.slice), self.mask(seed.mask) > 0.5) for seed in seeds if seed.mask.any()]
        self._intensities = Intensities(shown, min(self.spacing_mm[1:]))

    def image(self, index: int) -> Tensor:
        """Return the intensities of a slice, ``(size, size)``, scaled so that those usual around the keyframes are 0..1."""
        return self._intensities.scaled(self.raw(index), self.taken(index))

    def taken(self, index: int) -> Tensor | None:
        """Return the cells of a slice that belong to other segments, bool ``(size, size)``; None if there are none."""
        taken = self._beside.on(index)
        return None if taken is None else self.cells(taken) > 0.5

    def _unclaimed(self, index: int) -> Tensor:
        raw, taken = self.raw(index), self.taken(index)
        return raw if taken is None else raw.masked_fill(taken, torch.nan)  # what is known needs no telling apart

    def evidence(self, image: Tensor) -> Tensor:
        """Return how much likelier the intensities of an `image` ``(..., size, size)`` are inside the object than around it, as a
        logarithm.
        """
        return self._intensities.evidence(image)

    def raw(self, index: int) -> Tensor:
        """Return the intensities of a slice on the cells, ``(size, size)``, in the units of `FrameStack.grey`."""
        return self.cells(self._stack.grey(index))

    def cells(self, pixels: np.ndarray) -> Tensor:
        """Return the mean in each cell, ``(size, size)``, of a slice's pixels ``(rows, columns)``; beyond the slice its border goes on."""
        cut = torch.from_numpy(self.view.extended(pixels).astype(np.float32))
        return F.avg_pool2d(cut[None], self.coarseness)[0] if self.coarseness > 1 else cut

    def mask(self, mask: np.ndarray) -> Tensor:
        """Return a bool mask ``(rows, columns)`` as 0 or 1 on the cells, float32 ``(size, size)``.

        What is thinner than a cell everywhere becomes one cell wide.
        """
        parts = self.cells(mask)
        return (parts >= 0.5 * parts.max()).float() if mask.any() else parts


def _around(extent: Extent, pixels: int) -> View:
    """Return a square view around an extent, with room for an object whose longer side is up to `pixels` long."""
    wanted = _side(extent) + max(round((MARGIN - 1) * pixels), 2 * LEAST_ROOM)
    coarseness = max(1, -(-pixels // LARGEST), -(-wanted // MOST_CELLS))
    cells = -(-wanted // coarseness)
    side = cells * coarseness
    x, y = (extent.left + extent.right) / 2, (extent.top + extent.bottom) / 2
    return View(round(x + 0.5 - side / 2), round(y + 0.5 - side / 2), side, side, cells)


def _side(extent: Extent) -> int:
    return int(max(extent.right - extent.left, extent.bottom - extent.top))
