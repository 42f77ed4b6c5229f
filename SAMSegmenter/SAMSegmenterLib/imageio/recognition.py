"""The format of a file, recognised by its content; for a format that is not read here, what it seems to be."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ..files import READABLE
from .meta_header import is_meta, meta_data_files
from .nrrd_header import is_nrrd, nrrd_data_files

START = 1 << 13  # bytes by which a file is recognised
NIFTI_ENDING = re.compile(r".+\.(nii|hdr|img)(\.gz)?", re.IGNORECASE)
OTHERS = {
    "a TIFF image": rb"II[*+]\0|MM\0[*+]",
    "a PNG image": rb"\x89PNG",
    "a JPEG image": rb"\xff\xd8\xff",
    "a JPEG 2000 image": rb"\0\0\0\x0cjP",
    "a BMP image": rb"BM.{4}\0{4}",
    "a GIF image": rb"GIF8",
    "a VTK file": rb"# vtk|<\?xml[^>]*>\s*<VTKFile|<VTKFile",
    "an HDF5 file, such as MINC 2 or .h5": rb"\x89HDF",
    "a NetCDF file, such as MINC 1": rb"CDF[\x01\x02]",
    "a ZIP archive": rb"PK\x03\x04",
    "a table or program of MATLAB": rb"MATLAB ",
    "a NumPy array": rb"\x93NUMPY",
    "an Analyze 7.5 image or its header": rb"\x5c\x01\0\0|\0\0\x01\x5c",
}
ENDINGS = {
    (".mgh", ".mgz"): "an MGH image",
    (".gipl",): "a GIPL image",
    (".pic",): "a Bio-Rad image",
    (".lsm", ".tif", ".tiff"): "a TIFF image",
    (".mrc", ".rec", ".map"): "an MRC image",
    (".mnc",): "a MINC image",
    (".vti", ".vtk"): "a VTK file",
}


def format_of(path: Path) -> str:
    """Return the format of a file, ``"NRRD"`` or ``"MetaImage"``.

    Raises:
        InputError: it is none of them, whatever ITK might make of it.
    """
    with path.open("rb") as file:
        start = file.read(START)
    if is_nrrd(start):
        return "NRRD"
    if is_meta(start):
        return "MetaImage"
    other = _other(path, start)
    if other:
        raise InputError(
            f"{path}: this seems to be {other}, a format that is not read here, as it often lacks spacing and place. "
            f"Convert it with the spacing that you know. Give {READABLE}."
        )
    raise InputError(f"{path}: this is not an image, or it is damaged. Give {READABLE}.")


def _other(path: Path, start: bytes) -> str | None:
    """Return what a file seems to be, by its first bytes or else by its ending."""
    found = next((name for name, pattern in OTHERS.items() if re.match(pattern, start, re.DOTALL)), None)
    if found and not (found.startswith("an Analyze") and NIFTI_ENDING.fullmatch(path.name)):
        return found
    return next((name for endings, name in ENDINGS.items() if path.name.lower().endswith(endings)), None)


def holds_voxels_of(header: Path, path: Path) -> bool:
    """Return whether a detached `header` names the file `path` for its voxels, or both are a NIfTI pair.

    Raises:
        InputError: the header is damaged.
    """
    find = {".mhd": meta_data_files, ".nhdr": nrrd_data_files}.get(header.suffix.lower())
    if find:
        return any(file.resolve() == path.resolve() for file in find(header))
    one, other = (re.fullmatch(r"(.+)\.(hdr|img)(\.gz)?", str(each.resolve()), re.IGNORECASE) for each in (header, path))
    return one is not None and other is not None and one[1] == other[1]
