"""One interactive segmentation: prompts in, masks out, nothing lost.

A session holds the prompts of all segments and, per pass, what was found on each slice. Masks are made from these when they
are asked for, so that a correction changes exactly the slices it can change and whatever was finished stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .frames import FrameStack
from .models.loading import Model
from .prompts import Keyframe, PromptSet, Segment, check_keyframe
from .propagation.background import BackgroundEncoder
from .propagation.device import pick_device
from .propagation.engine import Engine
from .propagation.fusion import dice, fuse
from .propagation.options import Options
from .propagation.plan import Pass, plan
from .propagation.quality import review_order
from .propagation.track import Seed, Track

PAINTED = 1e6  # logit of a voxel that the user painted: no network outvotes it


@dataclass(frozen=True, eq=False)
class SliceMask:
    """One segment on one slice.

    Attributes:
        segment: its name.
        slice: the slice's index along the session's axis.
        mask: bool ``(rows, columns)``.
        trust: 0..1, how likely the mask needs no correction; 1 on a painted slice.
        source: "prompted", "forward" (from a keyframe on a lower slice), "backward", or "both".
    """

    segment: str
    slice: int
    mask: np.ndarray
    trust: float
    source: str


@dataclass(frozen=True)
class PassReport:
    """How one pass went: from which keyframe, in which direction (+1 or -1), how far, and why it ended there."""

    segment: str
    start: int
    direction: int
    reached: int
    reason: str


class Session:
    """Segments a volume from prompts on some of its slices.

    Args:
        stack: the volume as slices along one axis, with its window.
        model: from `models.loading.load_model`.
        options: see `propagation.options.Options`.
        device: "auto", "cpu", "cuda" or "mps".
        prompts: to start with.
        background: encode the slices around the last preview while the user thinks; for interactive hosts.

    A session is used from one thread. Only `cancel`, given to `propagate`, may be answered by another.
    """

    def __init__(
        self,
        stack: FrameStack,
        model: Model,
        options: Options | None = None,
        device: str = "auto",
        prompts: PromptSet | None = None,
        background: bool = False,
    ) -> None:
        self.stack, self.model = stack, model
        self.options = options or Options()
        self.engine = Engine(model, stack, self.options, pick_device(device))
        self._prompts = prompts or PromptSet(axis=stack.axis)
        self._undone: list[PromptSet] = []
        self._done: list[PromptSet] = []
        self._seeds: dict[tuple[str, int], tuple[Keyframe, Seed]] = {}
        self._tracks: dict[tuple[str, int, int], Track] = {}
        self._background = BackgroundEncoder(self.engine.runner) if background else None

    # ------------------------------------------------------------------ prompts

    @property
    def prompts(self) -> PromptSet:
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: PromptSet) -> None:
        """Replace all prompts; one step of undo."""
        if prompts.axis != self.stack.axis:
            raise InputError(f"prompts are along axis {prompts.axis}, the session along {self.stack.axis}.")
        self._done.append(self._prompts)
        self._undone.clear()
        self._prompts = prompts

    def set_keyframe(self, segment: str, keyframe: Keyframe) -> None:
        """Replace the prompts of one segment on one slice; an empty keyframe removes them. New names add a segment.

        Raises:
            InputError: the prompts do not fit the slice or each other; nothing is changed.
        """
        if not keyframe.is_empty:
            check_keyframe(keyframe, self.stack)
        known = next((each for each in self._prompts.segments if each.name == segment), Segment(segment))
        self.prompts = self._prompts.with_segment(known.with_keyframe(keyframe))

    def undo(self) -> bool:
        """Take back the last change of prompts; False if there is none. What was computed for them comes back too."""
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """Make the change again that `undo` took back; False if there is none."""
        return self._swap(self._undone, self._done)

    def _swap(self, source: list[PromptSet], target: list[PromptSet]) -> bool:
        if not source:
            return False
        target.append(self._prompts)
        self._prompts = source.pop()
        return True

    # ------------------------------------------------------------------ computing

    def preview(self, segment: str, index: int) -> SliceMask:
        """The mask that the prompts on slice `index` give there, at once and without propagation.

        Raises:
            InputError: the segment has no prompts on that slice.
        """
        keyframe = self._prompts.segment(segment).keyframe(index)
        if keyframe is None:
            raise InputError(f"segment {segment!r} has no prompts on slice {index}.")
        self._pause()
        seed = self._seed(segment, keyframe)
        if self._background:
            self._background.start(seed)
        return self._prompted(segment, seed, keyframe)

    def propagate(
        self,
        segments: Iterable[str] | None = None,
        slices: tuple[int, int] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Iterator[SliceMask]:
        """Compute what the prompts ask for and is not computed yet, yielding each slice as it is ready.

        Masks come outwards from the keyframes, of all segments side by side. A slice between two keyframes comes twice: from
        the first pass that reaches it, and fused when the second one does. Whoever stops iterating, or answers `cancel` with
        True between two slices, keeps everything yielded so far; calling again goes on from there.

        Args:
            segments: names; all that have prompts if not given.
            slices: first and last slice to go to, inclusive; all if not given.

        Raises:
            InputError: unusable prompts, or a range without any keyframe.
        """
        chosen = self._chosen(segments)
        first, last = self._range(slices)
        self._check_range(chosen, first, last)
        self._pause()
        stopped = cancel or (lambda: False)
        for segment in chosen:
            for keyframe in segment.keyframes:
                if stopped():
                    return
                yield self._prompted(segment.name, self._seed(segment.name, keyframe), keyframe)
        tracks = self._scheduled(chosen, first, last)
        while not stopped() and not all(track.finished for track in tracks.values()):
            names = {id(track): name for (name, _, _), track in tracks.items()}
            for track, result in self.engine.advance(tracks.values()):
                yield self.slice_mask(names[id(track)], result.slice)
                if track.ended:  # what was shown of the doubtful slices is taken back
                    yield from (self.slice_mask(names[id(track)], each.slice) for each in track.results[track.valid : -1])
                if stopped():
                    return

    def remaining(self, slices: tuple[int, int] | None = None) -> int:
        """How many slices `propagate` has at most still to compute, over all segments and passes; for progress bars."""
        first, last = self._range(slices)
        left = 0
        for segment in self._prompts.segments:
            for each in plan([keyframe.slice for keyframe in segment.keyframes], first, last):
                track = self._tracks.get((segment.name, each.start, each.direction))
                if not (track and track.ended):
                    left += max(0, abs(each.last - each.start) - (len(track.results) if track else 0))
        return left

    def close(self) -> None:
        """Stop background work. The session can still be read, saved and used."""
        self._pause()

    def _pause(self) -> None:
        if self._background:
            self._background.stop()

    def _seed(self, segment: str, keyframe: Keyframe) -> Seed:
        """The keyframe as the network understands it; computed once, until its prompts change."""
        known = self._seeds.get((segment, keyframe.slice))
        if known is None or known[0] != keyframe:
            check_keyframe(keyframe, self.stack)
            known = self._seeds[segment, keyframe.slice] = keyframe, self.engine.seed(keyframe)
            for direction in (-1, 1):
                self._tracks.pop((segment, keyframe.slice, direction), None)
        return known[1]

    def _scheduled(self, segments: list[Segment], first: int, last: int) -> dict[tuple[str, int, int], Track]:
        """The passes wanted now, new or continued, by segment, start and direction."""
        wanted = {}
        for segment in segments:
            for each in plan([keyframe.slice for keyframe in segment.keyframes], first, last):
                key = segment.name, each.start, each.direction
                wanted[key] = self._tracks[key] = self._track(key, each)
        return wanted

    def _track(self, key: tuple[str, int, int], each: Pass) -> Track:
        track = self._tracks.get(key) or self.engine.track(self._seeds[key[0], each.start][1], each.direction, each.last)
        keyframe_beyond = self._prompts.segment(key[0]).keyframe(each.last + each.direction)
        track.extend(each.last, may_end=self.options.early_stop and keyframe_beyond is None)
        return track

    def _chosen(self, names: Iterable[str] | None) -> list[Segment]:
        if names is None:
            self._prompts.check(self.stack)
            return list(self._prompts.segments)
        chosen = [self._prompts.segment(name) for name in names]
        PromptSet(tuple(chosen), self.stack.axis).check(self.stack)
        return chosen

    def _range(self, slices: tuple[int, int] | None) -> tuple[int, int]:
        if slices is None:
            return 0, len(self.stack) - 1
        first, last = slices
        self.stack.check_slice(first)
        self.stack.check_slice(last)
        if first > last:
            raise InputError(f"range: the first slice ({first}) lies behind the last ({last}).")
        return first, last

    def _check_range(self, segments: list[Segment], first: int, last: int) -> None:
        for segment in segments:
            if not any(first <= keyframe.slice <= last for keyframe in segment.keyframes):
                marked = ", ".join(str(keyframe.slice) for keyframe in segment.keyframes)
                raise InputError(f"range: segment {segment.name!r} is marked on slice {marked}, which lies outside {first} to {last}.")

    # ------------------------------------------------------------------ results

    def slice_mask(self, segment: str, index: int) -> SliceMask:
        """What is known of a segment on a slice; an empty mask of no trust where nothing has been computed."""
        self.stack.check_slice(index)
        keyframe = self._prompts.segment(segment).keyframe(index)
        if keyframe and (segment, index) in self._seeds:
            return self._prompted(segment, self._seeds[segment, index][1], keyframe)
        found = self._found(segment, index)
        source = "both" if len(found) == 2 else "forward" if 1 in found else "backward"
        return SliceMask(segment, index, self._logits(segment, index) > 0, self._trust(segment, index), source if found else "")

    def labels(self, index: int) -> np.ndarray:
        """All segments on one slice, uint16 ``(rows, columns)``: 1, 2, ... in the order of the prompts, 0 elsewhere.

        Where segments overlap, the voxel goes to the one most certain of it.
        """
        names = [segment.name for segment in self._prompts.segments]
        best = np.zeros(self.stack.shape, np.float32)
        labels = np.zeros(self.stack.shape, np.uint16)
        for number, name in enumerate(names, 1):
            logits = self._logits(name, index)
            better = logits > best
            best[better], labels[better] = logits[better], number
        return labels

    def labelmap(self) -> np.ndarray:
        """`labels` of every slice as a ``(k, j, i)`` array on the volume's grid; uint8 where that suffices."""
        dtype = np.uint8 if len(self._prompts.segments) < 256 else np.uint16
        volume = np.zeros(self.stack.volume.voxels.shape[:3], dtype)
        for index in self._computed_slices():
            self.stack.place(volume, index)[:] = self.labels(index)
        return volume

    def segment_volume(self, segment: str) -> np.ndarray:
        """One segment as a bool ``(k, j, i)`` array on the volume's grid, whatever it overlaps."""
        volume = np.zeros(self.stack.volume.voxels.shape[:3], bool)
        for index in self._computed_slices():
            self.stack.place(volume, index)[:] = self._logits(segment, index) > 0
        return volume

    def reports(self) -> list[PassReport]:
        """How each pass went that the present prompts use."""
        return [self._report(key, track) for key, track in self._live_tracks()]

    def trust(self, segment: str) -> dict[int, float]:
        """Trust of every computed slice that shows the segment, by slice."""
        masks = (self.slice_mask(segment, index) for index in self._computed_slices(segment))
        return {found.slice: found.trust for found in masks if found.mask.any()}

    def review(self, segment: str, count: int = 5) -> list[int]:
        """The slices most worth checking, worst first, at most one of any few neighbours."""
        return review_order(self.trust(segment), count)

    def stats(self) -> dict[str, object]:
        """What was used and how long each stage took, as plain values."""
        runner = self.engine.runner
        return {
            "model": {"id": self.model.id, "sha256": self.model.sha256},
            "device": str(runner.execution),
            "precision": runner.execution.precision,
            "window": [self.stack.window.low, self.stack.window.high],
            "seconds": {stage: round(seconds, 4) for stage, seconds in runner.seconds.items()},
            "warnings": list(runner.warnings),
        }

    def _live_tracks(self) -> Iterator[tuple[tuple[str, int, int], Track]]:
        for key, track in self._tracks.items():
            if any(each.name == key[0] and each.keyframe(key[1]) for each in self._prompts.segments):
                yield key, track

    def _computed_slices(self, segment: str | None = None) -> list[int]:
        found = {index for name, index in self._seeds if segment in (None, name)}
        for (name, _, _), track in self._live_tracks():
            if segment in (None, name):
                found |= set(track.slices())
        return sorted(found)

    def _report(self, key: tuple[str, int, int], track: Track) -> PassReport:
        name, start, direction = key
        reached = start + direction * track.valid
        if track.ended:
            reason = track.ended
        elif not track.finished:
            reason = "not finished"
        elif track.last + direction in (-1, len(self.stack)):
            reason = "end of the volume"
        else:
            at_keyframe = self._prompts.segment(name).keyframe(track.last + direction)
            reason = "next keyframe" if at_keyframe else "end of the range"
        return PassReport(name, start, direction, reached, reason)

    def _found(self, segment: str, index: int) -> dict[int, Track]:
        """The passes from the nearest keyframes on either side that found the segment on a slice, by direction."""
        slices = [keyframe.slice for keyframe in self._prompts.segment(segment).keyframes]
        below = max((n for n in slices if n < index), default=None)
        above = min((n for n in slices if n > index), default=None)
        tracks = {direction: self._tracks.get((segment, start, direction)) for start, direction in ((below, 1), (above, -1))}
        return {direction: track for direction, track in tracks.items() if track and track.result(index)}

    def _logits(self, segment: str, index: int) -> np.ndarray:
        keyframe = self._prompts.segment(segment).keyframe(index)
        if keyframe:
            seed = self._seeds.get((segment, index))
            if keyframe.mask:
                return np.where(keyframe.mask.mask, np.float32(PAINTED), np.float32(-PAINTED))
            return seed[1].result.logits(self.stack.shape) if seed else np.full(self.stack.shape, -1, np.float32)
        found = {direction: track.result(index) for direction, track in self._found(segment, index).items()}
        logits = {direction: result.logits(self.stack.shape) for direction, result in found.items()}
        if len(found) == 2:
            return fuse(logits[1], logits[-1], self._nearness(segment, index), (found[1].quality, found[-1].quality))
        return next(iter(logits.values()), np.full(self.stack.shape, -1, np.float32))

    def _nearness(self, segment: str, index: int) -> float:
        slices = [keyframe.slice for keyframe in self._prompts.segment(segment).keyframes]
        below, above = max(n for n in slices if n < index), min(n for n in slices if n > index)
        return (index - below) / (above - below)

    def _trust(self, segment: str, index: int) -> float:
        found = self._found(segment, index)
        best = max((track.finding(index).trust for track in found.values()), default=0.0)
        if len(found) < 2:
            return best
        return best * dice(*(track.result(index).mask(self.stack.shape) for track in found.values()))

    def _prompted(self, segment: str, seed: Seed, keyframe: Keyframe) -> SliceMask:
        certainty = 1.0 if keyframe.mask else float(np.clip(seed.result.quality, 0, 1))
        return SliceMask(segment, seed.slice, seed.mask, certainty, "prompted")
