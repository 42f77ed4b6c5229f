"""A session as a host uses it: prompts, previews, propagation, corrections, cancelling, undo, saving."""

from dataclasses import replace

import numpy as np
import pytest

from phantoms import ball
from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.frames import FrameStack, Window
from SAMSegmenterLib.prompts import Box, Keyframe, MaskPrompt, Point, PromptSet, Segment
from SAMSegmenterLib.propagation.fusion import dice
from SAMSegmenterLib.propagation.options import MODES, Options
from SAMSegmenterLib.session import Session
from SAMSegmenterLib.session_io import restore_session, save_session

WINDOW = Window(-160, 240)


@pytest.fixture(scope="module")
def volume():
    return ball()[0]


@pytest.fixture(scope="module")
def truth():
    return ball()[1]


@pytest.fixture
def session(volume, shipped_model):
    return Session(FrameStack(volume, window=WINDOW), shipped_model, Options(precision="float32"), device="cpu")


def box(index):
    return Keyframe(index, box=Box(21.5, 21.5, 42.5, 42.5))


def painted(truth, index):
    return Keyframe(index, mask=MaskPrompt(truth[index]))


def run(session, **how):
    return list(session.propagate(**how))


def passes(session):
    return {(report.start, report.direction): report for report in session.reports()}


# ---------------------------------------------------------------- the main job


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
        assert any(word in report.reason for word in ("intensity", "score", "area", "overlap"))


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
    with pytest.raises(InputError, match="outside 0 to 9"):
        run(session, slices=(0, 9))
    with pytest.raises(InputError, match="behind the last"):
        run(session, slices=(9, 0))
    with pytest.raises(InputError, match="no slice 40"):
        run(session, slices=(0, 40))


# ---------------------------------------------------------------- keyframes and corrections


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


# ---------------------------------------------------------------- several segments


@pytest.fixture
def two(session, truth):
    half = truth[16].copy()
    half[:, 32:] = False
    session.set_keyframe("left", Keyframe(16, mask=MaskPrompt(half)))
    session.set_keyframe("whole", painted(truth, 18))
    run(session)
    return session


def test_segments_do_not_overlap_but_each_can_be_had_whole(two, truth):
    labels = two.labelmap()
    assert set(np.unique(labels)) == {0, 1, 2}
    left, whole = two.segment_volume("left"), two.segment_volume("whole")
    assert (left & whole).any()
    assert (left | whole)[labels > 0].all()
    np.testing.assert_array_equal(labels > 0, left | whole)
    np.testing.assert_array_equal(two.labels(18) == 2, truth[18])


def test_segments_run_side_by_side_and_share_their_features(two):
    assert {report.segment for report in two.reports()} == {"left", "whole"}
    one = Session(two.stack, two.model, two.options, "cpu")
    one.prompts = PromptSet((two.prompts.segment("left"),))
    run(one)
    np.testing.assert_array_equal(one.segment_volume("left"), two.segment_volume("left"))


def test_one_segment_can_be_run_alone(session, truth):
    session.prompts = PromptSet((Segment("a", (painted(truth, 16),)), Segment("b", (painted(truth, 12),))))
    run(session, segments=["b"])
    assert {report.segment for report in session.reports()} == {"b"}
    with pytest.raises(InputError, match="no segment 'c'"):
        run(session, segments=["c"])


def test_segments_without_prompts_are_passed_over_but_one_is_needed(session, truth):
    session.prompts = PromptSet((Segment("empty"),))
    with pytest.raises(InputError, match="no segments"):
        run(session)
    session.prompts = PromptSet((Segment("empty"), Segment("ball", (painted(truth, 16),))))
    assert {each.segment for each in run(session)} == {"ball"}
    assert set(np.unique(session.labelmap())) == {0, 2}


# ---------------------------------------------------------------- correcting what was found


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


# ---------------------------------------------------------------- preview, trust


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


# ---------------------------------------------------------------- cancelling, undo


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


# ---------------------------------------------------------------- saving


def test_a_saved_session_comes_back_as_it_was(session, truth, tmp_path):
    session.set_keyframe("ball", box(16))
    session.set_keyframe("other", painted(truth, 12))
    run(session)
    save_session(session, tmp_path / "work.session")
    back = restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())
    assert back.prompts == session.prompts
    assert back.reports() == session.reports()
    assert back.trust("ball") == session.trust("ball")
    assert back.remaining() == 0


def test_a_session_saved_in_the_middle_can_be_finished(session, truth, tmp_path):
    session.set_keyframe("ball", painted(truth, 16))
    steps = session.propagate()
    for _ in range(5):
        next(steps)
    save_session(session, tmp_path / "work.session")
    back = restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())
    run(back)
    run(session)
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())


def test_an_unfinished_or_empty_session_can_be_saved(session, tmp_path):
    save_session(session, tmp_path / "empty.session")
    assert restore_session(tmp_path / "empty.session", session.stack.volume, session.model, "cpu").prompts == session.prompts
    session.set_keyframe("ball", box(16))
    session.set_keyframe("ball", Keyframe(16))
    save_session(session, tmp_path / "bare.session")
    assert restore_session(tmp_path / "bare.session", session.stack.volume, session.model, "cpu").prompts == session.prompts


def test_a_session_of_something_else_is_refused(session, volume, tmp_path):
    path = tmp_path / "work.session"
    save_session(session, path)
    with pytest.raises(InputError, match="another volume"):
        restore_session(path, replace(volume, voxels=volume.voxels + 1), session.model, "cpu")
    with pytest.raises(InputError, match="another model"):
        restore_session(path, volume, replace(session.model, sha256="1" * 64), "cpu")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="damaged"):
        restore_session(path, volume, session.model, "cpu")
    with pytest.raises(InputError, match="no such file"):
        restore_session(tmp_path / "none", volume, session.model, "cpu")


def test_a_failed_save_leaves_the_older_file(session, tmp_path):
    path = tmp_path / "work.session"
    save_session(session, path)
    older = path.read_bytes()
    session.set_keyframe("ball", box(16))
    with pytest.raises(OutputError, match="could not be written"):
        save_session(session, tmp_path / "missing" / "work.session")
    assert path.read_bytes() == older
    assert [each.name for each in tmp_path.iterdir()] == ["work.session"]
