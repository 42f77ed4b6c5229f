"""Prompts belong to their segmentation, whatever scene it is in and whatever its ID."""

import json
import zipfile

import pytest
import slicer

from SAMSegmenterLib.prompts.marks import marks_to_json
from support.effect_steps import two_balls


@pytest.fixture
def marked(work):
    """A box around the liver."""
    work.draw_box()
    work.wait()
    return work


def kinds(work):
    return [mark.kind for mark in work.marks]


def imported(work, folder):
    """The segmentation of a scene that is saved, and then added to one that has another segmentation already."""
    work.host.save_scene(folder / "scene.mrb")
    zipfile.ZipFile(folder / "scene.mrb").extractall(folder)
    slicer.mrmlScene.Clear(0)
    work.volume = work.host.make_volume(two_balls()[0], name="another")
    present = work.host.make_segmentation(work.volume, ("liver",))
    (description,) = folder.rglob("*.mrml")
    slicer.mrmlScene.SetURL(str(description))
    slicer.mrmlScene.SetRootDirectory(str(description.parent))
    slicer.mrmlScene.Import()
    return next(node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node is not present)


def test_they_come_with_it_into_another_scene_and_reach_no_other(marked, tmp_path):
    node = imported(marked, tmp_path)
    (other,) = (each for each in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if each is not node)
    marked.editor.setSegmentationNode(other)
    assert not kinds(marked)
    marked.editor.setSegmentationNode(node)
    assert kinds(marked) == ["box"]


def test_they_are_not_taken_for_those_of_a_new_segmentation_with_the_same_id(marked, tmp_path):
    name = marked.segmentation.GetID()
    slicer.mrmlScene.RemoveNode(marked.segmentation)
    marked.host.save_scene(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    marked.host.load_scene(tmp_path / "scene.mrb")
    new = marked.host.make_segmentation(slicer.util.getNode("image"), ("liver",))
    assert new.GetID() == name
    marked.editor.setSegmentationNode(new)
    assert not kinds(marked)
    assert not marked.controller.marks.can_undo


def test_those_of_another_segmentation_cannot_be_undone_here(marked):
    marked.press("clear")
    marked.editor.setSegmentationNode(marked.host.make_segmentation(marked.volume, ("liver",)))
    assert not marked.controller.marks.can_undo


def test_those_of_older_scenes_are_found_on_the_editors_node(marked):
    old = {marked.segmentation.GetID(): marks_to_json(marked.controller.marks), "vtkMRMLSegmentationNode99": {}}
    marked.press("clear")
    marked.effect.scriptedEffect.setParameter("Prompts", json.dumps(old))
    assert kinds(marked) == ["box"]
    assert not marked.parameter("Prompts")
    marked.press("clear")
    assert not kinds(marked)


@pytest.mark.parametrize("text", ["{", "7"])
def test_older_ones_that_are_damaged_are_told(work, text):
    work.effect.scriptedEffect.setParameter("Prompts", text)
    assert "saved prompts" in work.message
    assert not kinds(work)
