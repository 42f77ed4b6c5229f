"""Plans passes from keyframes.

Outside the outermost keyframes one pass runs outwards; between two keyframes a pass runs from each side. A pass depends on
its own keyframe alone, so a new keyframe leaves what other passes already found untouched: it only shortens them and adds two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """One segment followed from the keyframe on slice `start` in `direction` (+1 or -1) to the slice `last`, which it includes."""

    start: int
    direction: int
    last: int


def plan(keyframes: Sequence[int], first: int, last: int) -> list[Pass]:
    """Return the passes over slices `first` to `last` (inclusive) for the slices of one segment's keyframes.

    Keyframes outside that range start no passes.
    """
    inside = sorted(index for index in keyframes if first <= index <= last)
    passes = []
    for before, index, after in zip([first - 1, *inside], inside, [*inside[1:], last + 1], strict=False):
        passes += [Pass(index, -1, before + 1), Pass(index, 1, after - 1)]
    return [each for each in passes if (each.last - each.start) * each.direction > 0]
