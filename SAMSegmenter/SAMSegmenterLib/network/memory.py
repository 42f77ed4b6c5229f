"""The memory of a pass: what it remembers of the slices behind it, bounded whatever the number of slices."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Memory:
    """One slice as remembered, in bfloat16 even in float32 runs: upstream keeps it so, and equality with upstream needs it.

    Attributes:
        features: ``(1, c, grid, grid)``, which cover the view of the slice and move with it.
        tokens: ``(1, T, c)``, what later slices attend to: the pixels of `features`, or what a network makes of them.
        pointer: ``(1, C)`` object pointer, float32.
    """

    features: Tensor
    tokens: Tensor
    pointer: Tensor


@dataclass(frozen=True, eq=False)
class Recall:
    """The memories that one slice attends to.

    Attributes:
        spatial: ``(position, tokens)``; position 0 is a keyframe's, 1 the oldest slice's, memories - 1 the last one's.
        pointers: ``(distance in slices, pointer)``.
    """

    spatial: tuple[tuple[int, Tensor], ...]
    pointers: tuple[tuple[int, Tensor], ...]

    @property
    def structure(self) -> tuple:
        """Return a key of the recall's form; objects with equal keys can be tracked in one batch."""
        return tuple(position for position, _ in self.spatial), tuple(distance for distance, _ in self.pointers)


@dataclass(eq=False)
class MemoryBank:
    """The memories of one pass: that of its keyframe for good, those of the last slices as long as they are attended to.

    A pass has a bank of its own, so that what it finds depends on its keyframe alone, not on what ran before it.
    `recent` counts the last slices attended to beside the keyframe; fewer is faster but only approximately the same.

    Attributes:
        start: the keyframe's slice.
        memories: SAM 2's number of spatial memories, keyframe included (7).
        max_pointers: SAM 2's number of object pointers (16).
        recent: how many of the last slices are attended to, at most ``memories - 1``.
    """

    start: int
    keyframe: Memory
    memories: int
    max_pointers: int
    recent: int
    last: dict[int, Memory] = field(default_factory=dict)

    def add(self, index: int, memory: Memory) -> None:
        """Remember slice `index`, and forget the slices to which nothing will attend any more."""
        self.last[index] = memory
        horizon = max(self.max_pointers, self.memories)
        self.last = {n: kept for n, kept in self.last.items() if abs(index - n) < horizon}

    def recall(self, index: int, slices: int) -> Recall:
        """Return the memories to which slice `index` of `slices` attends, by upstream's rule for one keyframe."""
        step = 1 if index > self.start else -1
        spatial = [(0, self.keyframe.tokens)]
        for age in range(self.recent, 0, -1):
            memory = self.last.get(index - step * age)
            if memory is not None:
                spatial.append((self.memories - age, memory.tokens))
        pointers = [(abs(index - self.start), self.keyframe.pointer)]
        for age in range(1, min(slices, self.max_pointers)):
            memory = self.last.get(index - step * age)
            if memory is not None:
                pointers.append((age, memory.pointer))
        return Recall(tuple(spatial), tuple(pointers))
