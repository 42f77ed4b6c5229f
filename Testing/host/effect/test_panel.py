"""The panel: quick to make, narrow, explained, and never more than a picture of the parameter node."""

import numpy as np
import pytest
import slicer

from support.effect_steps import NAME, in_another_process

COLUMN_PIXELS = 350

SET_UP = """
import sys, time
import slicerhost
host = slicerhost.start()
import numpy as np
import SAMSegmenter
SAMSegmenter.register_effect()
volume = host.make_volume(np.zeros((4, 8, 8), np.int16))
import slicer
effect = slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()[-1].clone()
begin = time.perf_counter()
effect.setupOptionsFrame()
print("seconds", time.perf_counter() - begin)
editor = host.make_editor(volume, ("liver",))
print("torch imported:", "torch" in sys.modules)
assert not host.exceptions
slicerhost.stop()
"""


def test_the_panel_is_made_quickly_and_without_torch(capsys):
    run = in_another_process(SET_UP)
    assert run.returncode == 0, run.stderr
    assert "torch imported: False" in run.stdout
    seconds = float(run.stdout.split("seconds ")[1].split()[0])
    with capsys.disabled():
        print(f" [panel made in {1000 * seconds:.0f} ms] ", end="")
    assert seconds < 5  # that nothing large is loaded or computed; the benchmark measures the time itself


def controls(panel):
    import qt

    body = panel.body.findChildren(qt.QPushButton) + panel.body.findChildren(qt.QComboBox) + panel.body.findChildren(qt.QCheckBox)
    return [*body, *panel.body.findChildren(qt.QAbstractSpinBox), *panel.body.findChildren(qt.QListWidget), panel.setup_button]


def test_every_control_is_explained(work):
    assert len(controls(work.panel)) > 30
    unexplained = [f"{type(each).__name__} {getattr(each, 'text', '')}" for each in controls(work.panel) if not each.toolTip]
    assert not unexplained


def test_keys_are_named_in_the_tooltips(work):
    from SAMSegmenterLib.in_slicer.effect.keys import KEYS, TOOLS

    for kind, key in TOOLS.items():
        assert work.panel.tools[kind].toolTip.endswith(f"({key})")
    for name in {"undo", "redo", "propagate", "apply", "use_slice", "clear"}:
        assert work.panel.actions[name].toolTip.endswith(f"({KEYS[name]})")


def test_the_panel_fits_into_a_narrow_column(work):
    frame = work.effect.scriptedEffect.optionsFrame()
    assert frame.minimumSizeHint.width() <= COLUMN_PIXELS
    for header in work.panel.folds.values():
        header.click()
        frame.adjustSize()
        assert frame.minimumSizeHint.width() <= COLUMN_PIXELS


def test_what_is_rarely_needed_is_folded(work):
    column = work.editor.window()
    column.appear()
    parts = {"Details": work.panel.details, "Range": work.panel.direction, "Advanced": work.panel.mode}
    assert set(work.panel.folds) == set(parts)
    assert not any(part.isVisible() for part in parts.values())
    for title in parts:
        work.panel.folds[title].click()
        assert {name for name, part in parts.items() if part.isVisible()} == {title}
    work.panel.folds[title].click()
    assert not any(part.isVisible() for part in parts.values())


# ---------------------------------------------------------------- parameters

CHOICES = {
    "direction": ("Direction", "backward"),
    "range": ("Range", "keyframes"),
    "axis": ("Axis", "j"),
    "video_axis": ("VideoAxis", "time"),
    "window": ("Window", "manual"),
    "mode": ("Mode", "strict"),
    "device": ("Device", "cpu"),
}
NUMBERS = {"first": ("FirstSlice", 3), "last": ("LastSlice", 17), "level": ("WindowLevel", 51.25), "width": ("WindowWidth", 1234.5)}
CHECKS = {"all_segments": ("AllSegments", True), "live_preview": ("LivePreview", False)}


def shown(panel):
    """Every parameter as the panel shows it."""
    combos = {parameter: combo_value(getattr(panel, name)) for name, (parameter, _value) in CHOICES.items()}
    numbers = {parameter: getattr(panel, name).value for name, (parameter, _value) in NUMBERS.items()}
    checks = {parameter: getattr(panel, name).checked for name, (parameter, _value) in CHECKS.items()}
    tool = next(kind for kind, button in panel.tools.items() if button.checked)
    return {**combos, **numbers, **checks, "Tool": tool, "Positive": panel.actions["polarity"].text == "Inside"}


def combo_value(combo):
    return combo.itemData(combo.currentIndex)


def change_everything(work):
    for name, (_parameter, value) in CHOICES.items():
        work.choose(getattr(work.panel, name), value)
    for name, (_parameter, value) in NUMBERS.items():
        getattr(work.panel, name).setValue(value)
    for name, (_parameter, value) in CHECKS.items():
        getattr(work.panel, name).setChecked(value)
    work.take("lasso")
    work.press("polarity")


def test_every_choice_is_kept_on_the_parameter_node_and_shown_again(work):
    work.click(*work.middle())  # so that there are slices to choose from
    work.wait()
    change_everything(work)
    wanted = dict([*CHOICES.values(), *NUMBERS.values(), *CHECKS.values()])
    for parameter, value in wanted.items():
        kept = work.parameter(parameter)
        assert (kept == value) if isinstance(value, str) else float(kept) == pytest.approx(float(value), abs=1e-9), parameter
    assert shown(work.panel) == pytest.approx({**wanted, "Tool": "lasso", "Positive": False}, abs=0.01)

    other = work.host.make_editor(node=work.editor.mrmlSegmentEditorNode())
    work.switch_away()
    other.setActiveEffectByName(NAME)
    assert shown(other.effectByName(NAME).self().wiring.panel) == shown(work.panel)


