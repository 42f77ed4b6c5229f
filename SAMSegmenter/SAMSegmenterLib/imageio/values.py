"""NaN in voxels, and the precision that values need, for every format."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..errors import InputError

FINEST = 2.0**-14  # of the largest float64 voxel: float32 shows such a contrast in a thousand steps


def float32_suffices(low: float, high: float) -> bool:
    """Return whether float32 keeps the contrast of values from `low` to `high`; a small contrast on a large offset would be lost."""
    with np.errstate(over="ignore", invalid="ignore"):
        return not 0 < high - low < FINEST * max(-low, high)


def without_padding_nan(voxels: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return voxels without the NaN that fill what was not scanned, and a warning about them; both are unchanged if all are finite.

    NaN counts as padding if it is connected, by faces of voxels, with the rim of a slice, and makes up at least a row of voxels. It
    becomes the lowest finite value, slice by slice and in place.

    Args:
        voxels: ``(k, j, i)`` of any type.
        name: what messages call them.

    Raises:
        InputError: other voxels are NaN, or some are infinite; the message says how many.
    """
    if voxels.dtype.kind != "f" or voxels.ndim != 3:
        return voxels, ()
    infinite, missing = (sum(int(np.count_nonzero(test(each))) for each in voxels) for test in (np.isinf, np.isnan))
    if not infinite and not missing:
        return voxels, ()
    enclosed = _enclosed(voxels) if missing else 0
    if infinite or enclosed or not min(voxels.shape) <= missing < voxels.size:
        bad = infinite + enclosed or missing
        raise InputError(f"{name}: {bad} voxels are NaN or infinite. Replace them (for instance by the background value).")
    lowest = min(float(np.fmin.reduce(each, axis=None)) for each in voxels if not np.isnan(each).all())
    for each in voxels:
        each[np.isnan(each)] = lowest
    return voxels, (f"{name}: {missing} voxels outside of what was scanned are NaN; they count as {lowest:g}, the lowest value.",)


def _enclosed(voxels: np.ndarray) -> int:
    """Return how many voxels ``(k, j, i)`` are NaN and not connected, through others that are NaN, with the rim of a slice."""
    holes = {}
    for k, each in enumerate(voxels):
        missing = np.isnan(each)
        rim = np.ones_like(missing)
        if 0 < k < len(voxels) - 1:
            rim[1:-1, 1:-1] = False
        hole = missing & ~_spread(rim & missing, missing)
        if hole.any():
            holes[k] = hole
    order, grown = sorted(holes), True
    while grown:
        grown = False
        for step, slices in ((-1, order), (1, order[::-1])):
            for k in slices:
                entry = holes[k] & np.isnan(voxels[k + step]) & ~holes.get(k + step, np.False_)
                if entry.any():
                    holes[k], grown = holes[k] & ~_spread(entry, holes[k]), True
    return sum(int(hole.sum()) for hole in holes.values())


def _spread(start: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the connected parts of a bool mask ``(j, i)`` that hold a pixel of `start`."""
    images = (sitk.GetImageFromArray(np.pad(each, 1).view(np.uint8)) for each in (start, within))
    return sitk.GetArrayFromImage(sitk.ReconstructionByDilation(*images)).view(bool)[1:-1, 1:-1]
