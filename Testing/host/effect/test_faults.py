"""What goes wrong while the effect works: the scene stays as it was, the user is told, and the next action works."""

import numpy as np
import pytest
import slicer

from SAMSegmenterLib.errors import SAMSegmenterError
from SAMSegmenterLib.in_slicer.module import requirements
from support.effect_steps import NAME, another_volume, assert_works_again, fingerprint, in_another_process, lps, two_balls

# ---------------------------------------------------------------- unusual images and prompts


def test_a_volume_of_one_slice_is_told(quick_network, at_work):
    voxels, truth = two_balls()
    work = at_work(voxels[12:13].copy(), truth[12:13])
    work.draw_box()
    assert work.warned
    assert "only one slice" in work.message
    assert not work.marks
    work.volume, work.truth = another_volume(work), truth[:, ::-1]
    work.editor.setSegmentationNode(work.host.make_segmentation(work.volume, ("liver",)))
    work.editor.setSourceVolumeNode(work.volume)
    work.view.fit()
    assert_works_again(work)


def test_a_prompt_outside_the_volume_is_refused(work):
    work.take("point")
    work.view.go_to(work.ras(20, 20, 40))
    work.view.click(work.ras(20, 20, 40))
    assert work.warned
    assert "outside" in work.message
    assert not work.marks
    assert_works_again(work)


def test_a_box_beside_the_slice_is_refused(work):
    k = work.middle()[2]
    work.take("box")
    work.go_to(k)
    work.view.drag(work.ras(60, 20, k), work.ras(70, 30, k))
    assert work.warned
    assert not work.marks
    assert_works_again(work)


def test_a_prompt_moved_outside_stays_where_it_was(work):
    k = work.middle()[2]
    work.draw_box()
    work.wait()
    before = work.marks[0].positions.copy()
    start = work.marks[0].positions[0]
    work.view.drag(start, work.ras(300, 300, k))
    work.wait()
    assert len(work.marks) == 1
    if work.warned:
        np.testing.assert_array_equal(work.marks[0].positions, before)
    assert_works_again(work)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_told(quick_network, at_work, value):
    voxels, truth = two_balls()
    spoilt = voxels.astype(np.float32)
    spoilt[3, 4, 5] = value
    work = at_work(spoilt, truth)
    work.draw_box()
    assert work.warned
    assert "NaN" in work.message or "infinite" in work.message
    work.volume = another_volume(work)
    work.editor.setSourceVolumeNode(work.volume)
    work.truth = truth[:, ::-1]
    assert_works_again(work)


class Database:
    """What Slicer's DICOM database knows of instances."""

    def __init__(self, **photometric):
        self._photometric, self.asked = photometric, 0

    def instanceValue(self, uid, tag):
        self.asked += 1
        return self._photometric.get(uid, "") if tag == "0028,0004" else ""


def test_a_volume_that_slicer_loads_inverted_is_told(work, monkeypatch):
    monkeypatch.setattr(slicer, "dicomDatabase", Database(a="MONOCHROME2", b="MONOCHROME1 ", c="MONOCHROME2"), raising=False)
    inverted, plain = another_volume(work), another_volume(work)
    inverted.SetAttribute("DICOM.instanceUIDs", "a b c")
    plain.SetAttribute("DICOM.instanceUIDs", "a c")
    work.editor.setSourceVolumeNode(inverted)
    assert work.warned
    assert "MONOCHROME1" in work.message
    work.switch_away()
    work.editor.setSourceVolumeNode(plain)
    work.switch_back()
    assert not work.warned
    assert "MONOCHROME1" not in work.message
    work.switch_away()
    work.editor.setSourceVolumeNode(inverted)
    work.switch_back()
    assert "inverted values" in work.message


def test_few_images_of_a_long_series_are_asked_about(work, monkeypatch):
    database = Database()
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    volume = another_volume(work)
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(map(str, range(501))))
    work.editor.setSourceVolumeNode(volume)
    assert 0 < database.asked <= 10
    assert not work.warned


