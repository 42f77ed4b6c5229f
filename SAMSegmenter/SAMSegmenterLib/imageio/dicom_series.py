"""DICOM folders: the series in them, and the volume that a series makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, printable
from ..files import READABLE
from ..image.volume import RAS_TO_LPS, Source, Volume
from .dicom import ON_THE_DETECTOR, Picture, read_header
from .dicom_frames import evenly, frames_of
from .dicom_grid import Grid, even_grid, interpolated
from .dicom_stack import stack
from .dicom_values import read_voxels

NOT_PICTURES = {"DOC", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"}
INVERTED = (
    "It is to be shown with low values white (MONOCHROME1). Here its values are read as they are stored; "
    "programs that read it with ITK, 3D Slicer among them, may invert them."
)


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
    """Return the image series of a DICOM folder, in the order of their UIDs; subfolders are not searched.

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
    """Return the DICOM images of a folder, by series.

    Raises:
        InputError: there are none, or one of them is damaged.
    """
    found: dict[str, list[Picture]] = {}
    for path in sorted(folder.iterdir()):
        picture = read_header(path) if path.is_file() else None
        if picture and picture.modality not in NOT_PICTURES:
            found.setdefault(picture.uid, []).append(picture)
    if not found:
        raise InputError(f"{folder}: no DICOM images in this folder (subfolders are not searched). Give {READABLE}.")
    return [found[uid] for uid in sorted(found)]


def choose(found: list[list[Picture]], folder: Path, wanted: str | None) -> list[Picture]:
    """Return the series that `wanted` names, or the only one.

    Raises:
        InputError: there is no such series, or several; the message lists them.
    """
    wanted = None if wanted is None else printable(wanted)
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


def read_dicom_file(path: Path, series: str | None, resample: bool = False) -> Volume:
    """Return the volume of the series that the DICOM image `path` belongs to, or of another series of its folder that `series` names.

    A multi-frame image whose series holds other files that do not continue it is read alone.

    Raises:
        InputError: as `read_series`; the file holds no image; or there is no such series.
    """
    picture = read_header(path)
    if picture is None:
        raise InputError(f"{path}: this DICOM file holds no image.")
    found = scan(path.parent) if picture.modality not in NOT_PICTURES or series is not None else []
    if series is not None:
        return read_series(choose(found, path.parent, series), path.parent, resample)
    if not found:
        raise InputError(f"{path}: this DICOM file holds {picture.modality}, not an image to segment.")
    pictures = next(pictures for pictures in found if any(each.file == path for each in pictures))
    if picture.frames == 1:
        return read_series(pictures, path.parent, resample)
    if len(pictures) > 1:
        try:
            return _volume(*_placed(pictures, path.parent, resample), path.parent)
        except _NotJoined:
            alone = f"Its series has {len(pictures) - 1} other files, which do not continue it: this one was read alone."
            slices, grid = _placed([picture], path, resample)
            return _volume(slices, replace(grid, warnings=(alone, *grid.warnings)), path)
    return read_series([picture], path, resample)


def read_series(pictures: list[Picture], folder: Path, resample: bool = False) -> Volume:
    """Return the volume that images, and frames of multi-frame ones, make together; it is named after `folder`.

    Raises:
        InputError: they are mixed, incomplete or damaged, or do not say where they lie.
    """
    return _volume(*_placed(pictures, folder, resample), folder)


class _NotJoined(InputError):
    """Files of one series that do not make a volume together."""


def _placed(pictures: list[Picture], folder: Path, resample: bool) -> tuple[list[Picture], Grid]:
    if len(pictures) == 1 and pictures[0].frames > 1:
        where, remedy = str(pictures[0].file), "Export the volume to segment as a series of its own."
    else:
        where = f"{folder}, series {pictures[0].uid or pictures[0].description or '(no UID)'}"
        remedy = "Move the images that do not belong to the volume to another folder."
    frames = [frames_of(picture) for picture in pictures]
    if len(frames) == 1 and frames[0].header is not None:
        return evenly(pictures[0], frames[0].header)
    if any(each.header is not None for each in frames):
        raise _NotJoined(f"{where}: several multi-frame images are mixed in it. Give one of these files.")
    try:
        slices = stack([picture for each in frames for picture in each.slices], where, remedy)
        return slices, even_grid(slices, where, remedy, resample)
    except InputError as error:
        raise _NotJoined(str(error)) from error


def _volume(slices: list[Picture], grid: Grid, path: Path) -> Volume:
    voxels = read_voxels(slices)
    if grid.resampled is not None:
        voxels = interpolated(voxels, grid.resampled)
    assumed = dict.fromkeys(sentence for picture in slices for sentence in picture.assumed)
    inverted = (INVERTED,) if any(picture.pixels.inverted for picture in slices) else ()
    name = path.resolve().name
    warnings = tuple(f"{name}: {words}" for words in (*assumed, *inverted, *grid.warnings))
    source = Source(grid.geometry, warnings, unspaced=ON_THE_DETECTOR in assumed)
    return Volume(voxels, RAS_TO_LPS @ grid.ijk_to_lps, name, slices[0].modality, source)
