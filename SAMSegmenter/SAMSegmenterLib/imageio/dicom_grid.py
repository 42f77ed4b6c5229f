"""The even grid that fits the positions of DICOM slices best, and how far each slice lies from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .dicom import Picture

ASTRAY = 0.25  # of a voxel: slices farther from the even grid are refused or resampled
TOLD = 0.05  # of a voxel: users are told of larger deviations
MISSING, BRIDGED = 1.5, 3.0  # of the usual gap: where slices are missing, and across how wide a gap is resampled
SAME = 1e-3  # of the mean gap
SLANTED = 0.1  # degrees


@dataclass(frozen=True)
class Grid:
    """The place of a volume of sorted slices.

    Attributes:
        ijk_to_lps: ``(4, 4)`` voxel indices to LPS mm.
        geometry, warnings: words for `image.volume.Source`.
        resampled: ``(k,)`` the fractional index among the given slices of every slice of the grid; None if the slices are used as they are.
    """

    ijk_to_lps: np.ndarray
    geometry: str
    warnings: tuple[str, ...] = ()
    resampled: np.ndarray | None = None


@dataclass(frozen=True)
class _Places:
    """Positions of slices, sorted along their normal and relative to the first one.

    Attributes:
        axes: ``(3, 3)`` unit vectors along rows, along columns and across the slices.
        across: ``(n,)`` mm along the last of them.
        sideways: ``(n, 2)`` mm along the others.
    """

    axes: np.ndarray
    across: np.ndarray
    sideways: np.ndarray

    @property
    def steps(self) -> np.ndarray:
        """Return the gaps in mm between neighbouring slices."""
        return np.diff(self.across)

    @property
    def usual(self) -> float:
        """Return the median gap in mm; of an even number, the lower one in the middle."""
        return float(np.sort(self.steps)[(len(self.steps) - 1) // 2])


def even_grid(slices: list[Picture], where: str, remedy: str, resample: bool = False) -> Grid:
    """Return the even grid that fits slices best, which are sorted along their normal.

    Args:
        slices: with position, orientation and spacing.
        where, remedy: what errors call the slices, and what to do about some that do not belong to them.
        resample: whether slices that are not evenly spaced may be interpolated at even places, from the first to the last one.

    Raises:
        InputError: slices lie at one place, are missing, or are farther than `ASTRAY` from the grid.
    """
    if len(slices) < 2:
        raise InputError(f"{where}: there is only one slice; there is nothing to propagate to.")
    places = _places(slices)
    _check_apart(places, slices, where, remedy)
    _check_no_gap(places, slices, where, BRIDGED if resample else MISSING)
    side_start, slant = _line(places.across, places.sideways)
    _check_straight(places, side_start + np.outer(places.across, slant), slices, where)
    numbers = np.arange(len(slices), dtype=float)
    start, gap_mm = _line(numbers, places.across)
    off_mm = np.abs(places.across - start - numbers * gap_mm)
    astray = off_mm.max() > ASTRAY * gap_mm or places.steps.max() > MISSING * places.usual
    told = _told(places, side_start + np.outer(places.across, slant), off_mm, gap_mm, slices)
    resampled = None
    if astray:
        words = _deviation(off_mm, gap_mm, slices)
        if not resample:
            raise InputError(
                f"{where}: its slices are not evenly spaced: {words}. Have it resampled (--resample), or export the whole series again."
            )
        count = 1 + max(1, round(places.across[-1] / places.usual))
        start, gap_mm = 0.0, places.across[-1] / (count - 1)
        resampled = np.interp(start + np.arange(count) * gap_mm, places.across, numbers)
        told = (
            f"Its slices are not evenly spaced: {words}. They were resampled linearly to {count} slices {gap_mm:.4g} mm apart, "
            "and a mask lies on these, not on the slices of the files.",
        )
    column = places.axes.T @ [*(slant * gap_mm), gap_mm]
    corner = slices[0].position + places.axes.T @ [*(side_start + slant * start), start]
    return Grid(_matrix(places.axes, slices[0].spacing, column, corner), _in_words(slices, slant), told, resampled)


def interpolated(voxels: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return slices of voxels ``(k, j, i, ...)`` at fractional indices `at`, linearly between neighbours, in the same type."""
    result = np.empty((len(at), *voxels.shape[1:]), voxels.dtype)
    for to, place in zip(result, at, strict=True):
        below = min(int(place), len(voxels) - 2)
        share = place - below
        mixed = voxels[below] * (1 - share) + voxels[below + 1] * share
        to[:] = mixed if voxels.dtype.kind == "f" else np.rint(mixed)
    return result


def _places(slices: list[Picture]) -> _Places:
    positions = np.array([picture.position for picture in slices])
    offsets = positions - positions[0]
    axes = _axes(slices[0].orientation, offsets[-1])
    return _Places(axes, offsets @ axes[2], offsets @ axes[:2].T)


