"""Multi-frame DICOM images: where each frame of one file lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, printable
from .dicom import Picture, numbers, parsing, place_of
from .dicom_grid import Grid

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
GROUPS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence")
OF_OLDER_KIND = ["SpacingBetweenSlices", "SliceThickness", "NumberOfSlices", "SliceVector"]
KNOWN = "Export it as a series of single images, or convert it to .nrrd with the spacing that you know."


@dataclass(frozen=True)
class DicomFrames:
    """The images in a file that can become slices.

    Attributes:
        slices: the frames with their places, or the only image.
        header: the tags that tell where the frames lie, if the file is of the older kind, which gives one place for all; else None.
    """

    slices: list[Picture]
    header: Any = None


def frames_of(picture: Picture) -> DicomFrames:
    """Return the frames of a file as pictures.

    Raises:
        InputError: it does not say where all of them lie, or they are several stacks.
    """
    if picture.frames == 1 and picture.position:
        return DicomFrames([picture])
    with parsing(picture.file):
        header = _descriptions(picture)
        described, stacks = _described(header, picture)
    if picture.frames == 1:
        return DicomFrames([replace(described[0], frame=None)] if len(described) == 1 else [picture])
    if not described and SHARED not in header:
        return DicomFrames([], header)
    if len(described) != picture.frames:
        raise InputError(
            f"{picture.file}: it says of {len(described)} of its {picture.frames} frames where they lie. "
            "Export the volume to segment as a series of its own."
        )
    if len(stacks) > 1:
        raise InputError(
            f"{picture.file}: its frames are {len(stacks)} stacks (Stack ID {', '.join(sorted(stacks)[:4])}). "
            "Export the one to segment as a series of its own."
        )
    return DicomFrames(described)


def _descriptions(picture: Picture) -> Any:
    import pydicom  # takes long to import, and only DICOM needs it

    return pydicom.dcmread(picture.file, specific_tags=[SHARED, PER_FRAME, *OF_OLDER_KIND], force=True)


def _described(header: Any, picture: Picture) -> tuple[list[Picture], set[str]]:
    """Return the frames as pictures, in the order of the file, and their stacks; none if the file does not describe them."""
    shared = _items(header, SHARED)[:1]
    found, stacks = [], set()
    for number, own in enumerate(_items(header, PER_FRAME), 1):
        groups = [group for name in GROUPS for source in (*shared, own) for group in _items(source, name)]
        place = place_of({element.keyword: element.value for group in groups for element in group})
        said = {name: value for name, value in place.items() if value or name == "position"}
        found.append(replace(picture, frames=1, frame=number, **said))
        stacks |= {printable(item.StackID) for item in _items(own, "FrameContentSequence") if item.get("StackID")}
    return found, stacks


def _items(dataset: Any, name: str) -> list[Any]:
    """Return the parts of a DICOM sequence; none if it is missing, or damaged so that it is no sequence."""
    from pydicom import Sequence

    value = dataset.get(name)
    return list(value) if isinstance(value, Sequence) else []


def evenly(picture: Picture, header: Any) -> tuple[list[Picture], Grid]:
    """Return the frames of a file of the older kind, and their grid.

    Such a file gives the place of the first frame and one distance from frame to frame. A negative distance of nuclear medicine leads
    against the normal of the slices (PS3.3 C.8.4.15).

    Raises:
        InputError: it does not say how far apart its frames lie, or they are several volumes.
    """
    with parsing(picture.file):
        gap = numbers(header, "SpacingBetweenSlices", 1)
        order = _order(picture, header)
    gap_mm = gap[0] if gap else 0.0
    if gap_mm == 0:
        thickness = "; how thick they are says nothing of that" if header.get("SliceThickness") else ""
        film = "" if picture.modality in ("NM", "PT") else "; it may be a film"
        raise InputError(f"{picture.file}: it does not say how far apart its {picture.frames} frames lie{film}{thickness}. {KNOWN}")
    if gap_mm < 0 and picture.modality != "NM":
        raise InputError(
            f"{picture.file}: the distance between its slices is negative ({gap_mm:g} mm); "
            f"that has a meaning in nuclear medicine only. {KNOWN}"
        )
    if not picture.spacing:
        raise InputError(f"{picture.file}: it does not say how large its pixels are (Pixel Spacing). {KNOWN}")
    assumed = [] if picture.position else ["It does not say where its first frame lies: that is taken to be at 0, 0, 0."]
    if not picture.orientation:
        assumed.append("It does not say how its frames are turned: they are taken to be axial.")
    row, column = np.reshape(picture.orientation or (1, 0, 0, 0, 1, 0), (2, 3))
    ijk_to_lps = np.eye(4)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    ijk_to_lps[:3, 0], ijk_to_lps[:3, 1] = row * picture.spacing[1], column * picture.spacing[0]
    ijk_to_lps[:3, 2], ijk_to_lps[:3, 3] = np.cross(row, column) * gap_mm, picture.position or 0
    geometry = f"position of the first frame, {gap_mm:g} mm from frame to frame"
    return [replace(picture, frame=number) for number in order], Grid(ijk_to_lps, geometry, tuple(assumed))


def _order(picture: Picture, header: Any) -> list[int]:
    """Return the numbers of the frames, from 1, in the order of the slices."""
    vector = header.get("SliceVector")
    order = [int(number) for number in ([vector] if isinstance(vector, int) else vector or range(1, picture.frames + 1))]
    slices = int(header.get("NumberOfSlices") or len(set(order)))
    if slices != picture.frames or sorted(order) != list(range(1, picture.frames + 1)):
        raise InputError(
            f"{picture.file}: its {picture.frames} frames are several volumes of {slices} slices "
            "(time points, gates, energy windows or detectors). Export the one to segment on its own."
        )
    return [1 + place for place in np.argsort(order)]
