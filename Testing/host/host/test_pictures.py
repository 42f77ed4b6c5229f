"""Pictures show what is there: slices, segments, what effects draw, and the panel."""

import numpy as np
import pytest
import slicer
import vtk

from slicerhost.rendering import can_render

needs_rendering = pytest.mark.skipif(not can_render(), reason="this machine cannot draw without a screen")
GREEN = (0, 255, 0)


@pytest.fixture
def a_segment(an_editor, a_volume):
    """A green block in the middle of the torso."""
    voxels = np.zeros((24, 48, 48), np.uint8)
    voxels[8:16, 16:32, 16:32] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, an_editor.segmentationNode(), an_editor.currentSegmentID(), a_volume)
    an_editor.segmentationNode().GetSegmentation().GetSegment(an_editor.currentSegmentID()).SetColor(0, 1, 0)
    return an_editor.segmentationNode()


def test_a_panel_can_be_drawn_anywhere(slicer_host, an_editor):
    picture = slicer_host.picture(an_editor, views=())
    assert picture.width == 350
    assert len(np.unique(np.asarray(picture))) > 10


@needs_rendering
def test_a_slice_shows_the_volume_with_its_window(slicer_host, a_volume, a_slice_view):
    a_volume.GetDisplayNode().AutoWindowLevelOff()
    a_volume.GetDisplayNode().SetWindowLevel(400, 40)
    pixels = np.asarray(slicer_host.picture(views=("Red",), size=(300, 200)))
    assert pixels.shape == (200, 300, 3)
    assert pixels[2, 2].tolist() == [0, 0, 0]
    assert 60 < pixels[100, 150].mean() < 250


@needs_rendering
def test_a_segment_is_shown_filled_and_outlined_while_it_is_visible(slicer_host, a_segment, a_slice_view):
    a_slice_view.set_offset(0.0)
    with_segment = np.asarray(slicer_host.picture(views=("Red",))).astype(int)
    a_segment.GetDisplayNode().SetVisibility(0)
    without = np.asarray(slicer_host.picture(views=("Red",))).astype(int)
    greener = (with_segment - without)[..., 1] - (with_segment - without)[..., 0]
    assert (greener > 30).sum() > 1000
    assert (with_segment[200, 200] != without[200, 200]).any()


@needs_rendering
def test_what_an_effect_draws_is_in_the_picture(slicer_host, a_volume, a_slice_view):
    disk, mapper, actor = vtk.vtkRegularPolygonSource(), vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
    disk.SetCenter(100, 300, 0)
    disk.SetRadius(10)
    mapper.SetInputConnection(disk.GetOutputPort())
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(0, 1, 0)
    renderer = a_slice_view.widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    renderer.AddViewProp(actor)
    pixels = np.asarray(slicer_host.picture(views=("Red",)))
    renderer.RemoveViewProp(actor)
    assert tuple(pixels[99, 100]) == GREEN


@needs_rendering
def test_panel_slices_and_surface_stand_side_by_side(slicer_host, an_editor, a_segment):
    a_segment.CreateClosedSurfaceRepresentation()
    slicer.app.layoutManager().resetThreeDViews()
    picture = slicer_host.picture(an_editor, views=("Red", "Green", "Yellow", "3D"), size=(200, 200))
    assert picture.size == (350 + 4 + 404, 404)
