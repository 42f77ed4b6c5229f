"""Labelmaps, told from images that were given by mistake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from nibabel.nifti1 import Nifti1Header

from ..errors import InputError
from ..image.volume import Volume

MOST_DISTINCT = 1000  # values; an image has more, and neighbouring voxels differ


def as_labels(volume: Volume, name: str) -> Volume:
    """Return a volume whose voxels are labels from 0 on, in an integer type; fractions that scaling left in a file are rounded.

    A NIfTI file with a `scl_slope` holds values in steps of it: labels that were saved as floats are then off by half a step at most.

    Args:
        volume: as it was read; its `source.header` tells the step.
        name: what messages call it.

    Raises:
        InputError: colours, fractions, negative or very large numbers; or an image: many values, most voxels unlike the next one.
    """
    if volume.is_rgb:
        raise InputError(f"{name}: expected a labelmap, got colours.")
    voxels = volume.voxels
    if voxels.dtype.kind == "f":
        voxels = _rounded(voxels, _half_a_step(volume), name)
    lowest = min(each.min() for each in voxels)
    if lowest < 0:
        raise InputError(f"{name}: expected labels from 0 on, got {lowest}. Give a segmentation, not an image.")
    if _is_image(voxels):
        raise InputError(f"{name}: this is an image, not a labelmap: it has more than {MOST_DISTINCT} values. Give a segmentation.")
    return replace(volume, voxels=voxels)


def _half_a_step(volume: Volume) -> float:
    header = volume.source.header
    slope = abs(float(header["scl_slope"])) if isinstance(header, Nifti1Header) else 0.0
    return slope / 2 if slope < 1 else 0.0  # coarser steps skip labels


def _rounded(voxels: np.ndarray, half_a_step: float, name: str) -> np.ndarray:
    labels = np.empty(voxels.shape, np.int32)
    stored, meant = set(), set()
    for each, rounded in zip(voxels, labels, strict=True):
        whole = np.rint(each)
        largest = np.abs(whole).max()
        sound = largest <= np.iinfo(np.int32).max and np.abs(each - whole).max() <= half_a_step + 4 * np.spacing(np.float32(largest))
        if sound and half_a_step:
            stored.update(np.unique(each).tolist())
            meant.update(np.unique(whole).tolist())
        if not sound or len(stored) > len(meant):  # each label that was saved with scaling has one stored number
            raise InputError(f"{name}: expected a labelmap of whole numbers, got fractions. Give a segmentation, not an image.")
        rounded[...] = whole
    return labels


def _is_image(labels: np.ndarray) -> bool:
    """Return whether most voxels differ from the next one and there are more than `MOST_DISTINCT` values."""
    unlike = sum(int(np.count_nonzero(each[:, 1:] != each[:, :-1])) for each in labels)
    if unlike * 2 <= labels.size:
        return False
    values = set()
    for each in labels:
        values.update(np.unique(each).tolist())
        if len(values) > MOST_DISTINCT:
            return True
    return False
