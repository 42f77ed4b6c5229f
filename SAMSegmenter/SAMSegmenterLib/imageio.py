"""Images in, segmentations out: NRRD, NIfTI, MetaImage and DICOM folders.

Files are in LPS coordinates, a `Volume` is in RAS; the two are converted here and in `volume` only.
"""

from __future__ import annotations

import colorsys
import gzip
import os
import shutil
import struct
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .errors import InputError, OutputError
from .files import replacing
from .volume import RAS_TO_LPS, Volume

READABLE = ".nrrd, .nhdr, .nii, .nii.gz, .mha, .mhd, or a folder of DICOM images"
WRITABLE = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha")
NIFTI = (".nii", ".nii.gz")
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
NOT_PICTURES = {"DOC", "KO", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"}
UNEVEN = 0.05
PALETTE = (
    (0.87, 0.45, 0.36),
    (0.39, 0.67, 0.86),
    (0.95, 0.80, 0.40),
    (0.45, 0.73, 0.49),
    (0.70, 0.53, 0.82),
    (0.93, 0.60, 0.75),
    (0.35, 0.74, 0.72),
    (0.80, 0.62, 0.42),
    (0.58, 0.60, 0.90),
    (0.72, 0.80, 0.35),
    (0.84, 0.37, 0.55),
    (0.91, 0.87, 0.75),
)


# ---------------------------------------------------------------- reading


def read_volume(path: Path, series: str | None = None) -> Volume:
    """Read a 3-D image file, or a series of a DICOM folder.

    Args:
        path: an image file; a folder of DICOM images; or one DICOM image, which stands for the series it belongs to.
        series: which series of a DICOM folder: its UID, the beginning of it, or its description.

    Returns:
        The volume as ``(k, j, i)`` in the file's own type (float64 becomes float32), or as ``(k, j, i, 3)`` uint8 RGB
        (an alpha channel is dropped). `modality` is set for DICOM only.

    Raises:
        InputError: the file is missing, empty, truncated, not an image, not 3-D, or has vectors for voxels; the folder
            has several series and none is chosen; the series mixes images or lacks slices.
    """
    path = Path(path)
    if path.is_dir():
        return _read_series(_choose(_scan(path), path, series), path)
    _check_exists(path)
    if _is_dicom(path):
        return _read_dicom_file(path, series)
    if series is not None:
        raise InputError(f"{path}: this is not a DICOM folder, so that no series can be chosen in it.")
    return _to_volume(_read_image(path), path)


def read_labelmap(path: Path) -> Volume:
    """Read a segmentation as integer labels ``(k, j, i)``: a labelmap in any image format, or a ``.seg.nrrd`` with one layer.

    Raises:
        InputError: as `read_volume`; or the voxels are colours or fractions.
    """
    labelmap = read_volume(path)
    voxels = labelmap.voxels
    if labelmap.is_rgb:
        raise InputError(f"{path}: expected a labelmap, got colours.")
    if voxels.dtype.kind != "f":
        return labelmap
    if not np.array_equal(voxels, np.rint(voxels)) or np.abs(voxels).max() > np.iinfo(np.int32).max:
        raise InputError(f"{path}: expected a labelmap of whole numbers, got fractions. Give a segmentation, not an image.")
    return Volume(voxels.astype(np.int32), labelmap.ijk_to_ras, labelmap.name, labelmap.modality)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty. Copy or export it again.")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Keep ITK's warnings off the screen, and turn its errors into `InputError`."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    except RuntimeError as error:
        raise InputError(_why_unreadable(path, str(error))) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _why_unreadable(path: Path, message: str) -> str:
    if "Unable to determine ImageIO" in message:
        return f"{path}: this is not an image, or it is damaged. Give {READABLE}."
    beside = " or the data file beside it is missing" if path.suffix.lower() in (".mhd", ".nhdr", ".hdr") else ""
    return f"{path}: cannot be read; it is truncated or damaged{beside} ({_last_line(message)})."


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1].rstrip(".:") if lines else "no reason given"


