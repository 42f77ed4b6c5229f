"""Labels carried from one slice to the next by similar patches, without any network.

Non-local label propagation (Coupé et al., NeuroImage 2011) from each slice to its neighbour: every pixel takes the mean
label of the pixels around its place on the slice before, weighted by how much the small patches around them resemble its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

REACH_MM, LEAST_REACH, MOST_REACH = 9.0, 2, 4  # how far borders are searched for from one slice to the next; the others in pixels
DRIFT_MM = 4.0  # how far they usually move
PATCH = 3  # pixels
TOLERANCE = 0.7  # of the usual difference between the best matches
LEAST_TOLERANCE = 0.02  # of the range of intensities
AT_ONCE = 16  # moves computed together: all at once would take much memory on whole slices
FAINT = 0.02  # labels below this are dropped


class Carrier:
    """A carrier of labels over slices with pixels of `pixel_mm`.

    Args:
        first: the labels to begin with, ``(n, n)`` from 0 to 1.
        image: the slice on which they lie, ``(n, n)``, with intensities of about 0 to 1.
        pixel_mm: distance in mm between neighbouring pixels.

    Attributes:
        labels: those of the slice reached, ``(n, n)`` from 0 to 1.
    """

    def __init__(self, first: Tensor, image: Tensor, pixel_mm: float) -> None:
        self.labels, self._image = first, image
        self._reach = reach = min(max(round(REACH_MM / pixel_mm), LEAST_REACH), MOST_REACH)
        steps = range(-reach, reach + 1)
        self._moves = torch.tensor([(dy, dx) for dy in steps for dx in steps if dy * dy + dx * dx <= reach * reach + 1])
        squares = self._moves.square().sum(1).float()
        self._effort = (squares * (pixel_mm / DRIFT_MM) ** 2 / 2)[:, None, None]
        self._tolerance = 0.0  # known after the first step

    def step(self, image: Tensor) -> Tensor:
        """Go on to the next slice, `image` ``(n, n)``, and return its labels, ``(n, n)`` from 0 to 1."""
        window = self._window()
        labels = torch.zeros_like(self.labels)
        if window:
            labels[window] = self._carried(window, image)
        self.labels, self._image = labels, image
        return labels

    def _window(self) -> tuple[slice, slice] | None:
        """Return the part of the slice that the labels can reach; None if nothing is left of them."""
        inside, found = self.labels > FAINT, []
        for axis in (1, 0):
            places = inside.any(axis).nonzero()[:, 0]
            if not len(places):
                return None
            found.append(slice(max(0, int(places[0]) - self._reach), int(places[-1]) + 1 + self._reach))
        return found[0], found[1]

    def _carried(self, window: tuple[slice, slice], image: Tensor) -> Tensor:
        differences = torch.empty(len(self._moves), *image[window].shape)
        for difference, moved in zip(differences.split(AT_ONCE), self._moved(self._image, window), strict=True):
            difference[:] = _patch_means((moved - image[window]).square_())
        if not self._tolerance:
            usual = differences.amin(0)[self.labels[window] > FAINT].median().sqrt()
            self._tolerance = max(LEAST_TOLERANCE, TOLERANCE * float(usual))
        weights = torch.softmax(differences.div_(-2 * self._tolerance**2).sub_(self._effort), 0)
        parts = zip(weights.split(AT_ONCE), self._moved(self.labels, window), strict=True)
        return sum((weight * moved).sum(0) for weight, moved in parts)

    def _moved(self, values: Tensor, window: tuple[slice, slice]) -> Iterator[Tensor]:
        """Yield what lies in the window after the moves, ``(m, h, w)`` for `AT_ONCE` of them at a time."""
        reach, (rows, columns) = self._reach, window
        wide = F.pad(values[None, None], (reach,) * 4, mode="replicate")[0, 0]
        height, width = values[window].shape
        everywhere = wide.unfold(0, height, 1).unfold(1, width, 1)  # by the corner at which it lies
        for moves in self._moves.split(AT_ONCE):
            tops, lefts = (moves + torch.tensor([rows.start + reach, columns.start + reach])).T
            yield everywhere[tops, lefts]


def _patch_means(values: Tensor) -> Tensor:
    """Return the means of the patches around all pixels of ``(m, h, w)``.

    PyTorch pools many channels several times sooner where they lie side by side, and to the same bits.
    """
    beside = values[None].contiguous(memory_format=torch.channels_last)
    return F.avg_pool2d(beside, PATCH, 1, PATCH // 2, count_include_pad=False)[0]
