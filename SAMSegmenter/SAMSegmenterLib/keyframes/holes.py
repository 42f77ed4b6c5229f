"""Fills large holes in the answers of a small network: of a rib or a kidney it may find the cortex alone.

See "Holes" in docs/figures.md for how the limit was found.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

LEAST_HOLE = 0.2  # of the mask around it; smaller ones may well be meant, as the canal of a vertebra


def filled(mask: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return a mask without its large holes, bool ``(rows, columns)``; holes that hold a click stay.

    Args:
        mask: bool ``(rows, columns)``.
        outside: ``(n, 2)`` pixels that were marked as outside of the object.
    """
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    holes = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.BinaryFillhole(image) - image))
    large = np.bincount(holes.ravel()) > LEAST_HOLE * mask.sum()
    x, y = np.clip(np.rint(outside).astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    large[0] = large[holes[y, x]] = False
    return mask | large[holes]
