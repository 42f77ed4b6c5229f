"""The voxels that DICOM slices stand for: stored values, rescaled by each slice's own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import InputError
from .dicom import Picture
from .dicom_decoding import stored_frames
from .dicom_pixels import AGAIN

WHOLE = [np.dtype(name) for name in ("i2", "u2", "i4")]


def read_voxels(slices: list[Picture]) -> np.ndarray:
    """Return the values ``(k, j, i)``, or ``(k, j, i, 3)`` uint8 RGB, of slices of one size.

    Integers whose rescaled values are integers have the smallest type that holds these; all others are float32, or float64 if stored so.

    Raises:
        InputError: the pixels of one are missing, damaged, or stored in a way that is not read here.
    """
    for picture in slices:
        if picture.pixels.fault:
            raise InputError(f"{picture.file}: {picture.pixels.fault}")
    stored = np.result_type(*(picture.pixels.dtype for picture in slices))
    whole = stored.kind in "iu" and all(_is_whole(number) for picture in slices for number in picture.rescale)
    kind = stored if whole or slices[0].samples > 1 else np.result_type(stored, np.float32) if stored.kind == "f" else np.dtype(np.float32)
    voxels = np.empty((len(slices), *slices[0].size[::-1], *((3,) if slices[0].samples > 1 else ())), kind)
    for at, values in _each(slices):
        slope, intercept = slices[at].rescale
        voxels[at] = values if whole or values.ndim == 3 else values.astype(np.float64) * slope + intercept
    return _rescaled(voxels, [picture.rescale for picture in slices]) if whole and voxels.ndim == 3 else voxels


def _is_whole(number: float) -> bool:
    return number.is_integer() and abs(number) < 2**31


def _each(slices: list[Picture]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index and the stored values of every slice, file by file."""
    places: dict[object, dict[int, int]] = {}
    for at, picture in enumerate(slices):
        places.setdefault(picture.file, {})[picture.frame or 1] = at
    for of_file in places.values():
        picture, read = slices[next(iter(of_file.values()))], 0
        for number, values in enumerate(stored_frames(picture), 1):
            if number in of_file:
                read += 1
                yield of_file[number], values
        if read != len(of_file):
            raise InputError(f"{picture.file}: {read} of its {len(of_file)} frames could be read. {AGAIN}")


def _rescaled(voxels: np.ndarray, rescales: list[tuple[float, ...]]) -> np.ndarray:
    """Return integers rescaled by integers, in place if the size of the type allows it."""
    kinds = WHOLE
    if set(rescales) == {(1.0, 0.0)}:
        if voxels.dtype.itemsize < 4 or voxels.dtype in WHOLE:
            return voxels
        kinds = WHOLE[2:]
    ends = [
        int(slope) * int(value) + int(intercept)
        for layer, (slope, intercept) in zip(voxels, rescales, strict=True)
        for value in (layer.min(), layer.max())
    ]
    fitting = (each for each in kinds if np.iinfo(each).min <= min(ends) and max(ends) <= np.iinfo(each).max)
    kind = next(fitting, np.dtype(np.float64))
    rescaled = voxels.view(kind) if kind.itemsize == voxels.itemsize else np.empty(voxels.shape, kind)
    wide = np.int64 if kind.kind in "iu" else np.float64
    for layer, to, (slope, intercept) in zip(voxels, rescaled, rescales, strict=True):
        to[:] = layer.astype(wide) * wide(slope) + wide(intercept)
    return rescaled
