"""A session as a host uses it: a prompt, its preview, propagation, trust, cancelling, undo."""

import re

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.network.options import MODES, Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, Point, PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from SAMSegmenterLib.session.summary import REVIEWED
from support.session_steps import WINDOW, box, painted, run


def test_one_box_on_one_slice_gives_the_ball(session, truth):
    session.set_keyframe("ball", box(16))
    found = run(session)
    assert dice(session.labelmap() == 1, truth) > 0.85
    assert (found[0].source, found[0].slice) == ("prompted", 16)
    assert {each.source for each in found if each.slice > 16} <= {"forward", ""}
    assert {each.source for each in found if each.slice < 16} <= {"backward", ""}


def test_slices_come_outwards_from_the_keyframe_and_are_final_when_they_come(session):
    session.set_keyframe("ball", box(16))
    found = {each.slice: each for each in session.propagate()}
    assert list(found)[:5] == [16, 15, 17, 14, 18]
    for index, each in found.items():
        np.testing.assert_array_equal(each.mask, session.slice_mask("ball", index).mask)


def test_passes_say_how_far_they_came_and_why_they_ended(session):
    session.set_keyframe("ball", box(16))
    run(session)
    for report in session.reports():
        assert 6 <= abs(report.reached - 16) <= 12
        assert re.match(r"the next slice is not trusted \(\d+ %, [6-9]\d % needed\): ", report.reason)


def test_without_early_stop_passes_reach_the_end_of_the_volume(volume, shipped_model):
    session = Session(FrameStack(volume, window=WINDOW), shipped_model, Options(early_stop=False), "cpu")
    session.set_keyframe("ball", box(16))
    run(session)
    assert [(r.reached, r.reason) for r in session.reports()] == [(0, "end of the volume"), (31, "end of the volume")]


def test_every_axis_can_be_played_as_time(volume, shipped_model, truth):
    for axis in "ij":
        session = Session(FrameStack(volume, axis, WINDOW), shipped_model, device="cpu")
        session.set_keyframe("ball", Keyframe(32, box=Box(21.5, 5.5, 42.5, 26.5)))
        run(session)
        assert dice(session.labelmap() == 1, truth) > 0.8, axis


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_runs(volume, shipped_model, truth, mode):
    session = Session(FrameStack(volume, window=WINDOW), shipped_model, MODES[mode](), "cpu")
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    assert dice(session.labelmap() == 1, truth) > 0.6


def test_a_range_is_kept_to(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session, slices=(14, 18))
    assert {report.reason for report in session.reports()} == {"end of the range"}
    assert np.flatnonzero(session.labelmap().any((1, 2))).tolist() == [14, 15, 16, 17, 18]
    with pytest.raises(InputError, match=r"outside 0 to 9\. Choose a range with a marked slice, or mark the segment within this one"):
        run(session, slices=(0, 9))
    with pytest.raises(InputError, match="behind the last"):
        run(session, slices=(9, 0))
    with pytest.raises(InputError, match=r"range 0 to 40: .*no slice 40"):
        run(session, slices=(0, 40))


def test_preview_is_what_propagation_starts_from(session):
    session.set_keyframe("ball", box(16))
    preview = session.preview("ball", 16)
    found = run(session)
    np.testing.assert_array_equal(preview.mask, found[0].mask)
    with pytest.raises(InputError, match="no prompts on slice 3"):
        session.preview("ball", 3)


def test_slices_prepared_in_advance_change_no_result(volume, shipped_model, session):
    session.set_keyframe("ball", box(16))
    run(session)
    other = Session(session.stack, shipped_model, session.options, "cpu")
    other.set_keyframe("ball", box(16))
    assert next(other.prepare("ball", 16)) == 16
    run(other)
    np.testing.assert_array_equal(session.labelmap(), other.labelmap())


def test_trust_is_high_on_the_object_and_the_review_list_is_short(session, truth):
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    trust = session.trust("ball")
    assert trust[16] == 1
    assert min(trust[n] for n in range(12, 21)) > 0.5
    assert len(session.review("ball", 3)) == 3
    assert session.review("ball", 3)[0] == min(trust, key=lambda n: (trust[n], n))


