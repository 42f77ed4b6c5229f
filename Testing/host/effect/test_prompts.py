"""Prompts: drawn, moved, deleted, undone, taken from elsewhere; where they are listed, and the keys that do all this."""

import json

import numpy as np
import pytest
import slicer

from support.effect_steps import NAME

IN_PLANE = np.array([1.0, 1.0, 0.0])


# ---------------------------------------------------------------- prompts by hand


def drawn(work, tool, *ijk, modifiers=()):
    work.take(tool)
    work.view.drag(*(work.ras(*each) for each in ijk), modifiers=modifiers)
    work.wait()
    return work.marks[-1]


@pytest.fixture
def square(work):
    """Four corners around the object on its middle slice, which is shown."""
    i, j, k = work.middle()
    work.go_to(k)
    return [(i - 10, j - 10, k), (i + 10, j - 10, k), (i + 10, j + 10, k), (i - 10, j + 10, k)]


def test_every_tool_draws_its_mark(work, square):
    k = work.middle()[2]
    for tool, way in {"box": square[::2], "line": square[::2], "scribble": square[:3], "lasso": [*square, square[0]]}.items():
        mark = drawn(work, tool, *way)
        assert (mark.kind, work.name_of(mark.segment), mark.positive) == (tool, "liver", True)
        reach = 1.01 * max(work.volume.GetSpacing()) / 2 + 1
        np.testing.assert_allclose(mark.positions.min(0), np.min([work.ras(*each) for each in way], 0), atol=reach)
        np.testing.assert_allclose(mark.positions.max(0), np.max([work.ras(*each) for each in way], 0), atol=reach)
        assert work.keyframes() == [k]
        work.press("clear")
    work.click(*work.middle())
    assert work.marks[-1].kind == "point"


@pytest.mark.parametrize("tool", ["point", "scribble", "lasso"])
def test_control_marks_what_is_outside(work, square, tool):
    work.take(tool)
    places = [work.ras(*each) for each in (square[:1] if tool == "point" else square)]
    work.view.drag(*places, modifiers=("Control",))
    assert not work.marks[-1].positive
    work.press("polarity")
    work.view.drag(*(each + 12 for each in places))
    assert not work.marks[-1].positive
    assert work.panel.actions["polarity"].text == "Outside"


def test_a_slip_of_the_hand_is_no_box(work, square):
    work.take("box")
    start = work.view.xy(work.ras(*square[0]))
    work.view.drag(start, start + 1)
    assert not work.marks


def test_a_second_click_in_quick_succession_is_a_second_prompt(work):
    work.take("point")
    i, j, k = work.middle()
    work.go_to(k)
    work.view.double_click(work.ras(i, j, k), then=work.ras(i + 4, j, k))
    assert len(work.marks) == 2


def test_a_mark_is_picked_up_moved_and_deleted(work):
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    old, new = work.ras(i, j, k), work.ras(i + 4, j - 3, k)
    work.view.drag(old, new)
    work.wait()
    (mark,) = work.marks
    np.testing.assert_allclose(mark.positions[0], new, atol=1)
    assert work.key("Del")
    assert not work.marks
    assert not work.preview().any()


def test_a_corner_of_a_box_is_moved_alone(work, square):
    box = drawn(work, "box", *square[::2])
    corner = box.positions[2]
    work.view.drag(corner, corner + 6 * IN_PLANE)
    moved = work.marks[-1].positions
    np.testing.assert_allclose(moved[0], box.positions[0], atol=1e-9)
    np.testing.assert_allclose(moved[2], corner + 6 * IN_PLANE, atol=1.5)


def test_prompts_have_an_undo_of_their_own(work):
    i, j, k = work.middle()
    work.draw_box()
    work.click(i, j, k + 1)
    work.wait()
    both = work.marks
    work.press("undo")
    work.wait()
    assert [mark.kind for mark in work.marks] == ["box"]
    assert not work.preview()[k + 1].any()
    assert work.key("Shift+U")
    work.wait()
    assert work.marks == both
    np.testing.assert_array_equal(work.preview()[k + 1].any(), True)
    for _ in range(2):
        assert work.key("U")
    assert not work.marks
    assert not work.panel.actions["undo"].enabled


def test_clearing_removes_the_prompts_and_the_preview_but_not_the_segment(work):
    work.segment_by_box()
    work.press("apply")
    before = work.segment()
    work.press("clear")
    assert not work.marks
    assert not work.preview().any()
    np.testing.assert_array_equal(work.segment(), before)
    work.segment_by_box()
    assert work.preview().any()


