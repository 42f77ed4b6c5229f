"""Masks made, slice by slice, of what prompts and passes have found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .frames import FrameStack
from .prompts import Keyframe, PromptSet, Segment
from .propagation.fusion import dice, fuse
from .propagation.track import Seed, Track

PAINTED = 1e6  # logit of a voxel that the user painted: no network outvotes it
LEAST_TRUST = 0.05  # so that a segment nobody trusts still beats none
UNKNOWN = -1.0  # logit of a slice that nothing is known of

PassKey = tuple[str, int, int]  # segment, slice of the keyframe, direction


@dataclass(frozen=True, eq=False)
class SliceMask:
    """One segment on one slice.

    Attributes:
        segment: its name.
        slice: the slice's index along the session's axis.
        mask: bool ``(rows, columns)``.
        trust: 0..1, how likely the mask needs no correction; 1 on a painted slice.
        source: "prompted", "forward" (from a keyframe on a lower slice), "backward", "both"; empty if nothing is known.
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


@dataclass
class Composition:
    """What has been found so far, from which the masks of any present prompts can be made.

    Passes and keyframes of prompts that were taken back stay here unused, in case they return.

    Attributes:
        stack: the slices.
        seeds: keyframes as the network understood them, with the prompts they were made of, by segment and slice.
        tracks: passes by segment, keyframe's slice and direction.
    """

    stack: FrameStack
    seeds: dict[tuple[str, int], tuple[Keyframe, Seed]] = field(default_factory=dict)
    tracks: dict[PassKey, Track] = field(default_factory=dict)

    def slice_mask(self, segment: Segment, index: int) -> SliceMask:
        """A segment on a slice, as far as it is known."""
        found = self._found(segment, index)
        if segment.keyframe(index):
            source = "prompted" if self._seed(segment, index) else ""
        else:
            source = {0: "", 1: "forward" if 1 in found else "backward", 2: "both"}[len(found)]
        return SliceMask(segment.name, index, self.logits(segment, index) > 0, self.trust(segment, index), source)

    def logits(self, segment: Segment, index: int) -> np.ndarray:
        """Logits ``(rows, columns)`` of a segment on a slice: its keyframe's, its pass's, or two passes fused."""
        keyframe = segment.keyframe(index)
        if keyframe and keyframe.mask:
            return np.where(keyframe.mask.mask, np.float32(PAINTED), np.float32(-PAINTED))
        if keyframe:
            seed = self._seed(segment, index)
            return seed.result.logits(self.stack.shape) if seed else self._unknown()
        found = {direction: track.result(index) for direction, track in self._found(segment, index).items()}
        logits = {direction: result.logits(self.stack.shape) for direction, result in found.items()}
        if len(found) == 2:
            below, above = neighbours(segment, index)
            return fuse(logits[1], logits[-1], (index - below) / (above - below), (found[1].quality, found[-1].quality))
        return next(iter(logits.values()), self._unknown())

    def trust(self, segment: Segment, index: int) -> float:
        """0..1: full where painted, what the network expects where prompted, the better pass's elsewhere.

        Where two passes meet, times how far they agree.
        """
        keyframe = segment.keyframe(index)
        if keyframe and keyframe.mask:
            return 1.0
        if keyframe:
            seed = self._seed(segment, index)
            return float(np.clip(seed.result.quality, 0, 1)) if seed else 0.0
        found = self._found(segment, index).values()
        best = max((track.finding(index).trust for track in found), default=0.0)
        return best * dice(*(track.result(index).mask(self.stack.shape) for track in found)) if len(found) == 2 else best

    def labels(self, prompts: PromptSet, index: int) -> np.ndarray:
        """All segments on one slice, uint16 ``(rows, columns)``: 1, 2, ... in the order of the prompts, 0 elsewhere.

        Where segments overlap, the voxel goes to the one most certain of it: by its logit there, times its trust on the slice,
        which is full on slices where the user marked it.
        """
        best = np.zeros(self.stack.shape, np.float32)
        labels = np.zeros(self.stack.shape, np.uint16)
        for number, segment in enumerate(prompts.segments, 1):
            trust = 1.0 if segment.keyframe(index) else self.trust(segment, index)
            certainty = self.logits(segment, index) * (LEAST_TRUST + trust)
            better = certainty > best
            best[better], labels[better] = certainty[better], number
        return labels

    def slices(self, segment: Segment) -> list[int]:
        """The slices on which something is known of a segment."""
        found = {keyframe.slice for keyframe in segment.keyframes if self._seed(segment, keyframe.slice)}
        for _, track in self.live(segment):
            found |= set(track.slices())
        return sorted(found)

    def live(self, segment: Segment) -> Iterator[tuple[PassKey, Track]]:
        """The passes from keyframes that the segment has now."""
        for key, track in self.tracks.items():
            if key[0] == segment.name and segment.keyframe(key[1]):
                yield key, track

    def reports(self, segment: Segment) -> list[PassReport]:
        """How each of the segment's passes went."""
        return [self._report(segment, key, track) for key, track in self.live(segment)]

    def _report(self, segment: Segment, key: PassKey, track: Track) -> PassReport:
        name, start, direction = key
        beyond, wanted = track.last + direction, abs(track.last - start)
        if track.ended and track.valid < wanted:
            reason = track.ended
        elif not track.finished:
            reason = "not finished"
        elif beyond in (-1, len(self.stack)):
            reason = "end of the volume"
        else:
            reason = "next keyframe" if segment.keyframe(beyond) else "end of the range"
        reached = start + direction * min(track.valid, wanted)
        return PassReport(name, start, direction, reached, reason)

    def _found(self, segment: Segment, index: int) -> dict[int, Track]:
        """The passes from the nearest keyframes on either side that found the segment on a slice, by direction."""
        below, above = neighbours(segment, index)
        tracks = {1: self.tracks.get((segment.name, below, 1)), -1: self.tracks.get((segment.name, above, -1))}
        return {direction: track for direction, track in tracks.items() if track and track.result(index)}

    def _seed(self, segment: Segment, index: int) -> Seed | None:
        known = self.seeds.get((segment.name, index))
        return known[1] if known else None

    def _unknown(self) -> np.ndarray:
        return np.full(self.stack.shape, UNKNOWN, np.float32)


def neighbours(segment: Segment, index: int) -> tuple[int | None, int | None]:
    """The slices of a segment's nearest keyframes below and above a slice."""
    slices = [keyframe.slice for keyframe in segment.keyframes]
    return max((n for n in slices if n < index), default=None), min((n for n in slices if n > index), default=None)
