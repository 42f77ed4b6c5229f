"""What Apply writes: what was found since it was last pressed, of segments that it was found for, and nothing else."""

import numpy as np
import pytest
import slicer

from support.effect_steps import start_anew


@pytest.fixture
def applied(work):
    """The whole liver was found and applied."""
    work.segment_by_box()
    work.press("apply")
    return work


def is_shown(work, segment):
    """Whether the views show a preview of a segment."""
    segment = work.id(segment)
    shown = work.controller.workbench.preview
    display = shown._node.GetDisplayNode()
    in_views = bool(display.GetVisibility() and display.GetSegmentVisibility(segment))
    assert in_views == bool(shown._models[segment].GetDisplayNode().GetVisibility())
    return in_views


def cut(work):
    """The user takes the upper part of the liver out with another effect; what is left."""
    kept = work.segment()
    kept[:, : work.middle()[1]] = False
    work.switch_away()
    work.paint(kept)
    work.switch_back()
    return kept


def find_the_spleen(work):
    work.select("spleen")
    work.segment_by_box(label=2)


# ---------------------------------------------------------------- once applied


def test_it_is_settled(applied):
    assert not is_shown(applied, "liver")
    assert not applied.panel.actions["apply"].enabled
    applied.key("A")
    assert "no preview" in applied.message


def test_it_is_not_shown_again_when_one_comes_back(applied):
    applied.switch_away()
    applied.switch_back()
    assert not is_shown(applied, "liver")
    assert not applied.panel.actions["apply"].enabled


def test_one_that_is_not_applied_is_shown_again_when_one_comes_back(work):
    work.segment_by_box()
    assert is_shown(work, "liver")
    work.switch_away()
    assert not work.controller.workbench.preview._node.GetDisplayNode().GetVisibility()
    work.switch_back()
    assert is_shown(work, "liver")
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_what_the_user_has_cut_off_stays_so_when_another_segment_is_applied(applied):
    kept = cut(applied)
    find_the_spleen(applied)
    assert not is_shown(applied, "liver")
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment("liver"), kept)
    np.testing.assert_array_equal(applied.segment("spleen"), applied.truth == 2)
    assert "liver" not in applied.message


def test_what_was_undone_stays_so_when_another_segment_is_applied(applied):
    applied.editor.undo()
    find_the_spleen(applied)
    applied.press("apply")
    assert not applied.segment("liver").any()
    np.testing.assert_array_equal(applied.segment("spleen"), applied.truth == 2)


def test_asked_for_again_it_is_shown_and_applied_again(applied):
    applied.editor.undo()
    applied.propagate()
    assert is_shown(applied, "liver")
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment(), applied.truth == 1)


def test_a_correction_shows_it_again(applied):
    i, j, k = applied.middle()
    applied.click(i, j, k, modifiers=("Control",))
    applied.wait()
    assert is_shown(applied, "liver")
    applied.press("apply")
    assert applied.segment()[k, j, i] == 0
    assert applied.segment()[k + 1].any()


# ---------------------------------------------------------------- other segments


def test_what_is_pending_of_two_is_applied_together(work):
    work.segment_by_box()
    find_the_spleen(work)
    assert is_shown(work, "liver")
    work.press("apply")
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_a_hidden_segment_that_is_not_selected_is_left_as_it_is(work):
    work.segment_by_box()
    find_the_spleen(work)
    work.segmentation.GetDisplayNode().SetSegmentVisibility(work.id("liver"), False)
    work.press("apply")
    assert not work.segment("liver").any()
    assert "liver is hidden" in work.message
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)
    work.segmentation.GetDisplayNode().SetSegmentVisibility(work.id("liver"), True)
    work.press("apply")
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)


def test_a_hidden_segment_that_is_not_concerned_is_not_asked_about(work):
    work.segment_by_box()
    work.select("spleen")
    work.segmentation.GetDisplayNode().SetSegmentVisibility(work.id("spleen"), False)
    work.press("apply")
    assert not work.host.user.texts("question")
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)


def test_a_run_for_another_segment_after_a_dropped_one_leaves_what_was_applied(applied, quick_network):
    """A run that is dropped takes the session with it, and the next one knows nothing of earlier segments."""
    start_the_spleen_and_drop_it(applied, quick_network)
    applied.propagate()
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment("liver"), applied.truth == 1)
    np.testing.assert_array_equal(applied.segment("spleen"), applied.truth == 2)


