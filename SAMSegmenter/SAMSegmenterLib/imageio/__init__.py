"""Reading of images and writing of segmentations: NRRD, NIfTI, MetaImage and DICOM folders.

Files are in LPS coordinates and a `Volume` is in RAS; the two are converted in this room and in `image.volume` only.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..image.volume import Volume
from .dicom import is_dicom
from .dicom_series import Series, choose, list_series, read_dicom_file, read_series, scan
from .itk import check_exists, read_by_header
from .labels import as_labels
from .meta_header import read_meta_header
from .nifti import open_nifti, read_nifti
from .nrrd_header import read_nrrd_header
from .recognition import format_of, holds_voxels_of
from .segments import Layer, read_layers, read_segment_names
from .writing import SegmentInfo, check_output, default_color, write_segmentation, write_volume

__all__ = [
    "Layer",
    "SegmentInfo",
    "Series",
    "check_output",
    "default_color",
    "holds_voxels_of",
    "is_dicom",
    "list_series",
    "read_labelmap",
    "read_segment_names",
    "read_segments",
    "read_volume",
    "write_segmentation",
    "write_volume",
]


def read_volume(path: Path, series: str | None = None, resample: bool = False) -> Volume:
    """Read a 3-D image file, or a series of a DICOM folder.

    Args:
        path: an image file; a folder of DICOM images; or one DICOM image, which stands for its series.
        series: a series of a DICOM folder: its UID, the beginning of its UID, or its description.
        resample: whether DICOM slices that are not evenly spaced may be interpolated at even places instead of being refused.

    Returns:
        The volume as ``(k, j, i)`` in the file's own type (float64 becomes float32 where that keeps its contrast), or as
        ``(k, j, i, 3)`` uint8 RGB (an alpha channel is dropped). `modality` is set for DICOM only.

    Raises:
        InputError: the file is missing, empty, damaged, not an image, not 3-D, or has vectors for voxels; the folder
            has several series and none is chosen; the series, or multi-frame image, mixes images or lacks slices.
    """
    path = Path(path)
    if path.is_dir():
        return read_series(choose(scan(path), path, series), path, resample)
    check_exists(path)
    if is_dicom(path):
        return read_dicom_file(path, series, resample)
    if series is not None:
        raise InputError(f"{path}: this is not a DICOM folder, so that no series can be chosen in it.")
    nifti = open_nifti(path)
    if nifti:
        return read_nifti(nifti)
    read_header = {"NRRD": read_nrrd_header, "MetaImage": read_meta_header}[format_of(path)]
    return read_by_header(path, read_header(path))


def read_labelmap(path: Path) -> Volume:
    """Read a segmentation as integer labels ``(k, j, i)``: a labelmap in any image format, or a ``.seg.nrrd`` with one layer.

    Labels in floating point become int32; fractions that scaling left in a file are rounded, see `labels.as_labels`.

    Raises:
        InputError: as `read_volume`; or the voxels are colours, fractions or negative, or those of an image.
    """
    return as_labels(read_volume(path), str(path))


def read_segments(path: Path) -> list[Layer]:
    """Read a segmentation with the names of its segments: a labelmap in any image format, or a ``.seg.nrrd`` with any number of layers.

    Raises:
        InputError: as `read_labelmap`, but for segments that overlap.
    """
    path = Path(path)
    check_exists(path)
    layers = [] if path.is_dir() else read_layers(path)
    return layers or [Layer(read_labelmap(path), {} if path.is_dir() else read_segment_names(path))]
