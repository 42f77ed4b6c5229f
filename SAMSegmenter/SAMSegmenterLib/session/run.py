"""One run from prompts to labels, with a record of how it went: what the command line does, without its words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from ..image.layers import SegmentLayers
from ..image.stack import FrameStack
from ..image.volume import Volume
from ..image.window import Window
from ..keyframes.slice_models import Embeddings, KeyframeMaker, proposed_keyframe, segment_each_slice
from ..models.interfaces import Model, Proposer, SliceModel
from ..network.options import MODES
from ..prompts.focus import windowed
from ..prompts.types import PromptSet, Segment
from ..propagation.trust import review_order
from .session import Session
from .usage import peak_memory_mb

STATS_VERSION = 1
MOST_REVIEWED = 5  # slices of a segment that are named as worth a look
Progress = Callable[[int, int], None]


def stack_for(prompts: PromptSet, volume: Volume, window: Window | None) -> FrameStack:
    """Return the slices that prompts lie on, in the window that suits what they point at, unless one is given."""
    stack = FrameStack(volume, prompts.axis, window)
    return stack if window else windowed(stack, prompts)


def proposed(volume: Volume, proposer: Proposer, slices: Iterable[int], name: str, window: Window | None) -> PromptSet:
    """What a promptless model finds on slices along k, as the painted keyframes of one segment; see `slicewise.proposed_keyframe`."""
    stack = FrameStack(volume, window=window)
    keyframes = tuple(proposed_keyframe(index, stack, proposer) for index in sorted(set(slices)))
    return PromptSet((Segment(name, keyframes),), stack.axis)


def label_each_slice(
    volume: Volume,
    prompts: PromptSet,
    model: SliceModel,
    slices: tuple[int, int],
    window: Window | None,
    progress: Progress,
    cancel: Callable[[], bool],
) -> SegmentLayers:
    """Segment slice by slice, without propagation; see `slicewise.segment_each_slice`.

    Returns:
        One layer, a later segment over an earlier one; whole up to where `cancel` was answered with True.
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
        slices: on how many slices beside the keyframes segments were looked for, summed over the segments.
        cancelled: whether it was asked to stop.
        seconds: of stages outside the session.
        warnings: what the user was told before it began, of the files.
        layers: what was found, once `labels` has composed it.
        trusts: of each segment's slices, by then.
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
    ) -> Run:
        """Prepare a run; the window suits what the prompts point at, unless one is given.

        `keyframes_by` makes masks of the prompts for `model` to carry on; `model` does so itself if it is not given.
        """
        stack = stack_for(prompts, volume, window)
        if keyframes_by:
            prompts = KeyframeMaker(Embeddings(keyframes_by, stack))(prompts)
        return cls(Session(stack, model, MODES[mode](), device, prompts), mode)

    def propagate(self, slices: tuple[int, int] | None, progress: Progress, cancel: Callable[[], bool]) -> None:
        """Run to the end, or until `cancel()` is true; `progress` is told now and then the slices done and how many there may be."""
        start, seen, due = time.perf_counter(), set(), 0.0
        for found in self.session.propagate(slices=slices, cancel=cancel):
            if found.source != "prompted":
                seen.add((found.segment, found.slice))  # a slice may come again, fused or taken back
            self.slices = len(seen)
            if (now := time.perf_counter()) >= due:
                progress(self.slices, self.slices + self.session.remaining(slices))
                due = now + 20 * (time.perf_counter() - now)  # of thousands of segments, counting what remains takes its time
        progress(self.slices, self.slices)
        self.cancelled = cancel()
        self.seconds["propagate"] = time.perf_counter() - start

    def labels(self, overlap: bool) -> SegmentLayers:
        """Compose what was found, once: one layer, or with `overlap` as many as segments lie in that overlap."""
        self.layers, self.trusts = self.session.layers(overlap)
        return self.layers

    def stats(self) -> dict[str, Any]:
        """What the run used, how long it took, and how far it can be trusted; plain values for JSON."""
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
        """Return the slices of a segment, numbered from 0, that are most worth checking, worst first."""
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
