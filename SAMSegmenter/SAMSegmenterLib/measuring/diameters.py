"""Diameters of an object in mm, from the outer edges of its voxels, as a caliper is drawn.

Corners of voxels are counted in whole numbers along i, j and k: corner n lies half a voxel before voxel n. A convex hull is the same
set of corners in whatever directions and distances the voxels lie, so that it is found in these numbers, and only its corners are
measured in mm. That is exact, in tilted and in sheared volumes, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..image.extent import Cutout
from .hull import hull

Position = tuple[float, float, float]
SAME = 1e-9  # diameters that differ by less, relatively, are the same but for rounding
CHUNK = 1024  # points whose distances to all others are held at once


@dataclass(frozen=True)
class Diameter:
    """A straight way through an object: its length in mm, and where it ends, in continuous voxel indices i, j, k."""

    length_mm: float
    ends: tuple[Position, Position]

    @classmethod
    def between(cls, corners: np.ndarray, axes_mm: np.ndarray) -> Diameter:
        """Return the way between two corners ``(2, 3)``; `axes_mm` ``(3, 3)`` has one voxel's step along i, j and k as columns."""
        (i, j, k), (other_i, other_j, other_k) = (corners - 0.5).tolist()
        return cls(float(np.linalg.norm(axes_mm @ (corners[1] - corners[0]))), ((i, j, k), (other_i, other_j, other_k)))


@dataclass(frozen=True, eq=False)
class Outline:
    """The convex hull of an object on one slice along k: its corners ``(n, 2)``, i and j, in order around it."""

    k: int
    corners: np.ndarray

    def between(self, ends: np.ndarray, axes_mm: np.ndarray) -> Diameter:
        """Return the way between two places ``(2, 2)`` on the slice, through the middle of its thickness."""
        return Diameter.between(np.c_[ends, np.full(2, self.k + 0.5)], axes_mm)


def outlines(cutout: Cutout) -> list[Outline]:
    """Return an object's outline on each slice along k where it has voxels."""
    k, j, i = cutout.first
    return [Outline(number, _around(mask) + np.array([i, j])) for number, mask in enumerate(cutout.voxels, k) if mask.any()]


def _around(mask: np.ndarray) -> np.ndarray:
    """Return the corners of the convex hull of a mask ``(j, i)``, ``(n, 2)``: i and j."""
    rows = np.flatnonzero(mask.any(1))
    left, right = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    corners = np.concatenate([np.stack([i, j], 1) for i in (left, right) for j in (rows, rows + 1)])
    return corners[hull(corners)]


def on_a_slice(found: list[Outline], axes_mm: np.ndarray) -> tuple[int, Diameter, Diameter]:
    """Return the longest diameter on any slice along k and, on the same slice, the longest way at right angles to it (RECIST 1.1).

    Of several diameters of that length the one with the longest perpendicular is taken. The perpendicular runs between the edges of the
    outline, so that it bridges a dent in the object, but never reaches beyond where the object ends.

    Returns:
        The slice, the diameter and the perpendicular.
    """
    apart = [_distances(outline.corners @ axes_mm[:, :2].T) for outline in found]
    least = max(each.max() for each in apart) * (1 - SAME)
    crossings = [
        (outline.k, outline.between(outline.corners[[one, other]], axes_mm), _perpendicular(outline, one, other, axes_mm))
        for outline, distances in zip(found, apart, strict=True)
        for one, other in np.argwhere(np.triu(distances >= least)).tolist()
    ]
    return max(crossings, key=lambda crossing: crossing[2].length_mm)


def _distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=-1)


def _perpendicular(outline: Outline, one: int, other: int, axes_mm: np.ndarray) -> Diameter:
    """Return the longest way across an outline at right angles to that between two of its corners.

    Its length changes evenly from corner to corner, so that the longest begins at one of them.
    """
    plane = np.linalg.qr(axes_mm[:, :2])[1]  # i and j to mm in the plane of the slice
    places = (outline.corners - outline.corners[one]) @ plane.T
    along = places[other] / np.linalg.norm(places[other])
    turned = np.array([along, [-along[1], along[0]]])
    places = places @ turned.T  # how far along the diameter, and how far beside it
    sides = places[one : other + 1], np.concatenate([places[other:], places[: one + 1]])[::-1]
    beside = np.stack([np.interp(places[:, 0], *side.T) for side in sides])
    at = int(np.abs(beside[0] - beside[1]).argmax())
    ends = np.stack([[places[at, 0]] * 2, beside[:, at]], 1) @ turned
    return outline.between(np.linalg.solve(plane, ends.T).T + outline.corners[one], axes_mm)


def in_space(found: list[Outline], axes_mm: np.ndarray) -> Diameter:
    """Return the longest way between any two corners of the object's voxels."""
    corners = _outermost(found)
    places_mm = (corners - corners.mean(0)) @ axes_mm.T
    reach_mm = np.linalg.norm(places_mm, axis=1)  # from the centre: two points are never farther apart than both of theirs
    least_mm = np.linalg.norm(places_mm - places_mm[reach_mm.argmax()], axis=1).max() * (1 - SAME)
    far = reach_mm + reach_mm.max() >= least_mm
    corners, places_mm = corners[far], places_mm[far]
    squares = (places_mm**2).sum(1)
    farthest, ends = -1.0, (0, 0)
    for begin in range(0, len(corners), CHUNK):
        apart = squares[begin : begin + CHUNK, None] + squares - 2 * places_mm[begin : begin + CHUNK] @ places_mm.T
        one, other = divmod(int(apart.argmax()), len(corners))
        if apart[one, other] > farthest:
            farthest, ends = apart[one, other], (begin + one, other)
    return Diameter.between(corners[list(ends)], axes_mm)


def _outermost(found: list[Outline]) -> np.ndarray:
    """Return few corners ``(n, 3)`` among which all corners of the object's hull in space are.

    Such a corner is one of the hull in every plane through it, too.
    """
    corners = np.concatenate([np.c_[each.corners, np.full(len(each.corners), k)] for each in found for k in (each.k, each.k + 1)])
    for axis in (2, 1, 0):
        corners = np.concatenate([plane[hull(np.delete(plane, axis, 1))] for plane in _planes(corners, axis)])
    return corners


def _planes(corners: np.ndarray, axis: int) -> Iterator[np.ndarray]:
    """Yield the corners that have the same number along an axis."""
    corners = corners[np.argsort(corners[:, axis], kind="stable")]
    borders = np.flatnonzero(np.diff(corners[:, axis])) + 1
    for begin, end in pairwise([0, *borders, len(corners)]):
        yield corners[begin:end]