def test_a_constant_volume_is_told(quick_network, at_work):
    voxels, truth = two_balls()
    work = at_work(np.full_like(voxels, 7), truth)
    work.draw_box()
    assert work.warned
    assert "same value" in work.message
    assert not work.marks


def test_of_a_colour_volume_the_first_component_is_used(quick_network, at_work):
    voxels, truth = two_balls()
    colours = np.repeat(np.clip(voxels, 0, 255).astype(np.uint8)[..., None], 3, -1)
    volume = slicer.util.addVolumeFromArray(colours, slicer.util.vtkMatrixFromArray(lps()), "photo", "vtkMRMLVectorVolumeNode")
    volume.CreateDefaultDisplayNodes()
    slicer.app.show_volume(volume)
    work = at_work(voxels, truth, volume=volume)
    work.segment_by_box()
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), truth == 1)


@pytest.mark.parametrize("window", ["auto", "display"])
def test_another_axis_than_that_of_the_prompts_is_told(work, window):
    work.choose(work.panel.window, window)
    work.draw_box()
    work.wait()
    work.choose(work.panel.axis, "j")
    work.switch_away()
    work.switch_back()
    work.host.process_events()
    assert len(work.marks) == 1
    work.press("propagate")
    work.wait()
    assert work.warned
    assert "other slices" in work.message
    work.choose(work.panel.axis, "auto")
    assert_works_again(work)


# ---------------------------------------------------------------- empty states


