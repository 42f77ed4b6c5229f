"""Sharpens a network's mask of a box by intensities: a small network knows shapes well, and borders badly.

After Rother et al., GrabCut, ACM SIGGRAPH 2004: in turns, intensities inside and outside the mask tell which pixels belong to it, and
the mask tells which intensities are inside. The network's logits stand in place of the graph cut's smoothness.
"""

from __future__ import annotations

import numpy as np

from ..evidence.intensities import BINS, RARE, SMOOTHED
from ..prompts.types import Box

SURROUNDINGS = 0.3  # of the box's longer side, at least `LEAST_PIXELS`: background that the object is compared with
LEAST_PIXELS = 4
USUAL = 1, 99  # percentiles of the intensities shown, between which these are binned
TURNS = 3
NETWORK, INTENSITY, CERTAIN = 0.5, 0.6, 6.0  # weights of the logits, and the largest of the network's
TOO_LITTLE = 0.15  # of the box: a smaller mask says nothing, and the middle of the box is taken for the object at first
MIDDLE = 0.6  # of the squared radii of the box's ellipse


def sharpened(logits: np.ndarray, intensities: np.ndarray, box: Box, taken: np.ndarray | None = None) -> np.ndarray:
    """Return the mask of the object that `box` is drawn around, bool ``(rows, columns)``; nothing outside the box.

    Args:
        logits: of the network, float32 ``(rows, columns)``.
        intensities: of the slice, float32 ``(rows, columns)``, in any units; NaN where nothing was measured.
        box: in slice pixels.
        taken: bool ``(rows, columns)``, what belongs to other objects; None if that is unknown.
    """
    rows, columns = _around(box, logits.shape)
    network = np.clip(logits[rows, columns], -CERTAIN, CERTAIN)
    measured = np.isfinite(intensities[rows, columns])
    bins = _bins(intensities[rows, columns], measured)
    y, x = np.mgrid[rows, columns]
    inside = (x >= box.x0) & (x <= box.x1) & (y >= box.y0) & (y <= box.y1)
    if taken is not None:
        inside &= ~taken[rows, columns]
    mask, background = (network > 0) & inside, ~inside
    if mask.sum() < TOO_LITTLE * inside.sum():
        mask = inside & (_radii(x, box.x0, box.x1) + _radii(y, box.y0, box.y1) < MIDDLE)
    for _ in range(TURNS):
        if not ((mask & measured).any() and (background & measured).any()):
            break
        evidence = np.log(_parts(bins[mask & measured]) / _parts(bins[background & measured]))
        mask = (NETWORK * network + INTENSITY * _smooth(np.where(measured, evidence[bins], 0)) > 0) & inside
        background = ~mask
    whole = np.zeros(logits.shape, bool)
    whole[rows, columns] = mask
    return whole


def _around(box: Box, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the box and its surroundings, within the slice."""
    margin = int(max(LEAST_PIXELS, SURROUNDINGS * max(box.x1 - box.x0, box.y1 - box.y0)))
    rows = slice(max(0, int(box.y0) - margin), min(shape[0], int(box.y1) + margin + 2))
    return rows, slice(max(0, int(box.x0) - margin), min(shape[1], int(box.x1) + margin + 2))


def _bins(values: np.ndarray, measured: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values[measured], USUAL) if measured.any() else (0.0, 0.0)
    return np.clip((np.where(measured, values, low) - low) / max(high - low, 1e-6) * BINS, 0, BINS - 1).astype(int)


def _parts(bins: np.ndarray) -> np.ndarray:
    """Return the part of the pixels in each bin, neighbouring bins blurred into each other."""
    counts = np.pad(np.bincount(bins, minlength=BINS).astype(float), 2, mode="edge")
    blurred = np.convolve(counts, SMOOTHED, "valid")
    return blurred / blurred.sum() + RARE


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return the mean of each pixel and its eight neighbours."""
    wide = np.pad(values, 1, mode="edge")
    rows, columns = values.shape
    around: np.ndarray = sum(wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3))  # type: ignore[assignment]  # never 0
    return around / 9


def _radii(places: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((places - (low + high) / 2) / ((high - low) / 2)) ** 2
