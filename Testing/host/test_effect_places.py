"""The panel in the application's column: no control moves under the mouse, nothing is cut off, and nobody reads an ID."""

import re

import numpy as np
import pytest

from effect_steps import two_balls
from slicerhost.hands import mouse_click, unfold

pytest_plugins = ["effect_fixtures"]

WIDTHS = (350, 500)
SLACK_PIXELS = 1
INNER_MARGIN = 6  # of a button, left and right of its text


def controls(work):
    """Everything that the user can press, choose or read, by a name."""
    import qt

    panel = work.panel
    named = {**panel.actions, **{f"tool {kind}": button for kind, button in panel.tools.items()}}
    named |= {name: getattr(panel, name) for name in ("model", "keyframes", "review", "progress", "direction", "range", "mode", "device")}
    folds = panel.body.findChildren(slicer_fold())
    spins = panel.body.findChildren(qt.QAbstractSpinBox)
    return {**named, **{f"fold {fold.text}": fold for fold in folds}, **{f"number {n}": spin for n, spin in enumerate(spins)}}


def slicer_fold():
    import ctk

    return ctk.ctkCollapsibleButton


def places(work):
    """Where each control that is seen lies in the window, as left, top, width and height."""
    import qt

    column = work.editor.window()
    column.settle()
    found = {}
    for name, widget in controls(work).items():
        if widget.isVisible():
            corner = widget.mapTo(column, qt.QPoint(0, 0))
            height = 0 if name.startswith("fold") else widget.height  # of a fold, its header stays
            found[name] = (corner.x(), corner.y(), widget.width, height)
    return found


@pytest.fixture(params=WIDTHS, ids=str)
def column(request, work):
    """The panel in a column of this width, not high enough for all of it, scrolled so that the buttons are seen."""
    column = work.editor.window()
    column.appear(request.param, 420)
    column.ensureWidgetVisible(work.panel.actions["propagate"])
    column.settle()
    return column


@pytest.fixture
def watch(work, column):
    """Asserts that nothing has moved since the last time, whatever was done."""
    before = places(work)

    def watch(step):
        now = places(work)
        moved = {name: (before[name], now.get(name)) for name in before if not is_near(before[name], now.get(name))}
        assert not moved, f"{step}: {moved}"

    assert {"propagate", "apply", "stop_keep", "answer", "details", "remove_keyframe"} <= set(before)
    return watch


def is_near(one, other):
    return other is not None and max(abs(a - b) for a, b in zip(one, other, strict=True)) <= SLACK_PIXELS


def click(work, name):
    """Without scrolling there, as a hand that knows where the button is."""
    button = work.panel.actions[name]
    assert button.enabled, f"{name} is disabled; the panel says: {work.message}"
    column = work.editor.window()
    before = column.verticalScrollBar().value
    mouse_click(button)
    column.verticalScrollBar().value = before
    work.wait()


def test_no_control_moves_in_a_whole_workflow(work, watch, quick_network):
    watch("at the beginning")
    work.draw_box()
    work.wait()
    watch("after a box")
    work.propagate_and_pause(quick_network, 5)
    watch("during a run")
    quick_network.go_on()
    work.wait()
    watch("after a run")
    work.key("N")
    watch("at a slice to check")
    work.click(*work.middle(), modifiers=("Control",))
    work.wait()
    watch("after a correction")
    for name in ("polarity", "polarity", "undo", "redo", "propagate", "apply", "next", "previous"):
        click(work, name)
        watch(name)
    work.editor.undo()
    work.wait_for(lambda: work.panel.actions["apply"].enabled)
    watch("after the editor's undo")
    quick_network.error = RuntimeError("an error whose text is so long that it needs several lines, and then some more of them " * 4)
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    assert work.warned
    watch("after an error of many lines")
    click(work, "propagate")
    watch("after another run")
    click(work, "clear")
    watch("after clear")


def test_no_control_moves_when_a_message_asks_something(work, watch):
    i, j, k = work.middle()
    work.click(i, j, k)
    work.wait()
    work.view.click(work.ras(i, j, k), ("Control",))
    assert work.panel.actions["answer"].enabled
    watch("while it is asked")
    click(work, "answer")
    watch("after the answer")


