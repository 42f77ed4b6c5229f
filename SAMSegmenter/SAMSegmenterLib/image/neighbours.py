"""Voxels that belong to other segments, and so not to the one that is looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .stack import FrameStack


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Finished segments, beside which others are looked for.

    Attributes:
        stack: the slices that they are seen on.
        layers: labels ``(k, j, i)`` on the volume's grid, integers or bool; more than one where segments overlap.
        own: by segment, its label in each layer; what is already there of a segment is not beside it.

    Raises:
        InputError: a layer has another shape than the volume.
    """

    stack: FrameStack
    layers: Sequence[np.ndarray]
    own: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = self.stack.volume.voxels.shape[:3]
        for layer in self.layers:
            if layer.shape != expected:
                raise InputError(f"neighbours: expected labels of the volume's shape {expected}, got {layer.shape}.")

    def of(self, segment: str) -> Beside:
        """Return what lies beside a segment."""
        return Beside(self, tuple(self.own.get(segment, ())))


@dataclass(frozen=True, eq=False)
class Beside:
    """The voxels that one segment cannot have.

    Attributes:
        neighbours: all that is there; None if nothing is.
        own: the segment's label in each layer.
        obeyed: slices on which the user has marked the segment over a neighbour; nothing lies beside it there.
    """

    neighbours: Neighbours | None = None
    own: tuple[int, ...] = ()
    obeyed: frozenset[int] = frozenset()

    def on(self, index: int) -> np.ndarray | None:
        """Return the voxels on a slice that the segment cannot have, bool ``(rows, columns)``; None if there are none."""
        if self.neighbours is None or index in self.obeyed:
            return None
        stack, layers = self.neighbours.stack, self.neighbours.layers
        taken = np.zeros(stack.shape, bool)
        for number, layer in enumerate(layers):
            labels, own = stack.place(layer, index), self.own[number] if number < len(self.own) else 0
            taken |= (labels != 0) & (labels != own)
        return taken if taken.any() else None


ALONE = Beside()
