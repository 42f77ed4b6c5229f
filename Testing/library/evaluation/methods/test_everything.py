"""Everything mode: candidates on a slice, a choice of them, and their way through the volume."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.evaluation.methods.everything import Candidate, masks_on_slice, propagate_candidates, with_candidates, without_overlap
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.phantom import make_phantom
from SAMSegmenterLib.prompts.types import Keyframe, Point, PromptSet, Segment
from SAMSegmenterLib.session.session import Session

SLICE = 12


@pytest.fixture(scope="module")
def phantom():
    """A small torso as slices, and its labels by name."""
    volume, labels, names = make_phantom(shape_ijk=(96, 96, 48), spacing_mm=(2.5, 2.5, 5.0))
    return FrameStack(volume), {name: labels == number for number, name in enumerate(names, 1)}


@pytest.fixture(scope="module")
def candidates(phantom, shipped_model):
    return masks_on_slice(shipped_model, phantom[0], SLICE, device="cpu", points_per_side=9)


def a_candidate(rows, columns, quality, stability=1.0):
    mask = np.zeros((20, 20), bool)
    mask[rows, columns] = True
    return Candidate(3, mask, quality, stability)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def best_for(mask, candidates):
    return max(candidates, key=lambda each: dice(each.mask, mask))


def test_organs_are_among_the_candidates(candidates, phantom):
    masks = [mask[SLICE] for mask in phantom[1].values() if mask[SLICE].any()]
    scores = sorted(dice(best_for(mask, candidates).mask, mask) for mask in masks)
    assert scores[-2] > 0.85, scores


def test_candidates_are_good_different_and_ordered(candidates):
    assert all(each.slice == SLICE and each.quality >= 0.5 and 0.5 <= each.stability <= 1 for each in candidates)
    assert [each.worth for each in candidates] == sorted((each.worth for each in candidates), reverse=True)
    pairs = [(one.mask, other.mask) for n, one in enumerate(candidates) for other in candidates[:n]]
    assert all((one & other).sum() < 0.7 * (one | other).sum() for one, other in pairs)


def test_stricter_limits_leave_fewer(phantom, shipped_model):
    stack, shown = phantom[0], {"device": "cpu", "points_per_side": 2}
    every = masks_on_slice(shipped_model, stack, SLICE, least_quality=0, least_stability=0, **shown)
    assert every
    assert not masks_on_slice(shipped_model, stack, SLICE, least_quality=1.01, **shown)
    assert not masks_on_slice(shipped_model, stack, SLICE, least_stability=1.01, **shown)


def test_a_slice_that_does_not_exist_is_refused(phantom, shipped_model):
    with pytest.raises(InputError, match="no slice 48"):
        masks_on_slice(shipped_model, phantom[0], 48)


def test_better_candidates_keep_shared_pixels_and_the_covered_go():
    best, beside = a_candidate(slice(0, 10), slice(0, 10), 0.9), a_candidate(slice(5, 20), slice(0, 10), 0.8)
    below = a_candidate(slice(0, 10), slice(0, 12), 0.7)
    kept = without_overlap([below, beside, best])
    assert [each.quality for each in kept] == [0.9, 0.8]
    assert (kept[0].mask == best.mask).all()
    assert (kept[1].mask == (beside.mask & ~best.mask)).all()


def test_stability_counts_in_the_order():
    steady, shaky = a_candidate(slice(0, 9), slice(0, 9), 0.7), a_candidate(slice(0, 9), slice(0, 9), 0.8, 0.5)
    assert [each.quality for each in without_overlap([shaky, steady])] == [0.7]


def test_candidates_become_painted_segments_of_free_names():
    prompts = PromptSet((Segment("object 1", (Keyframe(0, points=(Point(1, 1),)),)),), "j")
    chosen = [a_candidate(slice(0, 5), slice(0, 5), 0.9), a_candidate(slice(9, 15), slice(0, 5), 0.9)]
    more = with_candidates(prompts, chosen)
    assert [segment.name for segment in more.segments] == ["object 1", "object 2", "object 3"]
    assert more.axis == "j"
    assert all((s.keyframe(3).mask.mask == c.mask).all() for s, c in zip(more.segments[1:], chosen, strict=True))


def test_chosen_candidates_are_followed_through_the_volume(candidates, phantom, shipped_model):
    stack, organs = phantom
    chosen = without_overlap([best_for(organs[name][SLICE], candidates) for name in ("kidney_left", "spine")])
    session = Session(stack, shipped_model, device="cpu")
    slices = {found.slice for found in propagate_candidates(session, chosen)}
    assert len(slices) > 5
    assert {segment.name for segment in session.prompts.segments} == {"object 1", "object 2"}
    kidney = session.prompts.segments[chosen.index(best_for(organs["kidney_left"][SLICE], chosen))].name
    assert dice(session.segment_volume(kidney), organs["kidney_left"]) > 0.6
    assert session.undo()
    assert not session.prompts.segments
