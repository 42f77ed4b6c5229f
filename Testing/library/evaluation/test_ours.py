"""The method of this library gives what a session gives."""

import numpy as np

from SAMSegmenterLib.evaluation.methods.base import Ours
from SAMSegmenterLib.evaluation.tasks import Propagation, SingleSlices
from support.evaluation_steps import SLICES


def test_ours_finds_a_block_from_a_painted_slice(shipped_model, stack, target, random):
    outcome = Propagation("mask").attempt(Ours(shipped_model, device="cpu"), stack, target, random)
    assert outcome.mask.shape == target.mask.shape
    assert outcome.scores["dice"] > 0.7
    assert outcome.scores["seconds"] > 0


def test_ours_offers_what_it_shows_first(shipped_model, stack, target, random):
    ours = Ours(shipped_model, device="cpu")
    for mode in ("S2", "S5"):
        shown, best = (SingleSlices(mode, oracle).attempt(ours, stack, target, random).scores["dice"] for oracle in (False, True))
        assert best >= shown > 0.3
    keyframe = Propagation("box").keyframes(target, random)[0]
    offered = ours.offer(stack, keyframe)
    assert len(offered) == 5  # the one that is shown, and the decoder's four
    segmented = ours.segment(stack, [keyframe], (keyframe.slice, keyframe.slice))
    np.testing.assert_array_equal(offered[0], segmented[keyframe.slice])


def test_corrections_give_what_a_new_session_gives(shipped_model, stack, target, random):
    first, second = (Propagation("mask", start).keyframes(target, random)[0] for start in ("centre", "edge"))
    reused = Ours(shipped_model, device="cpu")
    reused.segment(stack, [first], (0, SLICES - 1))
    corrected = reused.segment(stack, [first, second], (0, SLICES - 1))
    anew = Ours(shipped_model, device="cpu").segment(stack, [first, second], (0, SLICES - 1))
    np.testing.assert_array_equal(corrected, anew)
