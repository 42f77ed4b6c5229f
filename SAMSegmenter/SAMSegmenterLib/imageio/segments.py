"""Segmentations as 3D Slicer writes them: the labels of all layers, and the names of their segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from ..image.volume import Volume
from .itk import reading, to_volume
from .nrrd_header import MAGIC, is_nrrd


@dataclass(frozen=True, eq=False)
class Layer:
    """Segments that do not overlap: their labels ``(k, j, i)``, and the names of those that have one."""

    labels: Volume
    names: dict[int, str]


def read_segment_names(path: Path) -> dict[int, str]:
    """Return the names by label of a ``.seg.nrrd`` with one layer; none for other files.

    Raises:
        InputError: the file cannot be read, or a label in it is no number.
    """
    with _opened(path) as reader:
        return _names(reader, path)[0] if reader else {}


def read_layers(path: Path) -> list[Layer]:
    """Return the layers of a ``.seg.nrrd`` whose segments overlap; none for other files.

    Raises:
        InputError: the file cannot be read, a label in it is no number, or the voxels are no labels.
    """
    with _opened(path) as reader:
        if not reader or reader.GetNumberOfComponents() < 2 or not reader.HasMetaDataKey("Segment0_ID"):
            return []
        image, names = reader.Execute(), _names(reader, path)
        layers = [to_volume(sitk.VectorIndexSelectionCast(image, n), path) for n in range(reader.GetNumberOfComponents())]
    if any(layer.voxels.dtype.kind not in "iu" for layer in layers):
        raise InputError(f"{path}: expected segments, got numbers of type {layers[0].voxels.dtype}. Export the segmentation again.")
    return [Layer(layer, names[number]) for number, layer in enumerate(layers)]


@contextmanager
def _opened(path: Path) -> Iterator[sitk.ImageFileReader | None]:
    """Yield a reader that knows the header of an NRRD file; None for other files."""
    with path.open("rb") as file:
        if not is_nrrd(file.read(len(MAGIC))):
            yield None
            return
    with reading(path):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NrrdImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        yield reader


def _names(reader: sitk.ImageFileReader, path: Path) -> defaultdict[int, dict[int, str]]:
    """Return the names of the segments, by layer and label."""
    names: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for key in (each.removesuffix("_LabelValue") for each in reader.GetMetaDataKeys() if each.endswith("_LabelValue")):
        layer = f"{key}_Layer"
        number = _whole(reader, layer, path) if reader.HasMetaDataKey(layer) else 0
        names[number][_whole(reader, f"{key}_LabelValue", path)] = reader.GetMetaData(f"{key}_Name")
    return names


def _whole(reader: sitk.ImageFileReader, field: str, path: Path) -> int:
    value = reader.GetMetaData(field)
    try:
        return int(value)
    except ValueError:
        raise InputError(f"{path}: its field {field} should be a whole number, and is {value!r}. Export the segmentation again.") from None
