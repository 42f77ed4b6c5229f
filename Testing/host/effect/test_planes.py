"""Every segment has the plane of its own prompts; nothing that is applied fixes one for others. Segments that go, and applies undone."""

import numpy as np
import pytest

from slicerhost.hands import SliceView


@pytest.fixture
def coronal(work):
    view = SliceView("Green")
    view.fit()
    return view


def coronal_box(work, view, label=2):
    i, j, k = work.middle(label)
    view.go_to(work.ras(i, j, k))
    work.take("box")
    rows, columns = np.nonzero(work.truth[:, j] == label)
    first, last = work.ras(columns.min() - 1, j, rows.min() - 1), work.ras(columns.max() + 1, j, rows.max() + 1)
    view.drag(view.xy(first), view.xy(last))
    work.wait()


@pytest.fixture
def applied(work):
    """The liver, by a box in axial slices."""
    work.segment_by_box()
    work.press("apply")
    return work


def test_after_one_segment_is_applied_another_is_marked_in_another_plane(applied, coronal):
    applied.select("spleen")
    coronal_box(applied, coronal)
    assert not applied.warned, applied.message
    assert applied.plane == "j"
    applied.propagate()
    np.testing.assert_array_equal(applied.preview("spleen"), applied.truth == 2)
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment("spleen"), applied.truth == 2)
    np.testing.assert_array_equal(applied.segment("liver"), applied.truth == 1)


def test_coming_back_to_the_first_its_own_slices_are_used_again(applied, coronal):
    *_, k = applied.middle()
    applied.select("spleen")
    coronal_box(applied, coronal)
    applied.propagate()
    applied.press("apply")
    applied.select("liver")
    applied.wait_for(lambda: applied.keyframes() == [k])
    assert applied.plane == "k"
    applied.click(*applied.middle(), modifiers=("Control",))
    applied.propagate()
    assert not applied.warned, applied.message
    assert applied.keyframes() == [k]


def test_a_preview_that_was_not_applied_is_not_lost_to_another_plane(work, coronal):
    work.segment_by_box()
    found = work.preview()
    work.select("spleen")
    coronal_box(work, coronal)
    assert "The preview of liver lies in other slices. Apply or clear it first." in work.message
    np.testing.assert_array_equal(work.preview("liver"), found)
    work.press("apply")
    coronal_box(work, coronal)
    assert not work.warned, work.message
    assert [mark.plane for mark in work.marks] == ["k", "j"]


def test_marking_in_another_plane_offers_to_put_the_old_prompts_away(work, coronal):
    work.draw_box()
    work.wait()
    coronal_box(work, coronal, label=1)
    assert "The prompts of liver lie in other slices" in work.message
    assert [mark.plane for mark in work.marks] == ["k"]
    work.press("answer")
    work.wait()
    assert [mark.plane for mark in work.marks] == ["j"]
    assert not work.warned, work.message
    assert work.preview().any()


def test_segments_marked_in_other_slices_are_left_out_of_a_run_of_all_and_named(applied, coronal):
    applied.select("spleen")
    coronal_box(applied, coronal)
    applied.panel.all_segments.setChecked(True)
    applied.propagate()
    assert "Left out, as their prompts lie in other slices: liver." in applied.message
    np.testing.assert_array_equal(applied.preview("spleen"), applied.truth == 2)


# ---------------------------------------------------------------- segments that go


def test_removing_the_segment_of_a_run_stops_it(work, quick_network):
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 5)
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.wait_for(lambda: "removed" in work.message)
    before = len(quick_network.found)
    quick_network.go_on()
    work.wait()
    assert len(quick_network.found) <= before + 1


def lose_the_liver_in_a_run_of_two(work, network):
    """Propagate liver and spleen together, and remove the liver on the way."""
    work.draw_box()
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    work.panel.all_segments.setChecked(True)
    work.propagate_and_pause(network, 3)
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))


def test_the_others_of_a_run_go_on(work, quick_network):
    lose_the_liver_in_a_run_of_two(work, quick_network)
    gone = len(quick_network.found)
    work.wait_for(lambda: "liver" not in work.segments())
    work.wait_for(lambda: work.controller.workbench._superseded == 1)
    quick_network.go_on()
    work.wait()
    assert {work.name_of(segment) for segment, _index in quick_network.found[gone + 1 :]} == {"spleen"}
    np.testing.assert_array_equal(work.preview("spleen"), work.truth == 2)
    assert work.message.startswith("Done: slices")
    work.propagate()
    work.press("apply")
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_a_run_that_goes_on_without_a_segment_can_be_stopped(work, quick_network):
    lose_the_liver_in_a_run_of_two(work, quick_network)
    work.wait_for(lambda: work.controller.workbench._superseded == 1)
    work.press("stop_keep")
    quick_network.go_on()
    work.wait()
    assert "Stopped" in work.message
    assert work.panel.actions["propagate"].enabled


# ---------------------------------------------------------------- an apply that is undone


def test_an_apply_that_the_editor_has_undone_can_be_made_again(applied):
    applied.editor.undo()
    applied.wait_for(lambda: applied.panel.actions["apply"].enabled)
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment(), applied.truth == 1)
    applied.editor.undo()
    assert not applied.segment().any()


def test_redone_it_is_settled_again(applied):
    applied.editor.undo()
    applied.wait_for(lambda: applied.panel.actions["apply"].enabled)
    applied.editor.redo()
    applied.wait_for(lambda: not applied.panel.actions["apply"].enabled)
    np.testing.assert_array_equal(applied.segment(), applied.truth == 1)


def test_undone_while_the_effect_was_not_active_it_is_noticed_later(applied):
    applied.switch_away()
    applied.editor.undo()
    applied.switch_back()
    applied.wait_for(lambda: applied.panel.actions["apply"].enabled)
    applied.press("apply")
    np.testing.assert_array_equal(applied.segment(), applied.truth == 1)


def test_what_is_undone_was_never_contributed(applied):
    """Else the next apply would take out what the user has painted there since."""
    applied.editor.undo()
    applied.wait_for(lambda: applied.panel.actions["apply"].enabled)
    i, j, k = applied.middle()
    applied.paint((applied.truth == 1) & (np.arange(applied.truth.shape[0]) <= k)[:, None, None])
    applied.click(i, j, k, modifiers=("Control",))
    applied.wait()
    applied.press("apply")
    assert applied.segment()[k, j, i]


def test_several_segments_are_written_in_turn_but_in_one_step_of_undo(work):
    work.segment_by_box()
    work.select("spleen")
    work.segment_by_box(label=2)
    before = work.segments()
    work.panel.actions["apply"].click()
    assert work.controller.applier.is_writing
    assert work.segments() == before
    changes = [before]
    while work.controller.applier.is_writing:
        work.controller.poll()
        if work.segments() != changes[-1]:
            changes.append(work.segments())
    assert len(changes) == 3
    work.editor.undo()
    assert work.segments() == before


def test_input_waits_for_the_last_part(work):
    work.segment_by_box()
    work.select("spleen")
    work.segment_by_box(label=2)
    work.panel.actions["apply"].click()
    work.view.click(work.ras(*work.middle(2)))
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_a_segment_that_is_removed_amidst_its_writing_leaves_the_others(work):
    work.segment_by_box()
    work.select("spleen")
    work.segment_by_box(label=2)
    work.panel.actions["apply"].click()
    work.controller.applier.step()
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.wait()
    assert "spleen" in work.message
    assert "liver" not in work.message
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_leaving_the_effect_waits_for_the_last_part(work):
    work.segment_by_box()
    work.panel.actions["apply"].click()
    work.switch_away()
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)
