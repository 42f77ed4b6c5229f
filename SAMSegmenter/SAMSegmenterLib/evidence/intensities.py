"""The intensities of an object where it is known, and those around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

AROUND_MM, LEAST_AROUND = 8.0, 3  # the width of an object's surroundings; in cells, at least
BACKGROUND_PART = 0.4  # of the object's width, the root of its area: how far around it the background is compared with it
BINS, RANGE_BINS, FIRST_BIN = 32, 24, 4  # of intensities; of those for the usual range; below it
SMOOTHED = (0.05, 0.24, 0.42, 0.24, 0.05)  # neighbouring bins
RARE = 1e-3  # added to every bin's part
USUAL = 2, 98  # percent of the intensities around keyframes
BEYOND = 0.25  # of the usual range; values farther outside it are not told apart
OTHERS = 2.0  # stands for what belongs to other segments: nothing in an object looks like that
UNKNOWN = 0.5  # stands for padding: were it dark, its edge would stop walks, and an object would spread up to it


class Intensities:
    """The distributions of intensities in an object and around it.

    Args:
        shown: images ``(n, n)``, NaN where nothing was measured, each with the object's mask on it, ``(n, n)`` bool; the mask
            may be empty if the object is thinner than a cell.
        cell_mm: the shorter side of a cell of the images.
    """

    def __init__(self, shown: Sequence[tuple[Tensor, Tensor]], cell_mm: float) -> None:
        side = max(max(mask.shape) for _, mask in shown)
        reach = max(LEAST_AROUND, round(min(AROUND_MM / cell_mm, side)))  # cells of nanometres would make it millions
        near = torch.cat([image[grown(mask[None], reach)[0]] if mask.any() else image.flatten() for image, mask in shown])
        near = near[near.isfinite()]
        self._low: float
        self._low, high = np.percentile(near.numpy(), USUAL) if len(near) else (0.0, 0.0)
        self._range = max(float(high - self._low), 1e-6)
        inside, outside = torch.zeros(BINS), torch.zeros(BINS)
        for image, mask in shown:
            bins, measured = self._bins(self.scaled(image)), image.isfinite()
            reach = max(LEAST_AROUND, round(BACKGROUND_PART * float(mask.sum()) ** 0.5))
            around = grown(mask[None], reach)[0] & ~mask
            inside += _parts(bins[mask & measured])
            outside += _parts(bins[around & measured])
        self._ratio = (_smooth(inside) / _smooth(outside)).log()

    def scaled(self, image: Tensor, taken: Tensor | None = None) -> Tensor:
        """Return the intensities of an image ``(n, n)`` on a scale where those that are usual around the object are 0 to 1.

        Where nothing was measured they are `UNKNOWN`; where `taken`, bool ``(n, n)``, they are `OTHERS`.
        """
        scaled = ((image - self._low) / self._range).nan_to_num(UNKNOWN).clamp(-BEYOND, 1 + BEYOND)
        return scaled if taken is None else scaled.masked_fill(taken, OTHERS)

    def evidence(self, image: Tensor) -> Tensor:
        """Return the log of how much likelier the intensities of a scaled image, of any shape, are in the object than around it."""
        return self._ratio[self._bins(image)]

    def _bins(self, image: Tensor) -> Tensor:
        return (image * RANGE_BINS + FIRST_BIN).long().clamp(0, BINS - 1)


def grown(masks: Tensor, reach: int) -> Tensor:
    """Return bool masks ``(n, h, w)`` with all cells added that are at most `reach` cells away along both axes."""
    wide = F.max_pool2d(masks[:, None].float(), (1, 2 * reach + 1), 1, (0, reach))
    return F.max_pool2d(wide, (2 * reach + 1, 1), 1, (reach, 0))[:, 0] > 0.5


def _parts(bins: Tensor) -> Tensor:
    return torch.bincount(bins, minlength=BINS) / max(1, len(bins))


def _smooth(parts: Tensor) -> Tensor:
    smooth = F.conv1d(parts[None, None], torch.tensor(SMOOTHED)[None, None], padding=len(SMOOTHED) // 2)[0, 0] + RARE
    return smooth / smooth.sum()
