"""Mouse and keys reach the active effect, with the real geometry of the slice."""

import numpy as np
import pytest
import slicer
import vtk

from slicerhost.hands import SliceView, press_shortcut


@pytest.fixture
def block(block_effect, an_editor):
    an_editor.setActiveEffectByName(block_effect)
    effect = an_editor.activeEffect()
    effect.self().heard.clear()
    return effect


def first_voxel(editor):
    """(i, j, k) of the segment's lowest corner."""
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(editor.segmentationNode(), editor.currentSegmentID(), editor.sourceVolumeNode())
    return np.argwhere(voxels).min(axis=0)[::-1].tolist()


def ras_of(volume, ijk):
    """Where the centre of a voxel is in the world."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    place = np.array(matrix.MultiplyPoint((*ijk, 1.0))[:3])
    transform = volume.GetParentTransformNode()
    return np.array(transform.GetTransformToParent().TransformPoint(place)) if transform else place


def turn(node, scene):
    """Put the node under a transform that turns and shifts it."""
    turned = vtk.vtkTransform()
    turned.Translate(11, -7, 5)
    turned.RotateWXYZ(25, 1, 2, 3)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turned.GetMatrix())
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_pixels_and_places_are_each_others_inverse(a_volume, a_slice_view):
    a_slice_view.make_oblique((0.3, -0.2, 1.0), centre=(5, 6, 7))
    assert a_slice_view.xy(a_slice_view.ras((123.25, 77.5))) == pytest.approx([123.25, 77.5])
    assert a_slice_view.ras(a_slice_view.xy((5, 6, 7))) == pytest.approx([5, 6, 7])


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_a_click_lands_in_the_voxel_under_it_in_every_view(block, an_editor, a_volume, name):
    view, ijk = SliceView(name), (20, 30, 11)
    view.go_to(ras_of(a_volume, ijk))
    view.click(ras_of(a_volume, ijk))
    assert first_voxel(an_editor) == list(ijk)


@pytest.mark.parametrize("normal", [(0.2, 0.1, 1.0), (1.0, 1.0, 0.5), (-0.4, 1.0, 0.3)])
def test_a_click_on_an_oblique_slice_lands_in_the_voxel_under_it(block, an_editor, a_volume, a_slice_view, normal):
    place = ras_of(a_volume, (14, 33, 9))
    a_slice_view.make_oblique(normal, up=(0.1, 0.2, 1), centre=place)
    a_slice_view.click(place)
    assert a_slice_view.node.GetOrientation() == "Reformat"
    assert first_voxel(an_editor) == [14, 33, 9]


def test_a_click_on_a_transformed_volume_lands_in_the_voxel_under_it(block, an_editor, a_volume, a_slice_view, scene):
    turn(a_volume, scene)
    an_editor.segmentationNode().SetAndObserveTransformNodeID(a_volume.GetTransformNodeID())
    place = ras_of(a_volume, (14, 33, 9))
    a_slice_view.go_to(place)
    a_slice_view.click(place)
    assert first_voxel(an_editor) == [14, 33, 9]


def test_effects_are_given_places_through_whole_pixels_and_voxels(block, a_volume, a_slice_view):
    helper, image = block.self(), block.referenceGeometryImage()
    place = ras_of(a_volume, (14, 33, 9))
    a_slice_view.go_to(place)
    x, y = (int(each) for each in a_slice_view.xy(place))
    assert helper.rasToXy(place, a_slice_view.widget) == [x, y]
    assert helper.xyToRas((x, y), a_slice_view.widget) == pytest.approx(a_slice_view.ras((x, y)), abs=1e-4)
    assert helper.xyToIjk((x, y), a_slice_view.widget, image) == [14, 33, 9]
    assert helper.xyToRas((x + 0.9, y + 0.9), a_slice_view.widget) == helper.xyToRas((x, y), a_slice_view.widget)


def test_events_come_in_the_order_of_the_hands(block, a_slice_view):
    a_slice_view.drag((10, 10), (50, 10), steps=2)
    names = [vtk.vtkCommand.GetStringFromEventId(each) for each in block.self().heard]
    moves = ["MouseMoveEvent"] * 2
    assert names == ["MouseMoveEvent", "LeftButtonPressEvent", *moves, "LeftButtonReleaseEvent"]


def test_the_second_press_of_a_double_click_is_a_double_click(block, a_slice_view):
    a_slice_view.double_click((10, 10))
    names = [vtk.vtkCommand.GetStringFromEventId(each) for each in block.self().heard]
    clicks = ["LeftButtonPressEvent", "LeftButtonReleaseEvent", "LeftButtonDoubleClickEvent", "LeftButtonReleaseEvent"]
    assert [name for name in names if name != "MouseMoveEvent"] == clicks


def test_modifiers_and_keys_can_be_read_from_the_interactor(a_slice_view):
    heard = []
    interactor = a_slice_view.widget.interactor()
    keys = interactor.AddObserver("KeyPressEvent", lambda *_: heard.append((interactor.GetKeySym(), interactor.GetShiftKey())))
    presses = interactor.AddObserver("LeftButtonPressEvent", lambda *_: heard.append((interactor.GetControlKey(), interactor.GetAltKey())))
    a_slice_view.key("Escape", modifiers=("Shift",))
    a_slice_view.press((30, 40), modifiers=("Control",))
    for tag in (keys, presses):
        interactor.RemoveObserver(tag)
    assert heard == [("Escape", 1), (1, 0)]
    assert interactor.GetEventPosition() == (30, 40)


def test_an_effect_hears_of_the_slice_only_while_it_is_active(block, an_editor, a_slice_view):
    a_slice_view.set_offset(12.0)
    assert "moved Red" in block.self().heard
    an_editor.setActiveEffectByName("")
    block.self().heard.clear()
    a_slice_view.set_offset(20.0)
    a_slice_view.click((100, 100))
    assert not block.self().heard


def test_actors_of_an_effect_are_in_its_view_and_nowhere_else(block, a_slice_view):
    actor = vtk.vtkActor2D()
    block.addActor2D(a_slice_view.widget, actor)
    assert block.renderer(a_slice_view.widget).HasViewProp(actor)
    assert not block.renderer(SliceView("Green").widget).HasViewProp(actor)
    block.removeActor2D(a_slice_view.widget, actor)
    assert not block.renderer(a_slice_view.widget).HasViewProp(actor)


def test_a_shortcut_works_while_it_is_enabled(slicer_host, an_editor):
    import qt

    heard = []
    shortcut = qt.QShortcut(qt.QKeySequence("Shift+B"), an_editor)
    shortcut.connect("activated()", lambda: heard.append("box"))
    assert press_shortcut("Shift+B", an_editor)
    shortcut.enabled = False
    assert not press_shortcut("Shift+B", an_editor)
    assert heard == ["box"]
