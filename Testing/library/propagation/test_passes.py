"""Plan, fusion, quality and regions: the parts of propagation that are plain arithmetic."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMSegmenterLib.evidence.appearance import Appearance
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.network.region import Extent, following, region_around
from SAMSegmenterLib.network.slice_result import BACKGROUND, STEP, SliceResult
from SAMSegmenterLib.propagation.fusion import fuse
from SAMSegmenterLib.propagation.plan import Pass, plan
from SAMSegmenterLib.propagation.track import Track
from SAMSegmenterLib.propagation.trust import ENOUGH_TRUST, LEAST_TRUST, ending, examine, least_trust, limit, review_order

# ---------------------------------------------------------------- plan


def test_one_keyframe_gives_a_pass_to_either_end():
    assert plan([5], 0, 9) == [Pass(5, -1, 0), Pass(5, 1, 9)]


def test_between_keyframes_a_pass_runs_from_each_side():
    assert plan([7, 3], 0, 9) == [Pass(3, -1, 0), Pass(3, 1, 6), Pass(7, -1, 4), Pass(7, 1, 9)]


def test_neighbouring_and_outermost_keyframes_leave_nothing_to_do():
    assert plan([0, 1, 9], 0, 9) == [Pass(1, 1, 8), Pass(9, -1, 2)]


def test_a_range_bounds_passes_and_ignores_keyframes_outside_it():
    assert plan([1, 5], 3, 7) == [Pass(5, -1, 3), Pass(5, 1, 7)]


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 30), st.integers(0, 30))
def test_every_slice_of_the_range_is_seen_from_each_neighbouring_keyframe(keyframes, one, other):
    first, last = sorted((one, other))
    inside = [n for n in keyframes if first <= n <= last]
    seen = {n: [] for n in range(first, last + 1)}
    for each in plan(sorted(keyframes), first, last):
        for n in range(each.start + each.direction, each.last + each.direction, each.direction):
            seen[n].append(each.start)
    for n, starts in seen.items():
        nearest = {max((k for k in inside if k < n), default=None), min((k for k in inside if k > n), default=None)} - {None}
        assert set(starts) == (set() if n in inside else nearest)
        assert len(starts) == len(set(starts))


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 30))
def test_a_new_keyframe_only_shortens_passes_and_adds_its_own(keyframes, added):
    before = {(each.start, each.direction): each for each in plan(sorted(keyframes), 0, 30)}
    after = {(each.start, each.direction): each for each in plan(sorted(keyframes | {added}), 0, 30)}
    for key, each in after.items():
        if each.start != added or added in keyframes:
            assert abs(each.last - each.start) <= abs(before[key].last - each.start)


# ---------------------------------------------------------------- fusion


def test_fusion_follows_the_nearer_keyframe():
    yes, no = np.full((2, 2), 3.0, np.float32), np.full((2, 2), -3.0, np.float32)
    assert (fuse(yes, no, 0.2, (1, 1)) > 0).all()
    assert (fuse(yes, no, 0.8, (1, 1)) < 0).all()


def test_fusion_follows_the_better_pass_half_way():
    yes, no = np.full((2, 2), 3.0, np.float32), np.full((2, 2), -3.0, np.float32)
    assert (fuse(yes, no, 0.5, (0.9, 0.3)) > 0).all()
    assert (fuse(yes, no, 0.5, (0.3, 0.9)) < 0).all()


@given(st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_fusion_is_finite_and_between_its_inputs(forward, backward, nearness, one, other):
    fused = fuse(np.array([[forward]], np.float32), np.array([[backward]], np.float32), nearness, (one, other))
    low, high = sorted(np.clip([forward, backward], -10, 10))
    assert np.isfinite(fused).all()
    assert low - 1e-2 <= fused.item() <= high + 1e-2


def test_dice_of_known_masks():
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice(one, other) == 1
    one[:2] = True
    other[1:3] = True
    assert dice(one, other) == 0.5


# ---------------------------------------------------------------- quality

ORGAN = Appearance(area=1000, intensity=120.0, spread=10.0)


def seen(here=ORGAN, score=8.0, quality=0.9, carried=1.0):
    return examine(ORGAN, here, score, quality, carried)


def test_an_unchanged_object_is_trusted_and_not_doubted():
    assert not seen().doubt(LEAST_TRUST)
    assert seen().trust > 0.8


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ({"score": -1.0}, "the network does not see the object there"),
        ({"score": 0.5, "quality": 0.2}, "the network is not sure that it sees the object there"),
        ({"here": Appearance(15, 120, 10)}, "area fell"),
        ({"here": Appearance(0, 0, 0)}, "area fell"),
        ({"here": Appearance(12000, 140, 10)}, "area grew"),
        ({"here": Appearance(1000, 175, 10), "score": 4.0}, "intensity changed"),
        ({"carried": 0.2}, "nothing like it"),
        ({"quality": 0.3, "score": 5.0, "carried": 0.7, "here": Appearance(400, 140, 10)}, "not trusted"),
    ],
)
def test_each_sign_of_the_end_is_doubted_by_name_and_not_trusted(what, named):
    assert named in seen(**what).doubt(LEAST_TRUST)
    assert seen(**what).trust < 0.5


def test_an_object_may_grow_from_its_tip():
    tip = Appearance(area=10, intensity=100.0, spread=5.0)
    grown = examine(tip, Appearance(100, 105.0, 5.0), 8.0, 0.8, 1.0)
    assert grown.trust > 0.8
    assert examine(ORGAN, Appearance(20 * ORGAN.area, 130.0, 10.0), 8.0, 0.8, 1.0).doubt(LEAST_TRUST)


def test_an_object_ends_before_two_doubtful_slices_in_a_row():
    good, bad = seen(), seen(score=-1.0)
    assert ending([], LEAST_TRUST) is None
    assert ending([bad, good, bad], LEAST_TRUST) is None
    assert ending([good, bad, bad], LEAST_TRUST) == 1
    assert ending([bad, good, good, bad, bad, good, good], LEAST_TRUST) == 3


def test_beyond_its_keyframes_an_object_is_doubted_where_it_is_trusted_less_than_between_them():
    sure, fair, poor = seen(), seen(quality=0.5, score=5.0, carried=0.8), seen(score=-1.0)
    assert LEAST_TRUST < fair.trust < ENOUGH_TRUST < sure.trust
    assert least_trust([sure, fair, sure]) == fair.trust
    assert least_trust([sure, sure]) == ENOUGH_TRUST
    assert least_trust([]) == least_trust([sure, poor]) == LEAST_TRUST


def trusted(*trust):
    return [replace(seen(), trust=each) for each in trust]


def test_an_object_is_doubted_where_its_trust_has_fallen_far_from_what_it_was_next_to_its_keyframe():
    assert limit(trusted(0.99, 0.98, 0.99, 0.1), LEAST_TRUST) == pytest.approx(0.709, abs=0.001)
    assert limit(trusted(1.0, 1.0, 1.0), LEAST_TRUST) == ENOUGH_TRUST
    assert limit(trusted(0.99, 0.98), 0.8) == 0.8
    for poor in ([], [0.0, 1.0], [0.9, 0.7, 0.8]):
        assert limit(trusted(*poor), LEAST_TRUST) == LEAST_TRUST


def test_trust_falls_with_each_sign_of_drift():
    full = seen().trust
    assert seen(quality=0.6).trust < full
    assert seen(score=2.0).trust < full
    assert seen(here=Appearance(1000, 128, 10)).trust < full
    assert seen(here=Appearance(2000, 120, 10)).trust < full
    assert seen(carried=0.8).trust < full


def test_review_names_the_least_trusted_slices_apart_from_each_other():
    assert review_order({1: 0.9, 2: 0.1, 3: 0.05, 4: 0.2, 9: 0.3}, 3) == [3, 9]
    assert review_order({}, 3) == []


def test_appearance_counts_and_measures_what_lies_inside():
    frame = np.arange(100, dtype=np.uint8).reshape(10, 10)
    mask = np.zeros((10, 10), bool)
    mask[5] = True
    found = Appearance.of(mask, frame)
    assert (found.area, found.intensity) == (10, 54.5)
    assert Appearance.of(mask, np.repeat(frame[..., None], 3, -1)) == found
    assert Appearance.of(~mask & mask, frame).area == 0


# ---------------------------------------------------------------- regions


@pytest.fixture
def anisotropic():
    return FrameStack(Volume(np.zeros((5, 100, 200), np.int16) + np.arange(200, dtype=np.int16), np.diag([0.5, 2.0, 3.0, 1.0])))


def test_a_region_is_square_in_mm_and_centred(anisotropic):
    view = region_around(Extent(49.5, 39.5, 89.5, 49.5), anisotropic, 128, margin=2.0)
    assert (view.width * 0.5, view.height * 2.0) == (40, 40)
    assert np.allclose(view.to_slice(np.array([63.5, 63.5])), [69.5, 44.5], atol=0.5)


def test_a_region_stays_while_it_suits_and_follows_when_it_does_not(anisotropic):
    extent = Extent(49.5, 39.5, 89.5, 49.5)
    view = region_around(extent, anisotropic, 128, margin=1.6)
    assert following(view, extent, anisotropic, 1.6) is view
    assert following(view, None, anisotropic, 1.6) is view
    for changed in (Extent(65.5, 39.5, 105.5, 49.5), Extent(35.5, 37.5, 99.5, 49.5), Extent(63.5, 42.5, 73.5, 45.5)):
        moved = following(view, changed, anisotropic, 1.6)
        assert moved != view
        assert moved == region_around(changed, anisotropic, 128, 1.6)
        assert following(moved, changed, anisotropic, 1.6) is moved


def test_the_extent_of_masks_and_points():
    mask = np.zeros((10, 20), bool)
    assert Extent.of_mask(mask) is None
    mask[3:5, 7] = True
    assert Extent.of_mask(mask) == Extent(6.5, 2.5, 7.5, 4.5)
    assert Extent.of_points(np.array([[3, 4], [8, 1]])) == Extent(3, 1, 8, 4)


# ---------------------------------------------------------------- results


def test_kept_results_cover_the_slice_and_lose_next_to_nothing():
    logits = np.random.default_rng(0).normal(0, 4, (32, 32)).astype(np.float32)
    view = View(-4, 10, 30, 40, 128)
    exact = SliceResult(0, view, logits, 1.0, 0.5).logits((64, 48))
    compact = SliceResult(0, view, np.clip(np.rint(logits / STEP), -128, 127).astype(np.int8), 1.0, 0.5)
    assert np.abs(exact - compact.logits((64, 48))).max() <= STEP / 2 + 1e-6
    assert (exact[:10] == BACKGROUND).all()
    assert (exact[:, 26:] == BACKGROUND).all()


@pytest.fixture
def stopped():
    """A pass that was doubtful about its fourth slice already, and stopped after the seventh."""
    findings = [seen(quality=0.8, score=7.0)] * 3 + [seen(quality=0.5, score=5.0, carried=0.8)] * 2 + [seen(score=-1.0)] * 2
    return Track(SimpleNamespace(slice=10), 1, 31, None, None, None, None, results=[None] * 7, findings=findings)


def test_a_pass_stops_where_its_object_has_ended_and_says_why(stopped):
    assert stopped.finished
    assert stopped.slices() == range(11, 16)
    assert stopped.ended == "the next slice is not trusted (0 %, 72 % needed): the network does not see the object there"


def test_a_pass_goes_on_where_a_keyframe_says_that_its_object_does(stopped):
    stopped.judge(False, LEAST_TRUST)
    assert (stopped.finished, stopped.valid, stopped.ended) == (False, 7, "")
    stopped.last = 15
    assert stopped.finished, "it goes no farther than it has to"
    stopped.judge(True, LEAST_TRUST)
    assert (stopped.finished, stopped.valid) == (True, 5)


def test_a_pass_has_ended_earlier_for_whoever_knows_its_object_better(stopped):
    stopped.judge(True, ENOUGH_TRUST)
    assert stopped.slices() == range(11, 14)
    assert stopped.ended == "the next slice is not trusted (76 %, 90 % needed): the network is not sure that it sees the object there"
    stopped.judge(True, LEAST_TRUST)
    assert stopped.slices() == range(11, 16)
