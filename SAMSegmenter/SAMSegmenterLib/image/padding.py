"""Padding: values that fill a volume where nothing was measured, as outside a scanner's circle or around a tilted frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Hounsfield units in twelve bits. A value within them is never taken for padding: it may be air, background of an MR, a label, or white.
LEAST, MOST = -1024, 3071
SPIKE, FEWEST_VOXELS = 0.01, 10  # where there is padding, at least so many share one value: of the voxels beyond these; in any case
BLURRED = 0.2  # of the padding's voxels; at most as many may lie in the gap, where resampling leaves them
USUAL = 5, 95  # percent of the rest, between which its spread is measured
APART_BELOW, APART_ABOVE = 1 / 8, 1 / 2  # of that spread: the least gap. Little besides padding is below air; much is brighter than bone
FEWEST_VALUES = 16  # of the rest; with fewer, it is a labelmap or the result of a threshold, whose gaps mean nothing
SAMPLE, ENOUGH = 200_000, 1000  # voxels of a sample; if fewer of them are of interest, all voxels are used


@dataclass(frozen=True)
class Padding:
    """The values of a volume that only fill it, and the range of those that were measured.

    Attributes:
        values: those that only fill the volume, in ascending order; empty if every voxel was measured.
        voxels: the number of voxels that were not measured: those with such a value, and those that resampling has blurred with it.
        low, high: the lowest and the highest measured value, of the volume's own type.
    """

    values: tuple[float, ...]
    voxels: int
    low: np.generic
    high: np.generic

    def __bool__(self) -> bool:
        return bool(self.values)

    @classmethod
    def of(cls, voxels: np.ndarray) -> Padding:
        """Return the padding of voxels ``(k, j, i)`` of any type; colours ``(k, j, i, 3)`` have none.

        A value is padding if it lies beyond `LEAST` or `MOST`, many voxels have it, and the gap between it and the rest is large
        compared with the spread of the rest. There may be several such values at either end. A high one must occur at an edge of
        the volume, because metal, which may be clipped to one value, does not.
        """
        low, high = voxels.min(), voxels.max()
        everything = cls((), 0, low, high)
        if voxels.ndim != 3 or (low >= LEAST and high <= MOST):
            return everything
        sample = every_nth(voxels, SAMPLE)
        below = enough(voxels, sample, lambda part: part < LEAST) if low < LEAST else sample[:0]
        above = enough(voxels, sample, lambda part: part > MOST) if high > MOST else sample[:0]
        low_spikes, high_spikes = _spikes(below), _spikes(above)
        spikes = np.concatenate([low_spikes, high_spikes])
        rest = enough(voxels, sample, lambda part: ~np.isin(part, spikes)) if spikes.size else spikes
        if len(np.unique(rest)) < FEWEST_VALUES:
            return everything
        dark, bright = (float(each) for each in np.percentile(rest.astype(np.float64), USUAL))
        black, limit = _padding_below(low_spikes, below, dark, bright)
        white = _padding_above(high_spikes[np.isin(high_spikes, _edges(voxels))], above, dark, rest.max())
        return _between(voxels, black, limit if black else low, white) if black or white else everything

    def counts(self, values: np.ndarray) -> np.ndarray:
        """Return which of some values of the volume, of any shape, were measured, as bool of that shape."""
        return (values >= self.low) & (values <= self.high)

    def cleared(self, values: np.ndarray) -> np.ndarray:
        """Return values of the volume, of any shape, with padding set to the lowest measured value; the same array if there is none."""
        return np.where(self.counts(values), values, self.low) if self else values


def every_nth(voxels: np.ndarray, wanted: int) -> np.ndarray:
    """Return about `wanted` evenly spread voxels, flat, or all if there are fewer; a view if the voxels are contiguous."""
    flat = voxels.reshape(-1)
    return flat[:: max(1, flat.size // wanted)]


def enough(voxels: np.ndarray, sample: np.ndarray, wanted: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the values of a sample that `wanted` selects, flat; those of all voxels if the sample has only few of them."""
    found = sample[wanted(sample)]
    return found if len(found) >= ENOUGH or len(sample) == voxels.size else np.concatenate([part[wanted(part)] for part in voxels])


def _spikes(beyond: np.ndarray) -> np.ndarray:
    """Return the values that many voxels have, in ascending order."""
    values, counts = np.unique(beyond, return_counts=True)
    return values[counts >= max(FEWEST_VOXELS, SPIKE * len(beyond))]


def _padding_below(spikes: np.ndarray, below: np.ndarray, dark: float, bright: float) -> tuple[list[float], int]:
    """Return the padding among low spikes, and the limit below which a voxel is padding, or blurred with it."""
    gap = APART_BELOW * (bright - dark)
    limit = min(math.floor(dark - gap), LEAST)
    for value in spikes[spikes < limit][::-1]:
        blurred = np.count_nonzero((below > value) & (below < max(limit, float(value) + gap)))
        if blurred <= BLURRED * np.count_nonzero(below <= value):
            return spikes[spikes <= value].tolist(), limit
    return [], limit


def _padding_above(spikes: np.ndarray, above: np.ndarray, dark: float, highest: np.generic) -> list[float]:
    """Return the padding among high spikes; every lower value was measured, even that of metal."""
    for value in spikes:
        measured = float(above[above < value].max(initial=highest))
        if value > measured + APART_ABOVE * (measured - dark):
            return spikes[spikes >= value].tolist()
    return []


def _edges(voxels: np.ndarray) -> np.ndarray:
    """Return the voxels on the twelve edges of a volume, flat."""
    ends = [slice(None, None, max(1, size - 1)) for size in voxels.shape]
    lines = [tuple(slice(None) if n == axis else end for n, end in enumerate(ends)) for axis in range(3)]
    return np.concatenate([voxels[line].reshape(-1) for line in lines])


def _between(voxels: np.ndarray, black: list[float], least: float, white: list[float]) -> Padding:
    """Return the padding with these values at either end; values from `least` up to below `white` were measured."""
    measured = 0
    lows: list[Any] = []
    highs: list[Any] = []
    for part in voxels:
        values = part[(part >= least) & (part < white[0])] if white else part[part >= least]
        if values.size:
            measured, lows, highs = measured + values.size, [*lows, values.min()], [*highs, values.max()]
    return Padding((*black, *white), voxels.size - measured, min(lows), max(highs))
