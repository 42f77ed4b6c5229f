"""Multi-frame DICOM images: the frames of one file as slices of one volume, or its only frame as one of many files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .dicom import Picture, numbers, parsing, place_of, read_pixels
from .dicom_stack import stack
from .itk import to_volume

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
GROUPS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence")
REMEDY = "Export the volume to segment as a series of its own."


def read_frames(picture: Picture, path: Path) -> Volume:
    """The volume in a multi-frame image, whose frames may lie in the file in any order; the volume is named after `path`.

    ITK takes the first frames for the rule: it guesses the spacing from them, and rescales all as the first.

    Raises:
        InputError: the frames do not make one even volume, or do not say where they lie.
    """
    with parsing(picture.file):
        header = _descriptions(picture)
        frames, gap_mm = _frames(header, picture), numbers(header, "SpacingBetweenSlices", 1)
    if not frames and SHARED not in header:
        return _read_unplaced(picture, path, gap_mm)
    if len(frames) != picture.frames:
        raise InputError(f"{picture.file}: it says of {len(frames)} of its {picture.frames} frames where they lie. {REMEDY}")
    slices, ijk_to_lps = stack(frames, str(picture.file), REMEDY)
    volume = to_volume(read_pixels(picture), path, ijk_to_lps, picture.modality)
    voxels = _rescaled(volume.voxels, frames)
    return replace(volume, voxels=voxels if slices == frames else voxels[[each.frame - 1 for each in slices]])


def placed(picture: Picture) -> Picture:
    """A single image that says where it lies, also where it does so as the only frame of a multi-frame image."""
    if picture.position or picture.frames > 1:
        return picture
    with parsing(picture.file):
        frames = _frames(_descriptions(picture), picture)
    return replace(frames[0], frame=None) if len(frames) == 1 else picture


def _descriptions(picture: Picture) -> Any:
    import pydicom  # takes long to import, and only DICOM needs it

    return pydicom.dcmread(picture.file, specific_tags=[SHARED, PER_FRAME, "SpacingBetweenSlices"])


def _frames(header: Any, picture: Picture) -> list[Picture]:
    """The frames as pictures, in the order of the file; none in a file of the older kind, which does not describe them."""
    shared = _items(header, SHARED)[:1]
    found = []
    for number, own in enumerate(_items(header, PER_FRAME), 1):
        groups = [group for name in GROUPS for source in (*shared, own) for group in _items(source, name)]
        said = {element.keyword: element.value for group in groups for element in group}
        found.append(replace(picture, frames=1, frame=number, **place_of(said)))
    return found


def _items(dataset: Any, name: str) -> list[Any]:
    """The parts of a DICOM sequence; none if it is lacking, or damaged to something else."""
    from pydicom import Sequence

    value = dataset.get(name)
    return list(value) if isinstance(value, Sequence) else []


def _rescaled(voxels: np.ndarray, frames: list[Picture]) -> np.ndarray:
    """Every frame by its own slope and intercept, where ITK applied those of the first one to all."""
    if len({frame.rescale for frame in frames}) == 1:
        return voxels
    slope, intercept = frames[0].rescale
    rescaled = np.empty(voxels.shape, np.float32)
    for frame, to, values in zip(frames, rescaled, voxels, strict=True):
        to[:] = (values.astype(np.float64) - intercept) / slope * frame.rescale[0] + frame.rescale[1]
    return rescaled


def _read_unplaced(picture: Picture, path: Path, gap_mm: tuple[float, ...]) -> Volume:
    """A file of the older kind, with one place for all frames, which follow each other at one distance if they make a volume."""
    if not gap_mm or not gap_mm[0] > 0:
        raise InputError(
            f"{picture.file}: it does not say how far apart its {picture.frames} frames lie; it may be a film. "
            "Export it as a series of single images, or convert it to .nrrd with the spacing that you know."
        )
    image = read_pixels(picture)
    image.SetSpacing((*image.GetSpacing()[:2], gap_mm[0]))
    return to_volume(image, path, modality=picture.modality)
