"""The part of a volume around an object as small tensors, and how the object looks there where it is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..frames import FrameStack, View
from .region import Extent
from .results import SliceResult
from .track import Seed

MARGIN = 1.8  # side of the canvas in longer sides of the object
LARGEST = 96  # cells along the longer side of an object; larger ones are seen coarser
LEAST_ROOM = 8  # pixels around the object
MOST_CELLS = 192  # along the side, which bounds memory and time where an object wanders, or a pass has leaked
AROUND_MM, LEAST_AROUND = 8.0, 3  # what belongs to an object's surroundings; at least so many cells
BACKGROUND_PART = 0.4  # of the object's width, the root of its area: as far around it background is compared with it
BINS, RANGE_BINS, FIRST_BIN = 32, 24, 4  # of intensities; of those for the usual range; below it
SMOOTHED = (0.05, 0.24, 0.42, 0.24, 0.05)  # neighbouring bins
RARE = 1e-3  # added to every bin's part
USUAL = 2, 98  # percent of the intensities around keyframes
BEYOND = 0.25  # of the usual range; what lies farther outside of it is not told apart


class Canvas:
    """A square of every slice as `size` x `size` cells, each `coarseness` pixels wide and high.

    Args:
        stack: the slices.
        seeds: keyframes, at least one of them not empty.
        results: what passes have found besides.
    """

    def __init__(self, stack: FrameStack, seeds: Sequence[Seed], results: Sequence[SliceResult]) -> None:
        self._stack = stack
        pixels = max(_side(Extent.of_mask(seed.mask)) for seed in seeds if seed.mask.any())
        everything = np.zeros(stack.shape, bool)  # one mask at a time: those of hundreds of slices would fill the memory
        for mask in itertools.chain((seed.mask for seed in seeds), (result.mask(stack.shape) for result in results)):
            everything |= mask
        self.view = _around(Extent.of_mask(everything), pixels)
        self.coarseness = self.view.width // self.view.size
        self.size = self.view.size
        x_mm, y_mm = (each * self.coarseness for each in stack.spacing_mm)
        self.spacing_mm = stack.slice_spacing_mm, y_mm, x_mm
        self._looks = _Looks(self, seeds)

    def image(self, index: int) -> Tensor:
        """Intensities of a slice, those that are usual around the keyframes being 0..1."""
        return self._looks.scaled(self.raw(index))

    def evidence(self, image: Tensor) -> Tensor:
        """Log of how much likelier the intensities of an `image` are in the object than around it."""
        return self._looks.evidence(image)

    def raw(self, index: int) -> Tensor:
        """Intensities of a slice as they are; of colours their mean."""
        values = self._stack.intensities(index)
        return self.cells((values.mean(-1) if values.ndim == 3 else values).astype(np.float32))

    def cells(self, pixels: np.ndarray) -> Tensor:
        """Means ``(size, size)`` of the pixels ``(rows, columns)`` of a slice; beyond the slice its border goes on."""
        view, (rows, columns) = self.view, pixels.shape
        by_row = np.clip(np.arange(view.top, view.top + view.height), 0, rows - 1)
        by_column = np.clip(np.arange(view.left, view.left + view.width), 0, columns - 1)
        cut = torch.from_numpy(pixels[np.ix_(by_row, by_column)].astype(np.float32))
        return F.avg_pool2d(cut[None], self.coarseness)[0] if self.coarseness > 1 else cut

    def mask(self, mask: np.ndarray) -> Tensor:
        """A bool mask of a slice as 0 or 1 on the cells."""
        return (self.cells(mask) >= 0.5).float()


class _Looks:
    """Intensities of the object and around it, as keyframes show them."""

    def __init__(self, canvas: Canvas, seeds: Sequence[Seed]) -> None:
        shown = [(canvas.raw(seed.slice), canvas.mask(seed.mask) > 0.5) for seed in seeds if seed.mask.any()]
        reach = max(LEAST_AROUND, round(AROUND_MM / min(canvas.spacing_mm[1:])))
        near = torch.cat([image[_grown(mask, reach)] for image, mask in shown])
        self._low, high = np.percentile(near.numpy(), USUAL)
        self._range = max(float(high - self._low), 1e-6)
        inside, outside = torch.zeros(BINS), torch.zeros(BINS)
        for image, mask in shown:
            bins = self._bins(self.scaled(image))
            around = _grown(mask, max(LEAST_AROUND, round(BACKGROUND_PART * float(mask.sum()) ** 0.5))) & ~mask
            inside += _parts(bins[mask])
            outside += _parts(bins[around])
        self._ratio = (_smooth(inside) / _smooth(outside)).log()

    def scaled(self, image: Tensor) -> Tensor:
        return ((image - self._low) / self._range).clamp(-BEYOND, 1 + BEYOND)

    def evidence(self, image: Tensor) -> Tensor:
        return self._ratio[self._bins(image)]

    def _bins(self, image: Tensor) -> Tensor:
        return (image * RANGE_BINS + FIRST_BIN).long().clamp(0, BINS - 1)


def _around(extent: Extent, pixels: int) -> View:
    """A square around an extent, with room for an object whose longer side has so many `pixels` somewhere."""
    wanted = _side(extent) + max(round((MARGIN - 1) * pixels), 2 * LEAST_ROOM)
    coarseness = max(1, -(-pixels // LARGEST), -(-wanted // MOST_CELLS))
    cells = -(-wanted // coarseness)
    side = cells * coarseness
    x, y = (extent.left + extent.right) / 2, (extent.top + extent.bottom) / 2
    return View(round(x + 0.5 - side / 2), round(y + 0.5 - side / 2), side, side, cells)


def _side(extent: Extent) -> int:
    return int(max(extent.right - extent.left, extent.bottom - extent.top))


def _grown(mask: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(mask[None].float(), 2 * reach + 1, 1, reach)[0] > 0.5


def _parts(bins: Tensor) -> Tensor:
    return torch.bincount(bins, minlength=BINS) / max(1, len(bins))


def _smooth(parts: Tensor) -> Tensor:
    smooth = F.conv1d(parts[None, None], torch.tensor(SMOOTHED)[None, None], padding=len(SMOOTHED) // 2)[0, 0] + RARE
    return smooth / smooth.sum()