def test_clearing_one_segment_leaves_the_prompts_of_the_other(work):
    work.draw_box()
    work.select("spleen")
    work.draw_box(label=2)
    work.press("clear")
    assert [work.name_of(mark.segment) for mark in work.marks] == ["liver"]


def test_prompts_are_kept_as_text_on_the_segmentation(work):
    work.draw_box()
    saved = json.loads(work.segmentation.GetAttribute("SAMSegmenter.Prompts"))
    assert [entry["kind"] for entry in saved["marks"]] == ["box"]
    work.press("clear")
    assert work.segmentation.GetAttribute("SAMSegmenter.Prompts") is None


# ---------------------------------------------------------------- prompts from elsewhere


def test_a_painted_slice_becomes_a_keyframe_as_it_is_painted(work):
    i, j, k = work.middle()
    painted = np.zeros(work.truth.shape, bool)
    painted[k, j - 2 : j + 3, i - 4 : i + 5] = True
    work.paint(painted)
    work.go_to(k)
    work.press("use_slice")
    work.propagate()
    np.testing.assert_array_equal(work.preview()[k], painted[k])
    np.testing.assert_array_equal(work.preview()[k + 1], work.truth[k + 1] == 1)


def test_a_painted_slice_is_corrected_by_a_point(work):
    i, j, k = use_a_painted_slice(work)
    work.click(i, j, k, modifiers=("Control",))
    work.wait()
    assert [mark.kind for mark in work.marks] == ["prior", "point"]
    assert not work.preview()[k, j, i]
    work.press("undo")
    work.wait()
    assert [mark.kind for mark in work.marks] == ["mask"]
    np.testing.assert_array_equal(work.preview()[k], work.truth[k] == 1)


def test_a_painted_slice_is_marked_anew_by_a_box(work):
    k = use_a_painted_slice(work)[2]
    work.draw_box(k)
    work.wait()
    assert [mark.kind for mark in work.marks] == ["box"]


def test_a_painted_slice_is_marked_anew_by_a_line_of_markups(work):
    i, j, k = use_a_painted_slice(work)
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "L")
    for end in (work.ras(i - 4, j, k), work.ras(i + 10, j, k)):
        line.AddControlPoint(*end)
    work.effect._act("line_markup", line)
    assert [mark.kind for mark in work.marks] == ["line"]


def use_a_painted_slice(work):
    i, j, k = work.middle()
    work.paint((work.truth == 1) & (np.arange(len(work.truth)) == k)[:, None, None])
    work.go_to(k)
    work.press("use_slice")
    work.wait()
    return i - 6, j, k  # beside the icon, which would be picked up


def test_an_unpainted_slice_cannot_be_used(work):
    work.go_to(work.middle()[2])
    work.press("use_slice")
    assert "empty on this slice" in work.message
    assert not work.marks


def test_a_line_of_markups_becomes_the_diameter(work):
    i, j, k = work.middle()
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "L")
    for end in (work.ras(i - 6, j - 2, k), work.ras(i + 6, j + 2, k)):
        line.AddControlPoint(*end)
    work.panel.line_markup.setCurrentNode(line)
    work.effect._act("line_markup", line)
    work.wait()
    (mark,) = work.marks
    assert mark.kind == "line"
    np.testing.assert_allclose(mark.positions, [work.ras(i - 6, j - 2, k), work.ras(i + 6, j + 2, k)], atol=1e-6)
    np.testing.assert_array_equal(work.preview()[k], work.truth[k] == 1)


def test_a_line_across_slices_is_refused(work):
    work.draw_box()
    work.wait()
    i, j, k = work.middle()
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "L")
    for end in (work.ras(i, j, k - 5), work.ras(i, j, k + 5)):
        line.AddControlPoint(*end)
    work.effect._act("line_markup", line)
    assert work.warned
    assert [mark.kind for mark in work.marks] == ["box"]


# ---------------------------------------------------------------- lists


