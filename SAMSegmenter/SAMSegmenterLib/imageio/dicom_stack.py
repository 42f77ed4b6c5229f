"""The order of DICOM images or frames as slices, and the checks that they make one volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InputError
from .dicom import Picture

ALIKE = 1e-3  # of a pixel spacing, or of direction cosines
LISTED = 4  # kinds named in a message about a mixture


def stack(pictures: list[Picture], where: str, remedy: str) -> list[Picture]:
    """Return pictures sorted along the normal of their plane.

    Args:
        pictures: single images, or frames, in any order.
        where: what errors call them.
        remedy: what to do about pictures that do not belong together.

    Raises:
        InputError: they are mixed, or do not say where they lie.
    """
    for what in ("position", "orientation", "spacing"):
        lacking = [picture.name for picture in pictures if not getattr(picture, what)]
        if lacking:
            some = f"{len(lacking)} of its {len(pictures)} images ({lacking[0]}{', ...' if len(lacking) > 1 else ''})"
            name = "pixel spacing" if what == "spacing" else what
            raise InputError(
                f"{where}: {some} have no {name}; they are not slices of a volume. "
                "Remove them, or convert the volume to .nrrd with the geometry that you know."
            )
    _check_one("sizes", pictures, lambda p: p.size, lambda p: f"{p.size[0]} x {p.size[1]}", where, remedy)
    _check_not_turned(pictures, where)
    _check_one("orientations", pictures, lambda p: p.orientation, lambda p: p.plane, where, remedy, absolute=ALIKE)
    _check_one("pixel spacings", pictures, lambda p: p.spacing, lambda p: f"{p.spacing[1]:g} x {p.spacing[0]:g} mm", where, remedy, ALIKE)
    _check_one("grey and colour images", pictures, lambda p: (p.samples,), lambda p: f"with {p.samples} colours", where, remedy)
    return sorted(pictures, key=lambda picture: float(np.dot(picture.position, pictures[0].normal)))


def _check_not_turned(pictures: list[Picture], where: str) -> None:
    """Raise `InputError` if slices lie in parallel planes but are rotated within them."""
    orientations = np.array([picture.orientation for picture in pictures])
    rows, normals = orientations[:, :3], np.cross(orientations[:, :3], orientations[:, 3:])
    if np.abs(normals - normals[0]).max() > ALIKE:
        return
    radians = np.abs(np.arctan2(np.cross(rows[0], rows) @ normals[0], rows @ rows[0]))
    at = int(radians.argmax())
    if radians[at] > ALIKE:
        raise InputError(
            f"{where}: its slices are rotated against each other within their plane: {pictures[at].name} by "
            f"{np.degrees(radians[at]):.3g} degrees against {pictures[0].name}. Have it resampled where it comes from."
        )


def _check_one(
    what: str, pictures: list[Picture], values: Callable, words: Callable, where: str, remedy: str, relative: float = 0, absolute: float = 0
) -> None:
    """Raise `InputError` unless the `values` of all pictures agree."""
    kinds: list[list[Picture]] = []
    for picture in pictures:
        near = (kind for kind in kinds if np.allclose(values(kind[0]), values(picture), rtol=relative, atol=absolute))
        kind = next(near, None)
        if kind is None:
            kinds.append(kind := [])
        kind.append(picture)
    if len(kinds) > 1:
        kinds.sort(key=len, reverse=True)
        mixture = ", ".join(f"{len(kind)} {words(kind[0])}" for kind in kinds[:LISTED])
        more = f" and {len(kinds) - LISTED} other kinds" if len(kinds) > LISTED else ""
        raise InputError(f"{where}: it mixes {what}: {mixture}{more}. {remedy}")