def test_a_narrow_window_can_be_given(work):
    work.choose(work.panel.window, "manual")
    work.panel.width.setValue(0.0125)
    assert float(work.parameter("WindowWidth")) == 0.0125


def test_a_number_can_be_typed_digit_by_digit_though_the_panel_is_shown_anew(work):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    work.choose(work.panel.window, "manual")
    for spin, parameter, text in ((work.panel.width, "WindowWidth", "0.5"), (work.panel.level, "WindowLevel", "-12.75")):
        spin.selectAll()
        for digit in text:
            QTest.keyClicks(spin, digit)
            work.effect.update()
        QTest.keyClick(spin, Qt.Key.Key_Return)
        assert float(work.parameter(parameter)) == spin.value == float(text)


def test_a_window_that_is_being_typed_is_not_used_yet(work):
    from PySide6.QtTest import QTest

    work.choose(work.panel.window, "manual")
    work.segment_by_box()
    work.panel.width.selectAll()
    QTest.keyClicks(work.panel.width, "4")
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)


def test_what_scripts_set_is_shown(work):
    effect = work.effect.scriptedEffect
    effect.setParameter("Direction", "forward")
    effect.setParameter("AllSegments", 1)
    effect.setParameter("WindowLevel", "77.5")
    effect.setParameter("Tool", "line")
    now = shown(work.panel)
    assert (now["Direction"], now["AllSegments"], now["WindowLevel"], now["Tool"]) == ("forward", True, 77.5, "line")


@pytest.fixture
def changed(work):
    """Grows with every change of a parameter."""
    node, changed = work.editor.mrmlSegmentEditorNode(), []
    tag = node.AddObserver(node.EffectParameterModified, lambda *_: changed.append(1))
    yield changed
    node.RemoveObserver(tag)


def test_showing_the_parameters_changes_none_and_does_not_loop(work, changed, monkeypatch):
    assert work.host.wait_until(lambda: work.effect._selection, 3)  # the effect has seen what is selected
    calls, show = [], work.panel.show_settings
    monkeypatch.setattr(work.panel, "show_settings", lambda *what: (calls.append(1), show(*what)))
    work.effect.update()
    assert not changed
    assert len(calls) == 1
    work.choose(work.panel.direction, "forward")
    assert len(changed) == 1
    assert len(calls) <= 3
    work.host.process_events()
    assert len(calls) <= 3


def test_the_region_of_interest_is_kept_as_a_reference(work):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    work.panel.roi.setCurrentNode(roi)
    assert work.effect.scriptedEffect.nodeReference("ROI") is roi
    work.switch_away()
    work.switch_back()
    assert work.panel.roi.currentNode() is roi


def test_a_region_set_by_a_script_is_shown(work):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    work.effect.scriptedEffect.setNodeReference("ROI", roi)
    assert work.panel.roi.currentText == "R"


# ---------------------------------------------------------------- what can be done now


def test_selecting_another_segment_shows_its_keyframes_and_prompts(work):
    work.draw_box()
    work.wait()
    assert len(work.listed(work.panel.keyframes)) == 1
    assert drawn_lines(work) > 0
    work.select("spleen")
    assert work.host.wait_until(lambda: not work.listed(work.panel.keyframes), 3)
    assert drawn_lines(work) == 0
    work.select("liver")
    assert work.host.wait_until(lambda: len(work.listed(work.panel.keyframes)) == 1, 3)
    assert drawn_lines(work) > 0


def drawn_lines(work):
    """In the axial view, of all prompts."""
    actors = work.view.widget.view().renderWindow().GetRenderers().GetItemAsObject(0).GetActors2D()
    shapes = [actors.GetItemAsObject(n).GetMapper().GetInput() for n in range(actors.GetNumberOfItems())]
    return sum(shape.GetNumberOfLines() for shape in shapes if shape)


def test_only_what_can_be_done_is_enabled(work):
    enabled = {name for name, button in work.panel.actions.items() if button.enabled}
    always = {"polarity", "use_slice", "clear", "propagate", "remove_keyframe", "propose", "line_markup", "next_object"}
    assert enabled == always
    work.segment_by_box()
    enabled = {name for name, button in work.panel.actions.items() if button.enabled}
    assert enabled == {*always, "undo", "apply", "remove", "next", "previous"}
    assert not work.panel.progress.text


def test_numbers_are_for_what_they_belong_to(work):
    assert not work.panel.first.enabled
    assert not work.panel.level.enabled
    work.choose(work.panel.range, "slices")
    work.choose(work.panel.window, "manual")
    assert work.panel.first.enabled
    assert work.panel.level.enabled
    work.click(*work.middle())
    assert work.panel.last.maximum == 23


def test_texts_can_be_translated():
    import ast
    from pathlib import Path

    import SAMSegmenterLib

    file = Path(SAMSegmenterLib.__path__[0]) / "in_slicer" / "effect" / "panel.py"
    bare = []
    for call in (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name in ("QLabel", "QCheckBox", "setToolTip", "addRow", "setText"):
            bare += [ast.unparse(call) for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str) and arg.value]
    assert not bare
