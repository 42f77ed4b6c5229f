"""The effect as it is meant to be used: from a box to a segment, corrected, applied, saved, and taken up again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import slicer

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import CT_PRESETS
from SAMSegmenterLib.imageio import read_labelmap, read_volume
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.prompts.types import Box, Keyframe
from SAMSegmenterLib.session.session import Session
from support.effect_steps import dice, torso

DATA = Path(os.environ.get("SAMSEGMENTER_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture
def phantom_work(at_work):
    """The phantom's torso, whose liver is 1, and the shipped network."""
    volume, labels = torso()
    return at_work(volume.voxels, np.where(labels == 4, 2, labels == 1).astype(np.uint8), volume.ijk_to_ras)


@pytest.fixture
def torso_work(at_work):
    """A real CT, whose liver is 1, and the shipped network."""
    if not DATA.is_dir():
        pytest.skip(f"no folder of real images at {DATA}; name one in SAMSEGMENTER_DATA")
    volume, labels = read_volume(DATA / "ct_torso.nii.gz"), read_labelmap(DATA / "ct_torso_labels.nii.gz").voxels
    names = json.loads((DATA / "ct_torso_labels.json").read_text())
    liver = next(int(label) for label, name in names.items() if name == "liver")
    return at_work(volume.voxels, (labels == liver).astype(np.uint8), volume.ijk_to_ras)


# ---------------------------------------------------------------- from a box to a segment and back


@pytest.mark.parametrize(("patient", "least_dice"), [("phantom_work", 0.8), ("torso_work", 0.5)], ids=["phantom", "CT"])
def test_the_whole_way(request, tmp_path, patient, least_dice):
    work = request.getfixturevalue(patient)
    liver, (_i, _j, k) = work.truth == 1, work.middle()
    work.draw_box()
    work.wait()
    assert dice(work.preview()[k], liver[k]) > least_dice
    assert not work.segment().any()
    work.propagate()
    first = work.preview()
    assert dice(first, liver) > least_dice
    assert not work.segment().any()

    correct_on_another_slice(work, liver, k, least_dice)
    corrected = work.preview()

    work.press("apply")
    np.testing.assert_array_equal(work.segment(), corrected)
    work.editor.undo()
    assert not work.segment().any()
    work.editor.redo()
    np.testing.assert_array_equal(work.segment(), corrected)

    marks = [(mark.kind, mark.segment, mark.positive, mark.positions.tolist()) for mark in work.marks]
    work.host.save_scene(tmp_path / "scene.mrb")
    work.host.scene.Clear(0)
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    work.host.load_scene(tmp_path / "scene.mrb")
    reopen(work)
    assert [(mark.kind, mark.segment, mark.positive, mark.positions.tolist()) for mark in work.marks] == marks
    np.testing.assert_array_equal(work.segment(), corrected)
    work.propagate()
    assert dice(work.preview(), corrected) > 0.95
    assert work.segment().sum() == corrected.sum()


