"""One run from prompts to labels, with a record of how it went: what the command line does, without its words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .frames import FrameStack
from .models.loading import Model
from .models.protocols import Proposer, SliceModel
from .prompts import PromptSet, Segment, intensities_near
from .propagation.options import MODES
from .session import Session
from .slicewise import Embeddings, KeyframeMaker, proposed_keyframe, segment_each_slice
from .usage import peak_memory_mb
from .volume import Volume
from .window import Window, automatic_window

STATS_VERSION = 1
Progress = Callable[[int, int], None]


def windowed(volume: Volume, prompts: PromptSet, window: Window | None) -> FrameStack:
    """The slices that prompts lie on, in a window that suits what they point at, unless one is given."""
    stack = FrameStack(volume, prompts.axis, window)
    if window is None and not volume.is_rgb:
        stack = FrameStack(volume, prompts.axis, automatic_window(volume, intensities_near(prompts, stack)))
    return stack


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
) -> np.ndarray:
    """Segment slice by slice, without propagation; see `slicewise.segment_each_slice`.

    Returns:
        uint16 ``(k, j, i)``: 1, 2, ... in the order of the segments, a later one over an earlier one; whole up to where `cancel` was
        answered with True.
    """
    stack = windowed(volume, prompts, window)
    labels, total = np.zeros(volume.voxels.shape[:3], np.uint16), slices[1] - slices[0] + 1
    for number, found in segment_each_slice(prompts, Embeddings(model, stack), slices):
        stack.place(labels, found.slice)[found.mask] = number + 1
        progress(found.slice - slices[0] + 1, total)
        if cancel():
            break
    return labels


@dataclass
class Run:
    """A session that is run once.

    Attributes:
        session: with what was found.
        mode: "auto", "strict" or "fast".
        slices: on how many slices beside the keyframes segments were looked for, summed over the segments.
        cancelled: whether it was asked to stop.
        seconds: of stages outside the session.
    """

    session: Session
    mode: str
    slices: int = 0
    cancelled: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

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
        stack = windowed(volume, prompts, window)
        if keyframes_by:
            prompts = KeyframeMaker(Embeddings(keyframes_by, stack))(prompts)
        return cls(Session(stack, model, MODES[mode](), device, prompts), mode)

    def propagate(self, slices: tuple[int, int] | None, progress: Progress, cancel: Callable[[], bool]) -> None:
        """Run to the end, or until `cancel()` is true; `progress` is told the slices done and how many there may be."""
        start, seen = time.perf_counter(), set()
        progress(0, self.session.remaining(slices))
        for found in self.session.propagate(slices=slices, cancel=cancel):
            if found.source != "prompted":
                seen.add((found.segment, found.slice))  # a slice may come again, fused or taken back
            self.slices = len(seen)
            progress(self.slices, self.slices + self.session.remaining(slices))
        self.cancelled = cancel()
        self.seconds["propagate"] = time.perf_counter() - start

    def labels(self, overlap: bool) -> np.ndarray | list[np.ndarray]:
        """The labelmap; or with `overlap` a layer for each segment, with its label inside it."""
        if not overlap:
            return self.session.labelmap()
        names = [segment.name for segment in self.session.prompts.segments]
        return [self.session.segment_volume(name) * np.uint16(label) for label, name in enumerate(names, 1)]

    def stats(self) -> dict[str, Any]:
        """What the run used, how long it took, and how far it can be trusted; plain values for JSON."""
        session = self.session.stats()
        spent = self.seconds.get("propagate", 0)
        voxels = np.bincount(self.session.labelmap().reshape(-1), minlength=len(self.session.prompts.segments) + 1)
        return {
            "version": STATS_VERSION,
            "volume": self.session.stack.volume.name,
            "mode": self.mode,
            "cancelled": self.cancelled,
            "slices": self.slices,
            "slices_per_second": round(self.slices / spent, 2) if spent else 0.0,
            "peak_memory_mb": round(peak_memory_mb(), 1),
            **session,
            "seconds": {**{stage: round(seconds, 4) for stage, seconds in self.seconds.items()}, **session["seconds"]},
            "segments": [
                self._segment(label, segment.name, int(voxels[label])) for label, segment in enumerate(self.session.prompts.segments, 1)
            ],
        }

    def _segment(self, label: int, name: str, voxels: int) -> dict[str, Any]:
        voxel_ml = abs(np.linalg.det(self.session.stack.volume.ijk_to_ras[:3, :3])) / 1000
        passes = [
            {"start": report.start, "direction": report.direction, "reached": report.reached, "reason": report.reason}
            for report in self.session.reports()
            if report.segment == name
        ]
        return {
            "name": name,
            "label": label,
            "voxels": voxels,
            "volume_ml": round(voxels * voxel_ml, 3),
            "keyframes": [keyframe.slice for keyframe in self.session.prompts.segment(name).keyframes],
            "passes": passes,
            "trust": {str(index): round(value, 3) for index, value in self.session.trust(name).items()},
            "review": self.session.review(name),
        }
