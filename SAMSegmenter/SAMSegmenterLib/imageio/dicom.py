"""DICOM folders: which series there are, and whether one makes an even volume."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..volume import Volume
from .itk import READABLE, check_exists, read_image, reading, to_volume

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
NOT_PICTURES = {"DOC", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"}
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
UNEVEN = 0.05


@dataclass(frozen=True)
class Series:
    """One series of images in a DICOM folder."""

    uid: str
    description: str
    modality: str
    slices: int
    files: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.uid or '(no UID)'}  {self.description or '(no description)'}  {self.modality}  {self.slices} slices"


@dataclass(frozen=True)
class _Picture:
    """What the header of one DICOM file says; lengths in mm, LPS coordinates."""

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

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def plane(self) -> str:
        """``"axial"``, ``"sagittal"`` or ``"coronal"``, whichever is nearest, with the direction across it."""
        name = ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]
        return f"{name} (normal {', '.join(f'{value:.3f}' for value in self.normal)})"


def list_series(folder: Path) -> list[Series]:
    """The image series of a DICOM folder, in the order of their UIDs; subfolders are not searched.

    Raises:
        InputError: the folder is missing or has no DICOM images, or one of them is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    return [_as_series(pictures) for pictures in scan(folder)]


def _as_series(pictures: list[_Picture]) -> Series:
    first = pictures[0]
    files = tuple(picture.file for picture in pictures)
    return Series(first.uid, first.description, first.modality, sum(picture.frames for picture in pictures), files)


def scan(folder: Path) -> list[list[_Picture]]:
    """The DICOM images of a folder, by series."""
    found: dict[str, list[_Picture]] = {}
    for path in sorted(folder.iterdir()):
        picture = _read_header(path) if path.is_file() else None
        if picture and picture.modality not in NOT_PICTURES:
            found.setdefault(picture.uid, []).append(picture)
    if not found:
        raise InputError(f"{folder}: no DICOM images in this folder (subfolders are not searched). Give {READABLE}.")
    return [found[uid] for uid in sorted(found)]


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        marked = file.read(132)[128:] == b"DICM"
    return marked or path.suffix.lower() in DICOM_SUFFIXES


def _read_header(path: Path) -> _Picture | None:
    """What a DICOM image's header says; None for any other file.

    Raises:
        InputError: a DICOM image so damaged that it would be missing from its series.
    """
    import pydicom  # takes long to import, and only DICOM needs it
    from pydicom.errors import BytesLengthException, InvalidDicomError

    if path.name.startswith(".") or not is_dicom(path):
        return None
    check_exists(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # To the file's end, past the pixels: for a truncated compressed image, GDCM would ask for 4 GB of memory.
            return _picture(pydicom.dcmread(path, specific_tags=DICOM_TAGS), path)
    except (InvalidDicomError, BytesLengthException, ValueError, TypeError, NotImplementedError, struct.error, EOFError) as error:
        raise InputError(f"{path}: this DICOM file is damaged or truncated ({error}). Copy it again, or remove it.") from error


def _picture(header: Any, path: Path) -> _Picture | None:
    if "Rows" not in header or "Columns" not in header:
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        # of no known kind, and with nothing in it: the identifier itself is cut off
        if not kind or "Image Storage" in kind.name or (kind == kind.name and not len(header)):
            raise ValueError("it ends early")
        return None
    return _Picture(
        path,
        str(header.get("SeriesInstanceUID", "")),
        str(header.get("SeriesDescription", "")),
        str(header.get("Modality", "")),
        (int(header.Columns), int(header.Rows)),
        int(header.get("SamplesPerPixel", 1)),
        int(header.get("NumberOfFrames", 1) or 1),
        _numbers(header, "ImagePositionPatient", 3),
        _numbers(header, "ImageOrientationPatient", 6),
        _numbers(header, "PixelSpacing", 2),
        (float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0)),
    )


def _numbers(header: Any, tag: str, count: int) -> tuple[float, ...]:
    """The numbers in a tag, or nothing where there are not `count`."""
    values = header.get(tag)
    values = [values] if isinstance(values, (int, float)) else values or []
    return tuple(float(value) for value in values) if len(values) == count else ()


