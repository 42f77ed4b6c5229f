"""Wherever volume, segmentation and view lie: what is marked in a view becomes the segment at that very place."""

import numpy as np
import pytest
import slicer
import vtk

from support.effect_steps import dice, lps, two_balls


def rotation(*degrees):
    """About the axes R, A, S in turn."""
    transform = vtk.vtkTransform()
    for rotate, angle in zip((transform.RotateX, transform.RotateY, transform.RotateZ), degrees, strict=True):
        rotate(angle)
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())


GEOMETRIES = {
    "flipped": lps(),
    "not flipped": np.diag([2.0, 2.0, 3.0, 1.0]),
    "anisotropic": lps((1.0, 2.5, 6.0)),
    "rotated": rotation(10, -20, 30) @ lps(),
    "left-handed": np.diag([2.0, -2.0, -3.0, 1.0]),
    "axes exchanged": np.array([[0, 0, 3.0, 5], [2.0, 0, 0, -9], [0, -2.0, 0, 40], [0, 0, 0, 1]]),
}


@pytest.fixture
def images():
    return two_balls()


def transform_node(transform, scene):
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "moved")
    node.SetAndObserveTransformToParent(transform)
    return node


def linear():
    transform = vtk.vtkTransform()
    transform.Translate(12, -7, 5)
    transform.RotateZ(25)
    transform.RotateX(10)
    return transform


def thin_plate_spline():
    """Bends space by a few millimetres."""
    corners = np.array(np.meshgrid((-120, 120), (-120, 120), (-60, 120))).reshape(3, -1).T
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in [*corners, (0, 0, 0)]:
        source.InsertNextPoint(*corner)
        target.InsertNextPoint(*(np.array(corner) + ((4, -3, 2) if not np.any(corner) else (0, 0, 0))))
    transform = vtk.vtkThinPlateSplineTransform()
    transform.SetBasisToR()
    transform.SetSourceLandmarks(source)
    transform.SetTargetLandmarks(target)
    return transform


def look_at_the_object(work, orientation="Axial"):
    """The slice through the object's centre, all of it in the picture; its centre, in the world."""
    centre = work.ras(*work.middle())
    work.view.set_orientation(orientation)
    work.view.fit()
    work.view.go_to(centre)
    return centre


def box_around(work, centre, pixels=6):
    """Drag a box in the view, around a place of the world; the quick network looks at its middle."""
    middle = work.view.xy(centre)
    work.take("box")
    work.view.drag(middle - pixels, middle + pixels)
    work.wait()


def in_the_volume(work, name="liver"):
    """The applied segment on the voxels of the volume, all transforms reckoned."""
    return work.segment(name)


# ---------------------------------------------------------------- volumes


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("orientation", ["Axial", "Sagittal", "Coronal"])
def test_in_any_view_of_any_volume_the_object_is_found(quick_network, at_work, images, geometry, orientation):
    work = at_work(*images, GEOMETRIES[geometry])
    box_around(work, look_at_the_object(work, orientation))
    assert not work.warned, work.message
    work.propagate()
    work.press("apply")
    found = in_the_volume(work)
    if geometry == "rotated":  # the views are oblique to its voxels
        assert dice(found, work.truth == 1) > 0.9
    else:
        np.testing.assert_array_equal(found, work.truth == 1)


@pytest.mark.parametrize("normal", [(0.3, 0.2, 1), (1, 0.5, 0.2), (0.4, 1, -0.4)])
def test_in_an_oblique_view_the_object_is_found(quick_network, at_work, images, normal):
    work = at_work(*images)
    centre = work.ras(*work.middle())
    work.view.make_oblique(normal, centre=centre)
    box_around(work, centre)
    assert not work.warned, work.message
    work.propagate()
    work.press("apply")
    assert dice(in_the_volume(work), work.truth == 1) > 0.9


