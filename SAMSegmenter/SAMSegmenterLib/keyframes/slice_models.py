"""Asks models that see one slice at a time: their masks become keyframes, or every slice is asked the same question.

A keyframe made here is a painted mask, so that whichever model propagates takes it as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import CheckpointError, InputError, memory_for
from ..image.stack import FrameStack
from ..models.interfaces import Embedding, Proposer, SliceMasks, SliceModel
from ..network.runner import DAMAGED, not_finite
from ..prompts.types import Keyframe, MaskPrompt, PromptSet, check_keyframe
from .question import question

CACHE_BYTES = 256 * 2**20
RECENT = 8  # keyframes kept beside those in use, for when a click is undone
KINDS = ("point", "box", "mask")
SINGLE_SLICES = "the model that sees single slices"
NEEDS_LESS = "Close other programs, choose a smaller model, or the CPU if it ran on a GPU."


@dataclass(frozen=True, eq=False)
class BestMask:
    """The mask that a slice model ranks first on a slice.

    Attributes:
        slice: the slice's index.
        mask: bool ``(rows, columns)``; empty where the model finds nothing.
        quality: the intersection over union that the model expects of it.
    """

    slice: int
    mask: np.ndarray
    quality: float


class Embeddings:
    """The embeddings of a stack's slices, each computed once.

    Args:
        model: any slice model.
        stack: the slices.
        limit: bytes of embeddings kept; those used least recently are dropped.
    """

    def __init__(self, model: SliceModel, stack: FrameStack, limit: int = CACHE_BYTES) -> None:
        self.model, self.stack, self.limit = model, stack, limit
        self._kept: OrderedDict[int, Embedding] = OrderedDict()

    def of(self, index: int) -> Embedding:
        """Return the embedding of a slice; it is computed unless it is kept.

        Raises:
            OutOfMemory: there is too little memory for it.
        """
        if index not in self._kept:
            self._kept[index] = self._embed(index)
        self._kept.move_to_end(index)
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > self.limit:
            self._kept.popitem(last=False)
        return self._kept[index]

    def _embed(self, index: int) -> Embedding:
        with memory_for(SINGLE_SLICES, NEEDS_LESS):
            return self.model.embed(self.stack.frame(index))


@dataclass(frozen=True, eq=False)
class _Made:
    """A keyframe as the user marked it, what was made of it, and the logits ``(h, w)`` that it was made from."""

    asked: Keyframe
    keyframe: Keyframe
    low: np.ndarray


class KeyframeMaker:
    """Turns prompts into keyframes with masks by asking a slice model, once for each keyframe.

    Clicks and strokes that are added to a keyframe correct its mask, as in the loop of clicks that such models are trained with.
    After any other change the model starts anew.

    Args:
        embeddings: of the model and the stack that the prompts lie on.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._known: list[_Made] = []

    def __call__(self, prompts: PromptSet) -> PromptSet:
        """Return `prompts` with a mask on every prompted slice.

        Raises:
            InputError: the prompts do not fit the slice or the model, or the model finds nothing.
        """
        segments = [replace(segment, keyframes=tuple(map(self._keyframe, segment.keyframes))) for segment in prompts.segments]
        marked = [keyframe for segment in prompts.segments for keyframe in segment.keyframes]
        recent = self._known[-RECENT:]
        self._known = [each for each in self._known if each in recent or each.asked in marked]
        return replace(prompts, segments=tuple(segments))

    def _keyframe(self, asked: Keyframe) -> Keyframe:
        if asked.mask:
            return asked
        known = next((each for each in self._known if each.asked == asked), None)
        if known is None:
            before = [each for each in self._known if _adds_to(asked, each.asked)]
            latest = max(before, key=lambda each: len(each.asked.points + each.asked.scribbles), default=None)
            answer = ask(asked, self._embeddings, latest.low if latest else None)
            known = _Made(asked, _painted(asked, answer), answer.low[answer.best].copy())
            self._known.append(known)
        return known.keyframe


def _adds_to(keyframe: Keyframe, before: Keyframe) -> bool:
    """Return whether `keyframe` is `before` with points or strokes added."""
    points, scribbles = keyframe.points[: len(before.points)], keyframe.scribbles[: len(before.scribbles)]
    return replace(keyframe, points=points, scribbles=scribbles) == before


