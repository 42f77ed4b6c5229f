"""Changes around the effect while it works: of nodes, segments, scene, effects and editors."""

import numpy as np
import pytest
import slicer

from slicerhost.hands import SliceView
from slicerhost.host import new_segment_id
from support.effect_steps import NAME, another_volume, assert_works_again, start_anew, two_balls


@pytest.fixture
def running(work, quick_network):
    """A run that has found some slices and waits; "spleen" was painted by hand."""
    work.paint(work.truth == 2, "spleen")
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 5)
    return work


def finish(work, network):
    """Let a run that waits go on, and hear of everything."""
    network.go_on()
    work.wait()


# ---------------------------------------------------------------- during a run


def test_the_volume_is_switched(running, quick_network):
    before = running.segments()
    volume, other = running.volume, another_volume(running)
    running.editor.setSourceVolumeNode(other)
    finish(running, quick_network)
    assert running.segments() == before
    assert not running.preview_nodes()
    assert "changed" in running.message
    running.editor.setSourceVolumeNode(volume)
    assert_works_again(running)


def test_the_voxels_are_changed(running, quick_network):
    voxels = slicer.util.arrayFromVolume(running.volume)
    kept = voxels.copy()
    voxels += 500
    slicer.util.arrayFromVolumeModified(running.volume)
    finish(running, quick_network)
    assert not running.segment().any()
    assert "changed" in running.message
    voxels[:] = kept
    slicer.util.arrayFromVolumeModified(running.volume)
    assert_works_again(running)


def test_the_volume_is_deleted(running, quick_network):
    before = running.segments()["spleen"]
    slicer.mrmlScene.RemoveNode(running.volume)
    finish(running, quick_network)
    assert "Load a volume" in running.message
    assert not running.preview_nodes()
    running.volume = another_volume(running)
    running.editor.setSourceVolumeNode(running.volume)
    assert running.segments()["spleen"] == before
    running.truth = running.truth[:, ::-1]
    assert_works_again(running)


def test_the_segmentation_is_deleted(running, quick_network):
    slicer.mrmlScene.RemoveNode(running.segmentation)
    finish(running, quick_network)
    assert "Add a segment" in running.message
    assert not running.preview_nodes()
    running.editor.setSegmentationNode(running.host.make_segmentation(running.volume, ("liver", "spleen")))
    running.select("liver")
    assert not running.marks
    assert_works_again(running)


def test_the_segmentation_is_switched(running, quick_network):
    first = running.segmentation
    running.editor.setSegmentationNode(running.host.make_segmentation(running.volume, ("liver",)))
    finish(running, quick_network)
    assert not running.marks
    assert not running.preview_nodes()
    assert_works_again(running)
    running.editor.setSegmentationNode(first)
    running.select("liver")
    assert [mark.kind for mark in running.marks] == ["box"]
    assert not running.segment().any()


def test_the_segment_is_deleted(running, quick_network):
    before = running.segments()["spleen"]
    running.segmentation.GetSegmentation().RemoveSegment(running.id("liver"))
    finish(running, quick_network)
    assert running.segments() == {"spleen": before}
    running.segmentation.GetSegmentation().AddEmptySegment(new_segment_id(), "liver")
    running.select("liver")
    assert_works_again(running)


def test_marks_of_a_deleted_segment_are_in_nobodys_way(work):
    work.draw_box()
    work.wait()
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.select("spleen")
    work.panel.all_segments.setChecked(True)
    work.segment_by_box(label=2)
    work.press("apply")
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_they_can_be_cleared_to_begin_in_another_plane(work):
    work.draw_box()
    work.wait()
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.select("spleen")
    coronal, middle = SliceView("Green"), work.ras(*work.middle(2))
    coronal.fit()
    coronal.go_to(middle)
    work.press("clear")
    work.take("box")
    coronal.drag(coronal.xy(middle) - 20, coronal.xy(middle) + 20)
    assert not work.warned, work.message
    assert work.plane == "j"


