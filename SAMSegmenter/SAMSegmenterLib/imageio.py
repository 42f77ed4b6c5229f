"""Images in and segmentations out, by SimpleITK: NRRD, NIfTI, MetaImage and DICOM series.

ITK and DICOM place voxels in LPS, this library in RAS; the conversion happens in `volume.Volume`'s terms here and nowhere else.
"""

from __future__ import annotations

import colorsys
import gzip
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
import SimpleITK as sitk

from .errors import InputError, OutputError
from .volume import RAS_TO_LPS, Volume

LABELMAP_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
SEGMENTATION_SUFFIX = ".seg.nrrd"
Result = TypeVar("Result")
UNEVEN = 0.05  # of the usual distance between slices: more than this is a missing slice or a bent series
GOLDEN_ANGLE = 0.618034  # of the colour circle: each next hue is far from those before


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class Series:
    """One series of a DICOM folder: its `uid`, what the scanner called it, its modality, and its files in order."""

    uid: str
    description: str
    modality: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.uid} ({self.modality or 'unknown modality'}, {len(self.files)} files, {self.description or 'no description'})"


def read_volume(path: Path, series: str | None = None) -> Volume:
    """Read an image file, or a DICOM series from a folder or one of its files.

    Args:
        path: ``.nrrd .nhdr .nii .nii.gz .mha .mhd`` or whatever else SimpleITK reads; or a folder of DICOM files.
        series: the beginning of a series UID, or a series description; needed where a folder holds several.

    Raises:
        InputError: the file is missing, empty, damaged, no image, not 3-D; or the series is mixed, uneven or ambiguous.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.is_dir() or path.suffix.lower() == ".dcm":
        return _read_series(path if path.is_dir() else path.parent, series)
    _check_complete(path)
    return _to_volume(_read_file(path), path.name)


def read_labelmap(path: Path) -> Volume:
    """Read a labelmap: a volume of whole numbers.

    Raises:
        InputError: as `read_volume`, or the voxels are not whole numbers.
    """
    volume = read_volume(path)
    if volume.is_rgb:
        raise InputError(f"{path}: is a colour image, not a labelmap.")
    if volume.voxels.dtype.kind != "f":
        return volume
    whole = np.rint(volume.voxels)
    if not np.array_equal(whole, volume.voxels):
        raise InputError(f"{path}: is not a labelmap: its voxels are not whole numbers.")
    return Volume(whole.astype(np.int32), volume.ijk_to_ras, volume.name)


def list_series(folder: Path) -> list[Series]:
    """The image series of a DICOM folder (not of its subfolders), sorted by UID."""
    found: dict[str, list[tuple[str, pydicom.Dataset]]] = {}
    for file in sorted(Path(folder).iterdir()):
        header = _dicom_header(file) if file.is_file() else None
        if header is not None and "SeriesInstanceUID" in header and "Rows" in header:
            found.setdefault(str(header.SeriesInstanceUID), []).append((str(file), header))
    return [_series(uid, files) for uid, files in sorted(found.items())]


def _series(uid: str, files: list[tuple[str, pydicom.Dataset]]) -> Series:
    first = files[0][1]
    return Series(uid, str(first.get("SeriesDescription", "")), str(first.get("Modality", "")), tuple(name for name, _ in files))


def _dicom_header(file: Path) -> pydicom.Dataset | None:
    tags = ["SeriesInstanceUID", "SeriesDescription", "Modality", "Rows", "Columns", "ImageOrientationPatient", "ImagePositionPatient"]
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*tags, "NumberOfFrames"])
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError):
        return None


def _read_series(folder: Path, wanted: str | None) -> Volume:
    series = _choose(list_series(folder), wanted, folder)
    name = f"{folder.name or folder} ({series.description or series.uid})"
    files = _in_order(series, name)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    with _quiet():
        image = _reading(reader.Execute, name)
    return _to_volume(image, name, series.modality)


def _choose(series: list[Series], wanted: str | None, folder: Path) -> Series:
    if not series:
        raise InputError(f"{folder}: there are no DICOM images in this folder.")
    listed = "".join(f"\n  {each}" for each in series)
    matching = [each for each in series if wanted is None or each.uid.startswith(wanted) or each.description == wanted]
    if not matching:
        raise InputError(f"{folder}: no series is called {wanted!r}; there are:{listed}")
    if len(matching) > 1:
        raise InputError(f"{folder}: holds {len(matching)} series; choose one by its UID or description:{listed}")
    return matching[0]


def _in_order(series: Series, name: str) -> list[str]:
    """The files of a series sorted along its axis, having checked that they make one even volume."""
    headers = [_dicom_header(Path(file)) for file in series.files]
    if len(headers) == 1:
        return list(series.files)  # one file may be an enhanced multi-frame image; 2-D is refused later
    for tag, words in (("Rows", "image sizes"), ("Columns", "image sizes"), ("ImageOrientationPatient", "orientations")):
        values = Counter(tuple(np.round(np.atleast_1d(header.get(tag, 0)).astype(float), 4)) for header in headers)
        if len(values) > 1:
            raise InputError(f"{name}: the series mixes {len(values)} {words}; export it as separate series and choose one.")
    missing = [tag for tag in ("ImageOrientationPatient", "ImagePositionPatient") if not headers[0].get(tag)]
    if missing or not all(header.get("ImagePositionPatient") for header in headers):
        raise InputError(f"{name}: its images do not say where they lie (no ImagePositionPatient or ImageOrientationPatient).")
    across, down = np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3)
    depths = np.array([np.cross(across, down) @ np.array(header.ImagePositionPatient, float) for header in headers])
    _check_even(np.sort(depths), name)
    return [series.files[n] for n in np.argsort(depths)]


def _check_even(depths: np.ndarray, name: str) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    if gaps.min() < 1e-3:
        place = depths[int(gaps.argmin())]
        raise InputError(f"{name}: two slices lie at the same place ({place:g} mm); the series holds several phases or volumes.")
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        worst = int(np.abs(gaps - usual).argmax())
        raise InputError(
            f"{name}: the slices are not evenly spaced: {gaps[worst]:g} mm between slices {worst} and {worst + 1}, "
            f"{usual:g} mm elsewhere. A slice may be missing; export the series again."
        )


def _read_file(path: Path) -> sitk.Image:
    with _quiet():
        return _reading(lambda: sitk.ReadImage(str(path)), str(path))


def _check_complete(path: Path) -> None:
    """ITK takes a NIfTI file that breaks off for one that goes on with zeros."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty.")
    damaged = f"{path}: cannot be read: it is damaged or truncated. Copy or download it again."
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(path) as file:
                while file.read(1 << 24):
                    pass
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(damaged) from error
    elif path.suffix.lower() == ".nii" and path.stat().st_size < _nifti_bytes(path):
        raise InputError(damaged)


