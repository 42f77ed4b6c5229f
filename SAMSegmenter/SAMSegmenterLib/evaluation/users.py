"""Simulates users: what somebody who knows the reference would click, box or paint.

Points and boxes are placed as in COSMOS-1050K's modes S2 to S6 (arXiv 2304.14660). Masks are bool ``(rows, columns)``, volumes
``(slices, rows, columns)``; positions are slice pixels ``(x, y)``, columns and rows, voxel centres at integers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from ..image.extent import box_around, edges
from ..prompts.types import Box, Keyframe, MaskPrompt, Point

SEVERAL_AT = (0.15, 0.5, 0.85)
POINTS = 5

# ---------------------------------------------------------------- where to start


def middle_slice(mask: np.ndarray) -> int:
    """Return the middle one of the slices that the object ``(slices, rows, columns)`` is on."""
    slices = _present(mask)
    return int(slices[len(slices) // 2])


def edge_slice(mask: np.ndarray) -> int:
    """Return the first slice that the object ``(slices, rows, columns)`` is on."""
    return int(_present(mask)[0])


def largest_slice(mask: np.ndarray) -> int:
    """Return the slice with most of the object ``(slices, rows, columns)``."""
    return int(mask.sum((1, 2)).argmax())


def several_slices(mask: np.ndarray) -> list[int]:
    """Return the slices at 15, 50 and 85 % of those that the object ``(slices, rows, columns)`` is on; fewer if these are the same."""
    slices = _present(mask)
    return sorted({int(slices[round((len(slices) - 1) * part)]) for part in SEVERAL_AT})


STARTS: dict[str, Callable[[np.ndarray], list[int]]] = {
    "edge": lambda mask: [edge_slice(mask)],
    "centre": lambda mask: [middle_slice(mask)],
    "largest": lambda mask: [largest_slice(mask)],
    "several": several_slices,
}


def _present(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask.any((1, 2)))


# ---------------------------------------------------------------- what to mark


def first_positive(mask: np.ndarray, random: np.random.Generator) -> Point:
    """Return the pixel at the centre of mass of a mask ``(rows, columns)`` or, where that lies outside the object, any pixel of it."""
    inside = np.argwhere(mask)
    row, column = np.rint(inside.mean(0)).astype(int)
    if not mask[row, column]:
        row, column = inside[random.integers(len(inside))]
    return Point(float(column), float(row))


def positives(mask: np.ndarray, count: int, random: np.random.Generator) -> tuple[Point, ...]:
    """Return the first positive point and others at equal steps through a mask ``(rows, columns)``; fewer in a tiny object."""
    first, others = first_positive(mask, random), mask.copy()
    others[int(first.y), int(first.x)] = False
    return (first, *_spread(others, count - 1, True))


def negatives(mask: np.ndarray, count: int) -> tuple[Point, ...]:
    """Return points at equal steps through the pixels outside a mask ``(rows, columns)``, in its box made twice as wide and high."""
    near = np.zeros(mask.shape, bool)
    box = box_around(mask)
    assert box is not None  # an object to be marked is there
    near[tuple(_doubled(part) for part in box)] = True
    return _spread(near & ~mask, count, False)


def _doubled(inside: slice) -> slice:
    half = (inside.stop - inside.start) / 2
    return slice(max(int(np.floor(inside.start - half)), 0), int(np.ceil(inside.stop - 1 + half)) + 1)


def _spread(mask: np.ndarray, count: int, positive: bool) -> tuple[Point, ...]:
    """Return at most `count` pixels of a mask at equal steps, row by row, half a step from the first and last one."""
    inside = np.argwhere(mask)
    steps = sorted({int(step) for step in (np.arange(count) + 0.5) * len(inside) / count}) if len(inside) else []
    return tuple(Point(float(column), float(row), positive) for row, column in inside[steps])


def tight_box(mask: np.ndarray) -> Box:
    """Return the rectangle around a mask ``(rows, columns)``, edges included."""
    found = edges(mask)
    assert found is not None  # an object to be marked is there
    return Box(*found)


def shaken(box: Box, part: float, shape: tuple[int, int], random: np.random.Generator) -> Box:
    """Return a box drawn carelessly: each edge moved by at most the part `part`, below one half, of its side, and kept on the slice."""
    width, height = box.x1 - box.x0, box.y1 - box.y0
    left, top, right, bottom = random.uniform(-part, part, 4) * (width, height, width, height)
    x = np.clip([box.x0 + left, box.x1 + right], -0.5, shape[1] - 0.5)
    y = np.clip([box.y0 + top, box.y1 + bottom], -0.5, shape[0] - 0.5)
    return Box(float(x[0]), float(y[0]), float(x[1]), float(y[1]))


PROMPTS = ("mask", "box", "point", "points", "points+negatives", "box+point")


def keyframe(kind: str, index: int, mask: np.ndarray, random: np.random.Generator, jitter: float = 0.0) -> Keyframe:
    """Return what a user marks on slice `index`, where the object is `mask`.

    Args:
        kind: one of `PROMPTS`: the painted slice; a tight box; 1 point; 5 points; 5 points inside and 5 outside; a box and a point.
        mask: bool ``(rows, columns)``.
        random: for what a user does by chance.
        jitter: the part of its side by which the box is off at most, see `shaken`.
    """
    if kind == "mask":
        return Keyframe(index, mask=MaskPrompt(mask))
    box: Box | None = None
    points: tuple[Point, ...] = ()
    if "box" in kind:
        box = tight_box(mask) if not jitter else shaken(tight_box(mask), jitter, mask.shape, random)
    if "point" in kind:
        points = positives(mask, POINTS if "points" in kind else 1, random)
    if box:
        points = tuple(point for point in points if box.contains(point.x, point.y))
    if "negatives" in kind:
        points += negatives(mask, POINTS)
    return Keyframe(index, points=points, box=box)


# ---------------------------------------------------------------- how to correct


def worst_slice(found: np.ndarray, truth: np.ndarray) -> int:
    """Return the one with most wrong pixels of the slices that the object is on.

    Others are passed over: a slice without the object cannot be marked, and the user would end the range before it.

    Args:
        found, truth: bool ``(slices, rows, columns)``.
    """
    wrong = (found ^ truth).sum((1, 2))
    return int(np.where(truth.any((1, 2)), wrong, -1).argmax())


def corrective_point(found: np.ndarray, truth: np.ndarray) -> Point:
    """Return a click into the middle of the largest connected error on a slice: positive where the object was missed.

    The middle is the pixel farthest from what is right.

    Args:
        found, truth: bool ``(rows, columns)``, not the same.
    """
    components = sitk.ConnectedComponent(sitk.GetImageFromArray((found ^ truth).astype(np.uint8)))
    largest = sitk.GetArrayFromImage(sitk.RelabelComponent(components)) == 1
    inside = sitk.GetImageFromArray(np.pad(largest, 1).astype(np.uint8))
    depth = -sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(inside, squaredDistance=False))[1:-1, 1:-1]
    row, column = np.unravel_index(np.where(largest, depth, -1).argmax(), depth.shape)
    return Point(float(column), float(row), bool(truth[row, column]))


def corrected(before: Keyframe | None, index: int, found: np.ndarray, truth: np.ndarray, random: np.random.Generator) -> Keyframe:
    """Return the prompts of a slice with one more click, which replaces an earlier one on the same pixel.

    On a slice where nothing says yet where the object is, the click is the first positive one, whatever the error.

    Args:
        before: the prompts so far, if there are any.
        found, truth: bool ``(rows, columns)``, not the same.
    """
    old, click = before or Keyframe(index), corrective_point(found, truth)
    if not (click.positive or old.box or any(point.positive for point in old.points)):
        click = first_positive(truth, random)
    points = tuple(point for point in old.points if (point.x, point.y) != (click.x, click.y))
    box = old.box if old.box and (not click.positive or old.box.contains(click.x, click.y)) else None
    return Keyframe(index, points=(*points, click), box=box)
