"""Prompts of a keyframe as networks take them: points with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image.neighbours import ALONE, Beside
from ..network.region import Extent
from ..prompts.types import Box, Keyframe, Line

SCRIBBLE_POINTS = 5
SHORT_AXIS = 0.75  # of the long one, for a lesion measured by its diameter


@dataclass(frozen=True, eq=False)
class Question:
    """Prompts as the network takes them.

    Attributes:
        xy: ``(n, 2)`` slice pixels.
        labels: ``(n,)`` 1 inside, 0 outside, 2 and 3 the corners of a box, which come first.
        prior: bool ``(rows, columns)``, the mask that the prompts correct, if there is one.
        taken: bool ``(rows, columns)``, the pixels that belong to other segments, if there are any.
    """

    xy: np.ndarray
    labels: np.ndarray
    prior: np.ndarray | None = None
    taken: np.ndarray | None = None

    @property
    def extent(self) -> Extent | None:
        """Return how far the object reaches, in slice pixels; None if the prompts do not tell.

        A box tells it, and so does a mask that is to be corrected; points alone do not.
        """
        if self.prior is not None:
            inside = self.xy[self.labels != 0]
            return Extent.of_points(np.concatenate([np.argwhere(self.prior)[:, ::-1], inside]))
        corners = self.xy[(self.labels == 2) | (self.labels == 3)]
        return Extent.of_points(corners) if len(corners) else None

    @property
    def is_box(self) -> bool:
        """Return whether a box is all that was marked."""
        return self.prior is None and self.labels.tolist() == [2, 3]


def question(keyframe: Keyframe, beside: Beside = ALONE) -> Question:
    """Return what to ask the network for a keyframe that has no painted mask, of an object that others lie `beside`."""
    box = keyframe.box or (ellipse_box(keyframe.line) if keyframe.line else None)
    places = [(p.x, p.y, int(p.positive)) for p in keyframe.points]
    if keyframe.line:
        places.append(((keyframe.line.x0 + keyframe.line.x1) / 2, (keyframe.line.y0 + keyframe.line.y1) / 2, 1))
    for scribble in keyframe.scribbles:
        places += [(x, y, int(scribble.positive)) for x, y in along(scribble.path, SCRIBBLE_POINTS)]
    corners = [(box.x0, box.y0, 2), (box.x1, box.y1, 3)] if box else []
    table = np.array(corners + places, float)
    prior = keyframe.prior.mask if keyframe.prior and keyframe.prior.mask.any() else None
    return Question(table[:, :2], table[:, 2].astype(np.int32), prior, beside.on(keyframe.slice))


def ellipse_box(line: Line) -> Box:
    """Return the bounding box, in slice pixels, of the ellipse whose long axis is `line`."""
    long, short = line.length / 2, SHORT_AXIS * line.length / 2
    along_x, along_y = (line.x1 - line.x0) / line.length, (line.y1 - line.y0) / line.length
    half_width, half_height = np.hypot(long * along_x, short * along_y), np.hypot(long * along_y, short * along_x)
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def along(path: tuple[tuple[float, float], ...], count: int) -> np.ndarray:
    """Return at most `count` positions ``(n, 2)`` at equal distances along a path, away from its ends; all in slice pixels."""
    xy = np.array(path, float)
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    if lengths[-1] == 0:
        return xy[:1]
    count = min(count, max(1, round(lengths[-1])))
    places = (np.arange(count) + 0.5) / count * lengths[-1]
    return np.stack([np.interp(places, lengths, xy[:, n]) for n in range(2)], 1)
