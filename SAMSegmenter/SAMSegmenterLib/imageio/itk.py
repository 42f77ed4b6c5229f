"""Single image files, by SimpleITK: read whole or refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..files import READABLE, check_name
from ..volume import RAS_TO_LPS, Volume
from .complete import check_complete
from .values import float32_suffices


def check_exists(path: Path) -> None:
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
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1].rstrip(".:") if lines else "no reason given"


def read_image(path: Path) -> sitk.Image:
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        if path.suffix in (".MHA", ".MHD"):
            reader.SetImageIO("MetaImageIO")  # ITK itself knows them in lower case only
        reader.ReadImageInformation()
        _check_kind(reader, path)
        check_complete(reader, path)
        image = reader.Execute()
        while image.GetDimension() > 3:
            image = image[..., 0]
        return image


def read_segment_names(path: Path) -> dict[int, str]:
    """The names that a ``.seg.nrrd`` with one layer gives its labels; none for other files."""
    if not path.name.lower().endswith(".nrrd"):
        return {}
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        keys = [key.removesuffix("_LabelValue") for key in reader.GetMetaDataKeys() if key.endswith("_LabelValue")]
        return {_label(reader, f"{key}_LabelValue", path): reader.GetMetaData(f"{key}_Name") for key in keys}


def _label(reader: sitk.ImageFileReader, field: str, path: Path) -> int:
    value = reader.GetMetaData(field)
    try:
        return int(value)
    except ValueError:
        raise InputError(f"{path}: its field {field} should be a whole number, and is {value!r}. Export the segmentation again.") from None


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
    voxels = sitk.GetArrayFromImage(image)
    if voxels.ndim == 4:
        voxels = np.ascontiguousarray(voxels[..., :3])
    if voxels.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            if float32_suffices(voxels.min(), voxels.max()):
                voxels = voxels.astype(np.float32)
    ijk_to_lps = _geometry(image) if ijk_to_lps is None else ijk_to_lps
    return Volume(voxels, RAS_TO_LPS @ ijk_to_lps, path.resolve().name, modality)


def _geometry(image: sitk.Image) -> np.ndarray:
    """``(4, 4)`` voxel indices to LPS mm."""
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return ijk_to_lps
