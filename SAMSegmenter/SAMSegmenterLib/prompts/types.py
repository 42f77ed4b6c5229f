"""Prompts: points, boxes, scribbles, lines and painted masks, by slice and segment.

All positions are slice pixels ``(x, y)`` as `image.stack.FrameStack` defines them: voxel indices, centres at integers.
`json_file` reads and writes prompts as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from operator import index

import numpy as np

from ..errors import InputError
from ..image.stack import FrameStack

MOST_MARKS = 500  # points and scribbles on a slice: a network's memory grows with their square


@dataclass(frozen=True)
class Point:
    """A click inside the segment or, if not `positive`, outside it."""

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """A rectangle around the segment, given by two opposite corners in any order."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        (x0, x1), (y0, y1) = sorted((self.x0, self.x1)), sorted((self.y0, self.y1))
        for name, value in zip(("x0", "y0", "x1", "y1"), (x0, y0, x1, y1), strict=True):
            object.__setattr__(self, name, value)
        if x1 - x0 < 1e-6 or y1 - y0 < 1e-6:
            raise InputError(f"box: it has no area (corners {x0:g}, {y0:g} and {x1:g}, {y1:g}). Drag from one corner to the opposite one.")

    def contains(self, x: float, y: float, slack: float = 1.0) -> bool:
        """Return whether a position lies inside the box, or at most `slack` pixels outside."""
        return self.x0 - slack <= x <= self.x1 + slack and self.y0 - slack <= y <= self.y1 + slack


@dataclass(frozen=True)
class Scribble:
    """A freehand stroke ``((x, y), ...)`` inside the segment or, if not `positive`, outside it."""

    path: tuple[tuple[float, float], ...]
    positive: bool = True

    def __post_init__(self) -> None:
        if not len(self.path):
            raise InputError("scribble: it has no positions. Draw it inside or outside the segment.")


@dataclass(frozen=True)
class Line:
    """A diameter across the segment from edge to edge, such as a RECIST measurement."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if self.length < 1e-6:
            raise InputError("line: both ends are at the same place. Draw it from one edge of the segment to the other.")

    @property
    def length(self) -> float:
        """Return the length in pixels."""
        return float(np.hypot(self.x1 - self.x0, self.y1 - self.y0))


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A painted slice, bool ``(rows, columns)``: the segment on this slice exactly as the user wants it."""

    mask: np.ndarray

    def __post_init__(self) -> None:
        mask = np.array(self.mask) != 0
        mask.setflags(write=False)
        object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskPrompt) and np.array_equal(self.mask, other.mask)


@dataclass(frozen=True)
class Keyframe:
    """The prompts for one segment on one slice.

    A painted `mask` is the answer on its slice and stands alone: other prompts beside it are kept but change nothing.
    A `prior` is no prompt by itself: it had been found on the slice, and the prompts beside it correct it.
    """

    slice: int
    points: tuple[Point, ...] = ()
    box: Box | None = None
    scribbles: tuple[Scribble, ...] = ()
    line: Line | None = None
    mask: MaskPrompt | None = None
    prior: MaskPrompt | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "slice", index(self.slice))  # numpy's integers would not go into JSON

    @property
    def is_empty(self) -> bool:
        """Return whether there are no prompts; a prior is none."""
        return not (self.points or self.scribbles or self.box or self.line or self.mask)

    def is_over(self, taken: np.ndarray | None) -> bool:
        """Return whether a click or stroke inside the segment, or its painted mask, meets `taken`, bool ``(rows, columns)``."""
        if taken is None:
            return False
        if self.mask:
            return bool((self.mask.mask & taken).any())
        inside = [(p.x, p.y) for p in self.points if p.positive] + [xy for s in self.scribbles if s.positive for xy in s.path]
        x, y = np.rint(np.array(inside, float).reshape(-1, 2)).astype(int).T
        return bool(taken[y.clip(0, taken.shape[0] - 1), x.clip(0, taken.shape[1] - 1)].any())

    def positions(self) -> np.ndarray:
        """Return every position that the prompts name, except those of masks: float ``(n, 2)`` slice pixels."""
        found = [(p.x, p.y) for p in self.points] + [xy for s in self.scribbles for xy in s.path]
        shapes: tuple[Box | Line | None, ...] = (self.box, self.line)
        for shape in (each for each in shapes if each):
            found += [(shape.x0, shape.y0), (shape.x1, shape.y1)]
        return np.array(found, float).reshape(-1, 2)


@dataclass(frozen=True)
class Segment:
    """A named structure and its keyframes: at most one on a slice, in the order of the slices.

    If a host's names say nothing to its users, as Slicer's segment IDs do not, it also gives a `title`, which messages use.
    """

    name: str
    keyframes: tuple[Keyframe, ...] = ()
    color: tuple[float, float, float] | None = None
    title: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)
        object.__setattr__(self, "keyframes", tuple(sorted(self.keyframes, key=lambda keyframe: keyframe.slice)))
        twice = next((one for one, other in pairwise(self.slices) if one == other), None)
        if twice is not None:
            raise InputError(f"segment {self.title!r}: slice {twice} has two keyframes; put all its prompts into one.")

    @cached_property
    def slices(self) -> tuple[int, ...]:
        """Return the indices of the slices with keyframes, in ascending order."""
        return tuple(keyframe.slice for keyframe in self.keyframes)

    @cached_property
    def _by_slice(self) -> dict[int, Keyframe]:
        """Return the keyframes by slice index."""
        return dict(zip(self.slices, self.keyframes, strict=True))

    def keyframe(self, index: int) -> Keyframe | None:
        """Return the keyframe on slice `index`; None if there is none."""
        return self._by_slice.get(index)

    def with_keyframe(self, keyframe: Keyframe) -> Segment:
        """Return this segment with `keyframe` in place of the one on its slice; an empty keyframe only removes that."""
        kept = [other for other in self.keyframes if other.slice != keyframe.slice]
        return replace(self, keyframes=(*kept, *(() if keyframe.is_empty else (keyframe,))))


