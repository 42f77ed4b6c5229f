"""The place of voxels by a NIfTI header, and the places where other programs see them.

The standard (``nifti1.h``, "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE") has three methods: pixdim alone (1), the qform (2) and
the sform (3). Where a header has several that disagree, programs differ: ITK, and with it 3D Slicer, takes all spacings from pixdim;
nibabel, FSL and SPM take the sform as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.quaternions import quat2mat
from nibabel.spatialimages import HeaderDataError

from ..errors import InputError
from ..image.volume import apart

TOLD = 0.01  # of a voxel: users are told of places that lie farther apart
RIGHT = 1e-4  # how far off right angles ITK still takes axes for orthogonal, and lengths still count as equal
SAME_ORIGIN = 5e-4  # mm, as far as ITK takes origins for equal
SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
MM = {1: 1000.0, 3: 0.001}  # NIFTI_UNITS_METER, NIFTI_UNITS_MICRON; others are mm, or unknown and taken for mm
QUIET = logging.Logger("nibabel's checks")
QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class NiftiPlace:
    """The place of voxels; all matrices ``(4, 4)`` from IJK to RAS in mm. `Source` explains the words."""

    ijk_to_ras: np.ndarray
    geometry: str
    warnings: tuple[str, ...]
    elsewhere: tuple[np.ndarray, ...]


def place(header: Nifti1Header, name: str) -> NiftiPlace:
    """Return where voxels lie, and what the user should know about it.

    Scale and shear are the sform's. Where both forms are orthogonal, of the same lengths and differ, ITK's choice holds: the sform if its
    code is 1, or if only signs differ, else the qform. Without forms it is pixdim.

    Raises:
        InputError: nothing in the header places them; `name` is what the message calls the file.
    """
    notes: tuple[str, ...] = ()
    sform, qform = _sform(header), _qform(header)
    codes = _codes(header)
    if sform is not None and (qform is None or codes[0] == SCANNER or _same_but_for_signs(sform, qform) or not _alike(sform, qform)):
        chosen, geometry = sform, f"sform (code {codes[0]})"
    elif qform is not None:
        notes = ("its sform places nothing; its qform is used.",) if codes[0] > 0 and sform is None else ()
        chosen, geometry = qform, f"qform (code {codes[1]})"
    elif max(codes) <= 0 and (header["pixdim"][1:4] > 0).all() and np.isfinite(header["pixdim"][1:4]).all():
        chosen, geometry = np.diag([*header["pixdim"][1:4].astype(float), 1]), "pixdim (neither sform nor qform)"
        notes = ("it does not say where it lies (neither sform nor qform); its axes are taken to run to the right, front and top.",)
    else:
        raise InputError(f"{name}: its header places no voxels: {_why_nowhere(header)}. Correct its sform, or export it again.")
    chosen = _in_mm(chosen, header)
    words, others = _elsewhere(chosen, header)
    return NiftiPlace(chosen, geometry, (*notes, *words), others)


def itk_places(header: Nifti1Header) -> list[np.ndarray]:
    """Return the ``(4, 4)`` matrices, IJK to RAS mm, by which ITK 5.4, and so 3D Slicer 5.11, may place voxels; none if it refuses.

    There are two where the forms differ in the signs of their axes only: which of them ITK takes for equal hangs on rounding.
    """
    spacing = header["pixdim"][1:4].astype(float)
    spacing[~np.isfinite(spacing) | (spacing == 0)] = 1
    code, qform_code = _codes(header)
    sform, qform = _rows(header), np.eye(4)
    quaternion, offset = (
        np.nan_to_num(_fields(header, *names), posinf=0, neginf=0) for names in (("quatern_", "bcd"), ("qoffset_", "xyz"))
    )
    qform[:3, :3] = _rotation(quaternion) * _handedness(header)
    qform[:3, 3] = offset
    if code <= 0 and qform_code <= 0:
        forms = [np.diag([-1.0, -1, 1, 1])]
    else:
        usable = code > 0 and _is_orthogonal(sform)
        prefers = code == SCANNER or qform_code <= 0
        forms = [sform] * (usable and (prefers or _same_but_for_signs(sform, qform))) + [qform] * (
            qform_code > 0 and not (usable and prefers)
        )
    return [_in_mm(_with_lengths(form, spacing), header) for form in forms]


def sform_readers_place(header: Nifti1Header) -> np.ndarray | None:
    """Return the ``(4, 4)`` matrix, IJK to RAS in the header's unit, by which nibabel places voxels; None if it cannot."""
    checked = header.copy()
    checked.check_fix(logger=QUIET, error_level=100)
    try:
        return checked.get_best_affine()
    except (ValueError, HeaderDataError):
        return None


