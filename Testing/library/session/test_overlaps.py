"""To whom a voxel belongs that several segments claim: their logits and their trust decide."""

import numpy as np
import pytest

from SAMSegmenterLib.evidence.appearance import Appearance
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes.seed import Seed
from SAMSegmenterLib.network.slice_result import SliceResult
from SAMSegmenterLib.prompts.types import Keyframe, Point, Segment
from SAMSegmenterLib.propagation.track import Track
from SAMSegmenterLib.propagation.trust import Finding
from SAMSegmenterLib.session.composition import Composition

SIDE = 8
VIEW = View(0, 0, SIDE, SIDE, SIDE)
MARKED, PASSED = 1, 2  # slices


@pytest.fixture
def composition():
    voxels = np.random.default_rng(0).normal(100, 9, (4, SIDE, SIDE)).astype(np.float32)
    return Composition(FrameStack(Volume(voxels), window=Window(0, 200)))


def result(index, logit):
    return SliceResult(index, VIEW, np.full((SIDE, SIDE), logit, np.float32), 5.0, 0.8)


def claimed(composition, name, logit, trust=1.0, rows=SIDE):
    """A segment that claims a marked slice and the next one whole: with a logit, and the trust of its pass; its keyframe has some rows."""
    segment = Segment(name, (Keyframe(MARKED, points=(Point(4, 4),)),))
    mask = np.repeat(np.arange(SIDE) < rows, SIDE).reshape(SIDE, SIDE)
    appearance = Appearance.of(mask, composition.stack.frame(MARKED))
    composition.begin(segment, MARKED, seed := Seed(result(MARKED, logit), mask, appearance))
    findings = [Finding(appearance, 5.0, 0.8, 1.0, "the network is not sure", trust)]
    track = Track(seed, 1, PASSED, None, VIEW, None, mask, may_end=False, results=[result(PASSED, logit)], findings=findings)
    composition.tracks[name, MARKED, 1] = track
    return segment


def owner(composition, segments, index=PASSED):
    """The number, from 1, of the segment that a slice belongs to; 0 if it belongs to none."""
    labels, _ = composition.labels(enumerate(segments, 1), index)
    (number,) = np.unique(labels)
    return number


def test_what_nobody_trusts_is_shown_all_the_same(composition):
    assert owner(composition, [claimed(composition, "one", 0.25, trust=0.0)]) == 1
    assert owner(composition, [claimed(composition, "one", -0.25, trust=1.0)]) == 0


@pytest.mark.parametrize(("logit", "number"), [(1.9, 2), (2.1, 1)])
def test_where_trust_is_faint_twice_the_logit_outweighs_a_twentieth_of_trust(composition, logit, number):
    segments = [claimed(composition, "one", logit, trust=0.0), claimed(composition, "other", 1.0, trust=0.05)]
    assert owner(composition, segments) == number


@pytest.mark.parametrize(("trust", "number"), [(0.45, 2), (0.5, 1)])
def test_logits_count_as_much_as_they_are_trusted(composition, trust, number):
    segments = [claimed(composition, "one", 2.0, trust), claimed(composition, "other", 1.0)]
    assert owner(composition, segments) == number


def test_on_slices_that_were_marked_trust_does_not_count(composition):
    segments = [claimed(composition, "one", 2.0, trust=0.0), claimed(composition, "other", 1.9)]
    assert owner(composition, segments, MARKED) == 1
    assert owner(composition, segments) == 2


@pytest.mark.parametrize(("logit", "number"), [(1.6, 2), (1.8, 1)])
def test_small_segments_come_first(composition, logit, number):
    segments = [claimed(composition, "large", logit), claimed(composition, "small", 1.0, rows=SIDE // 2)]
    assert owner(composition, segments) == number
