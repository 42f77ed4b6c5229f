"""The editor of the host: real segments, real undo, real masks."""

import numpy as np
import pytest
import slicer

from slicerhost.hands import mouse_click

AT = (-20.0, 10.0, 4.0)


@pytest.fixture
def block(block_effect, an_editor, a_slice_view):
    """The active effect, and the view at `AT`."""
    an_editor.setActiveEffectByName(block_effect)
    a_slice_view.go_to(AT)
    return an_editor.activeEffect()


def voxels(editor, segment="liver"):
    return slicer.util.arrayFromSegmentBinaryLabelmap(editor.segmentationNode(), segment_id(editor, segment), editor.sourceVolumeNode())


def segment_id(editor, name):
    return editor.segmentationNode().GetSegmentation().GetSegmentIdBySegmentName(name)


def test_a_click_adds_voxels_that_can_be_undone_and_redone(block, an_editor, a_slice_view):
    a_slice_view.click(AT)
    first = voxels(an_editor)
    a_slice_view.click((20.0, 10.0, 4.0))
    second = voxels(an_editor)
    assert (first.sum(), second.sum()) == (8, 16)
    an_editor.undo()
    np.testing.assert_array_equal(voxels(an_editor), first)
    an_editor.undo()
    assert not voxels(an_editor).any()
    an_editor.redo()
    an_editor.redo()
    np.testing.assert_array_equal(voxels(an_editor), second)


def test_a_segment_that_must_not_be_overwritten_keeps_its_voxels(block, an_editor, a_slice_view):
    a_slice_view.click(AT)
    before = voxels(an_editor)
    an_editor.setCurrentSegmentID(segment_id(an_editor, "spleen"))
    an_editor.mrmlSegmentEditorNode().SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    block.setParameter("Size", 4)
    a_slice_view.click(AT)
    np.testing.assert_array_equal(voxels(an_editor), before)
    assert voxels(an_editor, "spleen").sum() == 4**3 - 2**3


def test_only_voxels_of_the_intensity_range_are_written(block, an_editor, a_volume, a_slice_view):
    node = an_editor.mrmlSegmentEditorNode()
    node.SourceVolumeIntensityMaskOn()
    node.SetSourceVolumeIntensityMaskRange(5000, 6000)
    a_slice_view.click(AT)
    assert not voxels(an_editor).any()


def test_a_write_may_be_limited_to_an_extent_and_set_aside_the_mask(block, an_editor):
    labelmap = block.defaultModifierLabelmap()
    labelmap.GetPointData().GetScalars().Fill(1)
    mode = slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd
    block.modifySelectedSegmentByLabelmap(labelmap, mode, [0, 47, 0, 47, 3, 3], True)
    assert np.flatnonzero(voxels(an_editor).any(axis=(1, 2))).tolist() == [3]
    with pytest.raises(ValueError, match="six bounds"):
        block.modifySelectedSegmentByLabelmap(labelmap, mode, [0, 47])


def test_the_images_share_the_geometry_of_the_segmentation(block):
    images = block.sourceVolumeImageData(), block.referenceGeometryImage(), block.maskLabelmap(), block.defaultModifierLabelmap()
    assert {each.GetDimensions() for each in images} == {(48, 48, 24)}
    assert {each.GetSpacing() for each in images} == {(4.0, 4.0, 8.0)}


def test_two_editors_have_their_own_copies_parameters_and_undo(block, an_editor, slicer_host, a_volume, a_slice_view):
    other = slicer_host.make_editor(a_volume, ("tumour",))
    effect = other.effectByName("Block")
    effect.setParameter("Size", 5)
    assert (block.integerParameter("Size"), effect.integerParameter("Size")) == (2, 5)
    a_slice_view.click(AT)
    assert voxels(an_editor).any()
    assert not voxels(other, "tumour").any()
    other.undo()
    assert voxels(an_editor).any()


def test_a_button_is_enabled_when_its_effect_has_what_it_needs(block_effect, slicer_host, a_volume):
    editor = slicer_host.make_editor(a_volume)
    assert not editor.effect_button(block_effect).enabled
    editor.segmentationNode().GetSegmentation().AddEmptySegment("liver", "liver")
    assert editor.currentSegmentID() == "liver"
    assert editor.effect_button(block_effect).enabled