def _painted(keyframe: Keyframe, answer: SliceMasks) -> Keyframe:
    found = _best(keyframe.slice, answer)
    if not found.mask.any():
        raise InputError(f"the model finds nothing on slice {keyframe.slice} for these prompts; mark it more clearly.")
    return replace(keyframe, mask=MaskPrompt(found.mask), prior=None)


def segment_each_slice(prompts: PromptSet, embeddings: Embeddings, slices: tuple[int, int] | None = None) -> Iterator[tuple[int, BestMask]]:
    """Segment slice by slice, without propagation: each slice is asked what the segment's nearest keyframe asks.

    Args:
        slices: first and last slice, inclusive; all if not given.

    Yields:
        The segment's number, from 0, and its mask on the next slice.

    Raises:
        InputError: a prompt is a painted mask, which belongs to one slice, or there are no such slices, before any is looked at; or the
            prompts do not fit the model.
    """
    for keyframe in (each for segment in prompts.segments for each in segment.keyframes):
        _check_repeatable(keyframe)
    first, last = embeddings.stack.range_of(slices)
    for index in range(first, last + 1):  # slice by slice, so that segments share its embedding
        for number, segment in enumerate(prompts.segments):
            nearest = min(segment.keyframes, key=lambda keyframe: abs(keyframe.slice - index))
            yield number, _best(index, ask(replace(nearest, slice=index), embeddings))


def _check_repeatable(keyframe: Keyframe) -> None:
    if keyframe.mask or keyframe.prior:
        raise InputError("a mask belongs to its own slice; give a box or points to be used on every slice.")


def ask(keyframe: Keyframe, embeddings: Embeddings, previous: np.ndarray | None = None) -> SliceMasks:
    """Return the masks that a slice model offers for a keyframe's prompts.

    Prompts of a kind that the model was not trained with are left out, as long as others remain.

    Args:
        previous: logits ``(h, w)`` of its last answer, one of `SliceMasks.low`, for prompts that correct it; they stand in for the
            keyframe's prior, which that answer knew.

    Raises:
        InputError: the prompts do not fit the slice or the model.
        CheckpointError: the answer is NaN or infinite.
    """
    check_keyframe(keyframe, embeddings.stack)
    model, asked = embeddings.model, question(keyframe)
    corners = (asked.labels == 2) | (asked.labels == 3)
    prior = asked.prior if asked.prior is None else model.mask_logits(asked.prior)
    given = {
        "point": asked.xy[~corners] if (~corners).any() else None,
        "box": asked.xy[corners].reshape(4) if corners.any() else None,
        "mask": prior if previous is None else previous,
    }
    usable = {kind for kind in KINDS if given[kind] is not None and kind in model.prompts}
    points, box, mask = (given[kind] if kind in usable or not usable else None for kind in KINDS)
    with memory_for(SINGLE_SLICES, NEEDS_LESS):
        answer = model.masks(embeddings.of(keyframe.slice), points, asked.labels[~corners], box, mask)
    _check_finite(model, keyframe.slice, answer.low, answer.qualities)
    return answer


def proposed_keyframe(index: int, stack: FrameStack, proposer: Proposer) -> Keyframe:
    """Return what a model that needs no prompts finds on slice `index`, as a painted keyframe.

    Raises:
        InputError: it finds nothing there, or there is no such slice.
        CheckpointError: its answer is NaN or infinite.
    """
    with memory_for(SINGLE_SLICES, NEEDS_LESS):
        logits = proposer.propose(stack.frame(index))
    _check_finite(proposer, index, logits)
    mask = logits > 0
    if not mask.any():
        raise InputError(f"the model finds nothing on slice {index}; try another slice, or mark it yourself.")
    return Keyframe(index, mask=MaskPrompt(mask))


def _check_finite(model: SliceModel | Proposer, index: int, *answers: np.ndarray) -> None:
    if not all(np.isfinite(each).all() for each in answers):
        raise CheckpointError(not_finite(model.title, index, DAMAGED))


def _best(index: int, answer: SliceMasks) -> BestMask:
    return BestMask(index, answer.logits[answer.best] > 0, float(answer.qualities[answer.best]))
