"""What was found is kept as long as it belongs to what is there, and only so long."""

import numpy as np
import pytest
import slicer

# ---------------------------------------------------------------- what changes neither the voxels nor their place


def save_the_scene(work, folder):
    work.host.save_scene(folder / "scene.mrb")


def rename_the_volume(work, folder):
    work.volume.SetName("renamed")


def add_a_display_node(work, folder):
    work.volume.AddAndObserveDisplayNodeID(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode").GetID())


def rename_the_transform(work, folder):
    work.volume.GetParentTransformNode().SetName("renamed")


HARMLESS = [save_the_scene, rename_the_volume, add_a_display_node, rename_the_transform]


@pytest.fixture
def placed(work):
    """The volume alone lies under a transform, which moves it a little."""
    put(work.volume, new_transform(work, 2))
    return work


def new_transform(work, millimetres):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move(node, millimetres)
    return node


def move(transform, millimetres):
    matrix = np.eye(4)
    matrix[0, 3] = millimetres
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))


def put(node, transform):
    node.SetAndObserveTransformNodeID(transform.GetID() if transform else None)


@pytest.mark.parametrize("change", HARMLESS)
def test_it_can_be_applied_after(placed, tmp_path, change):
    placed.segment_by_box()
    found = placed.preview()
    assert found.any()
    change(placed, tmp_path)
    placed.press("apply")
    assert not placed.warned, placed.message
    assert placed.segment().sum() == pytest.approx(found.sum(), rel=0.1)  # on its way it was resampled twice


@pytest.mark.parametrize("change", HARMLESS)
def test_a_run_goes_on_during(placed, quick_network, tmp_path, change):
    placed.draw_box()
    placed.wait()
    placed.propagate_and_pause(quick_network, 4)
    change(placed, tmp_path)
    quick_network.go_on()
    placed.wait()
    assert "Done" in placed.message
    assert placed.preview().any((1, 2)).sum() > 4


def test_after_saving_the_frames_are_still_those_of_the_volume(work, quick_network, tmp_path):
    work.segment_by_box()
    before = [work.controller.stack.intensities(index).copy() for index in range(len(work.controller.stack))]
    save_the_scene(work, tmp_path)
    work.effect.scriptedEffect.sourceVolumeImageData()  # made anew by Slicer
    work.propagate()
    assert len(quick_network.opened) == 1
    np.testing.assert_array_equal([work.controller.stack.intensities(index) for index in range(len(before))], before)


# ---------------------------------------------------------------- what changes them


def change_a_voxel(work):
    slicer.util.arrayFromVolume(work.volume)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(work.volume)


def move_the_transform(work):
    move(work.volume.GetParentTransformNode(), 9)


def take_the_transform_away(work):
    put(work.volume, None)


def move_the_transform_above(work):
    put(work.volume.GetParentTransformNode(), new_transform(work, 7))


def move_the_segmentation(work):
    put(work.segmentation, new_transform(work, 7))


def change_the_volumes_own_place(work):
    work.volume.SetOrigin(np.array(work.volume.GetOrigin()) + 3)


@pytest.mark.parametrize("change", [move_the_transform, take_the_transform_away, move_the_transform_above, move_the_segmentation])
def test_it_is_not_applied_elsewhere(placed, change):
    placed.segment_by_box()
    change(placed)
    assert_not_applied(placed)


@pytest.mark.parametrize("change", [change_a_voxel, change_the_volumes_own_place])
def test_it_is_not_applied_to_another_image(work, change):
    work.segment_by_box()
    change(work)
    assert_not_applied(work)
    slicer.mrmlScene.RemoveNode(work.volume)  # which is not as it was


def assert_not_applied(work):
    assert work.key("A")
    assert "has changed or moved" in work.message
    assert work.warned
    assert not work.segment().any()


# ---------------------------------------------------------------- what concerns a new run only


def show_darker(work):
    display = work.volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(display.GetWindow() + 50, display.GetLevel())


def choose_another_mode(work):
    work.choose(work.panel.mode, "fast")


@pytest.mark.parametrize("change", [show_darker, choose_another_mode])
def test_it_can_be_applied_though_a_new_run_would_be_another_one(work, quick_network, change):
    work.choose(work.panel.window, "display")
    work.segment_by_box()
    change(work)
    work.switch_away()
    work.switch_back()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
    assert len(quick_network.opened) == 1
    work.propagate()
    assert len(quick_network.opened) == 2


@pytest.mark.parametrize("change", [show_darker, choose_another_mode])
def test_a_run_is_finished_as_it_was_begun(work, quick_network, change):
    work.choose(work.panel.window, "display")
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 4)
    change(work)
    quick_network.go_on()
    work.wait()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


# ---------------------------------------------------------------- both moved together


def test_moved_together_with_the_volume_it_moves_along(work):
    work.segment_by_box()
    transform = new_transform(work, 30)
    put(work.segmentation, transform)
    put(work.volume, transform)
    work.wait_for(lambda: all(node.GetTransformNodeID() == transform.GetID() for node in work.preview_nodes()))
    move(transform, 40)
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_freed_from_a_transform_it_moves_back(work):
    transform = new_transform(work, 30)
    put(work.segmentation, transform)
    put(work.volume, transform)
    work.view.fit()
    work.segment_by_box()
    put(work.segmentation, None)
    put(work.volume, None)
    work.wait_for(lambda: not any(node.GetTransformNodeID() for node in work.preview_nodes()))
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