def test_the_plane_of_a_segments_prompts_stays_until_they_are_put_away(quick_network, at_work, images):
    work = at_work(*images)
    box_around(work, look_at_the_object(work, "Sagittal"))
    assert work.plane == "i"
    centre = look_at_the_object(work, "Axial")
    work.take("box")
    middle = work.view.xy(centre)
    work.view.drag(middle - 20, middle + 20)
    assert work.warned
    assert "other slices" in work.message
    assert (len(work.marks), work.plane) == (1, "i")
    work.take("point")
    work.view.click(middle + 3)
    work.wait()
    assert (len(work.marks), work.plane) == (2, "i")
    work.take("box")
    work.view.drag(middle - 20, middle + 20)
    work.press("answer")
    work.wait()
    assert ([mark.kind for mark in work.marks], work.plane) == (["box"], "k")
    assert not work.warned, work.message


# ---------------------------------------------------------------- transforms


@pytest.mark.parametrize("transform", [linear, thin_plate_spline])
@pytest.mark.parametrize("orientation", ["Axial", "Coronal"])
def test_volume_and_segmentation_under_one_transform(quick_network, at_work, images, scene, transform, orientation):
    work = at_work(*images)
    node = transform_node(transform(), scene)
    for each in (work.volume, work.segmentation):
        each.SetAndObserveTransformNodeID(node.GetID())
    box_around(work, look_at_the_object(work, orientation))
    assert not work.warned, work.message
    work.propagate()
    assert all(each.GetTransformNodeID() == node.GetID() for each in work.preview_nodes())
    work.press("apply")
    found = in_the_volume(work)
    assert dice(found, work.truth == 1) > 0.9


@pytest.mark.parametrize("moved", ["volume", "segmentation"])
def test_only_one_of_them_under_a_transform(quick_network, at_work, images, scene, moved):
    work = at_work(*images)
    node = transform_node(linear(), scene)
    getattr(work, moved).SetAndObserveTransformNodeID(node.GetID())
    box_around(work, look_at_the_object(work))
    assert not work.warned, work.message
    work.propagate()
    work.press("apply")
    assert dice(in_the_volume(work), work.truth == 1) > 0.85


def test_a_point_under_a_transform_that_bends_lies_where_it_was_clicked(quick_network, at_work, images, scene):
    work = at_work(*images)
    node = transform_node(thin_plate_spline(), scene)
    for each in (work.volume, work.segmentation):
        each.SetAndObserveTransformNodeID(node.GetID())
    centre = look_at_the_object(work)
    work.take("point")
    work.view.click(centre)
    to_world = vtk.vtkGeneralTransform()
    node.GetTransformToWorld(to_world)
    clicked = work.view.ras(np.rint(work.view.xy(centre)))
    np.testing.assert_allclose(to_world.TransformPoint(work.marks[0].positions[0]), clicked, atol=1e-3)


def test_a_transform_that_changes_later_moves_prompts_with_the_segmentation(quick_network, at_work, images, scene):
    work = at_work(*images)
    box_around(work, look_at_the_object(work))
    before = work.marks[0].positions.copy()
    node = transform_node(linear(), scene)
    for each in (work.volume, work.segmentation):
        each.SetAndObserveTransformNodeID(node.GetID())
    work.propagate()
    np.testing.assert_array_equal(work.marks[0].positions, before)
    work.press("apply")
    assert dice(in_the_volume(work), work.truth == 1) > 0.9


# ---------------------------------------------------------------- the segmentation's own geometry


SEGMENTATION_GEOMETRIES = {
    "coarser": (lambda matrix: matrix @ np.diag([2.0, 2.0, 2.0, 1.0]), (24, 24, 12), 0.85),
    "finer": (lambda matrix: matrix @ np.diag([0.5, 0.5, 1.0, 1.0]), (96, 96, 24), 0.93),
    "shifted": (lambda matrix: matrix @ np.array([[1, 0, 0, 3.0], [0, 1, 0, -2.0], [0, 0, 1, 1.0], [0, 0, 0, 1]]), (48, 48, 24), 0.999),
    "rotated": (lambda matrix: rotation(0, 0, 20) @ matrix, (64, 64, 24), 0.85),
    "smaller": (lambda matrix: matrix @ np.array([[1, 0, 0, 5.0], [0, 1, 0, 5.0], [0, 0, 1, 5.0], [0, 0, 0, 1]]), (24, 30, 14), 0.95),
}


