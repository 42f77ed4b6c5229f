"""Finished segments keep their voxels: nothing leaks into them, and what lies between them is found the better for it."""

import numpy as np
import pytest

from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.neighbours import Neighbours
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.network.options import MODES
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point, PromptSet, Scribble, Segment
from SAMSegmenterLib.session.session import Session
from support.session_steps import WINDOW

MIDDLE = 12
Z, Y, X = np.ogrid[:24, :64, :64]
BALLS = [(Z - MIDDLE) ** 2 + (Y - 32) ** 2 + (X - x) ** 2 <= 10**2 for x in (23, 41)]  # they run into each other
LEFT, RIGHT = BALLS[0] & (X < 32), BALLS[1] & (X >= 32)
PROMPTS = {
    "box": Keyframe(MIDDLE, box=Box(12.5, 21.5, 31.5, 42.5)),
    "click": Keyframe(MIDDLE, points=(Point(22, 32),)),
    "mask": Keyframe(MIDDLE, mask=MaskPrompt(LEFT[MIDDLE])),
}


@pytest.fixture(scope="module")
def stack():
    """Two balls of the same intensity, without a border where they touch."""
    voxels = np.where(LEFT | RIGHT, 120, -60) + np.random.default_rng(0).normal(0, 8, (24, 64, 64))
    return FrameStack(Volume(voxels.astype(np.float32)), window=WINDOW)


@pytest.fixture
def session(stack, shipped_model):
    def begin(keyframe, labels=None, own=None, mode="auto"):
        neighbours = None if labels is None else Neighbours(stack, [labels.astype(np.uint8)], own or {})
        prompts = PromptSet((Segment("left", (keyframe,)),))
        return Session(stack, shipped_model, MODES[mode](), "cpu", prompts, neighbours)

    return begin


def found(session):
    list(session.propagate())
    return session.segment_volume("left")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_nothing_leaks_into_a_neighbour_and_the_object_is_found(session, prompt):
    alone, beside = found(session(PROMPTS[prompt])), found(session(PROMPTS[prompt], RIGHT))
    assert (alone & RIGHT).any(), "without its neighbour the object leaks, or this test says nothing"
    assert not (beside & RIGHT).any()
    assert dice(beside, LEFT) > max(0.85, dice(alone, LEFT))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_respects_neighbours(session, mode):
    begun = session(PROMPTS["box"], RIGHT, mode=mode)
    assert not (found(begun) & RIGHT).any()
    assert not (begun.labelmap().astype(bool) & RIGHT).any()


def test_what_was_painted_over_a_neighbour_stays_and_is_told(session):
    painted = LEFT[MIDDLE] | (RIGHT[MIDDLE] & (X[0] < 36))
    begun = session(Keyframe(MIDDLE, mask=MaskPrompt(painted)), RIGHT)
    volume = found(begun)
    assert np.array_equal(volume[MIDDLE], painted)
    volume[MIDDLE] = False
    assert not (volume & RIGHT).any()
    assert begun.stats()["warnings"] == ["left, slice 12: it is marked over another segment, which does not count there."]


@pytest.mark.parametrize("over", [{"points": (Point(40, 32),)}, {"scribbles": (Scribble(((38, 30), (43, 33))),)}])
def test_a_mark_inside_a_neighbour_is_obeyed_on_its_slice(session, over):
    begun = session(Keyframe(MIDDLE, **over), RIGHT)
    assert (begun.preview("left", MIDDLE).mask & RIGHT[MIDDLE]).any()
    assert not (found(begun) & RIGHT)[np.arange(24) != MIDDLE].any()
    assert "marked over another segment" in begun.stats()["warnings"][0]


def test_a_mark_outside_the_object_may_lie_in_a_neighbour(session):
    begun = session(Keyframe(MIDDLE, points=(Point(22, 32), Point(41, 32, positive=False))), RIGHT)
    assert not (begun.preview("left", MIDDLE).mask & RIGHT[MIDDLE]).any()
    assert not begun.stats()["warnings"]


def test_neighbours_that_leave_nothing_are_told(session):
    begun = session(PROMPTS["box"], np.ones(LEFT.shape))
    assert not found(begun).any()
    assert "left, slice 12: nothing is left of it beside the other segments." in begun.stats()["warnings"][0]


def test_what_is_already_there_of_the_object_may_be_found_anew(session):
    labels = np.where(LEFT, 1, np.where(RIGHT, 2, 0))
    assert dice(found(session(PROMPTS["box"], labels, {"left": (1,)})), LEFT) > 0.85


def test_candidates_keep_off_neighbours(session):
    assert not any((mask & RIGHT[MIDDLE]).any() for mask in session(PROMPTS["click"], RIGHT).candidates("left", MIDDLE))


def test_what_is_finished_later_is_cut_off(session, stack):
    begun = session(PROMPTS["click"])
    assert (found(begun) & RIGHT).any()
    begun.neighbours = Neighbours(stack, [RIGHT])
    assert not (begun.segment_volume("left") & RIGHT).any()
    assert not (begun.preview("left", MIDDLE).mask & RIGHT[MIDDLE]).any()


def test_a_session_goes_on_beside_its_neighbours(session):
    begun = session(PROMPTS["box"], RIGHT)
    list(begun.propagate(slices=(MIDDLE, MIDDLE + 2)))
    resumed = Session.from_state(begun.model, begun.prompts, begun.state(), device="cpu")
    assert np.array_equal(found(resumed), found(session(PROMPTS["box"], RIGHT)))
