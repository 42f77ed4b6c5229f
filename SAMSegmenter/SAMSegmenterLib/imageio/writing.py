"""Writing of segmentations and volumes: NRRD as 3D Slicer opens it, NIfTI, MetaImage."""

from __future__ import annotations

import colorsys
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, OutputError, is_out_of_memory, memory_for
from ..files import check_name, check_writable, real, replacing
from ..image.layers import ArrayLayers, Layers
from ..image.volume import Volume
from .itk import read_image
from .nifti_writing import nifti_header, write_nifti
from .nrrd_header import NrrdPlace
from .sparse_gzip import SparseGzip

WRITABLE = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha")
NIFTI = (".nii", ".nii.gz")
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


@dataclass(frozen=True)
class SegmentInfo:
    """The name and colour of a segment; `color` is red, green and blue from 0 to 1, chosen by `default_color` if None."""

    name: str
    color: tuple[float, float, float] | None = None


def default_color(index: int) -> tuple[float, float, float]:
    """Return the colour, red, green and blue from 0 to 1, of the segment `index` (from 0): from a palette, then hues far apart."""
    return PALETTE[index] if index < len(PALETTE) else colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.6, 0.85)


def check_output(path: Path, volume: Volume | None = None) -> None:
    """Raise an error, before a long run, unless its result can be written.

    Args:
        path: the file that `write_segmentation` will be asked to write.
        volume: the image, if known; then the free space and its geometry are checked too.

    Raises:
        InputError: the format is not supported, or cannot hold the geometry; or the name is not UTF-8.
        OutputError: the folder is missing or not writable, the path is a folder, or there is too little space.
    """
    path = Path(path)
    suffix = _suffix(path)
    if volume is not None and suffix in NIFTI:
        nifti_header(volume, path)
    check_name(path)
    check_writable(path)
    if volume is not None:
        _check_space(path, int(np.prod(volume.shape_ijk)) // (1 if suffix == ".nii" else 20))


def write_volume(path: Path, volume: Volume) -> None:
    """Write an image as ``.nrrd .nii.gz .nii .mha``; the file appears under its name when it is complete.

    Raises:
        InputError: the format is not supported.
        OutputError: the file could not be written.
    """
    path = Path(path)
    if _suffix(path) == ".seg.nrrd":
        raise InputError(f"{path}: 3D Slicer takes .seg.nrrd for a segmentation, and this is an image. Call it .nrrd.")
    check_output(path, volume)
    with replacing(path) as temporary:
        _write_itk(temporary, volume.voxels, volume)


def write_segmentation(
    path: Path, labels: np.ndarray | Sequence[np.ndarray] | Layers, volume: Volume, segments: Sequence[SegmentInfo]
) -> None:
    """Write segments as ``.seg.nrrd`` (with names and colours, for 3D Slicer) or as a labelmap (``.nii.gz .nii .nrrd .mha``).

    The file appears under its name when it is complete; if writing fails, what had that name before is left as it was. NRRD is written
    slice by slice; the other formats need the whole labelmap in memory.

    Args:
        labels: ``(k, j, i)`` uint8 or uint16, where n is the n-th segment (from 1) and 0 none of them; for ``.seg.nrrd`` also
            a list of such layers, so that segments may overlap; each segment lies in one layer. Or `Layers`, read when they are needed.
        volume: the image that was segmented; gives the geometry.
        segments: what labels 1, 2, ... stand for.

    Raises:
        InputError: the format is not supported, or labels, segments and volume do not fit each other.
        OutputError: the file could not be written.
        OutOfMemory: there is too little memory for it.
    """
    path = Path(path)
    layers = labels if isinstance(labels, Layers) else ArrayLayers([labels] if isinstance(labels, np.ndarray) else list(labels))
    suffix = _suffix(path)
    _check_layers(layers, volume, segments, suffix)
    check_output(path, volume)
    with memory_for(str(path), "Close other programs, or write .seg.nrrd, which needs least."), replacing(path) as temporary:
        if suffix.endswith(".nrrd"):
            _write_nrrd(temporary, layers, volume, _segment_fields(layers, segments) if suffix == ".seg.nrrd" else {})
        else:
            _write_itk(temporary, layers.array(), volume)


def _suffix(path: Path) -> str:
    suffix = next((suffix for suffix in WRITABLE if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"{path}: segmentations are written as {', '.join(WRITABLE)}; give the file one of these endings.")
    return suffix


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(real(path).parent).free
    if free < needed:
        raise OutputError(f"{path}: the disk is full: about {needed / 1e6:.2f} MB are needed, {free / 1e6:.2f} MB are free.")


def _check_layers(layers: Layers, volume: Volume, segments: Sequence[SegmentInfo], suffix: str) -> None:
    if layers.shape != volume.voxels.shape[:3]:
        raise InputError(f"labels: expected uint8 or uint16 {volume.voxels.shape[:3]}, got {layers.dtype} {layers.shape}.")
    if len(layers.labels) != 1 and suffix != ".seg.nrrd":
        raise InputError(f"overlapping segments ({len(layers.labels)} layers) can be written as .seg.nrrd only, not as {suffix}.")
    occurring = Counter(label for labels in layers.labels for label in labels)
    highest = max(occurring, default=0)
    if highest > len(segments):
        raise InputError(f"labels: the label {highest} occurs, but there are only {len(segments)} segments.")
    for label, count in occurring.items():
        if count > 1:
            raise InputError(f"labels: segment {segments[label - 1].name!r} lies in {count} layers; put it into one.")


def _write_itk(path: Path, voxels: np.ndarray, volume: Volume) -> None:
    voxels = voxels.astype(_itk_type(voxels.dtype), copy=False)
    if _suffix(path) in NIFTI:
        write_nifti(path, voxels, volume)
        return
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    ijk_to_lps = volume.ijk_to_lps
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / volume.spacing_mm).ravel().tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    lower = path.with_name(f"image{_suffix(path)}")  # ITK refuses .MHA
    try:
        sitk.WriteImage(image, str(lower), useCompression=True)
        written = read_image(lower)
    except (RuntimeError, InputError) as error:
        if is_out_of_memory(error):
            raise
        raise OSError("only a part was written; the disk may be full") from error
    if not np.array_equal(sitk.GetArrayViewFromImage(written), voxels):
        raise OSError("what was written differs from what should be there")
    os.replace(lower, path)


def _itk_type(dtype: np.dtype) -> np.dtype:
    """Return the type in which ITK holds the same numbers: it has no bool, no float16, and the machine's byte order only."""
    return np.dtype({"b1": np.uint8, "f2": np.float32}.get(dtype.str[1:], dtype.newbyteorder("=")))


def _write_nrrd(path: Path, layers: Layers, volume: Volume, fields: dict[str, str]) -> None:
    """Write layers as one NRRD file: 3-D, or if there are several, 4-D with the layers as the first axis."""
    count = len(layers.labels)
    listed = count > 1
    place = _place(volume)
    header = {
        "type": "unsigned char" if layers.dtype == np.uint8 else "unsigned short",
        "dimension": str(3 + listed),
        "sizes": " ".join(str(n) for n in (*([count] if listed else []), *volume.shape_ijk)),
        "kinds": "list domain domain domain" if listed else "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
    }
    header |= place.fields(listed)
    lines = ["NRRD0004", *(f"{name}: {value}" for name, value in header.items()), *(f"{key}:={value}" for key, value in fields.items())]
    with path.open("wb") as file:
        file.write("\n".join([*lines, "", ""]).encode())
        stream = SparseGzip(file)
        for slice_ in layers:
            stream.write(np.ascontiguousarray(slice_, layers.dtype.newbyteorder("<")))
        stream.close()
        file.flush()
        os.fsync(file.fileno())


def _place(volume: Volume) -> NrrdPlace:
    """Return the fields of the volume's own file if it still lies where they say, otherwise those of its matrix."""
    known = volume.source.header
    if isinstance(known, NrrdPlace) and np.array_equal(known.ijk_to_lps, volume.ijk_to_lps):
        return known
    lps = volume.ijk_to_lps + 0.0  # no negative zeros
    *directions, origin = (f"({','.join(repr(float(value)) for value in vector)})" for vector in lps[:3].T)
    return NrrdPlace({"space": "left-posterior-superior", "space origin": origin}, {"space directions": directions}, lps)


def _segment_fields(layers: Layers, segments: Sequence[SegmentInfo]) -> dict[str, str]:
    """Return the NRRD fields by which 3D Slicer recognises a segmentation; an empty segment belongs to the first layer."""
    i, j, k = (n - 1 for n in layers.shape[::-1])
    layer_of = {label: number for number, labels in enumerate(layers.labels) for label in labels}
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": "",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_SourceRepresentation": "Binary labelmap",
    }
    for index, segment in enumerate(segments):
        fields |= {
            f"Segment{index}_Color": " ".join(f"{value:.6g}" for value in segment.color or default_color(index)),
            f"Segment{index}_ColorAutoGenerated": "0",
            f"Segment{index}_Extent": f"0 {i} 0 {j} 0 {k}",
            f"Segment{index}_ID": f"Segment_{index + 1}",
            f"Segment{index}_LabelValue": str(index + 1),
            f"Segment{index}_Layer": str(layer_of.get(index + 1, 0)),
            f"Segment{index}_Name": _escaped(segment.name),
            f"Segment{index}_NameAutoGenerated": "0",
            f"Segment{index}_Tags": "",
        }
    return fields


def _escaped(text: str) -> str:
    """Return a text on one line, as NRRD wants it; anything that is no character (NUL, half of a surrogate pair) becomes a space."""
    characters = (" " if unicodedata.category(each) in ("Cc", "Cs") else each for each in text)
    return " ".join("".join(characters).split()).replace("\\", "\\\\")
