"""One DICOM file and what its header says of its image."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, printable
from .dicom_pixels import PIXEL_TAGS, Pixels, pixels_of
from .itk import check_exists

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
DICOM_TAGS = [
    "SOPClassUID",
    "Modality",
    "SeriesDescription",
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "DetectorInformationSequence",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SequenceOfUltrasoundRegions",
    "RescaleSlope",
    "RescaleIntercept",
    *PIXEL_TAGS,
]
RESCALE = ("RescaleSlope", "RescaleIntercept")
LARGE = 1 << 14  # bytes, so that pixels are not read with the header
CENTIMETRES = 3  # PS3.3 C.8.5.5.1.15, the unit of a region's axes
ON_THE_DETECTOR = "Its pixel spacing is that on the detector (Imager Pixel Spacing); none in the patient is given."
GREATEST_FLAW = 0.1  # of direction cosines: of a unit vector's length, and of a right angle's cosine


@dataclass(frozen=True)
class Picture:
    """The header of an image in a DICOM file, or of one of its frames; lengths in mm, LPS coordinates.

    Attributes:
        size: columns and rows.
        frames: how many images the file holds.
        position, orientation, spacing: as in the tags of these names, so that `spacing` gives rows first; empty if not stated.
        rescale: slope and intercept from stored values to those of the modality.
        assumed: what the file does not say and was taken from elsewhere; sentences for the user.
        frame: the number of this frame in its file, from 1; None for the file's only image.
    """

    file: Path
    uid: str
    description: str
    modality: str
    size: tuple[int, int]
    samples: int
    frames: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    rescale: tuple[float, ...]
    pixels: Pixels
    assumed: tuple[str, ...] = ()
    frame: int | None = None

    @property
    def name(self) -> str:
        """Return what messages call this image or frame."""
        return self.file.name if self.frame is None else f"frame {self.frame} of {self.file.name}"

    @property
    def normal(self) -> np.ndarray:
        """Return the unit vector ``(3,)`` across the plane of the image, in LPS."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def plane(self) -> str:
        """Return ``"axial"``, ``"sagittal"`` or ``"coronal"``, whichever is nearest, with the direction across the plane."""
        name = ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]
        return f"{name} (normal {', '.join(f'{value:.3f}' for value in self.normal)})"


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM: by its marker, by its name, or because it begins like a data set (PS3.10, without 7.1)."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or path.suffix.lower() in DICOM_SUFFIXES or _is_bare(start)


def _is_bare(start: bytes) -> bool:
    """Return whether a file begins like a data set without a preamble: with group 8 (or 2), and a VR or a short length."""
    if len(start) < 8:
        return False
    group, element, length = struct.unpack("<HHI", start[:8])
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    implicit = length == 4 if element == 0 else length <= 1024 and length % 2 == 0  # a group's length comes first, if it is there
    return group in (2, 8) and element <= 0x70 and (explicit or implicit)


def read_header(path: Path) -> Picture | None:
    """Return what the header of a DICOM image says; None for any other file.

    A file without preamble and meta header is taken for little endian, implicit or explicit as its first element is.

    Raises:
        InputError: a DICOM image so damaged that it would be missing from its series.
    """
    import pydicom  # takes long to import, and only DICOM needs it

    if path.name.startswith(".") or not is_dicom(path):
        return None
    check_exists(path)
    with path.open("rb") as file:
        bare = _is_bare(file.read(8))
    with parsing(path):
        # To the file's end, past the pixels: a compressed image that is cut off lacks its last delimiter.
        return _picture(pydicom.dcmread(path, specific_tags=DICOM_TAGS, defer_size=LARGE, force=bare), path)


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn any error by which pydicom reports a damaged file, which it does at the first use of a damaged tag, into `InputError`."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InvalidDicomError as error:
        raise InputError(f"{path}: this is not a DICOM file, whatever its name says, or its beginning is damaged. Remove it.") from error
    except (BytesLengthException, ValueError, TypeError, NotImplementedError, struct.error, zlib.error, EOFError, OSError) as error:
        if getattr(error, "errno", None) or isinstance(error, InputError):
            raise  # an error of the disk; pydicom's own OSError for a damaged sequence has no number
        why = printable(error)
        raise InputError(f"{path}: this DICOM file is damaged or truncated ({why}). Copy it again, or remove it.") from error