def test_keyframes_are_listed_jumped_to_and_removed(work):
    i, j, k = work.middle()
    work.draw_box()
    work.click(i, j, k + 2)
    work.click(i + 3, j, k + 2)
    work.wait()
    assert work.listed(work.panel.keyframes) == [f"slice {k}: 1 x box", f"slice {k + 2}: 2 x point"]
    work.go_to(0)
    work.panel.keyframes.itemDoubleClicked(work.panel.keyframes.item(1))
    assert shown_slice(work) == k + 2
    work.panel.keyframes.setCurrentRow(1)
    work.panel._remove_keyframe()
    work.wait()
    assert work.keyframes() == [k]
    assert not work.preview()[k + 2].any()


def test_del_removes_what_was_clicked_last_in_the_list_or_in_a_view(work):
    i, j, k = work.middle()
    work.draw_box()
    work.click(i, j, k + 2)
    work.click(i + 5, j, k + 2)
    work.wait()
    work.panel.keyframes.itemClicked(work.panel.keyframes.item(0))
    assert work.key("Del")
    assert work.keyframes() == [k + 2]
    assert work.key("Del")
    assert work.keyframes() == [k + 2]
    work.view.click(work.ras(i, j, k + 2))
    assert work.key("Del")
    assert work.listed(work.panel.keyframes) == [f"slice {k + 2}: 1 x point"]


def test_the_chosen_slice_stays_chosen_when_others_come_before_it(work):
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    work.panel.keyframes.setCurrentRow(0)
    work.click(i, j, k - 2)
    work.wait()
    assert work.panel.keyframes.currentItem().text() == f"slice {k}: 1 x point"
    work.panel._remove_keyframe()
    work.wait()
    assert work.keyframes() == [k - 2]
    assert work.panel.keyframes.currentItem() is None


def test_a_list_that_is_right_is_left_alone(work):
    """Else the two clicks of a double click would meet different items."""
    work.draw_box()
    work.wait()
    item = work.panel.keyframes.item(0)
    item.setToolTip("this one")
    work.effect.update()
    assert work.panel.keyframes.item(0).toolTip() == "this one"


def test_slices_to_check_are_listed_and_gone_to_in_turn(work):
    work.segment_by_box()
    listed = [index for index, _trust in work.controller.review()]
    assert len(work.listed(work.panel.review)) == len(listed) > 2
    for index in (listed[0], listed[1], listed[2]):
        assert work.key("N")
        assert shown_slice(work) == index
    assert work.key("Shift+N")
    assert shown_slice(work) == listed[1]
    work.panel.review.itemDoubleClicked(work.panel.review.item(0))
    assert shown_slice(work) == listed[0]


def test_next_without_slices_to_check_says_what_to_do(work):
    work.key("N")
    assert "Propagate first" in work.message


def shown_slice(work):
    """The volume's slice that the axial view shows."""
    centre = work.view.ras(np.array(work.view.node.GetDimensions()[:2]) / 2)
    spacing, first = work.volume.GetSpacing()[2], work.ras(0, 0, 0)[2]
    return round((centre[2] - first) / spacing)


# ---------------------------------------------------------------- keys


def test_keys_choose_tools_and_act(work):
    for key, tool in {"B": "box", "S": "scribble", "L": "lasso", "D": "line", "P": "point"}.items():
        assert work.key(key)
        assert work.parameter("Tool") == tool
        assert work.panel.tools[tool].checked
    assert work.key("T")
    assert work.parameter("Positive") == "0"
    work.key("T")
    work.draw_box()
    assert work.key("G")
    work.wait()
    assert work.key("A")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
    assert work.key("R")
    assert not work.marks


def test_no_key_is_one_of_the_segment_editors_own():
    """`qMRMLSegmentEditorWidget::installKeyboardShortcuts` in Slicer 5.8 to 5.11."""
    from SAMSegmenterLib.in_slicer.effect.keys import KEYS, TOOLS

    theirs = {"Esc", "Space", "Z", "Y", "Q", "W", "I", "/", "*", ",", ".", "<", ">", "Ctrl+Z", "Ctrl+Y"}
    theirs |= {str(digit) for digit in range(10)} | {f"Shift+{digit}" for digit in range(10)}
    assert not theirs & {*KEYS.values(), *TOOLS.values()}


def test_keys_work_only_while_the_effect_is_active(work):
    work.switch_away()
    assert not work.key("P")
    assert work.parameter("Tool") == "box"
    work.switch_back()
    assert work.key("P")
    assert work.parameter("Tool") == "point"


def test_the_effect_has_one_name_for_scripts(work):
    assert work.editor.effectByName(NAME).name == "SAMSegmenter"