@pytest.mark.parametrize("geometry", SEGMENTATION_GEOMETRIES)
def test_a_segmentation_of_another_geometry(quick_network, at_work, images, geometry):
    change, size, least = SEGMENTATION_GEOMETRIES[geometry]
    work = at_work(*images)
    set_geometry(work.segmentation, change(lps()), size)
    box_around(work, look_at_the_object(work))
    assert not work.warned, work.message
    work.propagate()
    work.press("apply")
    assert not work.warned, work.message
    assert dice(in_the_volume(work), work.truth == 1) >= least


def test_the_geometry_is_changed_during_the_work(quick_network, at_work, images):
    work = at_work(*images)
    work.segment_by_box()
    set_geometry(work.segmentation, lps() @ np.diag([2.0, 2.0, 2.0, 1.0]), (24, 24, 12))
    work.editor.updateWidgetFromMRML()
    assert len(work.marks) == 1
    work.propagate()
    work.press("apply")
    assert dice(in_the_volume(work), work.truth == 1) > 0.85


def set_geometry(segmentation, ijk_to_ras, size):
    """Give a segmentation a reference geometry of its own."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*size)
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
    segmentation.GetSegmentation().SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), text)


# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize("orientation", ["Axial", "Sagittal", "Coronal"])
@pytest.mark.parametrize("zoom", [0.11, 1.0, 3.7])
def test_points_are_exact_however_a_view_is_zoomed_and_panned(quick_network, at_work, images, orientation, zoom):
    work = at_work(*images)
    look_at_the_object(work, orientation)
    node = work.view.node
    node.SetFieldOfView(*(zoom * each for each in node.GetFieldOfView()[:2]), node.GetFieldOfView()[2])
    x, y, z = node.GetXYZOrigin()
    node.SetXYZOrigin(x + 1.37 * zoom, y - 2.71 * zoom, z)
    centre = work.view.xy(work.ras(*work.middle()))
    pixels = [tuple(int(each) for each in centre + offset) for offset in ((0, 0), (23, -17), (-31, 12))]
    work.take("point")
    for pixel in pixels:
        work.view.click(pixel)
    exact = [node.GetXYToRAS().MultiplyPoint((*pixel, 0, 1))[:3] for pixel in pixels]
    assert len(work.marks) == len(pixels)
    np.testing.assert_allclose([mark.positions[0] for mark in work.marks], exact, rtol=0, atol=1e-6)


def test_points_in_an_oblique_view_are_exact(quick_network, at_work, images):
    work = at_work(*images, GEOMETRIES["rotated"])
    centre = work.ras(*work.middle())
    work.view.make_oblique((0.3, -0.5, 1), centre=centre)
    work.take("point")
    work.view.click((203, 189))
    exact = work.view.node.GetXYToRAS().MultiplyPoint((203, 189, 0, 1))[:3]
    np.testing.assert_allclose(work.marks[0].positions[0], exact, rtol=0, atol=1e-6)


def test_a_prompt_reaches_the_network_at_its_sub_voxel_place(quick_network, at_work, images):
    work = at_work(*images)
    look_at_the_object(work)
    node = work.view.node
    node.SetFieldOfView(*(0.05 * each for each in node.GetFieldOfView()[:2]), node.GetFieldOfView()[2])
    work.take("point")
    work.view.click((211, 190))
    work.wait()
    (keyframe,) = work.controller.workbench.in_use.prompts.segments[0].keyframes
    place = np.linalg.inv(lps()) @ (*work.view.ras((211, 190)), 1)
    np.testing.assert_allclose((keyframe.points[0].x, keyframe.points[0].y), place[:2], atol=1e-6)
    assert keyframe.slice == round(place[2])
