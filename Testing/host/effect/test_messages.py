"""Messages belong to what they are about, and say first what matters."""

import re

import pytest
import slicer

from SAMSegmenterLib.in_slicer.effect.keys import control, delete_keys
from slicerhost.host import new_segment_id
from support.effect_steps import start_anew


@pytest.fixture
def applied(work):
    work.segment_by_box()
    work.press("apply")
    assert "voxels added" in work.message
    return work


def poll(work):
    """Until the effect has looked around in the editor."""
    seen = []
    work.effect._timer.connect("timeout()", lambda: seen.append(1))
    work.wait_for(lambda: len(seen) > 1)


def test_a_run_is_told_in_one_line_with_the_reasons_behind_details(work):
    work.segment_by_box()
    filled = [n for n in range(len(work.truth)) if (work.truth[n] == 1).any()]
    listed = len(work.controller.review())
    assert work.message == f"Done: slices {filled[0]}-{filled[-1]}, {len(filled)} slices, {listed} to check."
    assert "liver ends at slice 23" in work.details
    work.panel.folds["Details"].click()
    assert work.panel.details.text == work.details
    assert "Computed on a processor" in work.details


def test_a_run_of_several_segments_names_each(work):
    work.draw_box()
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    work.panel.all_segments.setChecked(True)
    work.propagate()
    assert re.search(r"liver: slices \d+-\d+, \d+ slices", work.message)
    assert re.search(r"spleen: slices \d+-\d+, \d+ slices", work.message)


def test_another_segment_is_told_nothing_of_the_first(applied):
    applied.select("spleen")
    poll(applied)
    assert "voxels added" not in applied.message
    applied.select("liver")
    poll(applied)
    assert "voxels added" not in applied.message


def test_another_segmentation_is_told_nothing_of_the_first(applied):
    applied.editor.setSegmentationNode(applied.host.make_segmentation(applied.volume, ("liver",)))
    poll(applied)
    assert "voxels added" not in applied.message


def test_the_next_scene_is_told_nothing_of_the_first(applied):
    slicer.mrmlScene.Clear(0)
    start_anew(applied)
    assert "Drag a box" in applied.message


def test_undoing_an_apply_takes_its_message_back(applied):
    applied.editor.undo()
    poll(applied)
    assert "voxels added" not in applied.message
    assert "Apply" in applied.message


@pytest.mark.parametrize("end", ["stop_keep", "stop_drop", "remove the segment", "close the scene", "fail", "leave"])
def test_that_something_is_running_is_told_only_as_long_as_it_is(work, quick_network, end):
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 5)
    assert work.message == "Propagating..."
    if end == "remove the segment":
        work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
        work.wait_for(lambda: "removed" in work.message)
    elif end == "close the scene":
        slicer.mrmlScene.Clear(0)
        start_anew(work)
    elif end == "fail":
        quick_network.error = MemoryError()
    elif end == "leave":
        work.switch_away()
        work.switch_back()
    else:
        work.press(end)
    quick_network.go_on()
    work.wait()
    assert "..." not in work.message


def test_a_run_goes_on_under_the_eyes_of_another_segment(work, quick_network):
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 5)
    work.select("spleen")
    poll(work)
    assert work.message == "Propagating..."
    quick_network.go_on()
    work.wait()
    assert "liver: slices" in work.message


def test_an_error_has_one_full_stop(work, quick_network):
    quick_network.error = RuntimeError("the disk is full.")
    work.draw_box()
    work.wait()
    assert "the disk is full. The log" in work.message


def test_a_new_segment_is_hinted_at_again(applied):
    applied.segmentation.GetSegmentation().AddEmptySegment(new_segment_id(), "kidney")
    applied.select("kidney")
    poll(applied)
    assert "Drag a box" in applied.message
    assert not applied.panel.hint.isHidden()


def test_keys_are_called_as_on_the_users_own_keyboard(work):
    assert (control("darwin"), control("win32"), control("linux")) == ("Cmd", "Ctrl", "Ctrl")
    assert delete_keys("darwin") == ("Del", "Backspace")
    texts = [button.toolTip for button in (*work.panel.tools.values(), *work.panel.actions.values())]
    texts.append(work.effect.scriptedEffect.helpText())
    assert sum(control() in each for each in texts) >= 4
    other = "Ctrl" if control() == "Cmd" else "Cmd"
    assert not [each for each in texts if other in each]


def test_switches_that_scripts_turn_on_and_off_are_understood(work):
    effect = work.effect.scriptedEffect
    effect.setParameter("AllSegments", True)
    effect.setParameter("LivePreview", False)
    assert (work.controller.settings.all_segments, work.controller.settings.live_preview) == (True, False)
    assert (work.panel.all_segments.checked, work.panel.live_preview.checked) == (True, False)
