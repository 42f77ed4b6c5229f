"""One interactive segmentation, from prompts to masks.

A session holds the prompts of all segments and, for each pass, what was found on each slice. Masks are made from these on
request, so that a correction changes only the slices that depend on it, and finished work stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..image.layers import SegmentLayers
from ..image.neighbours import Beside, Neighbours
from ..image.stack import FrameStack
from ..keyframes.seed import Seed
from ..models.interfaces import Model
from ..network.device import pick_device
from ..network.options import Options
from ..prompts.types import Keyframe, PromptSet, Segment, check_keyframe
from ..propagation.engine import Engine
from ..propagation.plan import Pass, plan
from ..propagation.track import Track
from ..propagation.trust import review_order
from .composition import Composition, PassKey, PassReport, SliceMask, nearest_keyframes
from .summary import REVIEWED, Summary


class Session:
    """Segments a volume from prompts on some of its slices.

    Args:
        stack: the volume as slices along one axis, with its window.
        model: from `models.loading.load_model`.
        options: see `network.options.Options`.
        device: "auto", "cpu", "cuda" or "mps".
        prompts: to start with.
        neighbours: finished segments, whose voxels no other segment gets.

    A session is used from one thread. Only `cancel`, given to `propagate`, may be answered by another.
    """

    def __init__(
        self,
        stack: FrameStack,
        model: Model,
        options: Options | None = None,
        device: str = "auto",
        prompts: PromptSet | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.stack, self.model = stack, model
        self.options = options or Options()
        self.engine = Engine(model, stack, self.options, pick_device(device))
        self._undone: list[PromptSet] = []
        self._done: list[PromptSet] = []
        self.composition = Composition(stack, self.options.early_stop, neighbours=neighbours)
        self.prompts = prompts or PromptSet(axis=stack.axis)

    # ------------------------------------------------------------------ prompts

    @property
    def prompts(self) -> PromptSet:
        """Return the prompts of all segments."""
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: PromptSet) -> None:
        """Replace all prompts; no step of undo, for hosts that keep such steps themselves."""
        if prompts.axis != self.stack.axis:
            raise InputError(f"prompts are along axis {prompts.axis}, the session along {self.stack.axis}.")
        self._prompts = prompts
        self._judge()

    def set_keyframe(self, segment: str, keyframe: Keyframe) -> None:
        """Replace the prompts of one segment on one slice, as one step of undo.

        An empty keyframe removes them. A new name adds a segment.

        Raises:
            InputError: the prompts do not fit the slice or each other; nothing is changed.
        """
        if not keyframe.is_empty:
            check_keyframe(keyframe, self.stack)
        known = next((each for each in self._prompts.segments if each.name == segment), Segment(segment))
        self.change_prompts(self._prompts.with_segment(known.with_keyframe(keyframe)))

    def change_prompts(self, prompts: PromptSet) -> None:
        """Replace all prompts, as one step of undo.

        Raises:
            InputError: they are along another axis; nothing is changed.
        """
        before, self.prompts = self._prompts, prompts
        self._done.append(before)
        self._undone.clear()

    def undo(self) -> bool:
        """Take back the last change of prompts; return False if there is none.

        Passes of untouched keyframes need not run again.
        """
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """Repeat the change that `undo` took back; return False if there is none."""
        return self._swap(self._undone, self._done)

    def _swap(self, source: list[PromptSet], target: list[PromptSet]) -> bool:
        if not source:
            return False
        target.append(self._prompts)
        self.prompts = source.pop()
        return True

    def _judge(self) -> None:
        for segment in self._prompts.segments:
            self.composition.judge(segment)

    @property
    def neighbours(self) -> Neighbours | None:
        """Return the finished segments, whose voxels no other segment gets."""
        return self.composition.neighbours

    @neighbours.setter
    def neighbours(self, neighbours: Neighbours | None) -> None:
        """Replace the finished segments. What was found beside others stays, less what these have."""
        self.composition.neighbours = neighbours

    # ------------------------------------------------------------------ computing

    def preview(self, segment: str, index: int) -> SliceMask:
        """Return the mask that the prompts on slice `index` give there, without propagation.

        Raises:
            InputError: the segment has no prompts on that slice.
        """
        self.understand(segment, index)
        return self.slice_mask(segment, index)

    def understand(self, segment: str, index: int) -> Seed:
        """Return the seed of the keyframe on slice `index`: its mask as the network understands it, and a memory of it.

        Raises:
            InputError: the segment has no prompts on that slice.
        """
        return self._seed(self._marked(segment, index), index)

    def candidates(self, segment: str, index: int) -> list[np.ndarray]:
        """Return all masks, bool ``(rows, columns)``, that the prompts on slice `index` may mean; the first is that of `preview`.

        Raises:
            InputError: the segment has no prompts on that slice.
        """
        marked = self._marked(segment, index)
        keyframe = marked.keyframe(index)
        assert keyframe is not None  # else it would not be marked
        return [mask for mask, _ in self.engine.candidates(keyframe, self.composition.beside(marked))]

    def prepare(self, segment: str, index: int) -> Iterator[int]:
        """Encode the slices around a keyframe, nearest first, as many as the cache keeps; yield each index.

        For interactive hosts, to run while the user thinks: propagation then finds these slices ready. It may be stopped at any slice.

        Raises:
            InputError: the segment has no prompts on that slice.
        """
        return self.engine.prepare(self.understand(segment, index))

    def propagate(
        self,
        segments: Iterable[str] | None = None,
        slices: tuple[int, int] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Iterator[SliceMask]:
        """Compute what the prompts ask for and is not computed yet; yield each slice as it is ready.

        Masks come outwards from the keyframes, of all segments side by side, those between keyframes first. A slice between two
        keyframes comes twice: from the first pass that reaches it, and fused when the second one does. At the end all of them come once
        more, refined. Whoever stops iterating, or answers `cancel` with True between two slices, keeps everything yielded so far; the next
        call goes on from there.

        Args:
            segments: names; all that have prompts if not given.
            slices: first and last slice to go to, inclusive; all if not given.
            cancel: asked between slices whether to stop.

        Raises:
            InputError: unusable prompts, or a range without any keyframe.
        """
        chosen = self._chosen(segments)
        first, last = self.stack.range_of(slices)
        self._check_range(chosen, first, last)
        stopped = cancel or (lambda: False)
        for segment in chosen:
            for keyframe in (each for each in segment.keyframes if first <= each.slice <= last):
                if stopped():
                    return
                self._seed(segment, keyframe.slice)
                yield self.slice_mask(segment.name, keyframe.slice)
        for outwards in (False, True):  # results between keyframes tell how far those beyond can be trusted
            tracks = self._scheduled(chosen, first, last, outwards)
            self._judge()
            yield from self._run(tracks, stopped)
            if stopped():
                return
        for refined in self.refine(segment.name for segment in chosen):
            yield refined
            if stopped():
                return

    def refine(self, segments: Iterable[str] | None = None) -> Iterator[SliceMask]:
        """Refine what finished passes have found, unless that is done or switched off; yield each new mask. `propagate` ends with it.

        Args:
            segments: names; all if not given.
        """
        if not self.options.refine:
            return
        for segment in self._named(segments):
            for index in self.composition.refine(segment, self.engine.runner.surviving):
                yield self.slice_mask(segment.name, index)

    def remaining(self, slices: tuple[int, int] | None = None) -> int:
        """Return how many slices `propagate` has at most still to compute, over all segments and passes; for progress bars."""
        first, last = self.stack.range_of(slices)
        left = 0
        for segment in self._prompts.segments:
            for each in plan([keyframe.slice for keyframe in segment.keyframes], first, last):
                track = self.composition.track(segment, each.start, each.direction)
                if track is None:
                    left += abs(each.last - each.start)
                elif not track.ended and abs(each.last - each.start) > len(track.results):
                    left += abs(each.last - each.start) - track.seen
        return left

    def _marked(self, name: str, index: int) -> Segment:
        segment = self._prompts.segment(name)
        if segment.keyframe(index) is None:
            raise InputError(f"segment {segment.title!r} has no prompts on {self.stack.unit} {index}.")
        return segment

    def _named(self, names: Iterable[str] | None) -> list[Segment]:
        return list(self._prompts.segments) if names is None else [self._prompts.segment(name) for name in names]

    def _seed(self, segment: Segment, index: int) -> Seed:
        """Return the seed of the keyframe on a slice; computed once, until its prompts change."""
        seed = self.composition.seed(segment, index)
        if not seed:
            keyframe = segment.keyframe(index)
            assert keyframe is not None  # only what is marked is seeded
            check_keyframe(keyframe, self.stack)
            beside = self.composition.beside(segment)
            seed = self.engine.seed(keyframe, beside)
            self._tell_of_neighbours(segment, seed, beside)
            self.composition.begin(segment, index, seed)
        return seed

    def _tell_of_neighbours(self, segment: Segment, seed: Seed, beside: Beside) -> None:
        where = f"{segment.title}, {self.stack.unit} {seed.slice}"
        if seed.slice in beside.obeyed:
            self.engine.runner.warnings.append(f"{where}: it is marked over another segment, which does not count there.")
        elif not seed.mask.any() and beside.on(seed.slice) is not None:
            self.engine.runner.warnings.append(
                f"{where}: nothing is left of it beside the other segments. Mark it with a click or a stroke."
            )

    def _run(self, tracks: dict[PassKey, Track], stopped: Callable[[], bool]) -> Iterator[SliceMask]:
        """Run passes side by side; yield each slice as it is ready."""
        names = {id(track): name for (name, _, _), track in tracks.items()}
        while not stopped() and not all(track.finished for track in tracks.values()):
            for track, result in self.engine.advance(tracks.values()):
                for each in (*track.withdrawn, result):
                    yield self.slice_mask(names[id(track)], each.slice)
                if stopped():
                    return

    def _scheduled(self, segments: list[Segment], first: int, last: int, outwards: bool) -> dict[PassKey, Track]:
        """Return the passes wanted between keyframes, or with `outwards` beyond the outermost; new ones or those to continue."""
        wanted = {}
        for segment in segments:
            for each in plan([keyframe.slice for keyframe in segment.keyframes], first, last):
                if outwards == (nearest_keyframes(segment, each.start)[each.direction > 0] is None):
                    key = segment.name, each.start, each.direction
                    wanted[key] = self.composition.tracks[key] = self._track(segment, each)
        return wanted

    def _track(self, segment: Segment, each: Pass) -> Track:
        track = self.composition.track(segment, each.start, each.direction)
        if track:
            track.last = each.last
            if track.finished or track.bank:
                return track
        begun = self.engine.track(self._whole_seed(segment, each.start), each.direction, each.last)
        return track.retraced(begun) if track else begun

    def _whole_seed(self, segment: Segment, index: int) -> Seed:
        """Return the seed with its memory, which is computed anew if the seed comes from a file."""
        seed, keyframe = self.composition.seed(segment, index), segment.keyframe(index)
        assert seed is not None  # passes start from what was marked and seeded
        assert keyframe is not None
        if seed.memory is None:
            anew = self.engine.seed(keyframe, self.composition.beside(segment))
            if anew.result.view == seed.result.view:  # else another device has used another size
                anew = replace(seed, decoded=anew.decoded, memory=anew.memory, beside=anew.beside)
            seed = anew
            self.composition.seeds[segment.name, index] = keyframe, seed
        return seed

    def _chosen(self, names: Iterable[str] | None) -> list[Segment]:
        chosen = [each for each in self._named(names) if names is not None or each.keyframes]
        PromptSet(tuple(chosen), self.stack.axis).check(self.stack)
        return chosen

    def _check_range(self, segments: list[Segment], first: int, last: int) -> None:
        for segment in segments:
            if not any(first <= keyframe.slice <= last for keyframe in segment.keyframes):
                marked, unit = ", ".join(str(keyframe.slice) for keyframe in segment.keyframes), self.stack.unit
                raise InputError(
                    f"range: segment {segment.title!r} is marked on {unit} {marked}, which lies outside {first} to {last}. "
                    f"Choose a range with a marked {unit}, or mark the segment within this one."
                )

    # ------------------------------------------------------------------ results

    def slice_mask(self, segment: str, index: int) -> SliceMask:
        """Return what is known of a segment on a slice; an empty mask with trust 0 where nothing has been computed."""
        self.stack.check_slice(index)
        return self.composition.slice_mask(self._prompts.segment(segment), index)

    def labels(self, index: int) -> np.ndarray:
        """Return all segments on one slice, uint16 ``(rows, columns)``: 1, 2, ... in the order of the prompts, 0 elsewhere.

        They do not overlap: a voxel goes to the segment most certain of it, and painted slices stay as painted.
        """
        self.stack.check_slice(index)
        return self.composition.labels(enumerate(self._prompts.segments, 1), index)[0]

    def layers(self, overlap: bool = False) -> tuple[SegmentLayers, list[dict[int, float]]]:
        """Compose all slices once, to be written, counted and drawn.

        Args:
            overlap: keep each segment whole, whatever it overlaps; else as in `labels`.

        Returns:
            The segments in layers; and for each segment its `trust`.
        """
        segments = self._prompts.segments
        layers = SegmentLayers(self.stack, len(segments))
        trusts: list[dict[int, float]] = [{} for _ in segments]
        known: dict[int, list[tuple[int, Segment]]] = {}
        for number, segment in enumerate(segments, 1):
            for index in self.composition.slices(segment):
                known.setdefault(index, []).append((number, segment))
        for index in sorted(known):
            if overlap:
                masks, trusted = self.composition.masks(known[index], index)
                layers.add(index, masks)
            else:
                labels, trusted = self.composition.labels(known[index], index)
                layers.add_labels(index, labels)
            for number, trust in trusted.items():
                trusts[number - 1][index] = trust
        return layers, trusts

    def labelmap(self) -> np.ndarray:
        """Return `labels` of every slice as a ``(k, j, i)`` array on the volume's grid; uint8 where that suffices."""
        return self.layers()[0].array()

    def segment_volume(self, segment: str) -> np.ndarray:
        """Return one segment as a bool ``(k, j, i)`` array on the volume's grid, whatever it overlaps."""
        volume, marked = np.zeros(self.stack.volume.voxels.shape[:3], bool), self._prompts.segment(segment)
        for index in self.composition.slices(marked):
            self.stack.place(volume, index)[:] = self.composition.logits(marked, index) > 0
        return volume

    def reports(self, segments: Iterable[str] | None = None) -> list[PassReport]:
        """Return what became of each pass that the present prompts use, of some segments or of all."""
        return [report for segment in self._named(segments) for report in self.composition.reports(segment)]

    def trust(self, segment: str) -> dict[int, float]:
        """Return the trust, 0..1, of every computed slice that shows the segment, by slice."""
        masks = (self.slice_mask(segment, index) for index in self.composition.slices(self._prompts.segment(segment)))
        return {found.slice: found.trust for found in masks if found.mask.any()}

    def review(self, segment: str, count: int = 5) -> list[int]:
        """Return the slices most worth checking, worst first; none next to one already named."""
        return review_order(self.trust(segment), count)

    def summary(self, segments: Iterable[str] | None = None) -> Summary:
        """Return what is known of some segments or of all, and which slices are most worth checking."""
        chosen = self._named(segments)
        slices, review = {}, {}
        for segment in chosen:
            trust = self.trust(segment.name)
            slices[segment.name] = self.composition.slices(segment)
            review[segment.name] = [(index, trust[index]) for index in review_order(trust, REVIEWED)]
        runner = self.engine.runner
        return Summary(slices, review, self.reports(), str(runner.execution), list(runner.warnings))

    def state(self) -> Composition:
        """Return all that was found for the present prompts; `from_state` goes on from it."""
        return self.composition.used_by(self._prompts.segments)

    @classmethod
    def from_state(
        cls, model: Model, prompts: PromptSet, state: Composition, options: Options | None = None, device: str = "auto"
    ) -> Session:
        """Return a session that goes on from the `state` of another one, with the same prompts and model.

        Nothing is computed. Passes without a memory go the same way once more if they are to go on; what they had found stays meanwhile.
        """
        session = cls(state.stack, model, options, device, prompts)
        session.composition = state
        return session

    def stats(self) -> dict[str, Any]:
        """Return what was used and how long each stage took, as plain values."""
        runner = self.engine.runner
        return {
            "model": {"id": self.model.id, "sha256": self.model.sha256},
            "device": str(runner.execution),
            "precision": runner.execution.precision,
            "window": [self.stack.window.low, self.stack.window.high],
            "seconds": {stage: round(seconds, 4) for stage, seconds in runner.seconds.items()},
            "warnings": list(runner.warnings),
        }
