"""Prompts that are taken back and deleted: over several planes, and of segments that are not shown."""

import numpy as np
import pytest

from SAMSegmenterLib.prompts.marks import Mark, Marks, dumps
from slicerhost.hands import SliceView


@pytest.fixture
def coronal(work):
    i, j, k = work.middle()
    view = SliceView("Green")
    view.fit()
    view.go_to(work.ras(i, j, k))
    return view


def draw_coronal_box(work, view):
    i, j, k = work.middle()
    work.take("box")
    view.drag(view.xy(work.ras(i - 6, j, k - 5)), view.xy(work.ras(i + 6, j, k + 5)))
    work.wait()


def test_prompts_of_two_planes_are_taken_back_and_made_again(work, coronal):
    work.draw_box()
    work.wait()
    work.press("clear")
    draw_coronal_box(work, coronal)
    _i, j, k = work.middle()
    back = [("U", None, []), ("U", "k", [k]), ("U", None, [])]
    again = [("Shift+U", "k", [k]), ("Shift+U", None, []), ("Shift+U", "j", [j])]
    for key, plane, keyframes in back + again:
        assert work.key(key)
        work.wait()
        assert not work.warned, work.message
        assert work.plane == plane
        assert work.keyframes() == keyframes
        assert [index for index in range(50) if is_shown(work, index)] == keyframes


def is_shown(work, index):
    preview = work.controller.workbench.preview
    mask = preview.slice(work.id("liver"), index) if preview else None
    return mask is not None and mask.any()


def test_after_the_first_prompt_was_taken_back_another_plane_can_be_chosen(work, coronal):
    work.draw_box()
    work.wait()
    work.press("undo")
    draw_coronal_box(work, coronal)
    assert not work.warned, work.message
    assert work.plane == "j"


def test_prompts_that_a_script_sets_may_lie_in_another_plane(work):
    work.draw_box()
    work.wait()
    i, j, k = work.middle()
    corners = [work.ras(i, j + b, k + c) for b, c in ((-5, -3), (5, -3), (5, 3), (-5, 3))]
    work.segmentation.SetAttribute("SAMSegmenter.Prompts", dumps(Marks((Mark(work.id("liver"), "box", corners, plane="i"),))))
    assert work.keyframes() == []
    work.propagate()
    assert not work.warned, work.message
    assert work.keyframes() == [i]


def test_del_leaves_the_prompts_of_another_segment_alone(work):
    work.draw_box()
    work.wait()
    work.select("spleen")
    assert work.key("Del")
    assert [work.name_of(mark.segment) for mark in work.marks] == ["liver"]


def test_del_after_clear_is_no_step_of_undo(work):
    work.draw_box()
    work.wait()
    work.press("clear")
    assert work.key("Del")
    work.press("undo")
    assert [mark.kind for mark in work.marks] == ["box"]


# ---------------------------------------------------------------- corrections of what was found


def correct_by_a_point(work):
    i, j, k = work.middle()
    work.click(i, j, k + 2, modifiers=("Control",))
    work.wait()


def correct_by_a_small_box(work):
    i, j, k = work.middle()
    work.take("box")
    work.go_to(k + 2)
    work.view.drag(work.ras(i - 3, j - 3, k + 2), work.ras(i + 3, j + 3, k + 2))
    work.wait()


def undo(work):
    work.press("undo")


def delete(work):
    assert work.key("Del")


def remove_the_keyframe(work):
    work.effect._act("remove_keyframe", work.middle()[2] + 2)


@pytest.mark.parametrize("take_back", [undo, delete, remove_the_keyframe])
@pytest.mark.parametrize("correct", [correct_by_a_point, correct_by_a_small_box])
def test_a_correction_that_is_taken_back_leaves_what_had_been_found(work, correct, take_back):
    work.segment_by_box()
    correct(work)
    take_back(work)
    work.wait()
    assert [mark.kind for mark in work.marks] == ["box"]
    np.testing.assert_array_equal(work.preview(), work.truth == 1)
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_a_correction_can_be_made_again(work):
    work.segment_by_box()
    correct_by_a_point(work)
    i, j, k = work.middle()
    corrected = work.preview()
    assert not corrected[k + 2, j, i]
    undo(work)
    assert work.key("Shift+U")
    work.wait()
    np.testing.assert_array_equal(work.preview(), corrected)


@pytest.mark.parametrize("take_back", [undo, delete])
def test_a_prompt_that_is_taken_back_at_once_shows_nothing_later(work, quick_network, take_back):
    quick_network.pause_after(0)
    work.draw_box()
    work.wait_for(lambda: quick_network.is_paused)
    take_back(work)
    quick_network.go_on()
    work.wait()
    assert not work.marks
    assert not work.preview().any()


@pytest.mark.parametrize("take_back", [undo, delete])
def test_a_correction_that_is_taken_back_at_once_leaves_what_had_been_found(work, quick_network, take_back):
    work.segment_by_box()
    quick_network.pause_after(0)
    i, j, k = work.middle()
    work.click(i, j, k + 2, modifiers=("Control",))
    work.wait_for(lambda: quick_network.is_paused)
    take_back(work)
    quick_network.go_on()
    work.wait()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)
