"""The panel in the application's column: no control moves under the mouse, nothing is cut off, and nobody reads an ID."""

import re

import numpy as np
import pytest

from slicerhost.hands import mouse_click, unfold
from support.effect_steps import two_balls

WIDTHS = (350, 500)
SLACK_PIXELS = 1
INNER_MARGIN = {"QPushButton": 6, "QToolButton": 20}  # beside a text; of a fold's header with its arrow


def controls(work):
    """Everything that the user can press, choose or read, by a name."""
    import qt

    panel = work.panel
    named = {**panel.actions, **{f"tool {kind}": button for kind, button in panel.tools.items()}}
    named |= {name: getattr(panel, name) for name in ("model", "keyframes", "review", "progress", "direction", "range", "mode", "device")}
    spins = panel.body.findChildren(qt.QAbstractSpinBox)
    return {**named, **panel.folds, **{f"number {n}": spin for n, spin in enumerate(spins)}}


def places(work):
    """Where each control that is seen lies in the window, as left, top, width and height."""
    import qt

    column = work.editor.window()
    column.settle()
    found = {}
    for name, widget in controls(work).items():
        if widget.isVisible():
            corner = widget.mapTo(column, qt.QPoint(0, 0))
            found[name] = (corner.x(), corner.y(), widget.width, widget.height)
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

    assert {"propagate", "apply", "stop_keep", "answer", "Details", "Range", "Advanced", "remove_keyframe"} <= set(before)
    return watch


def is_near(one, other):
    return other is not None and max(abs(a - b) for a, b in zip(one, other, strict=True)) <= SLACK_PIXELS


def click(work, name):
    """Without scrolling there, as a hand that knows where the button is."""
    button = controls(work)[name]
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


def test_no_control_moves_when_a_fold_opens_or_closes(work, watch):
    work.segment_by_box()
    for title in ("Range", "Advanced", "Details", "Range", "Details", "Details"):
        click(work, title)
        watch(title)


def test_no_control_moves_while_details_are_open(work, watch):
    click(work, "Details")
    watch("before there are any")
    work.segment_by_box()
    watch("with those of a run")
    click(work, "apply")
    watch("when they are gone")


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
    frame = work.effect.scriptedEffect.optionsFrame()
    for header in work.panel.folds.values():
        header.click()
        column.settle()
        assert column.widget().width <= column.viewport().width
        seen = [each for kind in (qt.QPushButton, qt.QToolButton, qt.QLabel, qt.QCheckBox) for each in frame.findChildren(kind)]
        cut = [each.text for each in seen if each.isVisible() and each.text and is_cut_off(each)]
        assert not cut, header.text
    for table in (work.panel.keyframes, work.panel.review):
        assert not table.horizontalScrollBar().isVisible()


def is_cut_off(widget):
    """Return whether a text is longer than there is room for it; one that wraps, higher."""
    if getattr(widget, "wordWrap", False):
        return widget.heightForWidth(widget.width) > widget.height
    needed = max(widget.fontMetrics().horizontalAdvance(line) for line in re.sub("&", "", widget.text).split("\n"))
    return needed > widget.width - INNER_MARGIN.get(type(widget).__name__, 0)


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
        work.controller.workbench.in_use.prompts.check(work.controller.stack)


def test_unfolding_reaches_what_is_folded(work):
    work.editor.window().appear()
    unfold(work.panel.actions["propose"])
    assert work.panel.actions["propose"].isVisible()
    assert np.prod([work.panel.actions["propose"].width, work.panel.actions["propose"].height]) > 0