@dataclass(frozen=True)
class PromptSet:
    """All that the user marked: segments with their keyframes along one axis of the volume."""

    segments: tuple[Segment, ...] = ()
    axis: str = "k"

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.segments):
            raise InputError("segments: two of them have the same name; names must be different.")

    @cached_property
    def _by_name(self) -> dict[str, Segment]:
        """Return the segments by name."""
        return {segment.name: segment for segment in self.segments}

    def segment(self, name: str) -> Segment:
        """Return the segment called `name`.

        Raises:
            InputError: there is none; the message names those that there are.
        """
        if name not in self._by_name:
            raise InputError(f"there is no segment {name!r}; there are: {', '.join(s.title for s in self.segments) or 'none'}.")
        return self._by_name[name]

    def with_segment(self, segment: Segment) -> PromptSet:
        """Return this set with `segment` in place of the one of the same name, or added at the end."""
        names = [other.name for other in self.segments]
        if segment.name not in names:
            return replace(self, segments=(*self.segments, segment))
        return replace(self, segments=tuple(segment if other.name == segment.name else other for other in self.segments))

    def without_segment(self, name: str) -> PromptSet:
        """Return this set without the segment called `name`.

        Raises:
            InputError: there is none.
        """
        gone = self.segment(name)
        return replace(self, segments=tuple(segment for segment in self.segments if segment is not gone))

    def check(self, stack: FrameStack) -> None:
        """Raise `InputError` unless every prompt can be used on `stack`.

        Refused: no segments, a segment or keyframe without prompts, a slice that does not exist, positions
        outside the slice, contradictory prompts, masks that are empty or of the wrong shape.
        """
        if not self.segments:
            raise InputError("there are no segments; add one and mark it on a slice.")
        for segment in self.segments:
            if not segment.keyframes:
                raise InputError(f"segment {segment.title!r} has no prompts; mark it on a slice.")
            for keyframe in segment.keyframes:
                try:
                    check_keyframe(keyframe, stack)
                except InputError as error:
                    raise InputError(f"segment {segment.title!r}, {stack.unit} {keyframe.slice}: {error}") from None


def check_keyframe(keyframe: Keyframe, stack: FrameStack) -> None:
    """Raise `InputError` unless the prompts of one keyframe fit `stack` and each other."""
    stack.check_slice(keyframe.slice)
    if keyframe.is_empty:
        raise InputError("the keyframe has no prompts; give a point, a box, a scribble, a line or a mask.")
    marks = len(keyframe.points) + len(keyframe.scribbles)
    if marks > MOST_MARKS:
        raise InputError(f"there are {marks} points and scribbles; a network takes {MOST_MARKS} at most. Paint a mask instead.")
    _check_inside(keyframe, stack)
    for painted in filter(None, (keyframe.mask, keyframe.prior)):
        if painted.mask.shape != stack.shape:
            raise InputError(f"the mask has {painted.mask.shape} rows and columns, the slice has {stack.shape}.")
    if keyframe.mask is not None:
        if not keyframe.mask.mask.any():
            raise InputError("the mask is empty on this slice; paint it, or choose the slice and value where it is.")
        return
    _check_agreement(keyframe)


def _check_inside(keyframe: Keyframe, stack: FrameStack) -> None:
    rows, columns = stack.shape
    positions = keyframe.positions()
    outside = ~((positions >= -0.5) & (positions <= [columns - 0.5, rows - 0.5])).all(1)
    for x, y in positions[outside][:1]:
        raise InputError(f"the prompt at ({x:g}, {y:g}) lies outside the slice, which has x 0 to {columns - 1} and y 0 to {rows - 1}.")


def contradiction(keyframe: Keyframe) -> str:
    """Return in words how the prompts of a keyframe contradict each other; empty if they do not."""
    if keyframe.mask is not None:
        return ""
    signs: dict[tuple[int, int], bool] = {}
    strokes = [(p.x, p.y, p.positive) for p in keyframe.points]
    strokes += [(x, y, s.positive) for s in keyframe.scribbles for x, y in s.path]
    for x, y, positive in strokes:
        pixel = (round(x), round(y))
        if signs.setdefault(pixel, positive) != positive:
            return f"pixel {pixel} is marked as inside and as outside."
        if positive and keyframe.box and not keyframe.box.contains(x, y):
            return f"the positive point ({x:g}, {y:g}) lies outside the box."
    return ""


def _check_agreement(keyframe: Keyframe) -> None:
    wrong = contradiction(keyframe)
    if wrong:
        raise InputError(f"the prompts contradict each other: {wrong}")
    corrects = keyframe.prior is not None and keyframe.prior.mask.any()
    strokes: tuple[Point | Scribble, ...] = (*keyframe.points, *keyframe.scribbles)
    inside = [each for each in strokes if each.positive]
    if not (keyframe.box or keyframe.line or corrects or inside):
        raise InputError("there are only negative points; mark at least one place inside the segment.")
