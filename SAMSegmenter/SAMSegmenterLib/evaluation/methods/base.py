"""The interface of methods: anything that makes a mask of what is marked on some slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np

from ...errors import InputError
from ...image.stack import FrameStack
from ...models.interfaces import Model
from ...network.options import Options
from ...prompts.types import Keyframe, PromptSet, Segment
from ...session.session import Session
from .everything import masks_on_slice

SLICES_KEPT = 3  # as many as an object is looked at on


class Unsuited(InputError):
    """A method has no use for prompts of this kind; the table leaves it out there, and does not count it as failed."""


class Method(Protocol):
    """A way from prompts to a mask.

    Attributes:
        name: as tables and the command line call it.
    """

    name: str

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return the mask of one object, bool ``(slices, rows, columns)`` along the stack's axis.

        Args:
            stack: the volume as slices, with the window that every method is given.
            keyframes: what is marked, at least one.
            reach: first and last slice that the mask may lie on, inclusive.

        Raises:
            Unsuited: the method has no use for such prompts.
        """
        ...


@runtime_checkable
class Chooser(Protocol):
    """A method that also offers masks on a single slice: first the one that a user would be given; none if it finds none."""

    def offer(self, stack: FrameStack, keyframe: Keyframe) -> list[np.ndarray]:
        """Return the masks, bool ``(rows, columns)``, that the prompts of a keyframe without a mask may mean."""
        ...

    def everything(self, stack: FrameStack, index: int) -> list[np.ndarray]:
        """Return the masks, bool ``(rows, columns)``, of whatever is on a slice."""
        ...


class Ours:
    """SAMSegmenter's own propagation, as the Segment Editor and the command line run it.

    Args:
        model: from `models.loading.load_model`.
        options: see `network.options.Options`.
        device: "auto", "cpu", "cuda" or "mps".
        name: as tables call it; to compare several models or options with each other.
    """

    def __init__(self, model: Model, options: Options | None = None, device: str = "auto", name: str = "samsegmenter") -> None:
        self.name = name
        self._model, self._options, self._device = model, options, device
        self._latest: Session | None = None
        self.everything = lru_cache(SLICES_KEPT)(self._everything)

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return a mask, see `Method.segment`. On the same `stack` object again only what has changed is computed."""
        session = self._session(stack, keyframes)
        for _ in session.propagate(slices=reach):
            pass
        return along_axis(session.segment_volume("object"), stack)

    def offer(self, stack: FrameStack, keyframe: Keyframe) -> list[np.ndarray]:
        """Return masks, see `Chooser.offer`: the one that a preview shows, then all that the network considered."""
        return self._session(stack, [keyframe]).candidates("object", keyframe.slice)

    def _everything(self, stack: FrameStack, index: int) -> list[np.ndarray]:
        # good or bad: an oracle chooses by itself, and the first is the best in any case
        found = masks_on_slice(self._model, stack, index, self._device, self._options, least_quality=0, least_stability=0)
        return [each.mask for each in found]

    def _session(self, stack: FrameStack, keyframes: Sequence[Keyframe]) -> Session:
        prompts = PromptSet((Segment("object", tuple(keyframes)),), stack.axis)
        if self._latest is None or self._latest.stack is not stack:
            self._latest = Session(stack, self._model, self._options, self._device)
        self._latest.prompts = prompts
        return self._latest


def along_axis(voxels: np.ndarray, stack: FrameStack) -> np.ndarray:
    """Return a copy of a ``(k, j, i)`` array as ``(slices, rows, columns)`` along the stack's axis."""
    return np.stack([stack.place(voxels, index) for index in range(len(stack))])