def test_a_segment_that_is_found_is_deleted_before_apply(work):
    work.segment_by_box()
    work.select("spleen")
    work.segment_by_box(label=2)
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.press("apply")
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)


def test_a_segment_is_renamed(running, quick_network):
    running.segmentation.GetSegmentation().GetSegment(running.id("liver")).SetName("Leber")
    finish(running, quick_network)
    running.press("apply")
    np.testing.assert_array_equal(running.segment("liver"), running.truth == 1)
    assert "Leber" in running.message


def test_another_segment_is_selected(running, quick_network):
    running.select("spleen")
    finish(running, quick_network)
    np.testing.assert_array_equal(running.preview("liver"), running.truth == 1)
    assert not running.preview("spleen").any()


def test_the_scene_is_closed(running, quick_network):
    slicer.mrmlScene.Clear(0)
    finish(running, quick_network)
    assert not running.preview_nodes()
    start_anew(running)
    assert not running.marks
    assert_works_again(running)


def test_prompts_of_a_closed_scene_do_not_come_back_in_the_next(work):
    work.segment_by_box()
    work.press("apply")
    slicer.mrmlScene.Clear(0)
    start_anew(work)
    assert not work.marks
    assert not work.keyframes()
    assert not work.panel.actions["undo"].enabled
    assert not work.controller.has_preview


def test_the_scene_is_closed_while_another_effect_is_active(work):
    work.segment_by_box()
    work.switch_away()
    slicer.mrmlScene.Clear(0)
    start_anew(work)
    assert not work.marks
    assert not work.controller.has_preview
    assert_works_again(work)


def test_the_effect_is_left_and_taken_up_again(running, quick_network):
    running.switch_away()
    assert not any(node.GetDisplayNode().GetVisibility() for node in running.preview_nodes())
    running.switch_back()
    finish(running, quick_network)
    assert not running.segment().any()
    assert [mark.kind for mark in running.marks] == ["box"]
    running.propagate()
    running.press("apply")
    np.testing.assert_array_equal(running.segment(), running.truth == 1)


def test_drawings_leave_the_views_with_the_effect(work):
    work.draw_box()
    actors = count_actors(work)
    work.switch_away()
    assert count_actors(work) < actors
    work.switch_back()
    assert count_actors(work) == actors
    for _ in range(3):
        work.switch_away()
        work.switch_back()
    assert count_actors(work) == actors


def count_actors(work):
    return work.view.widget.view().renderWindow().GetRenderers().GetItemAsObject(0).GetViewProps().GetNumberOfItems()


def test_the_segment_is_painted_meanwhile(running, quick_network):
    painted = np.zeros(running.truth.shape, bool)
    painted[1, 1:4, 1:4] = True
    running.paint(painted)
    finish(running, quick_network)
    if running.preview().any():  # else the geometry has changed, which the user is told
        running.press("apply")
        assert running.segment()[painted].all()
    else:
        assert "changed" in running.message


# ---------------------------------------------------------------- two editors


def test_two_editors_work_side_by_side(quick_network, at_work):
    voxels, truth = two_balls()
    one = at_work(voxels, truth)
    two = at_work(voxels[:, ::-1].copy(), truth[:, ::-1])
    one.editor.setActiveEffectByName("")
    two.editor.setActiveEffectByName("")
    for each in (one, two):
        slicer.app.show_volume(each.volume)
        each.switch_back()
        each.draw_box()
        each.wait()
        each.switch_away()
    for each in (one, two):
        each.switch_back()
        each.press("propagate")
    for each in (one, two):
        each.wait()
        each.press("apply")
    for each in (one, two):
        assert [mark.kind for mark in each.marks] == ["box"]
        np.testing.assert_array_equal(each.segment(), each.truth == 1)


def test_two_editors_of_one_node_share_the_prompts(work):
    work.draw_box()
    work.wait()
    work.switch_away()
    other = work.host.make_editor(node=work.editor.mrmlSegmentEditorNode())
    other.setActiveEffectByName(NAME)
    assert [mark.kind for mark in other.effectByName(NAME).self().wiring.controller.marks.all] == ["box"]
