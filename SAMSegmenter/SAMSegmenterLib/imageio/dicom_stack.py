"""Whether DICOM images or frames are slices of one even volume, in which order, and where it lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InputError
from .dicom import Picture

UNEVEN = 0.05


def stack(pictures: list[Picture], where: str, remedy: str) -> tuple[list[Picture], np.ndarray]:
    """Sort pictures to slices of a volume.

    Args:
        pictures: single images, or the frames of one file, in any order.
        where: how errors call them.
        remedy: what to do about pictures that do not belong together.

    Returns:
        The slices along their normal, and the ``(4, 4)`` matrix from voxel indices to LPS mm.

    Raises:
        InputError: they are mixed, incomplete, or do not say where they lie.
    """
    _check_alike(pictures, where, remedy)
    slices = sorted(pictures, key=lambda picture: float(np.dot(picture.position, pictures[0].normal)))
    return slices, _place(slices, where, remedy)


def _check_alike(pictures: list[Picture], where: str, remedy: str) -> None:
    """Raise `InputError`, naming what is mixed, unless the images can be slices of one volume."""
    if any(picture.frames > 1 for picture in pictures):
        raise InputError(f"{where}: several multi-frame images are mixed in it. Give one of these files.")
    for what, of in (("position", lambda p: p.position), ("orientation", lambda p: p.orientation), ("pixel spacing", lambda p: p.spacing)):
        lacking = [picture.name for picture in pictures if not of(picture)]
        if lacking:
            some = f"{len(lacking)} of its {len(pictures)} images ({lacking[0]}, ...)"
            raise InputError(f"{where}: {some} have no {what}; they are not slices of a volume.")
    _check_one("sizes", pictures, lambda p: p.size, lambda p: f"{p.size[0]} x {p.size[1]}", where, remedy)
    _check_one("orientations", pictures, lambda p: p.orientation, lambda p: p.plane, where, remedy)
    _check_one("pixel spacings", pictures, lambda p: p.spacing, lambda p: f"{p.spacing[1]:g} x {p.spacing[0]:g} mm", where, remedy)
    _check_one("grey and colour images", pictures, lambda p: (p.samples,), lambda p: f"with {p.samples} colours", where, remedy)


def _check_one(what: str, pictures: list[Picture], values: Callable, words: Callable, where: str, remedy: str) -> None:
    """Raise `InputError` unless `values` of all pictures agree to 1e-3."""
    kinds: list[list[Picture]] = []
    for picture in pictures:
        kind = next((kind for kind in kinds if np.allclose(values(kind[0]), values(picture), atol=1e-3)), None)
        if kind is None:
            kinds.append(kind := [])
        kind.append(picture)
    if len(kinds) > 1:
        mixture = ", ".join(f"{len(kind)} {words(kind[0])}" for kind in sorted(kinds, key=len, reverse=True))
        raise InputError(f"{where}: it mixes {what}: {mixture}. {remedy}")


def _place(slices: list[Picture], where: str, remedy: str) -> np.ndarray:
    """``(4, 4)`` voxel indices to LPS mm of sorted slices, which must follow each other in even steps."""
    if len(slices) < 2:
        raise InputError(f"{where}: there is only one slice; there is nothing to propagate to.")
    first = slices[0]
    positions = np.array([picture.position for picture in slices])
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    gap_mm, gaps_mm = np.linalg.norm(usual), np.linalg.norm(steps, axis=1)
    if gaps_mm.min() < 1e-3:
        at = int(gaps_mm.argmin())
        raise InputError(
            f"{where}: {slices[at].name} and {slices[at + 1].name} lie at the same place; "
            f"time points, other measurements or copies are mixed. {remedy}"
        )
    uneven = np.linalg.norm(steps - usual, axis=1) > UNEVEN * gap_mm
    if uneven.any():
        at = int(uneven.argmax())
        raise InputError(
            f"{where}: its slices are not evenly spaced, some are missing or mixed up: {slices[at].name} and "
            f"{slices[at + 1].name} are {gaps_mm[at]:.4g} mm apart, most slices {gap_mm:.4g} mm. Export the whole series again."
        )
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, 0] = np.multiply(first.orientation[:3], first.spacing[1])
    ijk_to_lps[:3, 1] = np.multiply(first.orientation[3:], first.spacing[0])
    ijk_to_lps[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    ijk_to_lps[:3, 3] = positions[0]
    return ijk_to_lps