def correct_on_another_slice(work, liver, first, least_dice):
    """A click where the liver is and one where it is not, some slices higher; what lies lower stays as it is."""
    before, total = work.preview(), work.controller.progress.total
    slices = np.flatnonzero(liver.any((1, 2)))
    other = int((first + slices[-1]) // 2)
    rows, columns = np.nonzero(liver[other])
    work.click(float(np.median(columns)), float(np.median(rows)), other)
    outside = np.argwhere(before[other] & ~liver[other])
    row, column = outside[len(outside) // 2] if len(outside) else (2, 2)
    work.click(float(column), float(row), other, modifiers=("Control",))
    work.wait()
    assert work.keyframes() == [first, other]
    assert [mark.positive for mark in work.marks if mark.kind == "point"] == [True, False]
    assert not work.segment().any()
    work.propagate()
    np.testing.assert_array_equal(work.preview()[:first], before[:first])
    assert work.controller.progress.done < total
    assert work.details.count("liver ends at slice") == 2  # the two ends of the liver, none where passes met
    assert dice(work.preview(), liver) > least_dice


def reopen(work):
    """The editor after a scene was loaded: its node shows the first segmentation of it."""
    work.editor.updateWidgetFromMRML()
    if work.editor.segmentationNode() is None:
        work.editor.setSegmentationNode(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0])
    work.volume = work.editor.sourceVolumeNode()
    work.select("liver")
    work.switch_away()
    work.switch_back()


def test_what_is_found_is_what_the_library_finds(phantom_work):
    work, (volume, _labels) = phantom_work, torso()
    work.segment_by_box()
    (box,) = work.marks
    corners = volume.to_ijk(box.positions)
    low, high = corners.min(0), corners.max(0)
    keyframe = Keyframe(round(low[2]), box=Box(low[0], low[1], high[0], high[1]))
    session = Session(FrameStack(volume, "k", CT_PRESETS["soft tissue"]), load_model())
    session.set_keyframe("liver", keyframe)
    list(session.propagate())
    assert dice(work.preview(), session.segment_volume("liver")) > 0.995  # precision may be chosen anew


# ---------------------------------------------------------------- preview


def test_the_preview_is_clearly_not_the_segment_and_never_saved(work):
    work.segment_by_box()
    nodes = work.preview_nodes()
    assert nodes
    assert not any(node.GetSaveWithScene() for node in nodes)
    assert not any(node.GetDisplayNode().GetSaveWithScene() for node in nodes)
    (segmentation,) = [node for node in nodes if node.IsA("vtkMRMLSegmentationNode")]
    assert segmentation.GetSegmentation().GetNthSegment(0).GetName() == "liver (preview)"
    assert not work.segment().any()
    work.press("clear")
    work.switch_away()
    assert not work.preview().any()


def test_previews_leave_nothing_behind_in_the_scene(work):
    before = slicer.mrmlScene.GetNumberOfNodes()
    for _ in range(3):
        work.segment_by_box()
        work.press("apply")
        work.press("clear")
    work.controller.leave()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_without_live_preview_nothing_is_computed_until_asked(work, quick_network):
    work.panel.live_preview.setChecked(False)
    work.draw_box()
    work.wait()
    assert not quick_network.found
    work.propagate()
    assert work.preview().any()


def test_changing_the_slice_leaves_prompts_where_they_are(work):
    work.draw_box()
    work.wait()
    before = [mark.positions.copy() for mark in work.marks]
    work.go_to(3)
    work.click(20, 20, 3)
    np.testing.assert_array_equal(work.marks[0].positions, before[0])
    assert work.keyframes() == [3, work.middle()[2]]


# ---------------------------------------------------------------- apply


def test_apply_is_one_step_of_undo_for_all_segments(work):
    work.segment_by_box()
    work.select("spleen")
    work.segment_by_box(label=2)
    before = work.segments()
    work.press("apply")
    applied = work.segments()
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)
    np.testing.assert_array_equal(work.segment("spleen"), work.truth == 2)
    work.editor.undo()
    assert work.segments() == before
    work.editor.redo()
    assert work.segments() == applied


def test_a_second_apply_withdraws_what_the_first_wrote_and_leaves_what_was_painted(work):
    i, j, k = work.middle()
    painted = np.zeros(work.truth.shape, bool)
    painted[2:4, 2:6, 2:6] = True
    work.paint(painted)
    work.segment_by_box()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), painted | (work.truth == 1))
    work.click(i, j, k, modifiers=("Control",))
    work.propagate()
    shown = work.preview()
    assert (~shown & (work.truth == 1)).any()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), painted | shown)


def test_voxels_painted_over_the_preview_stay_when_it_is_withdrawn(work):
    i, j, k = work.middle()
    painted = np.zeros(work.truth.shape, bool)
    painted[k, j - 3 : j + 4, i - 3 : i + 4] = True
    work.paint(painted)
    work.segment_by_box()
    work.press("apply")
    work.click(i, j, k, modifiers=("Control",))
    work.propagate()
    work.press("apply")
    assert work.segment()[painted].all()


def test_apply_after_undo_writes_again(work):
    work.segment_by_box()
    work.press("apply")
    work.editor.undo()
    work.propagate()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_without_a_preview_there_is_nothing_to_apply(work):
    assert not work.panel.actions["apply"].enabled
    assert work.key("A")
    assert "no preview" in work.message
    assert work.warned
