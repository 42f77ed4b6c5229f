"""NIfTI files for tests, with every field of their header as the test wants it."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np

from support.images import noise


def header_of(version=1, dtype=np.int16, shape_ijk=(7, 6, 5), **fields):
    """A header of 2 x 3 x 4 mm voxels without forms, but for `fields`; sform and qform are given as ``(matrix, code)``."""
    header = {1: nib.Nifti1Header, 2: nib.Nifti2Header}[version]()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape_ijk)
    header["pixdim"][1:4] = 2, 3, 4
    for name, value in fields.items():
        if name == "sform":
            header.set_sform(*value)
        elif name == "qform":
            header.set_qform(*value)
        else:
            header[name] = value
    return header


def content_of(header, voxels=None):
    """The content of a single file: its header, an empty extension, and voxels ``(k, j, i)``, by default `noise`."""
    voxels = noise() if voxels is None else voxels
    header = header.copy()
    start = header.single_vox_offset
    header["vox_offset"] = start
    stored = voxels.astype(header.get_data_dtype(), copy=False)
    return header.binaryblock.ljust(start, b"\0") + stored.tobytes()


def store(path, header, voxels=None):
    """Write a single file, packed if its name ends with .gz; return its path."""
    content = content_of(header, voxels)
    path.write_bytes(gzip.compress(content) if path.name.lower().endswith(".gz") else content)
    return path


def at(matrix, **fields):
    """A header placed by an sform (code 1) and a qform that agree."""
    return header_of(
        **{"pixdim": [1, *np.linalg.norm(matrix[:3, :3], axis=0), 1, 1, 1, 1], "qform": (matrix, 1), "sform": (matrix, 1), **fields}
    )
