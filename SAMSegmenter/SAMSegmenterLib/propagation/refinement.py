"""Refines what passes have found by what the keyframes show of this very object.

The network knows shapes and meanings, but sees little of a border. Four kinds of evidence make the mask of a slice: labels that
similar patches carry from the keyframes (`evidence.carried_labels`), a random walk through the image from these labels
(`evidence.random_walk`), the intensities that are usual in the object (`evidence.intensities`), and the network's logits. See
"Refinement" in docs/figures.md for what this is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..evidence.carried_labels import Carrier
from ..evidence.random_walk import walk
from ..image.stack import FrameStack
from ..keyframes.seed import Seed
from ..network.slice_result import STEP, SliceResult
from .cells import CellGrid
from .corrector import CERTAIN, NETWORK_CERTAIN
from .fusion import fuse
from .track import Track

FAINTEST = 0.1  # labels are raised to the object's from there on
BLOCK = 32  # slices that are walked through at a time, which bounds the memory needed

Passes = tuple[Track | None, Track | None]  # upwards and downwards


@dataclass(frozen=True)
class Weights:
    """Weights of logits: of the labels carried, the network, the intensities and the walk; `bias` is added to their sum."""

    carried: float
    network: float
    intensity: float
    walked: float
    bias: float


# For where the weights come from, see "Refinement" in docs/figures.md.
BETWEEN = Weights(0.75, 0.25, 0.4, 0.45, 0.5)
BEYOND = Weights(0.4, 0.3, 0.3, 0.55, 0.3)


@dataclass(frozen=True, eq=False)
class Gap:
    """Slices next to a keyframe, up to the next one or, beyond the outermost one, as far as its pass was to go.

    Attributes:
        passes: from the keyframe below upwards and from the one above downwards; one of them is None beyond the outermost.
        first, last: the slices.
    """

    passes: Passes
    first: int
    last: int

    @classmethod
    def of(cls, passes: Passes) -> Gap | None:
        """Return the gap that `passes` lead through; None if there is no pass, one is not finished, or no slice lies in the gap."""
        upwards, downwards = passes
        if not (upwards or downwards):
            return None
        first = upwards.seed.slice + 1 if upwards else downwards.last
        last = downwards.seed.slice - 1 if downwards else upwards.last
        gap = cls(passes, first, last)
        return gap if first <= last and all(track.ended or gap._seen(track) == gap.count for track in passes if track) else None

    @property
    def seeds(self) -> tuple[Seed | None, Seed | None]:
        """Return the seeds below and above; one of them is None beyond the outermost keyframe."""
        upwards, downwards = (track.seed if track else None for track in self.passes)
        return upwards, downwards

    @property
    def count(self) -> int:
        """Return the number of slices."""
        return self.last - self.first + 1

    @property
    def closed(self) -> bool:
        """Return whether the gap lies between two keyframes."""
        return None not in self.passes

    @property
    def valid(self) -> tuple[int, ...]:
        """Return on how many slices of the gap each pass found the object.

        This changes when passes are judged anew, but not when they go on beyond the gap.
        """
        return tuple(min(track.valid, self.count) for track in self.passes if track)

    def found(self, index: int) -> tuple[SliceResult | None, SliceResult | None]:
        """Return what the upward and the downward pass found on a slice; None for a pass that found nothing there."""
        one, other = (track.result(index) if track else None for track in self.passes)
        return one, other

    def goes_on(self, index: int) -> bool:
        """Return whether the object may be on a slice: always between keyframes, and beyond them as far as the pass found it."""
        return self.closed or any(self.found(index))

    def refined(self, stack: FrameStack) -> dict[int, SliceResult]:
        """Return the refined masks by slice index.

        There are fewer than slices where labels and passes end before the gap does, and none if the keyframes are empty.
        """
        ends = [seed for seed in self.seeds if seed and seed.mask.any()]
        if not ends:
            return {}
        results = [result for index in range(self.first, self.last + 1) for result in self.found(index) if result]
        return _Refiner(self, stack, CellGrid(stack, ends, results)).results()

    def _seen(self, track: Track) -> int:
        return min(len(track.results), self.count)


class _Refiner:
    """Refines one gap; `fixed` are the planes next to its slices that are known, by slice index."""

    def __init__(self, gap: Gap, stack: FrameStack, grid: CellGrid) -> None:
        self._gap, self._stack, self._grid = gap, stack, grid
        self._reached = [index for index in range(gap.first, gap.last + 1) if gap.goes_on(index)]
        self._upwards = self._carried(gap.seeds[0], self._reached)
        self._downwards = self._carried(gap.seeds[1], self._reached[::-1])
        self._fixed = {seed.slice: grid.mask(seed.mask) for seed in gap.seeds if seed}
        for index in (each + side for each in self._reached[:: len(self._reached) - 1 or 1] for side in (-1, 1)):
            if gap.first <= index <= gap.last and index not in self._reached:
                self._fixed[index] = torch.zeros(grid.size, grid.size)  # carried labels have ended before it

    def results(self) -> dict[int, SliceResult]:
        stored = torch.empty(len(self._reached), self._grid.size, self._grid.size, dtype=torch.int8)
        for start in range(0, len(stored), BLOCK):
            logits = self._combined(self._reached[start : start + BLOCK])
            stored[start : start + BLOCK] = (logits / STEP).round().clamp(-128, 127)
        masks = zip(self._reached, stored.numpy(), strict=True)
        return {index: SliceResult(index, self._grid.view, each, score=0.0, quality=0.0) for index, each in masks}

    def _carried(self, seed: Seed | None, slices: Sequence[int]) -> Tensor | None:
        """Return the labels carried from a seed to `slices`, as bytes ``(n, size, size)``.

        In one piece: what is kept while they are carried, however small, would leave holes between large, short-lived tensors.
        """
        if seed is None:
            return None
        grid = self._grid
        labels = torch.empty(len(slices), grid.size, grid.size, dtype=torch.uint8)
        carrier = Carrier(grid.mask(seed.mask), grid.image(seed.slice), grid.spacing_mm[1])
        for index in slices:
            carried = carrier.step(grid.image(index))
            taken = grid.taken(index)
            if taken is not None:
                carried[taken] = 0.0  # in place: the carrier goes on from there
            labels[index - self._reached[0]] = (carried * 255).round()
        return labels

    def _labels(self, index: int) -> Tensor:
        """Return the labels of a slice, 0..1: those carried from both seeds, weighted by nearness, those from the only seed, or the known
        ones.
        """
        if index in self._fixed:
            return self._fixed[index]
        below, above = (None if each is None else each[index - self._reached[0]] / 255 for each in (self._upwards, self._downwards))
        if self._gap.closed:
            return _met(below, above, self._nearness(index))
        return above if below is None else below

    def _nearness(self, index: int) -> float:
        below, above = (seed.slice for seed in self._gap.seeds)
        return (index - below) / (above - below)

    def _combined(self, block: Sequence[int]) -> Tensor:
        """Return the logits of a block of slices, from all kinds of evidence."""
        weights = BETWEEN if self._gap.closed else BEYOND
        around = [index for index in range(block[0] - 1, block[-1] + 2) if index in self._fixed or index in self._reached]
        images = torch.stack([self._grid.image(index) for index in around])
        labels = torch.stack([self._labels(index) for index in around])
        known = torch.ones(labels.shape, dtype=torch.bool)
        inner = slice(around.index(block[0]), around.index(block[-1]) + 1)
        known[inner, 1:-1, 1:-1] = False
        labels[:, [0, -1]] = labels[:, :, [0, -1]] = 0.0  # the background begins at the grid's border
        taken = [(number, others) for number, index in enumerate(around) if (others := self._grid.taken(index)) is not None]
        for number, others in taken:
            labels[number][others], known[number][others] = 0.0, True
        logits = weights.walked * _logit(walk(images, labels, known, self._grid.spacing_mm)[inner])
        logits += weights.carried * _logit(labels[inner])
        logits += weights.intensity * _smooth(self._grid.evidence(images[inner]))
        logits += weights.network * torch.stack([self._network(index) for index in block])
        return logits + weights.bias

    def _network(self, index: int) -> Tensor:
        """Return the logits of the passes, fused where two meet; background where they have not found the object."""
        found = self._gap.found(index)
        logits = [result.logits(self._stack.shape) for result in found if result]
        if not logits:
            return torch.full((self._grid.size, self._grid.size), -NETWORK_CERTAIN)
        both = len(logits) == 2
        fused = fuse(logits[0], logits[1], self._nearness(index), (found[0].quality, found[1].quality)) if both else logits[0]
        return self._grid.cells(fused).clamp(-NETWORK_CERTAIN, NETWORK_CERTAIN)


def _met(below: Tensor, above: Tensor, nearness: float) -> Tensor:
    """Return labels that were carried from both sides, weighted by nearness.

    Where an object moves or turns on the way, the two agree on little of it, and their mean would be nearly nothing. So the mean is
    raised until the object is as large as they find it on average.
    """
    mean = (1 - nearness) * below + nearness * above
    pixels = round(float((1 - nearness) * (below > 0.5).sum() + nearness * (above > 0.5).sum()))
    if pixels <= (mean > 0.5).sum():
        return mean
    least = mean.flatten().topk(pixels).values[-1].clamp(FAINTEST, 0.5)
    return (mean.logit(1e-6) - least.logit()).sigmoid()


def _logit(chances: Tensor) -> Tensor:
    return chances.logit(1e-6).clamp(-CERTAIN, CERTAIN)


def _smooth(values: Tensor) -> Tensor:
    return F.avg_pool2d(values[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
