"""Single image files, read by SimpleITK: whole, or refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, is_out_of_memory
from ..files import READABLE, check_name
from ..image.volume import RAS_TO_LPS, Source, Volume, apart, check_geometry
from .header import UNSPACED, Header
from .values import float32_suffices, without_padding_nan

ROUNDED = 1e-3  # of a voxel: places that lie no farther apart count as the same


def check_exists(path: Path) -> None:
    """Raise `InputError` unless `path` is there, is not empty, and has a name in UTF-8."""
    check_name(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty. Copy or export it again.")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Keep ITK's warnings off the screen, and turn its errors into `InputError`."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise InputError(_why_unreadable(path, str(error))) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _why_unreadable(path: Path, message: str) -> str:
    if "Unable to determine ImageIO" in message:
        return f"{path}: this is not an image, or it is damaged. Give {READABLE}."
    if "encoding not available" in message:
        return f"{path}: it is compressed in a way that cannot be read here ({last_line(message)}). Save it with gzip, or uncompressed."
    beside = " or the data file beside it is missing" if path.suffix.lower() in (".mhd", ".nhdr") else ""
    return f"{path}: cannot be read; it is truncated or damaged{beside} ({last_line(message)})."


def last_line(message: str) -> str:
    """Return the last line of a message that is not empty, without its full stop."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1].rstrip(".:") if lines else "no reason given"


def read_image(path: Path) -> sitk.Image:
    """Return the image in a file, with three axes.

    Raises:
        InputError: it cannot be read, is not 3-D, or has vectors for voxels.
    """
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_kind(reader, path)
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


def to_volume(image: sitk.Image, path: Path, ijk_to_lps: np.ndarray | None = None, modality: str = "") -> Volume:
    """Return an ITK image as a volume, placed by `ijk_to_lps` ``(4, 4)`` or, without it, by the image's own geometry."""
    ijk_to_lps = _geometry(image) if ijk_to_lps is None else ijk_to_lps
    return Volume(_usable(sitk.GetArrayFromImage(image)), RAS_TO_LPS @ ijk_to_lps, path.resolve().name, modality)


def read_by_header(path: Path, header: Header) -> Volume:
    """Return the volume that a header describes; ITK decodes its voxels.

    Raises:
        InputError: the voxels are truncated or damaged, or ITK reads something else than the header says.
    """
    check_geometry(RAS_TO_LPS @ header.ijk_to_lps, str(path))
    warnings = list(header.warnings)
    beyond = sum(part.check() for part in header.parts)
    if beyond and header.exact:
        warnings.append(f"The file holds {beyond} bytes more than its header says; they are left out. Check its sizes and type.")
    image = _decode(path, header)
    voxels = _usable(sitk.GetArrayFromImage(image).reshape(header.shape))
    if header.scaling != (1, 0):
        slope, offset = header.scaling
        voxels = _usable(np.multiply(voxels, slope, dtype=np.float32 if voxels.itemsize < 4 else np.float64) + offset)
        warnings.append(f"Its values are {slope:g} times the stored ones plus {offset:g}, as its header says; others show the stored ones.")
    name = path.resolve().name
    voxels, told = without_padding_nan(voxels, name)
    shape_ijk = header.shape[2::-1]
    elsewhere = []
    for program, matrix in _other_places(header, _geometry(image), shape_ijk).items():
        voxel, distance_mm = apart(header.ijk_to_lps, matrix, shape_ijk)
        if voxel > ROUNDED:
            elsewhere.append(RAS_TO_LPS @ matrix)
            warnings.append(f"{program} may place this image up to {distance_mm:.3g} mm elsewhere.")
    told = (*(f"{name}: {words}" for words in warnings), *told)
    source = Source(header.geometry, told, tuple(elsewhere), header.place, UNSPACED in header.warnings)
    return Volume(voxels, RAS_TO_LPS @ header.ijk_to_lps, name, source=source)


def _decode(path: Path, header: Header) -> sitk.Image:
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetImageIO(header.decoder)
        reader.SetFileName(str(path))
        image = reader.Execute()
    while image.GetDimension() > 3:
        image = image[..., 0]
    voxels = sitk.GetArrayViewFromImage(image)
    if image.GetSize() != header.shape[2::-1] or voxels.size != np.prod(header.shape) or voxels.dtype != header.dtype:
        raise InputError(f"{path}: its axes or numbers cannot be read here. Save it as a volume with three axes.")
    return image


def _other_places(header: Header, by_itk: np.ndarray, shape_ijk: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return where other programs place the same voxels: ITK, and 3D Slicer's reader of NRRD, which has other defaults."""
    places = {"ITK (SimpleITK, ITK-SNAP, most of 3D Slicer)": by_itk}
    if header.unoriented or header.centred:
        slicer = RAS_TO_LPS @ by_itk if header.unoriented else by_itk.copy()
        if header.centred:
            slicer[:3, 3] = -slicer[:3, :3] @ (np.array(shape_ijk) - 1) / 2
        places["3D Slicer's reader for NRRD vectors and sequences"] = slicer
    return places


def _usable(voxels: np.ndarray) -> np.ndarray:
    """Return colours without alpha, and float64 as float32 where that keeps its contrast."""
    if voxels.ndim == 4:
        return np.ascontiguousarray(voxels[..., :3])
    if voxels.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            if float32_suffices(voxels.min(), voxels.max()):
                return voxels.astype(np.float32)
    return voxels


def _geometry(image: sitk.Image) -> np.ndarray:
    """Return the ``(4, 4)`` matrix from voxel indices to LPS mm."""
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return ijk_to_lps
