"""NIfTI files, written by nibabel; if the input was NIfTI, every program sees the result in the same place."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from ..errors import InputError
from ..image.volume import SAME_PLACE, Volume, apart
from .nifti import open_nifti
from .nifti_place import SCANNER, place

LONGEST = 2**15 - 1  # axis of NIfTI-1, whose dim is int16
COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
TAKEN_OVER = (
    *("pixdim", "xyzt_units", "sform_code", "srow_x", "srow_y", "srow_z"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


def nifti_header(volume: Volume, path: Path) -> Nifti1Header:
    """Return a header that places voxels as `volume` has them.

    It has both forms of the volume's file if that was NIfTI, otherwise the volume's matrix.

    Raises:
        InputError: it came from another format, and programs would place the result more than `SAME_PLACE` voxels apart.
    """
    source = volume.source.header
    if isinstance(source, Nifti1Header) and _is_place_of(source, volume):
        header = _header_like(volume, isinstance(source, Nifti2Header))
        for field in TAKEN_OVER:
            header[field] = source[field]
        return header
    header = _header_like(volume, version_2=False)
    header.set_xyzt_units("mm")
    header.set_sform(volume.ijk_to_ras, SCANNER)
    header.set_qform(_pivoted(volume), SCANNER)
    placed = place(header, str(path))
    places = placed.ijk_to_ras, *placed.elsewhere
    if any(apart(volume.ijk_to_ras, each, volume.shape_ijk)[0] > SAME_PLACE for each in places):
        raise InputError(f"{path}: NIfTI cannot hold {_trouble(volume)}, as {volume.name} has. Write .seg.nrrd or .nrrd.")
    return header


def write_nifti(path: Path, voxels: np.ndarray, volume: Volume) -> None:
    """Write voxels ``(k, j, i)``, or ``(k, j, i, 3)`` uint8 colours, as ``.nii`` or ``.nii.gz``, and read them back to compare.

    Raises:
        InputError: see `nifti_header`.
        OSError: they could not be written.
    """
    header = nifti_header(volume, path)
    header.set_data_dtype(COLOURS if voxels.ndim == 4 else voxels.dtype)
    header.set_slope_inter(1, 0)
    with _packing(path) as file:
        header.write_to(file)
        for each in voxels:
            file.write(np.ascontiguousarray(each, each.dtype.newbyteorder("=")).tobytes())
    _check_written(path, voxels, header)


@contextmanager
def _packing(path: Path) -> Iterator[BufferedIOBase]:
    with path.open("wb") as file:
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as stream:
                yield stream
        else:
            yield file
        file.flush()
        os.fsync(file.fileno())


def _check_written(path: Path, voxels: np.ndarray, header: Nifti1Header) -> None:
    try:
        written = open_nifti(path)
        same = (
            written is not None
            and written.header.binaryblock == header.binaryblock
            and all(_equal(*pair) for pair in zip(written.slices(), voxels, strict=True))
        )
    except InputError as error:
        raise OSError("only a part was written; the disk may be full") from error
    if not same:
        raise OSError("what was written differs from what should be there")


def _equal(stored: np.ndarray, meant: np.ndarray) -> bool:
    return np.array_equal(stored.view((np.uint8, 3)) if stored.dtype.names else stored, meant)


def _header_like(volume: Volume, version_2: bool) -> Nifti1Header:
    header = Nifti2Header() if version_2 or max(volume.shape_ijk) > LONGEST else Nifti1Header()
    header.set_data_shape(volume.shape_ijk)
    return header


def _is_place_of(header: Nifti1Header, volume: Volume) -> bool:
    """Return whether a volume still has the voxels of its file, in the same place."""
    if tuple(header["dim"][1:4].tolist()) != volume.shape_ijk:
        return False
    return np.array_equal(place(header, volume.name).ijk_to_ras, volume.ijk_to_ras)


def _pivoted(volume: Volume) -> np.ndarray:
    """Return the IJK-to-RAS matrix, moved so that the qform, which rounds it to a rotation, leaves the volume's centre in place."""
    header, matrix, centre = Nifti1Header(), volume.ijk_to_ras.copy(), (np.array(volume.shape_ijk) - 1) / 2
    header.set_qform(matrix, SCANNER)
    matrix[:3, 3] += (matrix[:3, :3] - header.get_qform()[:3, :3]) @ centre
    return matrix


def _trouble(volume: Volume) -> str:
    axes = volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    straight = np.allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    return "a place as exact" if straight else "axes that are not at right angles"
