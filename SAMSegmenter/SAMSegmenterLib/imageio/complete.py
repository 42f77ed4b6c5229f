"""Whether a NIfTI file holds all its voxels, where ITK would fill in zeros and say nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .integrity import Part, gunzip


def check_complete(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raise `InputError` for a NIfTI file that is truncated, or damaged if it is compressed; other files are let pass.

    Args:
        reader: it has read the header.
        path: the file, or the header of a pair.
    """
    part = _find_nifti(reader, path) if reader.HasMetaDataKey("vox_offset") else None
    if part:
        part.check()


def _find_nifti(reader: sitk.ImageFileReader, path: Path) -> Part | None:
    axes = range(1, 1 + int(reader.GetMetaData("dim[0]")))
    voxels = np.prod([int(reader.GetMetaData(f"dim[{n}]")) for n in axes], dtype=np.int64)
    expected = float(reader.GetMetaData("vox_offset")) + int(voxels) * int(reader.GetMetaData("bitpix")) / 8
    header = re.fullmatch(r"(.*\.)(hdr|HDR)(\.gz)?", path.name)
    files = [path.with_name(header[1] + ending) for ending in ("img", "IMG", "img.gz")] if header else [path]
    file = next(filter(Path.is_file, files), None)
    if file is None:
        return None  # ITK itself notices what is missing
    with file.open("rb") as content:
        packed = content.read(2) == b"\x1f\x8b"
    return Part(file, 0, int(expected), gunzip if packed else None)
