"""A sequence: one slice followed through time, and a mask kept for every time point."""

import numpy as np
import pytest
import slicer

from slicerhost.hands import SliceView
from support.effect_steps import NAME, Work, dice, lps

TIMES, SLICE = 6, 3


@pytest.fixture
def film(effect_host, scene):
    """A disc that moves and grows over six times: the sequence's browser, and the truth ``(time, k, j, i)``."""
    import slicer

    _k, j, i = np.mgrid[:6, :48, :48]
    truth = np.stack([(i - 16 - 2 * time) ** 2 + (j - 24) ** 2 < (8 + time / 2) ** 2 for time in range(TIMES)])
    noise = np.random.default_rng(0)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "film")
    for time, disc in enumerate(truth):
        voxels = np.where(disc, 180, 60) + noise.normal(0, 8, disc.shape)
        node = effect_host.make_volume(voxels.astype(np.int16), lps(), f"time {time}")
        sequence.SetDataNodeAtValue(node, str(time))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser, truth


@pytest.fixture
def work(effect_host, film):
    """At the first time of the film, with one segment, following time."""
    browser, truth = film
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    editor = effect_host.make_editor(volume, ("liver",))
    editor.setActiveEffectByName(NAME)
    work = Work(effect_host, editor, volume, truth[0].astype(np.uint8), SliceView("Red"))
    work.view.fit()
    work.choose(work.panel.video_axis, "time")
    yield work
    assert not effect_host.exceptions


def show(work, browser, time):
    browser.SetSelectedItemNumber(time)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    work.wait_for(lambda: work.controller.workbench._shown_item in (time, None))


def test_a_slice_is_followed_through_time_and_every_time_keeps_its_mask(work, film):
    browser, truth = film
    work.draw_box(SLICE)
    work.wait()
    assert work.keyframes() == [0]
    work.propagate()
    preview = work.controller.workbench.preview
    assert preview.slices(work.id("liver")) == list(range(TIMES))
    assert min(dice(preview.slice(work.id("liver"), time), truth[time, SLICE]) for time in range(TIMES)) > 0.9
    work.press("apply")
    work.host.process_events()
    assert f"{TIMES} time points" in work.message
    for time in range(TIMES):
        show(work, browser, time)
        written = work.segment()
        assert dice(written[SLICE], truth[time, SLICE]) > 0.9
        assert not np.delete(written, SLICE, axis=0).any()


def written_times(work, browser):
    """The times at which the segmentation that the sequence keeps holds anything."""
    from SAMSegmenterLib.in_slicer.effect.sequence import copies_of

    segments = [node.GetSegmentation().GetSegment(work.id("liver")) for node in copies_of(work.segmentation)]
    labelmaps = [each.GetRepresentation("Binary labelmap") for each in segments]
    return [time for time, each in enumerate(labelmaps) if each.GetNumberOfPoints() and each.GetScalarRange()[1] > 0]


def test_times_are_written_in_turn(work, film):
    browser, _truth = film
    work.segment_by_box(SLICE)
    shown = browser.GetSelectedItemNumber()
    work.panel.actions["apply"].click()
    for count in range(TIMES):
        assert work.controller.applier.is_writing
        assert work.controller.busy == "apply"
        assert written_times(work, browser) == list(range(count))
        work.controller.applier.step()
    work.wait()
    assert f"{TIMES} time points" in work.message
    assert browser.GetSelectedItemNumber() == shown


def test_input_waits_for_the_last_time(work, film):
    browser, _truth = film
    work.segment_by_box(SLICE)
    work.panel.actions["apply"].click()
    work.controller.applier.step()
    work.click(*work.middle()[:2], SLICE)
    assert not work.controller.applier.is_writing
    assert written_times(work, browser) == list(range(TIMES))


def test_a_change_that_slicer_tells_of_amidst_a_step_disturbs_nothing(work, film):
    browser, _truth = film
    work.segment_by_box(SLICE)
    told = []
    tag = browser.AddObserver("ModifiedEvent", lambda *_: told.append(work.effect.source_changed()))
    work.press("apply")
    browser.RemoveObserver(tag)
    assert len(told) >= TIMES
    assert f"{TIMES} time points" in work.message
    assert written_times(work, browser) == list(range(TIMES))


def test_a_scene_that_is_closed_amidst_the_times_ends_the_writing(work, film):
    work.segment_by_box(SLICE)
    work.panel.actions["apply"].click()
    work.controller.applier.step()
    slicer.mrmlScene.Clear(0)
    work.host.process_events()
    assert not work.controller.busy


def test_nothing_is_written_if_the_user_does_not_confirm(work, film):
    work.draw_box(SLICE)
    work.propagate()
    work.host.user.will_answer("question", False)
    work.press("apply")
    assert not work.segment().any()
    assert work.controller.has_preview


def test_after_apply_nothing_is_left_to_apply_until_asked_again(work, film):
    work.segment_by_box(SLICE)
    stack = work.controller.stack
    work.press("apply")
    assert not work.panel.actions["apply"].enabled
    work.propagate()
    assert work.controller.stack is stack
    assert work.panel.actions["apply"].enabled


def test_prompts_that_come_after_apply_belong_to_all_times(work, film):
    browser, _truth = film
    work.segment_by_box(SLICE)
    work.press("apply")
    show(work, browser, 3)
    work.click(*work.middle()[:2], SLICE)
    work.wait()
    show(work, browser, 5)
    assert [mark.kind for mark in work.marks] == ["box", "prior", "point"]
    assert work.controller.marks.can_undo


def test_saving_leaves_what_was_found(work, film, tmp_path):
    work.segment_by_box(SLICE)
    work.host.save_scene(tmp_path / "scene.mrb")
    work.press("apply")
    assert f"{TIMES} time points" in work.message


def test_what_was_found_is_not_applied_when_a_time_is_another_one(work, film):
    browser, _truth = film
    work.segment_by_box(SLICE)
    other = browser.GetMasterSequenceNode().GetNthDataNode(4)
    slicer.util.arrayFromVolume(other)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(other)
    assert work.key("A")
    assert "has changed or moved" in work.message
    assert not work.segment().any()


def test_marks_and_preview_follow_the_time_that_is_shown(work, film):
    browser, truth = film
    work.draw_box(SLICE)
    work.propagate()
    assert len(work.controller.prompting.visible_marks()) == 1
    show(work, browser, 4)
    assert work.controller.prompting.visible_marks() == []
    shown = work.controller.workbench.preview._images[work.id("liver")]
    from SAMSegmenterLib.in_slicer.mrml import array_of

    assert dice(array_of(shown)[0] > 0, truth[4, SLICE]) > 0.9
    work.controller.jump(0)
    assert browser.GetSelectedItemNumber() == 0


def test_a_correction_at_another_time_becomes_a_keyframe_there(work, film):
    browser, _truth = film
    work.draw_box(SLICE)
    work.propagate()
    show(work, browser, 3)
    work.click(*work.middle()[:2], SLICE)
    work.wait()
    assert work.keyframes() == [0, 3]
    assert [mark.kind for mark in work.marks] == ["box", "prior", "point"]


def test_a_volume_without_a_sequence_says_so(effect_host, a_volume):
    editor = effect_host.make_editor(a_volume, ("liver",))
    editor.setActiveEffectByName(NAME)
    work = Work(effect_host, editor, a_volume, np.ones((24, 48, 48), np.uint8), SliceView("Red"))
    work.choose(work.panel.video_axis, "time")
    work.draw_box(12)
    assert "not part of a sequence" in work.message
    assert not work.marks