def test_nothing_is_known_before_anything_is_run(session):
    session.set_keyframe("ball", box(16))
    unknown = session.slice_mask("ball", 16)
    assert (unknown.mask.any(), unknown.trust, unknown.source) == (False, 0.0, "")
    assert not session.labelmap().any()
    assert session.reports() == []


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9])
def test_cancelling_at_any_slice_keeps_what_is_finished_and_can_go_on(session, truth, after):
    session.set_keyframe("ball", painted(truth, 16))
    session.set_keyframe("ball", painted(truth, 20))
    seen = []
    for each in session.propagate(cancel=lambda: len(seen) >= after):
        seen.append(each)
    assert len(seen) == after
    for each in seen:
        np.testing.assert_array_equal(each.mask, session.slice_mask("ball", each.slice).mask)
    run(session)
    finished = Session(session.stack, session.model, session.options, "cpu", session.prompts)
    run(finished)
    np.testing.assert_array_equal(session.labelmap(), finished.labelmap())


def test_leaving_the_loop_is_cancelling_too(session):
    session.set_keyframe("ball", box(16))
    for number, _ in enumerate(session.propagate()):
        if number == 4:
            break
    assert 0 < session.labelmap().any((1, 2)).sum() <= 5
    assert "not finished" in {report.reason for report in session.reports()}


def test_prompts_can_be_undone_and_redone(session, truth):
    assert not session.undo()
    session.set_keyframe("ball", box(16))
    session.set_keyframe("ball", painted(truth, 20))
    assert session.undo()
    assert [k.slice for k in session.prompts.segment("ball").keyframes] == [16]
    assert session.redo()
    assert [k.slice for k in session.prompts.segment("ball").keyframes] == [16, 20]
    assert not session.redo()


def test_prompts_of_a_host_that_keeps_its_own_steps_of_undo_are_not_kept(session):
    session.prompts = PromptSet((Segment("ball", (box(16),)),))
    assert not session.undo()
    with pytest.raises(InputError, match="along axis i"):
        Session(session.stack, session.model, prompts=PromptSet(axis="i"))


def test_bad_prompts_are_refused_and_change_nothing(session):
    session.set_keyframe("ball", box(16))
    for bad in (Keyframe(99, box=box(1).box), Keyframe(3, points=(Point(900, 1),)), Keyframe(3, points=(Point(1, 1, False),))):
        with pytest.raises(InputError):
            session.set_keyframe("ball", bad)
    assert [k.slice for k in session.prompts.segment("ball").keyframes] == [16]
    with pytest.raises(InputError, match="along axis i"):
        session.prompts = PromptSet(axis="i")


def test_the_volume_is_never_changed(session, volume, truth):
    before = volume.voxels.copy()
    session.set_keyframe("ball", painted(truth, 16))
    run(session)
    session.labelmap()[:] = 7
    np.testing.assert_array_equal(volume.voxels, before)


def test_the_summary_names_the_slices_most_worth_checking(session):
    session.set_keyframe("ball", box(16))
    run(session)
    summary, trust = session.summary(), session.trust("ball")
    assert summary.slices == {"ball": session.composition.slices(session.prompts.segment("ball"))}
    assert [index for index, _ in summary.review["ball"]] == session.review("ball", REVIEWED)
    assert all(trust[index] == value for index, value in summary.review["ball"])
    assert summary.passes == session.reports()
    assert summary.warnings == []


def test_a_session_goes_on_from_the_state_of_another(session, shipped_model):
    session.set_keyframe("ball", box(16))
    run(session)
    other = Session.from_state(shipped_model, session.prompts, session.state(), session.options, "cpu")
    assert np.array_equal(other.labelmap(), session.labelmap())
    assert other.remaining() == 0


def test_the_state_leaves_out_what_was_taken_back(session):
    session.set_keyframe("ball", box(16))
    run(session)
    session.set_keyframe("ball", Keyframe(16))
    state = session.state()
    assert session.composition.seeds
    assert [len(each) for each in (state.seeds, state.tracks, state.gaps)] == [0, 0, 0]


def test_the_candidates_of_a_slice_begin_with_its_preview(session):
    session.set_keyframe("ball", box(16))
    candidates = session.candidates("ball", 16)
    assert len(candidates) > 1
    assert np.array_equal(candidates[0], session.preview("ball", 16).mask)
    with pytest.raises(InputError, match="has no prompts on slice 0"):
        session.candidates("ball", 0)