def choose(found: list[list[_Picture]], folder: Path, wanted: str | None) -> list[_Picture]:
    """The series that `wanted` names, or the only one."""
    listing = "\n".join(f"  {_as_series(pictures)}" for pictures in found)
    if wanted is None:
        if len(found) == 1:
            return found[0]
        how = "its UID, the beginning of its UID, or its description"
        raise InputError(f"{folder}: there are {len(found)} series; choose one by {how}:\n{listing}")
    for matches in (
        [pictures for pictures in found if pictures[0].uid == wanted],
        [pictures for pictures in found if pictures[0].description.casefold() == wanted.casefold()],
        [pictures for pictures in found if wanted and pictures[0].uid.startswith(wanted)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(f"{folder}: {len(matches)} series are called {wanted!r}; choose one by its whole UID:\n{listing}")
    raise InputError(f"{folder}: there is no series {wanted!r}. There are:\n{listing}")


def read_dicom_file(path: Path, series: str | None) -> Volume:
    """The series that the DICOM image `path` belongs to, or another one of its folder if `series` names it."""
    picture = _read_header(path)
    if picture is None:
        raise InputError(f"{path}: this DICOM file holds no image.")
    if picture.frames > 1 and series is None:
        return read_series([picture], path)
    found = scan(path.parent)
    mine = next((pictures for pictures in found if picture in pictures), None)
    if series is None and mine is None:
        raise InputError(f"{path}: this DICOM file holds {picture.modality}, not an image to segment.")
    return read_series(mine if series is None else choose(found, path.parent, series), path.parent)


def read_series(pictures: list[_Picture], folder: Path) -> Volume:
    where = f"{folder}, series {pictures[0].uid or pictures[0].description or '(no UID)'}"
    if len(pictures) == 1 and pictures[0].frames > 1:
        return to_volume(read_image(pictures[0].file), folder, modality=pictures[0].modality)
    _check_alike(pictures, where)
    slices = sorted(pictures, key=lambda picture: float(np.dot(picture.position, pictures[0].normal)))
    ijk_to_lps = _place(slices, where)
    return to_volume(_read_slices(slices), folder, ijk_to_lps, slices[0].modality)


def _read_slices(slices: list[_Picture]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(picture.file) for picture in slices])
    if len({picture.rescale for picture in slices}) > 1:
        reader.SetOutputPixelType(sitk.sitkFloat32)  # else the first slice's type would round the others'
    try:
        with reading(slices[0].file):
            return reader.Execute()
    except InputError:
        for picture in slices:
            read_image(picture.file)  # names the damaged one
        raise


def _check_alike(pictures: list[_Picture], where: str) -> None:
    """Raise `InputError`, naming what is mixed, unless the images can be slices of one volume."""
    if any(picture.frames > 1 for picture in pictures):
        raise InputError(f"{where}: several multi-frame images are mixed in it. Give one of these files.")
    for what, of in (("position", lambda p: p.position), ("orientation", lambda p: p.orientation), ("pixel spacing", lambda p: p.spacing)):
        lacking = [picture.file.name for picture in pictures if not of(picture)]
        if lacking:
            some = f"{len(lacking)} of its {len(pictures)} images ({lacking[0]}, ...)"
            raise InputError(f"{where}: {some} have no {what}; they are not slices of a volume.")
    _check_one("sizes", pictures, lambda p: p.size, lambda p: f"{p.size[0]} x {p.size[1]}", where)
    _check_one("orientations", pictures, lambda p: p.orientation, lambda p: p.plane, where)
    _check_one("pixel spacings", pictures, lambda p: p.spacing, lambda p: f"{p.spacing[1]:g} x {p.spacing[0]:g} mm", where)
    _check_one("grey and colour images", pictures, lambda p: (p.samples,), lambda p: f"with {p.samples} colours", where)


def _check_one(what: str, pictures: list[_Picture], values: Callable, words: Callable, where: str) -> None:
    """Raise `InputError` unless `values` of all pictures agree to 1e-3."""
    kinds: list[list[_Picture]] = []
    for picture in pictures:
        kind = next((kind for kind in kinds if np.allclose(values(kind[0]), values(picture), atol=1e-3)), None)
        if kind is None:
            kinds.append(kind := [])
        kind.append(picture)
    if len(kinds) > 1:
        mixture = ", ".join(f"{len(kind)} {words(kind[0])}" for kind in sorted(kinds, key=len, reverse=True))
        raise InputError(f"{where}: it mixes {what}: {mixture}. Move the images that do not belong to the volume to another folder.")


def _place(slices: list[_Picture], where: str) -> np.ndarray:
    """``(4, 4)`` voxel indices to LPS mm of sorted slices, which must follow each other in even steps."""
    if len(slices) < 2:
        raise InputError(f"{where}: there is only one slice; there is nothing to propagate to.")
    first = slices[0]
    positions = np.array([picture.position for picture in slices])
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    gap_mm, gaps_mm = np.linalg.norm(usual), np.linalg.norm(steps, axis=1)
    if gaps_mm.min() < 1e-3:
        at = int(gaps_mm.argmin())
        raise InputError(
            f"{where}: {slices[at].file.name} and {slices[at + 1].file.name} lie at the same place. "
            "Time points or copies are mixed; keep one image of each place in the folder."
        )
    uneven = np.linalg.norm(steps - usual, axis=1) > UNEVEN * gap_mm
    if uneven.any():
        at = int(uneven.argmax())
        raise InputError(
            f"{where}: its slices are not evenly spaced, some are missing or mixed up: {slices[at].file.name} and "
            f"{slices[at + 1].file.name} are {gaps_mm[at]:.4g} mm apart, most slices {gap_mm:.4g} mm. Export the whole series again."
        )
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, 0] = np.multiply(first.orientation[:3], first.spacing[1])
    ijk_to_lps[:3, 1] = np.multiply(first.orientation[3:], first.spacing[0])
    ijk_to_lps[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    ijk_to_lps[:3, 3] = positions[0]
    return ijk_to_lps