def test_opening_a_fold_moves_no_button_above_it(work, watch):
    for title in ("Advanced", "Range"):
        fold = next(each for each in work.panel.body.findChildren(slicer_fold()) if each.text == title)
        before = places(work)
        fold.collapsed = False
        now = places(work)
        moved = [name for name in before if not is_near(before[name], now[name]) and not name.startswith("fold")]
        assert not [name for name in moved if name in work.panel.actions and name not in ("propose", "line_markup")]
        fold.collapsed = True


def test_a_button_that_is_disabled_by_its_own_press_scrolls_nothing(work, column):
    work.draw_box()
    work.wait()
    for name in ("propagate", "apply", "clear"):
        bar = column.verticalScrollBar()
        before = bar.value
        mouse_click(work.panel.actions[name])
        work.wait()
        assert bar.value == before, name
        assert not work.panel.actions[name].hasFocus()


def test_nothing_is_cut_off(work, column):
    import qt

    work.segment_by_box()
    for fold in work.panel.body.findChildren(slicer_fold()):
        fold.collapsed = False
    column.settle()
    assert column.widget().width <= column.viewport().width
    frame = work.effect.scriptedEffect.optionsFrame()
    cut = []
    for kind in (qt.QPushButton, qt.QLabel, qt.QCheckBox):
        for widget in frame.findChildren(kind):
            text = re.sub("&", "", widget.text)
            if text and widget.isVisible() and not getattr(widget, "wordWrap", False):
                needed = max(widget.fontMetrics().horizontalAdvance(line) for line in text.split("\n"))
                room = widget.width - (INNER_MARGIN if kind is qt.QPushButton else 0)
                cut += [(text, needed, room)] if needed > room else []
    assert not cut
    for table in (work.panel.keyframes, work.panel.review):
        assert not table.horizontalScrollBar().isVisible()


def test_the_first_hint_shows_a_box_until_there_is_one(work):
    assert not work.panel.hint.isHidden()
    assert work.panel.hint.pixmap.width() > 0
    assert "box" in work.message
    work.draw_box()
    assert work.panel.hint.isHidden()


def test_no_message_holds_an_id(quick_network, at_work):
    """Of a whole workflow with its errors, those of the library among them."""
    work = at_work(*two_balls())
    told, tell = [], work.effect.messages.tell
    work.effect.messages.tell = work.controller.editing.tell = lambda text, *rest, **more: (
        told.append(f"{text} {more.get('details', '')} {more.get('answer', '')}"),
        tell(text, *rest, **more),
    )
    i, j, k = work.middle()
    work.click(i, j, k)
    work.view.click(work.ras(i, j, k), ("Control",))
    work.press("answer")
    work.wait()
    work.press("clear")
    work.draw_box()
    work.wait()
    work.choose(work.panel.range, "slices")
    work.panel.first.setValue(0)
    work.panel.last.setValue(2)
    work.propagate()
    work.choose(work.panel.range, "volume")
    work.panel.all_segments.setChecked(True)
    work.select("spleen")
    work.draw_box(label=2)
    work.propagate()
    work.press("apply")
    work.segmentation.GetDisplayNode().SetSegmentVisibility(work.id("liver"), False)
    work.propagate()
    work.press("apply")
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.propagate()
    assert len(told) > 6
    assert any("liver" in each for each in told)
    assert not [each for each in told if "S_" in each or "vtkMRML" in each]
    listed = [*work.listed(work.panel.keyframes), *work.listed(work.panel.review)]
    assert not [each for each in listed if "S_" in each]


def test_titles_are_in_the_librarys_own_errors(work):
    from SAMSegmenterLib.errors import InputError

    work.click(0, 0, 12, modifiers=("Control",))
    work.wait()
    with pytest.raises(InputError, match="segment 'liver', slice 12: there are only negative points"):
        work.controller.workbench.prompts.check(work.controller.stack)


def test_unfolding_reaches_what_is_folded(work):
    work.editor.window().appear()
    unfold(work.panel.actions["propose"])
    assert work.panel.actions["propose"].isVisible()
    assert np.prod([work.panel.actions["propose"].width, work.panel.actions["propose"].height]) > 0