def _read_image(path: Path) -> sitk.Image:
    with _reading(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_kind(reader, path)
        if reader.HasMetaDataKey("vox_offset"):
            _check_complete(reader, path)
        image = reader.Execute()
        while image.GetDimension() > 3:
            image = image[..., 0]
        return image


def _check_kind(reader: sitk.ImageFileReader, path: Path) -> None:
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    shape = " x ".join(str(n) for n in size)
    if len(size) < 3:
        raise InputError(f"{path}: this is a 2-D image ({shape}); there are no slices to propagate to. Give a volume.")
    if np.prod(size[3:]) > 1:
        raise InputError(f"{path}: 4-D images ({shape}) are not supported. Save the time point or component to segment as a volume.")
    if components > 1 and reader.HasMetaDataKey("Segment0_ID"):
        raise InputError(f"{path}: its segments overlap, in {components} layers. Export them as a labelmap.")
    rgb = components in (3, 4) and reader.GetPixelID() == sitk.sitkVectorUInt8
    if (components > 1 and not rgb) or reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise InputError(f"{path}: its voxels are vectors ({components} components) or complex. Save the component to segment as a volume.")


def _check_complete(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raise `InputError` for a truncated NIfTI file, whose missing voxels ITK silently takes for zeros."""
    axes = range(1, 1 + int(reader.GetMetaData("dim[0]")))
    voxels = np.prod([int(reader.GetMetaData(f"dim[{n}]")) for n in axes], dtype=np.int64)
    expected = float(reader.GetMetaData("vox_offset")) + int(voxels) * int(reader.GetMetaData("bitpix")) / 8
    try:
        length = _length(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: the file is truncated or damaged ({error}). Copy or export it again.") from error
    if length < expected:
        raise InputError(f"{path}: the file is truncated ({length} of {expected:.0f} bytes). Copy or export it again.")


def _length(path: Path) -> int:
    """The number of bytes in a file, decompressed."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path.stat().st_size
    with gzip.open(path) as file:
        return sum(len(part) for part in iter(lambda: file.read(1 << 20), b""))


def _to_volume(image: sitk.Image, path: Path, ijk_to_lps: np.ndarray | None = None, modality: str = "") -> Volume:
    voxels = sitk.GetArrayFromImage(image)
    if voxels.ndim == 4:
        voxels = np.ascontiguousarray(voxels[..., :3])
    if voxels.dtype == np.float64:
        with np.errstate(over="ignore"):
            voxels = voxels.astype(np.float32)
    ijk_to_lps = _geometry(image) if ijk_to_lps is None else ijk_to_lps
    return Volume(voxels, RAS_TO_LPS @ ijk_to_lps, path.resolve().name, modality)


def _geometry(image: sitk.Image) -> np.ndarray:
    """``(4, 4)`` voxel indices to LPS mm."""
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return ijk_to_lps


# ---------------------------------------------------------------- DICOM


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
    return [_as_series(pictures) for pictures in _scan(folder)]


def _as_series(pictures: list[_Picture]) -> Series:
    first = pictures[0]
    files = tuple(picture.file for picture in pictures)
    return Series(first.uid, first.description, first.modality, sum(picture.frames for picture in pictures), files)


def _scan(folder: Path) -> list[list[_Picture]]:
    """The DICOM images of a folder, by series."""
    found: dict[str, list[_Picture]] = {}
    for path in sorted(folder.iterdir()):
        picture = _read_header(path) if path.is_file() else None
        if picture and picture.modality not in NOT_PICTURES:
            found.setdefault(picture.uid, []).append(picture)
    if not found:
        raise InputError(f"{folder}: no DICOM images in this folder (subfolders are not searched). Give {READABLE}.")
    return [found[uid] for uid in sorted(found)]


def _is_dicom(path: Path) -> bool:
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

    if path.name.startswith(".") or not _is_dicom(path):
        return None
    _check_exists(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # To the file's end, past the pixels: for a truncated compressed image, GDCM would ask for 4 GB of memory.
            return _picture(pydicom.dcmread(path, specific_tags=DICOM_TAGS), path)
    except (InvalidDicomError, BytesLengthException, ValueError, TypeError, NotImplementedError, struct.error, EOFError) as error:
        raise InputError(f"{path}: this DICOM file is damaged or truncated ({error}). Copy it again, or remove it.") from error


def _picture(header: Any, path: Path) -> _Picture | None:
    if "Rows" not in header:
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        if kind is None or "Image Storage" in kind.name:
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


def _choose(found: list[list[_Picture]], folder: Path, wanted: str | None) -> list[_Picture]:
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


def _read_dicom_file(path: Path, series: str | None) -> Volume:
    """The series that the DICOM image `path` belongs to, or another one of its folder if `series` names it."""
    picture = _read_header(path)
    if picture is None:
        raise InputError(f"{path}: this DICOM file holds no image.")
    if picture.frames > 1 and series is None:
        return _read_series([picture], path)
    found = _scan(path.parent)
    mine = next((pictures for pictures in found if picture in pictures), None)
    if series is None and mine is None:
        raise InputError(f"{path}: this DICOM file holds {picture.modality}, not an image to segment.")
    return _read_series(mine if series is None else _choose(found, path.parent, series), path.parent)


def _read_series(pictures: list[_Picture], folder: Path) -> Volume:
    where = f"{folder}, series {pictures[0].uid or pictures[0].description or '(no UID)'}"
    if len(pictures) == 1 and pictures[0].frames > 1:
        return _to_volume(_read_image(pictures[0].file), folder, modality=pictures[0].modality)
    _check_alike(pictures, where)
    slices = sorted(pictures, key=lambda picture: float(np.dot(picture.position, pictures[0].normal)))
    ijk_to_lps = _place(slices, where)
    return _to_volume(_read_slices(slices), folder, ijk_to_lps, slices[0].modality)


def _read_slices(slices: list[_Picture]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(picture.file) for picture in slices])
    if len({picture.rescale for picture in slices}) > 1:
        reader.SetOutputPixelType(sitk.sitkFloat32)  # else the first slice's type would round the others'
    try:
        with _reading(slices[0].file):
            return reader.Execute()
    except InputError:
        for picture in slices:
            _read_image(picture.file)  # names the damaged one
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


# ---------------------------------------------------------------- writing


@dataclass(frozen=True)
class SegmentInfo:
    """How a segment is called and shown; `color` is red, green and blue from 0 to 1, chosen by `default_color` if None."""

    name: str
    color: tuple[float, float, float] | None = None


def default_color(index: int) -> tuple[float, float, float]:
    """The colour of the segment `index` (from 0) that was given none: a palette, then hues far from each other."""
    return PALETTE[index] if index < len(PALETTE) else colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.6, 0.85)


def check_output(path: Path, volume: Volume | None = None) -> None:
    """Find out before a long run whether its result can be written.

    Args:
        path: the file that `write_segmentation` will be asked to write.
        volume: the image, if known; then the free space and its geometry are checked too.

    Raises:
        InputError: the format is not supported, or cannot hold the geometry.
        OutputError: the folder is missing or not writable, the path is a folder, or there is too little space.
    """
    path = Path(path)
    suffix = _suffix(path)
    if volume is not None and suffix in NIFTI and not _is_orthogonal(volume):
        raise InputError(f"{path}: NIfTI cannot hold axes that are not at right angles, as {volume.name} has. Write .seg.nrrd or .nrrd.")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder. Give the name of a file.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: this file is write-protected. Choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: there is no such folder. Make it, or choose another one.")
    try:
        probe = path.with_name(f".samsegmenter-{uuid.uuid4().hex[:12]}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot write to this folder ({error.strerror}). Choose another one.") from error
    if volume is not None:
        _check_space(path, int(np.prod(volume.shape_ijk)) // (1 if suffix == ".nii" else 20))


def write_volume(path: Path, volume: Volume) -> None:
    """Write an image as ``.nrrd .nii.gz .nii .mha``; the file appears under its name when it is complete.

    Raises:
        InputError: the format is not supported.
        OutputError: the file could not be written.
    """
    path = Path(path)
    check_output(path, volume)
    with replacing(path) as temporary:
        _write_itk(temporary, volume.voxels, volume)


def write_segmentation(path: Path, labels: np.ndarray | Sequence[np.ndarray], volume: Volume, segments: Sequence[SegmentInfo]) -> None:
    """Write segments as ``.seg.nrrd`` (with names and colours, for 3D Slicer) or as a labelmap (``.nii.gz .nii .nrrd .mha``).

    The file appears under its name when it is complete; if writing fails, what had that name before is left as it was.

    Args:
        labels: ``(k, j, i)`` uint8 or uint16, where n is the n-th segment (from 1) and 0 none of them; for ``.seg.nrrd`` also
            a list of such layers, so that segments may overlap; each segment lies in one layer.
        volume: the image that was segmented; gives the geometry.
        segments: what labels 1, 2, ... stand for.

    Raises:
        InputError: the format is not supported, or labels, segments and volume do not fit each other.
        OutputError: the file could not be written.
    """
    path = Path(path)
    layers = [labels] if isinstance(labels, np.ndarray) else list(labels)
    suffix = _suffix(path)
    _check_layers(layers, volume, segments, suffix)
    check_output(path, volume)
    fields = _segment_fields(layers, segments) if suffix == ".seg.nrrd" else {}
    with replacing(path) as temporary:
        if suffix.endswith(".nrrd"):
            _write_nrrd(temporary, layers, volume, fields)
        else:
            _write_itk(temporary, layers[0], volume)


def _suffix(path: Path) -> str:
    suffix = next((suffix for suffix in WRITABLE if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"{path}: segmentations are written as {', '.join(WRITABLE)}; give the file one of these endings.")
    return suffix


def _is_orthogonal(volume: Volume) -> bool:
    axes = volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-3))


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OutputError(f"{path}: the disk is full: about {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free.")


def _check_layers(layers: list[np.ndarray], volume: Volume, segments: Sequence[SegmentInfo], suffix: str) -> None:
    if len(layers) != 1 and suffix != ".seg.nrrd":
        raise InputError(f"overlapping segments ({len(layers)} layers) can be written as .seg.nrrd only, not as {suffix}.")
    for layer in layers:
        if layer.shape != volume.voxels.shape[:3] or layer.dtype not in (np.uint8, np.uint16):
            raise InputError(f"labels: expected uint8 or uint16 {volume.voxels.shape[:3]}, got {layer.dtype} {layer.shape}.")
        if layer.max() > len(segments):
            raise InputError(f"labels: the label {layer.max()} occurs, but there are only {len(segments)} segments.")


def _write_itk(path: Path, voxels: np.ndarray, volume: Volume) -> None:
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    ijk_to_lps = volume.ijk_to_lps
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / volume.spacing_mm).ravel().tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    try:
        sitk.WriteImage(image, str(path), useCompression=path.suffix != ".nii")
        written = _read_image(path)  # ITK reports no error when it writes NIfTI to a full disk
    except (RuntimeError, InputError) as error:
        raise OSError("only a part was written; the disk may be full") from error
    if not np.array_equal(sitk.GetArrayViewFromImage(written), voxels):
        raise OSError("what was written differs from what should be there")


