"""Boxes around masks, what lies in them, and how far masks overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Cutout:
    """The voxels of an object, cut to the smallest box that holds them.

    Attributes:
        voxels: bool ``(k, j, i)``, with at least one voxel.
        first: where the box begins in the volume: k, j and i.
    """

    voxels: np.ndarray
    first: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def of(cls, mask: np.ndarray) -> Cutout | None:
        """Return what a bool mask ``(k, j, i)`` holds; None if it is empty."""
        box = box_around(mask)
        return None if box is None else cls(mask[box], (box[0].start, box[1].start, box[2].start))


def box_around(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Return the smallest box that holds a bool mask of any number of axes, as one slice per axis; None if the mask is empty."""
    box = []
    for axis in range(mask.ndim):
        part = span(np.asarray(mask.any(tuple(other for other in range(mask.ndim) if other != axis))))
        if part is None:
            return None
        box.append(part)
    return tuple(box)


def span(inside: np.ndarray) -> slice | None:
    """Return the slice of a bool row ``(n,)`` from the first True to the last; None if there is none."""
    found = np.flatnonzero(inside)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else None


def edges(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return the left, top, right and bottom edge of a bool mask ``(rows, columns)`` in pixels, centres at integers; None if empty."""
    box = box_around(mask)
    if box is None:
        return None
    rows, columns = box
    return columns.start - 0.5, rows.start - 0.5, columns.stop - 0.5, rows.stop - 0.5


def widened(part: slice, around: int, available: int) -> slice:
    """Return a part of an axis with `margin` more entries on either side, as far as they are among the `available` ones."""
    return slice(max(0, part.start - around), min(available, part.stop + around))


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the overlap of two bool masks of one shape, 0 to 1 (Dice 1945); 1 if both are empty, as they agree."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return float(2 * np.count_nonzero(one & other) / total) if total else 1.0