def _elsewhere(chosen: np.ndarray, header: Nifti1Header) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    nibabel, itk = sform_readers_place(header), itk_places(header)
    readers = [("nibabel and others that follow the sform", [] if nibabel is None else [nibabel])]
    if not isinstance(header, Nifti2Header):  # which ITK does not read
        readers.append(("3D Slicer and others that use ITK", itk))
    shape = tuple(header["dim"][1:4].tolist())
    words, others = [], []
    for names, places in readers:
        if not all(map(_is_usable, places)) or not places:
            skew = apart(chosen, _straightened(chosen), shape)[1]
            words.append(f"{names} cannot open it" + (f": its axes are up to {skew:.2g} mm off right angles." if skew > 0.001 else "."))
            continue
        voxels, far_mm = np.max([apart(chosen, each, shape) for each in places], axis=0)
        if voxels > TOLD:
            words.append(f"{names} {'may ' if len(places) > 1 else ''}place it up to {far_mm:.3g} mm elsewhere.")
            others += places
    return tuple(words), tuple(others)


def _straightened(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix with its axes at right angles, of the same lengths and as near to the old ones as possible."""
    lengths, straight = np.linalg.norm(matrix[:3, :3], axis=0), matrix.copy()
    left, _, right = np.linalg.svd(matrix[:3, :3] / lengths)
    straight[:3, :3] = left @ right * lengths
    return straight


def _with_lengths(matrix: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    scaled = matrix.copy()
    scaled[:3, :3] *= spacing / np.linalg.norm(matrix[:3, :3], axis=0)
    return scaled


def _codes(header: Nifti1Header) -> tuple[int, int]:
    return int(header["sform_code"]), int(header["qform_code"])


def _rows(header: Nifti1Header) -> np.ndarray:
    return np.vstack([*(header[f"srow_{axis}"] for axis in "xyz"), [0, 0, 0, 1]]).astype(float)


def _sform(header: Nifti1Header) -> np.ndarray | None:
    """Return the sform in the unit of the header; None if there is none, or if it places nothing."""
    rows = _rows(header)
    return rows if header["sform_code"] > 0 and _is_usable(rows) else None


def _qform(header: Nifti1Header) -> np.ndarray | None:
    """Return the qform in the unit of the header; None if there is none, or if it places nothing."""
    pixdim, quaternion = header["pixdim"][1:4], _fields(header, "quatern_", "bcd")
    if header["qform_code"] <= 0 or not (pixdim > 0).all() or not np.linalg.norm(quaternion) < 1 + RIGHT:
        return None
    matrix = np.eye(4)
    matrix[:3, :3] = _rotation(quaternion) * pixdim * _handedness(header)
    matrix[:3, 3] = _fields(header, "qoffset_", "xyz")
    return matrix if _is_usable(matrix) else None


def _fields(header: Nifti1Header, start: str, ends: str) -> np.ndarray:
    return np.array([header[start + end] for end in ends], float)


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """Return the axes ``(3, 3)`` of a quaternion's parts b, c and d; a is zero if it nearly is, as in the standard's own library."""
    first = 1 - quaternion @ quaternion
    return quat2mat([np.sqrt(first), *quaternion] if first >= 1e-7 else [0, *quaternion / np.linalg.norm(quaternion)])


def _handedness(header: Nifti1Header) -> np.ndarray:
    """Return factors for the three axes of a qform; that of the third is negative if pixdim[0] (qfac) is."""
    return np.array([1, 1, -1 if header["pixdim"][0] < 0 else 1])


def _in_mm(matrix: np.ndarray, header: Nifti1Header) -> np.ndarray:
    return np.diag([*[MM.get(int(header["xyzt_units"]) & 7, 1.0)] * 3, 1.0]) @ matrix


def _is_usable(matrix: np.ndarray) -> bool:
    """Return whether a matrix places voxels: it is finite and has three independent axes."""
    axes = matrix[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    return bool(np.isfinite(matrix).all() and (lengths > 0).all() and abs(np.linalg.det(axes / lengths)) >= 1e-3)


def _is_orthogonal(matrix: np.ndarray) -> bool:
    if not _is_usable(matrix):
        return False
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(axes @ axes.T - np.eye(3)).max() < RIGHT)


def _alike(sform: np.ndarray, qform: np.ndarray) -> bool:
    """Return whether both forms have the same lengths, and the sform no shear, which a qform cannot have."""
    one, other = (np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform))
    return _is_orthogonal(sform) and np.allclose(one, other, rtol=RIGHT, atol=0)


def _same_but_for_signs(sform: np.ndarray, qform: np.ndarray) -> bool:
    """Return whether two forms have the same origin, within `SAME_ORIGIN`, and the same axes, in either direction."""
    one, other = (form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform))
    signs = np.sign((one * other).sum(axis=0))
    return bool(np.abs(one - signs * other).max() < RIGHT and np.abs(sform[:3, 3] - qform[:3, 3]).max() < SAME_ORIGIN)


def _why_nowhere(header: Nifti1Header) -> str:
    if header["sform_code"] > 0:
        return "its sform is no place for three axes, and it has no qform that is"
    pixdim = " x ".join(f"{value:g}" for value in header["pixdim"][1:4])
    reason = f"the spacing in pixdim is {pixdim}"
    return (
        f"it has no sform, its qform's numbers are no rotation and place, or {reason}"
        if header["qform_code"] > 0
        else f"it has no form, and {reason}"
    )