def test_empty_states_say_what_to_do_next(quick_network, effect_host, scene):
    editor = effect_host.make_editor()
    editor.setSegmentationNode(scene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    editor.setActiveEffectByName(NAME)
    message = editor.activeEffect().self().wiring.panel.message
    assert "Load a volume" in message.text
    voxels, _truth = two_balls()
    editor.setSourceVolumeNode(effect_host.make_volume(voxels, lps(), "image"))
    assert "Add a segment" in message.text
    editor.segmentationNode().GetSegmentation().AddEmptySegment("S_liver", "liver")
    editor.setCurrentSegmentID("")
    assert effect_host.wait_until(lambda: "Select the segment" in message.text, 3)
    editor.setCurrentSegmentID("S_liver")
    assert effect_host.wait_until(lambda: "Select the segment" not in message.text, 3)
    assert not effect_host.exceptions


def test_marking_without_a_segment_says_what_to_do(quick_network, at_work):
    work = at_work(*two_balls(), segments=())
    work.draw_box()
    assert "Add a segment" in work.message
    assert not work.preview_nodes()


# ---------------------------------------------------------------- no model, no torch, no memory


def test_a_model_that_is_not_there_is_told(at_work):
    work = at_work(*two_balls())
    work.effect.scriptedEffect.setParameter("Model", "/nowhere/model.pt")
    work.draw_box()
    work.wait()
    assert work.warned
    assert "/nowhere/model.pt" in work.message
    assert not work.segment().any()
    work.effect.scriptedEffect.setParameter("Model", "")
    work.press("clear")
    work.draw_box()
    work.wait()
    assert not work.warned
    assert work.preview().any()


NO_TORCH = """
import sys
for missing in ("torch", "torchvision", "sam2"):
    sys.modules[missing] = None
import slicerhost
host = slicerhost.start()
import numpy as np
import slicer
import SAMSegmenter
SAMSegmenter.register_effect()
volume = host.make_volume(np.random.default_rng(0).integers(0, 99, (8, 16, 16)).astype(np.int16))
editor = host.make_editor(volume, ("liver",))
editor.setActiveEffectByName("SAMSegmenter")
panel = editor.activeEffect().self().wiring.panel
print(panel.message.text)
assert not panel.setup_button.isHidden() and panel.body.isHidden()
from slicerhost.hands import SliceView
SliceView("Red").click((50, 50))
host.process_events()
assert not editor.activeEffect().self().wiring.controller.marks.all
editor.setActiveEffectByName("")
assert not host.exceptions, host.exceptions
slicerhost.stop()
"""


def test_without_torch_the_effect_shows_and_offers_the_set_up():
    run = in_another_process(NO_TORCH)
    assert run.returncode == 0, run.stderr
    assert "torch" in run.stdout
    assert "must be installed first" in run.stdout


def test_packages_are_looked_for_when_the_panel_is_shown_not_at_every_move_of_the_mouse(work, monkeypatch):
    looked, needed = [], list(requirements.NEEDED)
    monkeypatch.setattr(requirements, "missing", lambda: looked.append(1) or needed)
    work.switch_away()
    monkeypatch.setattr(work.effect, "_missing", ["torch"])
    work.switch_back()
    assert "must be installed first" in work.message
    looked.clear()
    for x in range(20):
        work.view.move((x, 100))
    work.view.click((100, 100))
    assert (looked, work.marks) == ([], ())
    needed.clear()  # the module has installed them
    work.switch_away()
    work.switch_back()
    work.draw_box()
    assert len(work.marks) == 1
    looked.clear()
    work.effect.update()
    assert not looked


def test_the_set_up_opens_the_module(work, monkeypatch):
    opened = []
    monkeypatch.setattr(slicer.util, "selectModule", opened.append, raising=False)
    work.panel.setup_button.click()
    assert opened == ["SAMSegmenter"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory"), ZeroDivisionError("by zero"), SAMSegmenterError("the model is odd")]
)
def test_a_failing_run_leaves_everything_and_the_next_one_works(work, quick_network, error):
    work.draw_box()
    work.wait()
    before = work.preview()
    quick_network.error = error
    work.press("propagate")
    work.wait()
    assert work.warned
    assert str(error) in work.message if str(error) else "MemoryError" in work.message
    np.testing.assert_array_equal(work.preview(), before)
    assert not work.segment().any()
    work.propagate()
    assert not work.warned
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


def test_a_failing_preview_leaves_the_prompt_and_the_next_one_works(work, quick_network):
    quick_network.error = RuntimeError("odd")
    work.draw_box()
    work.wait()
    assert "odd" in work.message
    assert [mark.kind for mark in work.marks] == ["box"]
    assert not work.preview().any()
    work.propagate()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


def test_a_run_asked_for_before_a_preview_has_failed_is_given_up_and_can_be_asked_for_again(work, quick_network):
    quick_network.error = RuntimeError("odd")
    work.draw_box()
    work.press("propagate")
    work.wait()
    assert "odd" in work.message
    assert not work.controller.busy
    work.propagate()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


def test_a_session_that_cannot_be_opened_is_tried_again(work, monkeypatch):
    from SAMSegmenterLib.in_slicer.effect import workbench

    opened = workbench.open_session
    monkeypatch.setattr(workbench, "open_session", lambda stack, chosen: (_ for _ in ()).throw(OSError("no disk")))
    work.draw_box()
    work.wait()
    assert "no disk" in work.message
    monkeypatch.setattr(workbench, "open_session", opened)
    work.propagate()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


# ---------------------------------------------------------------- damaged prompts


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"version": 99}', '{"version": 1, "plane": "k", "marks": [{}]}'])
def test_damaged_prompts_are_told_and_new_ones_can_be_placed(work, text):
    work.segmentation.SetAttribute("SAMSegmenter.Prompts", text)
    work.effect.update()
    assert "saved prompts" in work.message
    assert not work.marks
    assert_works_again(work)


def test_prompts_of_a_segment_that_is_gone_do_not_hinder(work):
    mark = '{"segment": "gone", "kind": "point", "positive": true, "positions": [[0, 0, 0]]}'
    work.segmentation.SetAttribute("SAMSegmenter.Prompts", f'{{"version": 1, "plane": "k", "marks": [{mark}]}}')
    assert_works_again(work)


def test_damaged_settings_count_as_those_one_begins_with(work):
    for name in ("WindowLevel", "FirstSlice", "Positive"):
        work.effect.scriptedEffect.setParameter(name, "?")
    work.effect.update()
    assert work.panel.level.value == 40
    work.effect.scriptedEffect.setParameter("Positive", 1)
    assert_works_again(work)


def test_the_volume_is_never_written(work):
    before = fingerprint(work.volume)
    work.segment_by_box()
    work.press("apply")
    work.editor.undo()
    assert fingerprint(work.volume) == before
