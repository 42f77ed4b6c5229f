"""One DICOM file: what its header says, and its pixels."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .itk import check_exists, read_image

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
DICOM_TAGS = [
    "Modality",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SamplesPerPixel",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
]
# The transfer syntaxes that ITK decodes: plain, JPEG, JPEG-LS, JPEG 2000 and RLE.
DECODED = {f"1.2.840.10008.1.2{kind}" for kind in ("", ".1", ".1.99", ".2", ".5")}
DECODED |= {f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70, 80, 81, 90, 91)}


@dataclass(frozen=True)
class Picture:
    """What the header of a DICOM file says of its image, or of one of its frames; lengths in mm, LPS coordinates."""

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
    rescale: tuple[float, float]
    foreign_coding: str
    frame: int | None = None

    @property
    def name(self) -> str:
        return self.file.name if self.frame is None else f"frame {self.frame}"

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def plane(self) -> str:
        """``"axial"``, ``"sagittal"`` or ``"coronal"``, whichever is nearest, with the direction across it."""
        name = ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]
        return f"{name} (normal {', '.join(f'{value:.3f}' for value in self.normal)})"


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        marked = file.read(132)[128:] == b"DICM"
    return marked or path.suffix.lower() in DICOM_SUFFIXES


def read_header(path: Path) -> Picture | None:
    """What a DICOM image's header says; None for any other file.

    Raises:
        InputError: a DICOM image so damaged that it would be missing from its series.
    """
    import pydicom  # takes long to import, and only DICOM needs it

    if path.name.startswith(".") or not is_dicom(path):
        return None
    check_exists(path)
    with parsing(path):
        # To the file's end, past the pixels: for a truncated compressed image, GDCM would ask for 4 GB of memory.
        return _picture(pydicom.dcmread(path, specific_tags=DICOM_TAGS), path)


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn what pydicom says of a damaged file, as soon as it looks at the damaged tag, into `InputError`."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InvalidDicomError, BytesLengthException, ValueError, TypeError, NotImplementedError, struct.error, EOFError, OSError) as error:
        if getattr(error, "errno", None):
            raise  # by the disk; pydicom's own OSError, of a damaged sequence, has no number
        raise InputError(f"{path}: this DICOM file is damaged or truncated ({error}). Copy it again, or remove it.") from error


def _picture(header: Any, path: Path) -> Picture | None:
    if "Rows" not in header or "Columns" not in header:
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        # of no known kind, and with nothing in it: the identifier itself is cut off
        if not kind or not isinstance(kind, str) or "Image Storage" in kind.name or (kind == kind.name and not len(header)):
            raise ValueError("it ends early")
        return None
    return Picture(
        path,
        str(header.get("SeriesInstanceUID", "")),
        str(header.get("SeriesDescription", "")),
        str(header.get("Modality", "")),
        (int(header.Columns), int(header.Rows)),
        int(header.get("SamplesPerPixel", 1)),
        int(header.get("NumberOfFrames", 1) or 1),
        **place_of(header),
        foreign_coding=_foreign_coding(header),
    )


def _foreign_coding(header: Any) -> str:
    """The name of the compression, if ITK cannot decode it."""
    coding = header.file_meta.get("TransferSyntaxUID")
    return coding.name if coding and coding not in DECODED else ""


def place_of(header: Any) -> dict[str, tuple[float, ...]]:
    """Where an image or a frame lies and what its numbers mean, as fields of a `Picture`."""
    return {
        "position": numbers(header, "ImagePositionPatient", 3),
        "orientation": numbers(header, "ImageOrientationPatient", 6),
        "spacing": numbers(header, "PixelSpacing", 2),
        "rescale": (float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0)),
    }


def numbers(header: Any, tag: str, count: int) -> tuple[float, ...]:
    """The numbers in a tag, or nothing where there are not `count`."""
    values = header.get(tag)
    values = [values] if isinstance(values, (int, float)) else values or []
    return tuple(float(value) for value in values) if len(values) == count else ()


def read_pixels(picture: Picture) -> sitk.Image:
    try:
        return read_image(picture.file)
    except InputError as error:
        if not picture.foreign_coding:
            raise
        raise InputError(
            f"{picture.file}: its pixels are compressed in a way that cannot be read here ({picture.foreign_coding}). "
            "Export the series again uncompressed or as JPEG 2000."
        ) from error