def _axes(orientation: tuple[float, ...], along: np.ndarray) -> np.ndarray:
    """Return unit vectors at right angles along rows, columns and slices.

    Where cosines are rounded to few digits, so that they are not quite at right angles, the way from slice to slice is taken for
    their normal if rounding explains the difference.
    """
    row, column = np.reshape(orientation, (2, 3))
    flaw = np.abs(np.array([row @ row - 1, column @ column - 1, row @ column])).max()
    normal = np.cross(row, column)
    length = np.linalg.norm(along)
    if flaw > 1e-6 and length > 0 and np.linalg.norm(along / length - normal / np.linalg.norm(normal)) <= 2 * _rounding(orientation):
        normal = along / length
        row, column = row - (row @ normal) * normal, column - (column @ normal) * normal
    for _ in range(2):  # the second time for the error of second order that the first one leaves
        lean = row @ column / 2
        row, column = row - lean * column, column - lean * row
        row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    return np.array([row, column, np.cross(row, column)])


def _rounding(cosines: tuple[float, ...]) -> float:
    """Return half a unit of the last decimal place that any of the numbers uses."""
    return next((0.5 * 10.0**-digits for digits in range(1, 6) if np.allclose(cosines, np.round(cosines, digits), 0, 1e-9)), 0.0)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """Return the value at 0 and the slope of the straight line that fits ``y(x)`` best; exact if the line fits all of it."""
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    rest = y - y[0] - np.multiply.outer(x - x[0], slope)
    centred = x - x.mean()
    more = centred @ rest / (centred @ centred)
    return y[0] - x[0] * slope + rest.mean(0) - more * x.mean(), slope + more


def _check_apart(places: _Places, slices: list[Picture], where: str, remedy: str) -> None:
    if places.steps.min() <= SAME * places.steps.mean():
        at = int(places.steps.argmin())
        raise InputError(
            f"{where}: {slices[at].name} and {slices[at + 1].name} lie at the same place; "
            f"time points, other measurements or copies are mixed. {remedy}"
        )


def _check_no_gap(places: _Places, slices: list[Picture], where: str, widest: float) -> None:
    at, usual = int(places.steps.argmax()), places.usual
    if places.steps[at] > widest * usual:
        raise InputError(
            f"{where}: its slices are not evenly spaced, some are missing or mixed up: {slices[at].name} and "
            f"{slices[at + 1].name} are {places.steps[at]:.4g} mm apart, most slices {usual:.4g} mm. Export the whole series again."
        )


def _check_straight(places: _Places, line: np.ndarray, slices: list[Picture], where: str) -> None:
    off_mm = np.abs(places.sideways - line)
    at = int((off_mm / slices[0].spacing[::-1]).max(1).argmax())
    if (off_mm[at] > ASTRAY * np.array(slices[0].spacing[::-1])).any():
        raise InputError(
            f"{where}: its slices are shifted sideways against each other: {slices[at].name} lies {np.linalg.norm(off_mm[at]):.4g} mm "
            "beside the straight line that fits all best. Have it resampled where it comes from, or export it without motion correction."
        )


def _deviation(off_mm: np.ndarray, gap_mm: float, slices: list[Picture]) -> str:
    at = int(off_mm.argmax())
    share = f"{off_mm[at] / gap_mm:.2g} of the {gap_mm:.4g} mm between slices"
    return f"{slices[at].name} lies {off_mm[at]:.4g} mm ({share}) from the even grid that fits all best"


def _told(places: _Places, line: np.ndarray, off_mm: np.ndarray, gap_mm: float, slices: list[Picture]) -> tuple[str, ...]:
    """Return sentences about small deviations that are accepted."""
    told = []
    if off_mm.max() > TOLD * gap_mm:
        told.append(f"Its slices are not quite evenly spaced: {_deviation(off_mm, gap_mm, slices)}.")
    sideways_mm = np.abs(places.sideways - line)
    if (sideways_mm > TOLD * np.array(slices[0].spacing[::-1])).any():
        told.append(f"Its slices are shifted sideways against each other by up to {2 * sideways_mm.max():.2g} mm.")
    return tuple(told)


def _in_words(slices: list[Picture], slant: np.ndarray) -> str:
    kind = "slices" if slices[0].frame is None else "frames"
    degrees = float(np.degrees(np.arctan(np.linalg.norm(slant))))
    tilt = f", which are slanted by {degrees:.3g} degrees (as with a tilted gantry)" if degrees > SLANTED else ""
    return f"positions of {len(slices)} {kind}{tilt}"


def _matrix(axes: np.ndarray, spacing: tuple[float, ...], column: np.ndarray, corner: np.ndarray) -> np.ndarray:
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, 0], ijk_to_lps[:3, 1] = axes[0] * spacing[1], axes[1] * spacing[0]
    ijk_to_lps[:3, 2], ijk_to_lps[:3, 3] = column, corner
    return ijk_to_lps