def _picture(header: Any, path: Path) -> Picture | None:
    if "Rows" not in header or "Columns" not in header:
        kind: Any = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
        if not kind or not isinstance(kind, str):
            raise ValueError("it ends early")
        name = kind.name  # type: ignore[attr-defined]  # pydicom's UID is a str that has one
        # of an unknown kind and with nothing in it: the identifier itself is cut off
        if "Image Storage" in name or (kind == name and not len(header)):
            raise ValueError("it ends early")
        return None
    place = place_of(header)
    if not place["position"]:
        place |= _detector(header)
    place["rescale"] = place["rescale"] or (1.0, 0.0)
    return Picture(
        path,
        printable(header.get("SeriesInstanceUID", "")),
        printable(header.get("SeriesDescription", "")),
        printable(header.get("Modality", "")),
        (int(header.Columns), int(header.Rows)),
        int(header.get("SamplesPerPixel", 1)),
        int(header.get("NumberOfFrames", 1) or 1),
        pixels=pixels_of(header, path),
        **place,
    )


def place_of(said: Any) -> dict[str, Any]:
    """Return where an image or a frame lies and what its numbers mean, as fields of a `Picture`; empty where nothing is said."""
    spacing, assumed = _spacing(said)
    slope, intercept = (numbers(said, tag, 1) for tag in RESCALE)
    if any(said.get(tag) not in (None, "") and not found for tag, found in zip(RESCALE, (slope, intercept), strict=True)):
        raise ValueError("its rescale slope and intercept are not one number each")
    if slope == (0.0,):
        slope, assumed = (), (*assumed, "Its rescale slope is 0, which cannot be meant: its values are read as if it were 1.")
    return {
        "position": numbers(said, "ImagePositionPatient", 3),
        "orientation": _orientation(said),
        "spacing": spacing,
        "rescale": (*(slope or (1.0,)), *(intercept or (0.0,))) if slope or intercept else (),
        "assumed": assumed,
    }


def _orientation(said: Any) -> tuple[float, ...]:
    """Return the direction cosines; nothing unless they are those of two directions at right angles."""
    cosines = np.reshape(numbers(said, "ImageOrientationPatient", 6), (-1, 3))
    usable = len(cosines) and np.abs(cosines @ cosines.T - np.eye(2)).max() < GREATEST_FLAW
    return tuple(cosines.ravel().tolist()) if usable else ()


def _spacing(said: Any) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return the distances in mm between rows and between columns, and a sentence about any assumption."""
    deltas = {
        tuple(10 * abs(delta) for tag in ("PhysicalDeltaY", "PhysicalDeltaX") for delta in numbers(region, tag, 1))
        for region in said.get("SequenceOfUltrasoundRegions") or ()
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == CENTIMETRES
    }
    for spacing, assumed in (
        (numbers(said, "PixelSpacing", 2), ()),
        (deltas.pop() if len(deltas) == 1 else (), ("Its pixel spacing is that of its ultrasound regions.",)),
        (numbers(said, "ImagerPixelSpacing", 2), (ON_THE_DETECTOR,)),
    ):
        if len(spacing) == 2 and min(spacing) > 0:
            return spacing, assumed
    return (), ()


def _detector(header: Any) -> dict[str, tuple[float, ...]]:
    """Return where the slices of a nuclear medicine image lie, if its detectors agree (PS3.3 C.8.4.11)."""
    detectors = header.get("DetectorInformationSequence") or ()
    places = {(numbers(each, "ImagePositionPatient", 3), _orientation(each)) for each in detectors}
    position, orientation = places.pop() if len(places) == 1 else ((), ())
    return {"position": position, "orientation": orientation} if position and orientation else {}


def numbers(said: Any, tag: str, count: int) -> tuple[float, ...]:
    """Return the numbers in a tag; nothing unless there are `count` finite ones."""
    values = said.get(tag)
    values = [values] if isinstance(values, (int, float)) else [] if values is None or values == "" else values
    found = tuple(float(value) for value in values)
    return found if len(found) == count and np.isfinite(found).all() else ()