def test_the_effect_hears_of_its_life(block, an_editor, slicer_host):
    heard = block.self().heard
    assert heard[-2:] == ["updateGUIFromMRML", "activate"]
    an_editor.setActiveEffectByName("")
    assert heard[-1] == "deactivate"
    assert not block.active()
    other = slicer_host.make_volume(np.zeros((5, 6, 7), np.int16), name="other")
    an_editor.setSourceVolumeNode(other)
    assert "sourceVolumeNodeChanged" in heard
    slicer.app.layoutManager().setLayout(3)
    assert heard[-1] == "layoutChanged"
    an_editor.cleanup()
    assert heard[-1] == "cleanup"


def test_placing_a_markup_leaves_an_effect_that_does_not_care(block, an_editor, scene):
    scene.GetNodeByID("vtkMRMLInteractionNodeSingleton").SwitchToSinglePlaceMode()
    assert an_editor.activeEffect() is None


def test_closing_the_scene_leaves_the_effect(block, an_editor, scene, a_slice_view, slicer_host):
    scene.Clear(0)
    assert an_editor.activeEffect() is None
    assert an_editor.mrmlSegmentEditorNode() is None
    assert block.self().heard[-1] == "deactivate"
    a_slice_view.click((200, 200))
    assert not slicer_host.exceptions


def test_segments_have_ids_that_say_nothing_of_their_names(an_editor):
    ids = an_editor.segmentationNode().GetSegmentation().GetSegmentIDs()
    assert len(set(ids)) == 2
    assert all(each.startswith("S_") and "liver" not in each and "spleen" not in each for each in ids)


def test_after_a_scene_is_loaded_nothing_is_edited(block, an_editor, slicer_host, tmp_path):
    slicer_host.save_scene(tmp_path / "scene.mrb")
    slicer_host.load_scene(tmp_path / "scene.mrb")
    assert an_editor.activeEffect() is None
    assert an_editor.segmentationNode() is None


def test_a_button_that_is_disabled_under_the_mouse_hands_its_focus_on_and_the_column_scrolls(an_editor):
    import qt

    buttons = [qt.QPushButton(str(number)) for number in range(60)]
    for button in buttons:
        an_editor.layout().addWidget(button)
    column = an_editor.window()
    mouse_click(buttons[20])
    buttons[20].connect("clicked()", lambda: [each.setEnabled(False) for each in buttons[:59]])
    before = column.verticalScrollBar().value
    mouse_click(buttons[20])
    assert column.verticalScrollBar().value > before


def test_deleting_the_volume_or_the_segmentation_is_survived(block, an_editor, a_volume, scene, slicer_host):
    scene.RemoveNode(a_volume)
    assert an_editor.sourceVolumeNode() is None
    scene.RemoveNode(an_editor.segmentationNode())
    assert an_editor.segmentationNode() is None
    assert not slicer_host.exceptions


def test_a_hidden_segment_is_edited_only_when_the_user_says_so(block, an_editor, slicer_host):
    an_editor.segmentationNode().GetDisplayNode().SetSegmentVisibility(segment_id(an_editor, "liver"), False)
    slicer_host.user.will_answer("question", False)
    assert block.confirmCurrentSegmentVisible() == block.NotConfirmed
    assert block.confirmCurrentSegmentVisible() == block.ConfirmedWithDialog
    assert block.confirmCurrentSegmentVisible() == block.ConfirmedWithoutDialog


def test_a_scene_comes_back_from_a_file_with_segments_and_parameters(block, an_editor, a_slice_view, slicer_host, tmp_path):
    a_slice_view.click(AT)
    before = voxels(an_editor)
    block.setParameter("Prompts", '{"kind": "box"}')
    slicer_host.save_scene(tmp_path / "scene.mrb")
    slicer_host.clear()
    slicer_host.load_scene(tmp_path / "scene.mrb")
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentEditorNode")  # among them the one that outlives scenes, if a test has made it
    editor = slicer_host.make_editor(node=next(node for node in nodes if node.GetAttribute("Block.Prompts")))
    editor.setSegmentationNode(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0])
    np.testing.assert_array_equal(voxels(editor), before)
    assert editor.effectByName("Block").parameter("Prompts") == '{"kind": "box"}'
