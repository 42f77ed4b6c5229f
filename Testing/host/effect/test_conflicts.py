"""Prompts that contradict each other: the older one is shown, and one press decides."""

import numpy as np
import pytest

from SAMSegmenterLib.prompts.marks import Marks, dumps


@pytest.fixture
def disputed(work):
    """A point inside, and then one outside at the very same place."""
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    work.view.click(work.ras(i, j, k), ("Control",))
    return work


def highlighted(work):
    from SAMSegmenterLib.in_slicer.effect.mark_icons import DISPUTED

    return work.effect.pointer._pictures[work.view.widget]._data[DISPUTED].GetNumberOfLines() > 0


def kinds(work):
    return [(mark.kind, mark.positive) for mark in work.marks]


def test_the_new_one_is_not_kept_and_the_older_one_is_highlighted(disputed):
    assert kinds(disputed) == [("point", True)]
    assert disputed.warned
    assert "liver, slice 12: this point contradicts the point that is highlighted" in disputed.message
    assert highlighted(disputed)
    assert not disputed.controller.busy


def test_one_button_puts_the_older_one_away_and_keeps_the_new_one(disputed):
    disputed.press("answer")
    disputed.wait()
    assert kinds(disputed) == [("point", False)]
    assert not highlighted(disputed)
    assert not disputed.panel.actions["answer"].enabled
    disputed.press("undo")
    assert kinds(disputed) == [("point", True)]


def test_going_on_leaves_the_older_one(disputed):
    i, j, k = disputed.middle()
    disputed.view.click(disputed.ras(i + 6, j, k))
    disputed.wait()
    assert kinds(disputed) == [("point", True)] * 2
    assert not highlighted(disputed)
    assert not disputed.panel.actions["answer"].enabled


def test_a_point_outside_its_box_is_in_question(work):
    work.draw_box()
    work.wait()
    i, j, k = work.middle()
    work.click(i + 20, j, k)
    assert kinds(work) == [("box", True)]
    assert "contradicts the box" in work.message
    work.press("answer")
    work.wait()
    assert kinds(work) == [("point", True)]
    assert work.preview()[k, j, i + 20]


def test_a_box_that_leaves_a_point_out_is_in_question(work):
    i, j, k = work.middle()
    work.click(i + 18, j, k)
    work.wait()
    work.draw_box()
    assert "contradicts the point" in work.message
    work.press("answer")
    work.wait()
    assert kinds(work) == [("box", True)]


def test_a_mark_that_is_moved_into_a_contradiction_stays_where_it_was(work):
    work.draw_box()
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    before = work.marks[-1].positions.copy()
    work.view.drag(work.ras(i, j, k), work.ras(i + 20, j, k))
    np.testing.assert_array_equal(work.marks[-1].positions, before)
    assert "contradicts the box" in work.message
    work.press("answer")
    work.wait()
    (mark,) = work.marks
    np.testing.assert_allclose(mark.positions[0], work.ras(i + 20, j, k), atol=2)


@pytest.mark.parametrize("notice", ["when the effect is taken up", "when a run is asked for"])
def test_a_contradiction_that_comes_from_a_file_is_shown_on_its_slice(work, notice):
    from dataclasses import replace

    i, j, k = work.middle()
    work.click(i, j, k + 2)
    work.wait()
    mark = work.marks[0]
    work.switch_away()
    work.segmentation.SetAttribute("SAMSegmenter.Prompts", dumps(Marks((mark, replace(mark, positive=False)))))
    work.controller.leave()
    work.go_to(0)
    if notice == "when the effect is taken up":
        work.switch_back()
    else:
        work.switch_back()
        work.go_to(0)
        work.press("propagate")
    assert f"slice {k + 2}: this point contradicts the point" in work.message
    centre = work.view.ras(np.array(work.view.node.GetDimensions()[:2]) / 2)
    assert abs(centre[2] - work.ras(i, j, k + 2)[2]) < 0.1
    assert highlighted(work)
    assert not work.controller.busy
    work.press("answer")
    work.wait()
    assert kinds(work) == [("point", False)]


# ---------------------------------------------------------------- strokes and grips


def cursor(work):
    return work.view.widget.sliceView().cursor.shape()


def test_a_stroke_from_beside_a_mark_is_a_new_one(work):
    i, j, k = work.middle()
    work.take("scribble")
    work.view.drag(work.ras(i - 6, j, k), work.ras(i + 6, j, k))
    work.wait()
    work.view.drag(work.ras(i, j, k), work.ras(i, j + 6, k))  # from the middle of the first, which has no grip there
    work.wait()
    assert kinds(work) == [("scribble", True)] * 2


def test_the_cursor_shows_where_a_mark_is_gripped(work):
    import qt

    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    work.view.move(work.ras(i + 8, j, k))
    assert cursor(work) == qt.Qt.CrossCursor
    work.view.move(work.ras(i, j, k))
    assert cursor(work) == qt.Qt.SizeAllCursor
    work.view.move(work.ras(i, j, k), ("Control",))
    assert cursor(work) == qt.Qt.CrossCursor
    work.view.move(work.ras(i, j, k))
    work.switch_away()
    assert cursor(work) != qt.Qt.SizeAllCursor


def test_where_no_grip_was_shown_a_press_begins_a_new_mark(work):
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    work.view.move(work.ras(i + 10, j, k))
    work.view._event("LeftButtonPressEvent", work.ras(i, j, k), ())
    work.view.release(work.ras(i, j, k))
    assert len(work.marks) == 2


@pytest.mark.parametrize("tool", ["box", "point", "scribble"])
def test_control_marks_outside_even_on_a_grip(work, tool):
    work.draw_box()
    work.wait()
    corner = work.marks[0].positions[0]
    work.take("point" if tool == "box" else tool)
    work.view.drag(corner, corner + np.array((4.0, 0, 0)), modifiers=("Control",))
    work.wait()
    assert kinds(work)[0] == ("box", True)
    assert kinds(work)[-1][1] is False
    np.testing.assert_array_equal(work.marks[0].positions[0], corner)


def test_the_tool_move_moves_from_anywhere_and_draws_nothing(work):
    i, j, k = work.middle()
    work.take("scribble")
    work.view.drag(work.ras(i - 6, j, k), work.ras(i + 6, j, k))
    work.wait()
    before = work.marks[0].positions.copy()
    assert work.key("M")
    work.view.drag(work.ras(i + 3, j, k), work.ras(i + 3, j + 3, k))
    work.wait()
    assert kinds(work) == [("scribble", True)]
    assert np.abs(work.marks[0].positions - before).max() > 2
    work.view.drag(work.ras(2, 2, k), work.ras(9, 9, k))
    assert len(work.marks) == 1
