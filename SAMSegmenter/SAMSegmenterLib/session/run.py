"""Runs a session once, from prompts to labels, and records how it went; the command line adds only its words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from ..image.layers import SegmentLayers
from ..image.neighbours import Neighbours
from ..image.stack import FrameStack
from ..image.volume import Volume
from ..image.window import Window
from ..keyframes.slice_models import Embeddings, KeyframeMaker, proposed_keyframe, segment_each_slice
from ..models.interfaces import Model, Proposer, SliceModel
from ..network.options import MODES
from ..prompts.focus import windowed
from ..prompts.types import PromptSet, Segment
from ..propagation.trust import review_order
from .countdown import Countdown
from .session import Session
from .usage import peak_memory_mb

STATS_VERSION = 1
MOST_REVIEWED = 5  # slices of a segment that are named for checking
ProgressCallback = Callable[[int, int], None]


def stack_for(prompts: PromptSet, volume: Volume, window: Window | None) -> FrameStack:
    """Return the stack that prompts lie on, in the given window, or else in one that suits the prompts."""
    stack = FrameStack(volume, prompts.axis, window)
    return stack if window else windowed(stack, prompts)


def proposed(volume: Volume, proposer: Proposer, slices: Iterable[int], name: str, window: Window | None) -> PromptSet:
    """Return what a model that needs no prompts finds on slices along k, as the painted keyframes of one segment.

    Raises:
        InputError, CheckpointError: see `slice_models.proposed_keyframe`.
    """
    stack = FrameStack(volume, window=window)
    keyframes = tuple(proposed_keyframe(index, stack, proposer) for index in sorted(set(slices)))
    return PromptSet((Segment(name, keyframes),), stack.axis)


def label_each_slice(
    volume: Volume,
    prompts: PromptSet,
    model: SliceModel,
    slices: tuple[int, int],
    window: Window | None,
    progress: ProgressCallback,
    cancel: Callable[[], bool],
) -> SegmentLayers:
    """Segment slice by slice, without propagation; see `slice_models.segment_each_slice`.

    Args:
        slices: first and last slice, inclusive.
        window: None for one that suits the prompts.
        progress: called with the slices done and their total.
        cancel: asked after each slice.

    Returns:
        One layer, a later segment over an earlier one, complete up to where `cancel` answered True.
    """
    stack = stack_for(prompts, volume, window)
    layers, total = SegmentLayers(stack, len(prompts.segments)), slices[1] - slices[0] + 1
    answers = segment_each_slice(prompts, Embeddings(model, stack), slices)
    for index, on_slice in groupby(answers, key=lambda answer: answer[1].slice):
        labels = np.zeros(stack.shape, np.uint16)
        for number, found in on_slice:
            labels[found.mask] = number + 1
            if cancel():
                break
        layers.add_labels(index, labels)
        progress(index - slices[0] + 1, total)
        if cancel():
            break
    return layers


@dataclass
class Run:
    """A session that is run once.

    Attributes:
        session: with what was found.
        mode: "auto", "strict" or "fast".
        slices: the number of slices beside the keyframes that were looked at, summed over the segments.
        cancelled: whether it was asked to stop.
        seconds: by stage, for stages outside the session.
        warnings: about the files, told before it began.
        layers: the segments, once `labels` has composed them.
        trusts: the trust of each segment's slices, from then on.
    """

    session: Session
    mode: str
    slices: int = 0
    cancelled: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    layers: SegmentLayers | None = None
    trusts: list[dict[int, float]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        volume: Volume,
        prompts: PromptSet,
        model: Model,
        mode: str,
        device: str,
        window: Window | None,
        keyframes_by: SliceModel | None = None,
        neighbours: Neighbours | None = None,
    ) -> Run:
        """Prepare a run.

        Args:
            window: None for one that suits the prompts.
            keyframes_by: makes masks of the prompts, for `model` to propagate; if not given, `model` makes them itself.
            neighbours: finished segments, whose voxels no other segment gets.
        """
        stack = stack_for(prompts, volume, window)
        if keyframes_by:
            prompts = KeyframeMaker(Embeddings(keyframes_by, stack))(prompts)
        return cls(Session(stack, model, MODES[mode](), device, prompts, neighbours), mode)

    def propagate(self, slices: tuple[int, int] | None, progress: ProgressCallback, cancel: Callable[[], bool]) -> None:
        """Run to the end, or until `cancel()` is true.

        Args:
            slices: first and last slice, inclusive; None for all.
            progress: called after each slice with the slices done and how many there may be.
            cancel: asked between slices.
        """
        start, seen, countdown = time.perf_counter(), set(), Countdown(partial(self.session.remaining, slices))
        for found in self.session.propagate(slices=slices, cancel=cancel):
            if found.source != "prompted":
                seen.add((found.segment, found.slice))  # a slice may come again, fused or taken back
            self.slices = len(seen)
            progress(self.slices, self.slices + countdown.left(self.slices))
        progress(self.slices, self.slices)
        self.cancelled = cancel()
        self.seconds["propagate"] = time.perf_counter() - start

    def labels(self, overlap: bool) -> SegmentLayers:
        """Compose what was found, once: in one layer, or with `overlap` in as many layers as overlapping segments need."""
        self.layers, self.trusts = self.session.layers(overlap)
        return self.layers

    def stats(self) -> dict[str, Any]:
        """Return what the run used, how long it took, and how far it can be trusted, as plain values for JSON."""
        if self.layers is None:
            self.labels(overlap=False)
        session = self.session.stats()
        spent = self.seconds.get("propagate", 0)
        return {
            "version": STATS_VERSION,
            "volume": self.session.stack.volume.name,
            "geometry": self.session.stack.volume.source.geometry,
            "mode": self.mode,
            "cancelled": self.cancelled,
            "slices": self.slices,
            "slices_per_second": round(self.slices / spent, 2) if spent else 0.0,
            "peak_memory_mb": round(peak_memory_mb(), 1),
            **session,
            "warnings": [*self.warnings, *session["warnings"]],
            "seconds": {**{stage: round(seconds, 4) for stage, seconds in self.seconds.items()}, **session["seconds"]},
            "segments": [self._segment(number, segment) for number, segment in enumerate(self.session.prompts.segments)],
        }

    def review(self, number: int) -> list[int]:
        """Return the slices of segment `number`, from 0, that are most worth checking, worst first."""
        return review_order(self.trusts[number], MOST_REVIEWED)

    def _segment(self, number: int, segment: Segment) -> dict[str, Any]:
        assert self.layers is not None  # `stats` has seen to it
        voxels = int(self.layers.voxels[number])
        voxel_ml = abs(np.linalg.det(self.session.stack.volume.ijk_to_ras[:3, :3])) / 1000
        passes = [
            {"start": report.start, "direction": report.direction, "reached": report.reached, "reason": report.reason}
            for report in self.session.reports([segment.name])
        ]
        return {
            "name": segment.name,
            "label": number + 1,
            "voxels": voxels,
            "volume_ml": float(f"{voxels * voxel_ml:.6g}"),
            "keyframes": list(segment.slices),
            "passes": passes,
            "trust": {str(index): round(value, 3) for index, value in self.trusts[number].items()},
            "review": self.review(number),
        }
