"""A network for tests that finds by brightness, in no time, so that what surrounds it can be tested."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.neighbours import Neighbours
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.prompts.types import Keyframe, PromptSet
from SAMSegmenterLib.session.composition import PassReport, SliceMask
from SAMSegmenterLib.session.summary import REVIEWED, Summary
from support.effect_steps import BALL, PATIENCE_S


@dataclass
class QuickNetwork:
    """What tests say about `QuickSession`, and hear of it.

    Attributes:
        opened: the stacks that sessions were opened on.
        found: segment and slice of every mask that was computed.
        error: raised by the next request, once.
    """

    opened: list[FrameStack] = field(default_factory=list)
    found: list[tuple[str, int]] = field(default_factory=list)
    error: BaseException | None = None
    _left: int | None = None
    _paused: threading.Event = field(default_factory=threading.Event)
    _go_on: threading.Event = field(default_factory=threading.Event)

    def pause_after(self, slices: int) -> None:
        """Have the next run wait when it has found so many slices, until `go_on`."""
        self._left = slices
        self._paused.clear()
        self._go_on.clear()

    def go_on(self) -> None:
        self._left = None
        self._go_on.set()

    @property
    def is_paused(self) -> bool:
        return self._paused.is_set()

    def compute(self, segment: str, index: int) -> None:
        """Called on the worker's thread for each mask."""
        if self.error:
            error, self.error = self.error, None
            raise error
        self.found.append((segment, index))
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._paused.set()
                assert self._go_on.wait(PATIENCE_S)


class QuickSession:
    """Finds what is as bright as the place that is marked, within its keyframes' range: a `Session` for tests, without torch."""

    TOLERANCE = 60

    def __init__(self, stack: FrameStack, network: QuickNetwork) -> None:
        self.stack, self.network = stack, network
        self.prompts = PromptSet(axis=stack.axis)
        self.neighbours: Neighbours | None = None
        self._known: dict[str, dict[int, SliceMask]] = {}
        network.opened.append(stack)

    def preview(self, segment: str, index: int) -> SliceMask:
        self.network.compute(segment, index)
        return self._find(segment, index, "prompted")

    def prepare(self, segment: str, index: int) -> Iterator[int]:
        return iter(())

    def propagate(self, segments: list[str] | None, slices: tuple[int, int] | None, cancel: Callable[[], bool]) -> Iterator[SliceMask]:
        first, last = slices or (0, len(self.stack) - 1)
        for name in segments or [each.name for each in self.prompts.segments]:
            marked = [each.slice for each in self.prompts.segment(name).keyframes]
            if not any(first <= index <= last for index in marked):
                raise InputError(f"segment {self.prompts.segment(name).title} is not marked between {first} and {last}.")
            for index in sorted(range(first, last + 1), key=lambda n: min(abs(n - each) for each in marked)):
                if cancel():
                    return
                self.network.compute(name, index)
                yield self._find(name, index, "prompted" if index in marked else "both")

    def remaining(self, slices: tuple[int, int] | None = None) -> int:
        first, last = slices or (0, len(self.stack) - 1)
        return max(0, last - first + 1 - max((len(each) for each in self._known.values()), default=0))

    def slice_mask(self, segment: str, index: int) -> SliceMask:
        return self._of(segment)[index]

    def summary(self, segments: list[str] | None = None) -> Summary:
        named = [each.name for each in self.prompts.segments] if segments is None else segments
        found = {name: self._of(name) for name in named}
        trust = {name: {index: each.trust for index, each in masks.items() if each.mask.any()} for name, masks in found.items()}
        review = {name: sorted(trusted.items(), key=lambda item: item[1])[:REVIEWED] for name, trusted in trust.items()}
        passes = [PassReport(each.name, each.keyframes[0].slice, 1, len(self.stack) - 1, "end") for each in self.prompts.segments]
        return Summary({name: sorted(masks) for name, masks in found.items()}, review, passes, "a processor", [])

    def _of(self, segment: str) -> dict[int, SliceMask]:
        return self._known.setdefault(segment, {})

    def _find(self, segment: str, index: int, source: str) -> SliceMask:
        keyframes = self.prompts.segment(segment).keyframes
        mask = np.abs(self.stack.intensities(index).astype(float) - self._level(keyframes)) < self.TOLERANCE
        keyframe = self.prompts.segment(segment).keyframe(index)
        if keyframe and keyframe.mask:
            mask = keyframe.mask.mask
        for point in keyframe.points if keyframe else ():
            mask = _with_point(mask, point)
        taken = self.neighbours.of(segment).on(index) if self.neighbours else None
        mask = mask if taken is None else mask & ~taken
        found = self._of(segment)[index] = SliceMask(segment, index, mask, 1 - index / (2 * len(self.stack)), source)
        return found

    def _level(self, keyframes: tuple[Keyframe, ...]) -> float:
        """The brightness at the first place that is marked as inside."""
        for keyframe in keyframes:
            values = self.stack.intensities(keyframe.slice)
            for x, y in _inside(keyframe):
                row, column = (int(np.clip(np.rint(at), 0, size - 1)) for at, size in ((y, values.shape[0]), (x, values.shape[1])))
                return float(values[row, column])
        return BALL


def _inside(keyframe: Keyframe) -> Iterator[tuple[float, float]]:
    yield from ((point.x, point.y) for point in keyframe.points if point.positive)
    if keyframe.box:
        yield (keyframe.box.x0 + keyframe.box.x1) / 2, (keyframe.box.y0 + keyframe.box.y1) / 2
    if keyframe.line:
        yield (keyframe.line.x0 + keyframe.line.x1) / 2, (keyframe.line.y0 + keyframe.line.y1) / 2
    for scribble in keyframe.scribbles:
        if scribble.positive:
            yield scribble.path[len(scribble.path) // 2]
    if keyframe.mask and keyframe.mask.mask.any():
        rows, columns = np.nonzero(keyframe.mask.mask)
        yield columns.mean(), rows.mean()


def _with_point(mask: np.ndarray, point: Any) -> np.ndarray:
    """With the pixel of a point, and its neighbours, inside or outside as it says."""
    changed, x, y = mask.copy(), round(point.x), round(point.y)
    changed[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = point.positive
    return changed