def _write_nrrd(path: Path, layers: list[np.ndarray], volume: Volume, fields: dict[str, str]) -> None:
    """Write ``(k, j, i)`` layers as one NRRD file: 3-D, or if there are several, 4-D with the layers as the first axis."""
    dtype = np.result_type(*layers)
    lps = volume.ijk_to_lps + 0.0  # no negative zeros
    vectors = [f"({','.join(repr(float(value)) for value in vector)})" for vector in lps[:3].T]
    listed = len(layers) > 1
    header = {
        "type": "unsigned char" if dtype == np.uint8 else "unsigned short",
        "dimension": str(3 + listed),
        "space": "left-posterior-superior",
        "sizes": " ".join(str(n) for n in (*([len(layers)] if listed else []), *volume.shape_ijk)),
        "space directions": " ".join([*(["none"] if listed else []), *vectors[:3]]),
        "kinds": "list domain domain domain" if listed else "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": vectors[3],
    }
    lines = ["NRRD0004", *(f"{name}: {value}" for name, value in header.items()), *(f"{key}:={value}" for key, value in fields.items())]
    with path.open("wb") as file:
        file.write("\n".join([*lines, "", ""]).encode())
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=4, mtime=0) as stream:
            for k in range(volume.shape_ijk[2]):
                stream.write(np.stack([layer[k] for layer in layers], axis=-1).astype(dtype.newbyteorder("<")).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _segment_fields(layers: list[np.ndarray], segments: Sequence[SegmentInfo]) -> dict[str, str]:
    """The NRRD fields by which 3D Slicer knows a segmentation."""
    i, j, k = (n - 1 for n in layers[0].shape[::-1])
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": "",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_SourceRepresentation": "Binary labelmap",
    }
    for index, segment in enumerate(segments):
        layer = _layer_of(index, layers, segment.name)
        fields |= {
            f"Segment{index}_Color": " ".join(f"{value:.6g}" for value in segment.color or default_color(index)),
            f"Segment{index}_ColorAutoGenerated": "0",
            f"Segment{index}_Extent": f"0 {i} 0 {j} 0 {k}",
            f"Segment{index}_ID": f"Segment_{index + 1}",
            f"Segment{index}_LabelValue": str(index + 1),
            f"Segment{index}_Layer": str(layer),
            f"Segment{index}_Name": _escaped(segment.name),
            f"Segment{index}_NameAutoGenerated": "0",
            f"Segment{index}_Tags": "",
        }
    return fields


def _layer_of(index: int, layers: list[np.ndarray], name: str) -> int:
    """The layer that a segment lies in; the first one if it is empty."""
    if len(layers) == 1:
        return 0
    found = [number for number, layer in enumerate(layers) if (layer == index + 1).any()]
    if len(found) > 1:
        raise InputError(f"labels: segment {name!r} lies in {len(found)} layers; put it into one.")
    return found[0] if found else 0


def _escaped(text: str) -> str:
    """A text on one line, as NRRD wants it."""
    return " ".join(text.split()).replace("\\", "\\\\")
