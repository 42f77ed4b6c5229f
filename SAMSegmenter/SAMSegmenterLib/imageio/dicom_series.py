"""DICOM folders: which series there are, and the volume that one makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from ..files import READABLE
from ..volume import Volume
from .dicom import Picture, read_header, read_pixels
from .dicom_frames import placed, read_frames
from .dicom_stack import stack
from .itk import reading, to_volume

NOT_PICTURES = {"DOC", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"}


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


def list_series(folder: Path) -> list[Series]:
    """The image series of a DICOM folder, in the order of their UIDs; subfolders are not searched.

    Raises:
        InputError: the folder is missing or has no DICOM images, or one of them is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    return [_as_series(pictures) for pictures in scan(folder)]


def _as_series(pictures: list[Picture]) -> Series:
    first = pictures[0]
    files = tuple(picture.file for picture in pictures)
    return Series(first.uid, first.description, first.modality, sum(picture.frames for picture in pictures), files)


def scan(folder: Path) -> list[list[Picture]]:
    """The DICOM images of a folder, by series."""
    found: dict[str, list[Picture]] = {}
    for path in sorted(folder.iterdir()):
        picture = read_header(path) if path.is_file() else None
        if picture and picture.modality not in NOT_PICTURES:
            found.setdefault(picture.uid, []).append(picture)
    if not found:
        raise InputError(f"{folder}: no DICOM images in this folder (subfolders are not searched). Give {READABLE}.")
    return [found[uid] for uid in sorted(found)]


def choose(found: list[list[Picture]], folder: Path, wanted: str | None) -> list[Picture]:
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
    picture = read_header(path)
    if picture is None:
        raise InputError(f"{path}: this DICOM file holds no image.")
    if series is not None:
        return read_series(choose(scan(path.parent), path.parent, series), path.parent)
    if picture.modality in NOT_PICTURES:
        raise InputError(f"{path}: this DICOM file holds {picture.modality}, not an image to segment.")
    if picture.frames > 1:
        return read_series([picture], path)
    return read_series(next(pictures for pictures in scan(path.parent) if picture in pictures), path.parent)


def read_series(pictures: list[Picture], folder: Path) -> Volume:
    if len(pictures) == 1 and pictures[0].frames > 1:
        return read_frames(pictures[0], folder)
    where = f"{folder}, series {pictures[0].uid or pictures[0].description or '(no UID)'}"
    remedy = "Move the images that do not belong to the volume to another folder."
    slices, ijk_to_lps = stack([placed(picture) for picture in pictures], where, remedy)
    return to_volume(_read_slices(slices), folder, ijk_to_lps, slices[0].modality)


def _read_slices(slices: list[Picture]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(picture.file) for picture in slices])
    if len({picture.rescale for picture in slices}) > 1:
        reader.SetOutputPixelType(sitk.sitkFloat32)  # else the first slice's type would round the others'
    try:
        with reading(slices[0].file):
            return reader.Execute()
    except InputError:
        for picture in slices:
            read_pixels(picture)  # names the damaged one
        raise
