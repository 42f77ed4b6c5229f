"""A keyframe as the network understood it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evidence.appearance import Appearance
from ..image.neighbours import ALONE, Beside
from ..network.memory import Memory
from ..network.network import Decoded
from ..network.slice_result import SliceResult


@dataclass(frozen=True, eq=False)
class Seed:
    """The start of passes: the mask that the prompts of a slice gave, and a memory of it.

    Attributes:
        result: the mask on the keyframe's slice, in the view that was chosen for it.
        mask: bool ``(rows, columns)``.
        appearance: how the object looks there, to notice when it changes.
        decoded: the mask as the network gave it; None if it comes from a file.
        memory: what passes remember of it; None if it comes from a file.
        beside: what the object cannot have, on any slice.
    """

    result: SliceResult
    mask: np.ndarray
    appearance: Appearance
    decoded: Decoded | None = None
    memory: Memory | None = None
    beside: Beside = ALONE

    @property
    def slice(self) -> int:
        """Return the index of the keyframe's slice."""
        return self.result.slice

    @cached_property
    def pixels(self) -> int:
        """Return the number of pixels in the mask."""
        return int(np.count_nonzero(self.mask))