def start_the_spleen_and_drop_it(work, network):
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    work.propagate_and_pause(network, 4)
    work.press("stop_drop")
    network.go_on()
    work.wait()


def test_slices_to_check_of_other_segments_stay_listed(work):
    work.segment_by_box()
    listed = work.controller.review()
    assert listed
    find_the_spleen(work)
    work.select("liver")
    assert work.controller.review() == listed


def test_what_was_applied_in_a_closed_scene_is_not_taken_out_of_the_next(applied):
    slicer.mrmlScene.Clear(0)
    start_anew(applied)
    painted = applied.truth == 1
    applied.paint(painted)
    applied.choose(applied.panel.range, "keyframes")
    applied.segment_by_box()
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment(), painted)


# ---------------------------------------------------------------- dropped runs


def test_what_was_applied_before_a_dropped_run_stays_settled(applied, quick_network):
    applied.propagate_and_pause(quick_network, 4)
    assert is_shown(applied, "liver")
    applied.press("stop_drop")
    quick_network.go_on()
    applied.wait()
    assert not is_shown(applied, "liver")
    assert not applied.panel.actions["apply"].enabled


def test_what_was_pending_before_a_dropped_run_stays_so(work, quick_network):
    work.segment_by_box()
    work.propagate_and_pause(quick_network, 4)
    work.press("stop_drop")
    quick_network.go_on()
    work.wait()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_a_run_is_dropped_whose_segment_is_gone(work, quick_network):
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 4)
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.wait_for(lambda: work.id("liver") not in work.controller.workbench.preview.segments)
    work.panel.actions["stop_drop"].click()
    quick_network.go_on()
    work.wait()
    assert not work.host.exceptions
    assert "as before" in work.message
    find_the_spleen(work)
    work.press("apply")
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


# ---------------------------------------------------------------- other settings


def another_window(work):
    work.volume.GetDisplayNode().SetWindowLevel(123, 45)


def another_mode(work):
    work.choose(work.panel.mode, "fast")


@pytest.fixture
def found(work):
    """The whole liver was found, in the window that the volume is shown with."""
    work.choose(work.panel.window, "display")
    work.volume.GetDisplayNode().AutoWindowLevelOff()
    work.volume.GetDisplayNode().SetWindowLevel(400, 100)
    work.segment_by_box()
    return work


def correct(work):
    """A point outside the segment, on a slice without a prompt."""
    i, j, k = work.middle()
    work.click(i, j, k + 2, modifiers=("Control",))
    work.wait()


@pytest.mark.parametrize("change", [another_window, another_mode])
def test_a_correction_after_other_settings_keeps_what_is_pending(found, quick_network, change):
    change(found)
    correct(found)
    assert len(quick_network.opened) == 2
    assert found.controller.stack is quick_network.opened[-1]
    assert [mark.kind for mark in found.marks] == ["box", "prior", "point"]
    i, j, k = found.middle()
    wanted = (found.truth == 1).copy()
    wanted[k + 2, j - 1 : j + 2, i - 1 : i + 2] = False
    np.testing.assert_array_equal(found.preview(), wanted)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), wanted)


@pytest.mark.parametrize("change", [another_window, another_mode])
def test_a_short_run_after_other_settings_keeps_what_lies_out_of_its_range(found, change):
    change(found)
    found.choose(found.panel.range, "slices")
    k = found.middle()[2]
    found.panel.first.setValue(k - 1)
    found.panel.last.setValue(k + 1)
    found.propagate()
    np.testing.assert_array_equal(found.preview(), found.truth == 1)


def test_what_is_pending_stays_where_other_settings_are_refused(work):
    work.segment_by_box()
    work.choose(work.panel.axis, "j")
    work.press("propagate")
    assert "other slices" in work.message
    work.choose(work.panel.axis, "auto")
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_after_a_dropped_run_corrections_still_begin_from_what_was_found(work, quick_network):
    work.segment_by_box()
    work.propagate_and_pause(quick_network, 20)
    work.press("stop_drop")
    quick_network.go_on()
    work.wait()
    correct(work)
    assert "prior" in [mark.kind for mark in work.marks]
