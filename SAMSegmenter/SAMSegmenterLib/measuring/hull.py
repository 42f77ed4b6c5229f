"""The convex hull of points with whole numbers for coordinates, without rounding."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Vertex = tuple[int, int, int]  # x, y, and its index among the points


def hull(points: np.ndarray) -> np.ndarray:
    """Return the indices of the corners of the convex hull of integer points ``(n, 2)``, in order around it.

    Points on a side, between two corners, are none (Andrew's monotone chain, 1979).
    """
    order = np.lexsort((points[:, 1], points[:, 0]))
    ordered = points[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(1)]
    vertices = list(zip(*ordered[new].T.tolist(), order[new].tolist(), strict=True))
    if len(vertices) < 3:
        return order[new]
    return np.array([index for *_, index in _side(vertices)[:-1] + _side(reversed(vertices))[:-1]])


def _side(vertices: Iterable[Vertex]) -> list[Vertex]:
    """Return the corners on the right-hand side of the way from the first point to the last."""
    side: list[Vertex] = []
    for x, y, index in vertices:
        while len(side) > 1 and not _turns_left(side[-2], side[-1], x, y):
            side.pop()
        side.append((x, y, index))
    return side


def _turns_left(one: Vertex, other: Vertex, x: int, y: int) -> bool:
    return (other[0] - one[0]) * (y - one[1]) > (other[1] - one[1]) * (x - one[0])
