"""Makes masks, slice by slice, of what prompts and passes have found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..image.extent import dice
from ..image.neighbours import ALONE, Beside, Neighbours
from ..image.stack import FrameStack
from ..keyframes.seed import Seed
from ..network.slice_result import SliceResult
from ..prompts.types import Keyframe, Segment
from ..propagation.fusion import fuse
from ..propagation.refinement import Gap, Passes
from ..propagation.track import Track
from ..propagation.trust import LEAST_TRUST, least_trust

PAINTED = 1e9  # logit of a voxel that the user painted: no network outvotes it
FAINTEST_TRUST = 0.05  # so that a segment nobody trusts still beats none
SMALLER_FIRST = 0.75  # power of a segment's size that divides its certainty
UNKNOWN = -1.0  # logit of a slice that nothing is known of
SOURCES = {(False, False): "", (True, False): "forward", (False, True): "backward", (True, True): "both"}

MET = "next keyframe"  # the reason of a pass that reached it

PassKey = tuple[str, int, int]  # segment, slice of the keyframe, direction
Masks = dict[int, SliceResult]  # by slice
GapKey = tuple[str, int | None, int | None]  # segment, slices of the keyframes below and above


@dataclass(frozen=True, eq=False)
class SliceMask:
    """One segment on one slice.

    Attributes:
        segment: its name.
        slice: the slice's index along the session's axis.
        mask: bool ``(rows, columns)``.
        trust: 0..1, how likely the mask is about right; 1 on a painted slice.
        source: "prompted", "forward" (from a keyframe on a lower slice), "backward", "both"; empty if nothing is known.
    """

    segment: str
    slice: int
    mask: np.ndarray
    trust: float
    source: str


@dataclass(frozen=True)
class PassReport:
    """The course of one pass: its segment and keyframe, its direction (+1 or -1), how far it went, and why it ended there."""

    segment: str
    start: int
    direction: int
    reached: int
    reason: str

    @property
    def has_met(self) -> bool:
        """Return whether the pass reached the next keyframe, so that it tells nothing of where the object ends."""
        return self.reason == MET


@dataclass
class Refined:
    """The refined masks of a gap.

    Attributes:
        gap: what they were made of.
        valid: `Gap.valid` at that time.
        results: the masks by slice.
        told: how many of them `Composition.refine` has yielded.
    """

    gap: Gap
    valid: tuple[int, ...]
    results: Masks
    told: int = 0

    def hold(self, passes: Passes) -> bool:
        """Return whether the masks still hold for these passes: the same ones, and not judged otherwise since."""
        return self.gap.passes == passes and self.gap.valid == self.valid

    def reach(self, gap: Gap) -> bool:
        """Return whether the masks cover all slices of `gap`."""
        return self.gap.first <= gap.first and gap.last <= self.gap.last


@dataclass
class Composition:
    """All that has been found so far, from which the masks of the present prompts are made.

    What was found for prompts that were taken back stays here unused, in case these return.

    Attributes:
        stack: the slices.
        early_stop: whether passes may end before the volume does.
        seeds: keyframes with their seeds, by segment and slice.
        tracks: passes by segment, keyframe's slice and direction.
        gaps: what was refined, by segment and the slices of the keyframes below and above.
        neighbours: finished segments, which keep their voxels; None if there are none.
    """

    stack: FrameStack
    early_stop: bool = True
    seeds: dict[tuple[str, int], tuple[Keyframe, Seed]] = field(default_factory=dict)
    tracks: dict[PassKey, Track] = field(default_factory=dict)
    gaps: dict[GapKey, Refined] = field(default_factory=dict)
    neighbours: Neighbours | None = None

    def begin(self, segment: Segment, index: int, seed: Seed) -> None:
        """Store the seed of the keyframe on a slice; passes from an earlier seed there are dropped."""
        keyframe = segment.keyframe(index)
        assert keyframe is not None  # the seed was made of it
        self.seeds[segment.name, index] = keyframe, seed
        for direction in (-1, 1):
            self.tracks.pop((segment.name, index, direction), None)

    def seed(self, segment: Segment, index: int) -> Seed | None:
        """Return the seed of the keyframe on a slice; None if there is none, or if the prompts have changed since."""
        keyframe, seed = self.seeds.get((segment.name, index), (None, None))
        return seed if keyframe and keyframe == segment.keyframe(index) else None

    def track(self, segment: Segment, start: int | None, direction: int) -> Track | None:
        """Return the pass from the keyframe on slice `start`; None if there is none, or if the prompts there have changed since."""
        return None if start is None or not self.seed(segment, start) else self.tracks.get((segment.name, start, direction))

    def refine(self, segment: Segment, surviving: Callable[[Callable[[], Masks]], Masks]) -> Iterator[int]:
        """Refine what finished passes have found, unless that is done; yield each slice that has a new mask, once.

        Args:
            segment: whose gaps are refined.
            surviving: calls the function that it is given, see `Runner.surviving`.
        """
        for below, above in pairs(segment):
            gap = Gap.of(self.passes(segment, below, above))
            if gap is None:
                continue
            known = self.gaps.get((segment.name, below, above))
            if known is None or not (known.hold(gap.passes) and known.reach(gap)):
                known = self.gaps[segment.name, below, above] = Refined(gap, gap.valid, surviving(partial(gap.refined, self.stack)))
            for index in sorted(known.results)[known.told :]:
                known.told += 1
                yield index

    def slice_mask(self, segment: Segment, index: int) -> SliceMask:
        """Return a segment on a slice, as far as it is known."""
        mask, trust = self.logits(segment, index) > 0, self.trust(segment, index)
        return SliceMask(segment.name, index, mask, trust, self._source(segment, index))

    def logits(self, segment: Segment, index: int) -> np.ndarray:
        """Return the logits, float32 ``(rows, columns)``, of a segment on a slice.

        They come from its keyframe, from refinement, from its pass, or from two passes fused. What its neighbours have is not its own.
        """
        keyframe = segment.keyframe(index)
        if keyframe and keyframe.mask:
            return np.where(keyframe.mask.mask, np.float32(PAINTED), np.float32(-PAINTED))
        logits = self._found_logits(segment, index, keyframe)
        taken = self._taken(segment, index)
        return logits if taken is None else np.where(taken, np.float32(-PAINTED), logits)

    def _found_logits(self, segment: Segment, index: int, keyframe: Keyframe | None) -> np.ndarray:
        if keyframe:
            seed = self.seed(segment, index)
            return seed.result.logits(self.stack.shape) if seed else self._unknown()
        refined = self._refined(segment, *nearest_keyframes(segment, index)).get(index)
        if refined:
            return refined.logits(self.stack.shape)
        found = {direction: result for direction, (_, result) in self._found(segment, index).items()}
        logits = {direction: result.logits(self.stack.shape) for direction, result in found.items()}
        if len(found) == 2:
            below, above = nearest_keyframes(segment, index)
            assert below is not None  # the passes came from both
            assert above is not None
            return fuse(logits[1], logits[-1], (index - below) / (above - below), (found[1].quality, found[-1].quality))
        return next(iter(logits.values()), self._unknown())

    def trust(self, segment: Segment, index: int) -> float:
        """Return how far the mask on a slice can be trusted, 0..1.

        It is 1 where the slice is painted, the expected quality where it is prompted, and the better pass's trust elsewhere. Where two
        passes meet, this is multiplied by the Dice between them. It is 0 where no pass has found the segment, even if a refined mask is
        shown there.
        """
        keyframe = segment.keyframe(index)
        if keyframe and keyframe.mask:
            return 1.0
        if keyframe:
            seed = self.seed(segment, index)
            return float(np.clip(seed.result.quality, 0, 1)) if seed else 0.0
        found = self._found(segment, index).values()
        best = max((track.finding(index).trust for track, _ in found), default=0.0)
        return best * dice(*(result.mask(self.stack.shape) for _, result in found)) if len(found) == 2 else best

    def labels(self, segments: Iterable[tuple[int, Segment]], index: int) -> tuple[np.ndarray, dict[int, float]]:
        """Return numbered segments on one slice, without overlaps.

        A voxel goes to the segment most certain of it: by its logit there, times its trust on the slice, which counts as full where the
        user marked the slice. Small segments come first: what leaks is large, see "Segments that compete" in docs/figures.md.

        Returns:
            Labels, uint16 ``(rows, columns)``, 0 elsewhere; and by number the trust of each segment that has a mask there.
        """
        best = np.zeros(self.stack.shape, np.float32)
        labels, trusts = np.zeros(self.stack.shape, np.uint16), {}
        for number, segment, logits, trust in self._known(segments, index):
            if (logits > 0).any():
                trusts[number] = trust
            certainty = logits * (FAINTEST_TRUST + (1.0 if segment.keyframe(index) else trust)) / self._size(segment) ** SMALLER_FIRST
            better = certainty > best
            best[better], labels[better] = certainty[better], number
        return labels, trusts

    def _size(self, segment: Segment) -> float:
        """Return how many pixels the segment has on its keyframes, on average."""
        seeds = [seed for index in segment.slices if (seed := self.seed(segment, index))]
        return max(1.0, sum(seed.pixels for seed in seeds) / max(1, len(seeds)))

    def masks(self, segments: Iterable[tuple[int, Segment]], index: int) -> tuple[dict[int, np.ndarray], dict[int, float]]:
        """Return numbered segments on one slice, whatever they overlap.

        Returns:
            By number, the masks, bool ``(rows, columns)``, and the trust of each segment that has a mask there.
        """
        masks, trusts = {}, {}
        for number, _, logits, trust in self._known(segments, index):
            if (mask := logits > 0).any():
                masks[number], trusts[number] = mask, trust
        return masks, trusts

    def _known(self, segments: Iterable[tuple[int, Segment]], index: int) -> Iterator[tuple[int, Segment, np.ndarray, float]]:
        """Yield the segments of which something is known on a slice, with their logits and trust there."""
        for number, segment in segments:
            keyframe = segment.keyframe(index)
            if (keyframe and keyframe.mask) or self._source(segment, index):
                yield number, segment, self.logits(segment, index), self.trust(segment, index)

    def used_by(self, segments: Iterable[Segment]) -> Composition:
        """Return a composition of only what some segments use: nothing that was found for prompts taken back."""
        used = Composition(self.stack, self.early_stop, neighbours=self.neighbours)
        for segment in segments:
            keys = [(segment.name, keyframe.slice) for keyframe in segment.keyframes if self.seed(segment, keyframe.slice)]
            used.seeds |= {key: self.seeds[key] for key in keys}
            used.tracks |= dict(self.live(segment))
            used.gaps |= {
                (name, below, above): refined
                for (name, below, above), refined in self.gaps.items()
                if name == segment.name and refined.gap.passes == self.passes(segment, below, above)
            }
        return used

    def slices(self, segment: Segment) -> list[int]:
        """Return the slices on which something is known of a segment, in order."""
        found = {keyframe.slice for keyframe in segment.keyframes if self.seed(segment, keyframe.slice)}
        for _, track in self.live(segment):
            found |= set(track.slices())
        for below, above in pairs(segment):
            found |= self._refined(segment, below, above).keys()
        return sorted(found)

    def judge(self, segment: Segment) -> None:
        """Find anew where a segment's passes end: not before the next keyframe, and beyond painted slices by the trust between them.

        Several painted slices show how far the segment reaches. Clicks correct one slice, and leave what is far from it as it is.
        """
        between, beyond = [], []
        for (_, start, direction), track in self.live(segment):
            end = nearest_keyframes(segment, start)[direction > 0]
            track.judge(self.early_stop and end is None, LEAST_TRUST)
            if not is_painted(segment, start):
                continue
            if end is None:
                beyond.append(track)
            elif is_painted(segment, end):
                between += track.findings[: abs(end - start) - 1]
        for track in beyond:
            track.judge(self.early_stop, least_trust(between))

    def live(self, segment: Segment) -> Iterator[tuple[PassKey, Track]]:
        """Yield the passes, with their keys, that began at the segment's present prompts."""
        for keyframe in segment.keyframes:
            for direction in (-1, 1):
                track = self.track(segment, keyframe.slice, direction)
                if track:
                    yield (segment.name, keyframe.slice, direction), track

    def reports(self, segment: Segment) -> list[PassReport]:
        """Return what became of each of the segment's passes, except those that have no slice before the next keyframe."""
        used = (item for item in self.live(segment) if not segment.keyframe(item[1].first))
        return [self._report(segment, key, track) for key, track in used]

    def _report(self, segment: Segment, key: PassKey, track: Track) -> PassReport:
        name, start, direction = key
        beyond, wanted = track.last + direction, abs(track.last - start)
        if track.ended and track.valid < wanted:
            reason = track.ended
        elif not track.finished:
            reason = "not finished"
        elif beyond in (-1, len(self.stack)):
            reason = "end of the sequence" if self.stack.is_time else "end of the volume"
        else:
            reason = MET if segment.keyframe(beyond) else "end of the range"
        reached = start + direction * min(track.valid, wanted)
        return PassReport(name, start, direction, reached, reason)

    def _source(self, segment: Segment, index: int) -> str:
        """Return where the mask on a slice comes from, see `SliceMask.source`."""
        if segment.keyframe(index):
            return "prompted" if self.seed(segment, index) else ""
        below, above = nearest_keyframes(segment, index)
        if index in self._refined(segment, below, above):
            return SOURCES[below is not None, above is not None]
        found = self._found(segment, index)
        return SOURCES[1 in found, -1 in found]

    def _found(self, segment: Segment, index: int) -> dict[int, tuple[Track, SliceResult]]:
        """Return the passes from the nearest keyframes that found the segment on a slice, by direction."""
        passes = zip((1, -1), self.passes(segment, *nearest_keyframes(segment, index)), strict=True)
        return {direction: (track, result) for direction, track in passes if track and (result := track.result(index))}

    def _refined(self, segment: Segment, below: int | None, above: int | None) -> dict[int, SliceResult]:
        """Return the refined masks between two keyframes by slice; none if what they were made of has changed."""
        known = self.gaps.get((segment.name, below, above))
        return known.results if known and known.hold(self.passes(segment, below, above)) else {}

    def passes(self, segment: Segment, below: int | None, above: int | None) -> Passes:
        """Return the present passes into the gap between two keyframes, upwards and downwards."""
        return self.track(segment, below, 1), self.track(segment, above, -1)

    def beside(self, segment: Segment) -> Beside:
        """Return what lies beside a segment. What the user has marked over its neighbours is obeyed."""
        if not self.neighbours:
            return ALONE
        beside = self.neighbours.of(segment.name)
        over = [each.slice for each in segment.keyframes if each.is_over(beside.on(each.slice))]
        return replace(beside, obeyed=frozenset(over))

    def _taken(self, segment: Segment, index: int) -> np.ndarray | None:
        if not self.neighbours:
            return None
        taken, keyframe = self.neighbours.of(segment.name).on(index), segment.keyframe(index)
        return None if keyframe and keyframe.is_over(taken) else taken

    def _unknown(self) -> np.ndarray:
        return np.full(self.stack.shape, UNKNOWN, np.float32)


def is_painted(segment: Segment, index: int) -> bool:
    """Return whether the segment has a painted mask on a slice."""
    keyframe = segment.keyframe(index)
    return keyframe is not None and keyframe.mask is not None


def nearest_keyframes(segment: Segment, index: int) -> tuple[int | None, int | None]:
    """Return the slices of a segment's nearest keyframes below and above a slice; None where there is none."""
    slices = segment.slices
    below, above = bisect_left(slices, index), bisect_right(slices, index)
    return slices[below - 1] if below else None, slices[above] if above < len(slices) else None


def pairs(segment: Segment) -> Iterator[tuple[int | None, int | None]]:
    """Yield the slices of neighbouring keyframes of a segment; None stands beyond the outermost."""
    slices = segment.slices
    return zip([None, *slices], [*slices, None], strict=True)
