"""Keyframes on further slices correct what was found: they are kept, and only what they can change is run again."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point
from SAMSegmenterLib.propagation import engine
from SAMSegmenterLib.propagation.trust import examine
from support.session_steps import box, painted, run


def passes(session):
    return {(report.start, report.direction): report for report in session.reports()}


def test_painted_slices_come_back_as_painted(session, truth):
    odd = truth[20].copy()
    odd[30, 30:60] = True  # nothing a network would propose
    session.set_keyframe("ball", Keyframe(20, mask=MaskPrompt(odd)))
    session.set_keyframe("ball", painted(truth, 12))
    run(session)
    np.testing.assert_array_equal(session.labels(20), odd)
    np.testing.assert_array_equal(session.slice_mask("ball", 20).mask, odd)
    assert session.slice_mask("ball", 20).trust == 1


def test_slices_between_keyframes_are_fused_from_both_sides(session, truth):
    for index in (10, 22):
        session.set_keyframe("ball", painted(truth, index))
    run(session)
    assert {session.slice_mask("ball", n).source for n in range(11, 22)} == {"both"}
    assert passes(session)[10, 1].reason == passes(session)[22, -1].reason == "next keyframe"
    assert dice(session.labelmap() == 1, truth) > 0.9


def test_a_correction_is_kept_and_re_runs_only_what_it_can_change(session, truth):
    """Upstream stores a correction of a tracked slice as one more guess, and propagating again overwrites it."""
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    before = {n: session.slice_mask("ball", n).mask for n in range(32)}
    steps = session.engine.runner.cache.misses
    session.set_keyframe("ball", painted(truth, 21))
    assert session.remaining() == 4 + 10
    found = run(session)
    assert {each.slice for each in found} <= {16, *range(17, 32)}
    np.testing.assert_array_equal(session.labels(21), truth[21])
    for n in range(16):
        np.testing.assert_array_equal(session.slice_mask("ball", n).mask, before[n])
    run(session)
    np.testing.assert_array_equal(session.labels(21), truth[21])
    assert session.remaining() == 0
    assert session.engine.runner.cache.misses >= steps


def test_a_keyframe_beyond_makes_an_ended_pass_go_on(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    reached = passes(session)[16, 1].reached
    assert reached < 28
    session.set_keyframe("ball", Keyframe(30, mask=MaskPrompt(truth[16])))
    run(session)
    assert passes(session)[16, 1].reached == 29
    assert passes(session)[16, 1].reason == "next keyframe"


def test_changing_a_keyframe_runs_its_passes_again(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    session.set_keyframe("ball", Keyframe(16, points=(Point(32, 32),)))
    assert session.remaining() == 31
    assert len(run(session)) > 10
    assert session.remaining() == 0


def test_removing_a_keyframe_falls_back_to_what_was_there_before(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    before = session.labelmap()
    session.set_keyframe("ball", painted(truth, 21))
    run(session)
    session.set_keyframe("ball", Keyframe(21))
    np.testing.assert_array_equal(session.labelmap(), before)


def test_what_was_found_for_other_prompts_is_not_shown(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    session.set_keyframe("ball", Keyframe(16, box=Box(3, 3, 15, 15)))
    assert session.remaining() == 31
    assert not session.labelmap().any()
    assert session.slice_mask("ball", 16).source == session.slice_mask("ball", 17).source == ""
    session.undo()
    assert dice(session.labelmap() == 1, truth) > 0.9


def test_an_undone_preview_leaves_nothing(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    session.set_keyframe("ball", Keyframe(16, box=Box(3, 3, 15, 15)))
    session.preview("ball", 16)
    session.undo()
    assert session.slice_mask("ball", 16).source == ""


def test_taking_back_a_keyframe_beyond_takes_back_how_far_a_pass_went_for_it(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    before = session.labelmap()
    session.set_keyframe("ball", Keyframe(30, mask=MaskPrompt(truth[16])))
    run(session)
    session.undo()
    np.testing.assert_array_equal(session.labelmap(), before)


def test_passes_that_a_neighbouring_keyframe_has_made_useless_are_not_reported(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    session.set_keyframe("ball", painted(truth, 17))
    run(session)
    assert passes(session).keys() == {(16, -1), (17, 1)}


@pytest.fixture
def wary(truth, monkeypatch):
    """Passes trust the ball less where it is narrow."""

    def judged(keyframe, here, *signs):
        found = examine(keyframe, here, *signs)
        return replace(found, trust=min(found.trust, 0.8 if here.area > truth[12].sum() else 0.7))

    monkeypatch.setattr(engine, "examine", judged)


@pytest.mark.usefixtures("wary")
def test_beyond_painted_slices_it_is_trusted_as_far_as_between_them(session, truth):
    session.set_keyframe("ball", painted(truth, 12))
    run(session)
    before = session.labelmap()
    assert passes(session)[12, -1].reached < 10
    session.set_keyframe("ball", painted(truth, 20))
    run(session)
    assert passes(session)[12, -1].reached == 12
    assert passes(session)[20, 1].reached == 20
    assert "(70 %, 80 % needed)" in passes(session)[20, 1].reason
    session.undo()
    np.testing.assert_array_equal(session.labelmap(), before)


@pytest.mark.usefixtures("wary")
def test_clicks_on_a_slice_leave_what_is_far_from_it(session, truth):
    session.set_keyframe("ball", painted(truth, 12))
    run(session)
    reached = passes(session)[12, -1].reached
    session.set_keyframe("ball", box(20))
    run(session)
    assert passes(session)[12, -1].reached == reached < 10
    assert passes(session)[20, 1].reached > 24


def test_an_outside_point_alone_takes_a_leak_away_and_keeps_the_rest(session, truth):
    leaked = truth[16].copy()
    leaked[26:38, 14:26] = True
    outside = Point(20, 32, positive=False)
    with pytest.raises(InputError, match="only negative points"):
        session.set_keyframe("ball", Keyframe(16, points=(outside,)))
    session.set_keyframe("ball", Keyframe(16, points=(outside,), prior=MaskPrompt(leaked)))
    corrected = session.preview("ball", 16).mask
    assert (corrected & leaked & ~truth[16]).sum() < 0.1 * (leaked & ~truth[16]).sum()
    assert 2 * (corrected & truth[16]).sum() / (corrected.sum() + truth[16].sum()) > 0.95


def test_a_prior_of_another_size_or_by_itself_is_refused(session, truth):
    with pytest.raises(InputError, match="rows and columns"):
        session.set_keyframe("ball", Keyframe(20, points=(Point(5, 5),), prior=MaskPrompt(np.ones((3, 3)))))
    assert Keyframe(20, prior=MaskPrompt(truth[20])).is_empty