def _nifti_bytes(path: Path) -> int:
    """How many bytes of voxels an uncompressed NIfTI file promises."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _quiet():
        _reading(reader.ReadImageInformation, str(path))
    return int(np.prod(reader.GetSize())) * int(reader.GetMetaData("bitpix")) // 8


def _reading(read: Callable[[], Result], name: str) -> Result:
    try:
        return read()
    except RuntimeError as error:
        unknown = "Unable to determine ImageIO reader" in str(error)
        what = "is not an image that can be read here" if unknown else "cannot be read: it is damaged or truncated"
        raise InputError(f"{name}: {what}. Expected .nrrd, .nii, .nii.gz, .mha, .mhd or a DICOM folder.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ITK's warnings on the terminal; errors still come as exceptions."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _to_volume(image: sitk.Image, name: str, modality: str = "") -> Volume:
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        advice = "choose one time point or component and save it as 3-D" if image.GetDimension() > 3 else "a volume is needed"
        raise InputError(f"{name}: the image has {image.GetDimension()} dimensions ({image.GetSize()}); {advice}.")
    channels = image.GetNumberOfComponentsPerPixel()
    voxels = sitk.GetArrayFromImage(image)
    if channels == 4 and voxels.dtype == np.uint8:
        voxels, channels = voxels[..., :3], 3  # transparency says nothing about tissue
    if channels not in (1, 3):
        raise InputError(f"{name}: the image has {channels} values per voxel; expected one, or three 8-bit colours.")
    if voxels.dtype == np.float64:
        voxels = voxels.astype(np.float32)
    return Volume(voxels, RAS_TO_LPS @ _ijk_to_lps(image), name, modality)


def _ijk_to_lps(image: sitk.Image) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


# ---------------------------------------------------------------- writing


@dataclass(frozen=True)
class SegmentInfo:
    """What a segmentation file says of a segment: its name, and its colour as three numbers 0..1 (chosen if None)."""

    name: str
    color: tuple[float, float, float] | None = None


def check_output(path: Path) -> None:
    """Make sure, before hours of work, that a segmentation can be written to `path`.

    Raises:
        InputError: the format is not supported.
        OutputError: the folder is missing or may not be written to.
    """
    path = Path(path)
    _suffix(path)
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; make it first.")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot write into {folder} ({error.strerror}).") from error


def write_volume(path: Path, volume: Volume) -> None:
    """Write an image; whatever was at `path` is replaced only when everything is written."""
    image = sitk.GetImageFromArray(volume.voxels, isVector=volume.is_rgb)
    _place(image, volume)
    _write(image, Path(path))


def write_segmentation(path: Path, labels: np.ndarray | Sequence[np.ndarray], volume: Volume, segments: Sequence[SegmentInfo]) -> None:
    """Write segments on the grid of `volume`.

    Args:
        path: ``.seg.nrrd``, as 3D Slicer opens it with names and colours, or a plain labelmap
            (``.nii.gz .nii .nrrd .mha``). What was there is replaced only when everything is written.
        labels: ``(k, j, i)`` with 1, 2, ... for `segments` in their order; or, for ``.seg.nrrd`` and segments that
            overlap, one such array for each segment, with anything but 0 inside it.
        volume: what was segmented.
        segments: names and colours.

    Raises:
        InputError: the format is not supported, or cannot hold overlapping segments.
        OutputError: the file cannot be written; nothing has changed.
    """
    path = Path(path)
    layered = not isinstance(labels, np.ndarray)
    if layered and _suffix(path) != SEGMENTATION_SUFFIX:
        raise InputError(f"{path}: segments that overlap can only be written to {SEGMENTATION_SUFFIX}.")
    layers = [np.where(layer, 1, 0).astype(np.uint8) for layer in labels] if layered else [labels]
    image = _joined(layers)
    _place(image, volume)
    if _suffix(path) == SEGMENTATION_SUFFIX:
        _describe(image, layers, segments, layered)
    _write(image, path)


def _joined(layers: list[np.ndarray]) -> sitk.Image:
    """One image; of several layers, with a value for each layer in every voxel."""
    return sitk.GetImageFromArray(layers[0] if len(layers) == 1 else np.stack(layers, -1), isVector=len(layers) > 1)


def _place(image: sitk.Image, volume: Volume) -> None:
    matrix = volume.ijk_to_lps
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetDirection((matrix[:3, :3] / volume.spacing_mm).reshape(-1).tolist())
    image.SetOrigin(matrix[:3, 3].tolist())


def _describe(image: sitk.Image, layers: list[np.ndarray], segments: Sequence[SegmentInfo], layered: bool) -> None:
    """The fields by which Slicer knows a segmentation from a volume."""
    image.SetMetaData("Segmentation_ContainedRepresentationNames", "Binary labelmap|")
    image.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    image.SetMetaData("Segmentation_SourceRepresentation", "Binary labelmap")
    image.SetMetaData("Segmentation_ReferenceImageExtentOffset", "0 0 0")
    for number, segment in enumerate(segments):
        layer, value = (number, 1) if layered else (0, number + 1)
        fields = {
            "ID": f"Segment_{number + 1}",
            "Name": segment.name,
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{part:.6g}" for part in segment.color or default_color(number)),
            "ColorAutoGenerated": "0" if segment.color else "1",
            "Layer": str(layer),
            "LabelValue": str(value),
            "Extent": _extent(layers[layer] == value),
            "Tags": "Segmentation.Status:inprogress|",
        }
        for field, content in fields.items():
            image.SetMetaData(f"Segment{number}_{field}", content)


def _extent(mask: np.ndarray) -> str:
    """First and last index along i, j and k; of an empty segment, an empty extent."""
    bounds = []
    for axis in (2, 1, 0):
        inside = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        bounds += [inside[0], inside[-1]] if len(inside) else [0, -1]
    return " ".join(str(int(bound)) for bound in bounds)


def default_color(number: int) -> tuple[float, float, float]:
    """A colour for the segment `number`, unlike those of the segments before it."""
    return colorsys.hsv_to_rgb((0.02 + number * GOLDEN_ANGLE) % 1, 0.55 + 0.15 * (number % 2), 0.92)


def _suffix(path: Path) -> str:
    for suffix in (SEGMENTATION_SUFFIX, *LABELMAP_SUFFIXES):
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(f"{path}: expected a name that ends in {SEGMENTATION_SUFFIX}, {', '.join(LABELMAP_SUFFIXES)}.")


def _write(image: sitk.Image, path: Path) -> None:
    check_output(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_suffix(path), dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        free_mb = shutil.disk_usage(path.parent).free >> 20
        reason = str(error).strip().splitlines()[-1].strip()
        raise OutputError(f"{path}: could not be written ({reason}); {free_mb} MB are free there. Nothing has been changed.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The mask of permissions that new files get; temporary files are private until they are finished."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
