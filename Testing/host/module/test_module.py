"""The module as Slicer loads it, and its panel under a user's hands."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import textwrap
import time
import unittest
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import slicer

from SAMSegmenterLib.models.storage import store
from SAMSegmenterLib.worker import shared_worker
from support.module_steps import PATIENCE_S, SOURCE, wait_until

SELF_TESTS = Path(__file__).parents[2] / "Python"
PANEL_S = 1  # more would mean that something large is loaded or computed when the module opens
NARROW_PX = 350

# What Slicer does not bring; an import of any of these fails in the process that this is put in front of.
WITHOUT_PACKAGES = """
    import sys
    from importlib import metadata, util

    absent = {"torch", "torchvision", "sam2", "safetensors", "platformdirs", "filelock", "hydra", "omegaconf", "rich", "typer"}

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in absent:
                raise ModuleNotFoundError(name, name=name)

    sys.meta_path.insert(0, Blocker())
    found_spec, found_version = util.find_spec, metadata.version

    def find_spec(name, package=None):
        return None if name in absent else found_spec(name, package)

    def version(name):
        if name in absent | {"hydra-core"}:
            raise metadata.PackageNotFoundError(name)
        return found_version(name)

    util.find_spec, metadata.version = find_spec, version
"""


def run_apart(code, *before):
    """Run code in a process of its own, with the host started."""
    start = "import slicerhost\nhost = slicerhost.start()\n"
    load = f"module = host.load_module({str(SOURCE)!r})\nhost.finish_startup()\n"
    script = "\n".join([*(textwrap.dedent(each) for each in before), start, load, textwrap.dedent(code), "slicerhost.stop()"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- loading


def test_startup_registers_the_effect_inside_its_package(slicer_host, the_module):
    registered = slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()
    effect = next(each for each in registered if each.name == "SAMSegmenter")
    assert type(effect.self()).__module__ == "SAMSegmenterLib.SegmentEditorEffect"
    assert not slicer_host.exceptions


def test_the_modules_own_tests_pass(slicer_host, the_module):
    the_module.self().runTest()
    assert not slicer_host.exceptions


def test_self_tests_for_slicer_pass(slicer_host, the_module, monkeypatch):
    monkeypatch.syspath_prepend(SELF_TESTS)
    suite = unittest.defaultTestLoader.loadTestsFromName("SAMSegmenterTest")
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun >= 2
    assert not [*result.errors, *result.failures, *result.skipped]
    assert not slicer_host.exceptions


def test_module_says_what_it_is(the_module):
    parent = the_module.parent
    assert parent.title == "SAMSegmenter"
    assert parent.categories == ["Segmentation"]
    assert "tutorial" in parent.helpText.lower()
    assert "https://" in parent.helpText


def test_panel_opens_and_closes_without_a_main_window(slicer_host, the_module):
    assert slicer.util.mainWindow() is None
    the_module.widgetRepresentation().enter()
    the_module.cleanup()
    assert not slicer_host.exceptions
    assert not slicer_host.user.messages


def test_panel_opens_at_once(slicer_host, the_module):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        the_module.widgetRepresentation()
        seconds.append(time.perf_counter() - start)
        the_module.cleanup()
    assert min(seconds) < PANEL_S


def test_panel_fits_a_narrow_column(slicer_host, the_module):
    assert the_module.widgetRepresentation().minimumSizeHint.width() <= NARROW_PX


def test_without_the_packages_everything_loads_and_says_what_is_missing():
    code = """
        panel = module.widgetRepresentation().self().panel
        editor = host.make_editor()
        assert editor.effectByName("SAMSegmenter") is not None
        panel.self_test.run_button.click()
        print(*host.user.texts("error"), panel.packages.install_button.enabled, panel.models.download_button.enabled, sep="|")
        print(panel.models.table.rowCount, host.exceptions, absent & set(sys.modules))
    """
    message, install, download = (out := run_apart(code, WITHOUT_PACKAGES).splitlines())[0].split("|")
    assert "torch>=2.2.2" in message
    assert (install, download) == ("True", "False")
    networks, rest = out[1].split(maxsplit=1)
    assert int(networks) > 10
    assert rest == "[] set()"


def test_opening_the_panel_does_not_import_torch():
    code = """
        import sys
        module.widgetRepresentation().enter()
        print("torch" in sys.modules, "sam2" in sys.modules)
    """
    assert run_apart(code).split() == ["False", "False"]


def test_every_text_can_be_translated():
    code = """
        import slicer, qt
        slicer.i18n.tr = lambda text: chr(167) + text
        widget = module.widgetRepresentation()
        for child in widget.findChildren(qt.QWidget):
            for name in ("text", "toolTip"):
                text = getattr(child, name, "")
                if isinstance(text, str) and text.strip():
                    print(text.replace(chr(10), " "))
    """
    texts = run_apart(code).splitlines()
    assert len(texts) > 20
    untranslated = [text for text in texts if "\N{SECTION SIGN}" not in text]
    assert not untranslated


# ---------------------------------------------------------------- packages


def test_what_is_installed_is_shown_with_its_version(the_panel):
    table = the_panel.packages.table
    shown = {table.item(n, 0).text(): table.item(n, 2).text() for n in range(table.rowCount)}
    assert shown["torch"] == metadata.version("torch")
    assert the_panel.packages.summary.text == "Everything is installed."
    assert not the_panel.packages.install_button.enabled


# ---------------------------------------------------------------- self-test


def test_self_test_tells_that_it_works_and_how_fast(slicer_host, the_panel):
    section = the_panel.self_test
    section.run_button.click()
    assert not section.run_button.enabled
    wait_until(slicer_host, lambda: not section.task_row.is_running)
    assert "It works" in section.result.text
    assert re.search(r"\d+ ms per slice .* on (cpu|cuda|mps)", section.result.text)
    assert section.run_button.enabled
    assert not slicer_host.user.messages


def test_self_test_can_be_cancelled(slicer_host, the_panel):
    section = the_panel.self_test
    section.run_button.click()
    section.task_row.cancel_button.click()
    wait_until(slicer_host, lambda: not section.task_row.is_running)
    assert section.result.text == "The self-test was stopped."
    assert section.outcome is None


def test_a_damaged_installation_is_told_and_the_panel_goes_on(slicer_host, the_panel, tmp_path, monkeypatch):
    section = the_panel.self_test
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    section.run_button.click()
    wait_until(slicer_host, lambda: not section.task_row.is_running)
    assert "Install SAMSegmenter again" in slicer_host.user.texts("error")[0]
    assert section.result.text == "The self-test failed."
    assert section.run_button.enabled


def test_closing_the_module_stops_the_self_test(slicer_host, the_module):
    widget = the_module.widgetRepresentation().self()
    section = widget.panel.self_test
    section.run_button.click()
    task = section.task_row._task
    the_module.cleanup()
    assert task.cancelled
    assert widget.panel is None
    shared_worker().submit(lambda cancelled: ()).wait(PATIENCE_S)  # the worker is free for others
    slicer_host.process_events()
    assert not slicer_host.exceptions


def test_what_is_left_of_a_panel_may_be_collected_on_any_thread(slicer_host, the_module):
    the_module.widgetRepresentation().self().panel.self_test.run_button.click()
    gc.disable()
    the_module.cleanup()
    slicer_host.process_events()
    task = shared_worker().submit(lambda cancelled: [gc.collect()])
    task.wait(PATIENCE_S)
    gc.enable()
    assert task.error is None
    assert not slicer_host.exceptions


# ---------------------------------------------------------------- something to try it on


def test_the_phantom_loads_with_a_window_for_soft_tissue(slicer_host, the_panel):
    button(the_panel, "Load phantom").click()
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert slicer.util.arrayFromVolume(node).shape == (80, 160, 160)
    assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (400, 40)
    assert slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetBackgroundLayer().GetVolumeNode() is node


@pytest.fixture
def slicers_downloads(monkeypatch):
    """Has Slicer's module of samples answer with these nodes; the names that it is asked for."""

    def answer_with(*nodes):
        asked = []
        sample_data = ModuleType("SampleData")
        sample_data.SampleDataLogic = lambda: SimpleNamespace(downloadSamples=lambda name: asked.append(name) or list(nodes))
        monkeypatch.setitem(sys.modules, "SampleData", sample_data)
        return asked

    return answer_with


@pytest.mark.parametrize("nodes", [(), (None,)])
def test_a_ct_that_slicer_cannot_download_or_load_is_told(slicer_host, the_panel, slicers_downloads, nodes):
    slicers_downloads(*nodes)
    button(the_panel, "Download a CT\N{HORIZONTAL ELLIPSIS}").click()
    assert "CTLiver" in slicer_host.user.texts("error")[0]


def test_a_ct_is_downloaded_by_slicer_after_asking(slicer_host, the_panel, slicers_downloads):
    asked = slicers_downloads(slicer.vtkMRMLScalarVolumeNode())
    slicer_host.user.will_answer("question", False)
    button(the_panel, "Download a CT\N{HORIZONTAL ELLIPSIS}").click()
    assert asked == []
    button(the_panel, "Download a CT\N{HORIZONTAL ELLIPSIS}").click()
    assert asked == ["CTLiver"]


def test_the_phantom_is_offered_among_the_sample_data(slicer_host, the_module, monkeypatch):
    offered = []
    sample_data = ModuleType("SampleData")
    sample_data.SampleDataLogic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: offered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", sample_data)
    monkeypatch.setattr(slicer.modules, "sampledata", SimpleNamespace(), raising=False)
    slicer_host.unload_effect("SAMSegmenter")
    slicer_host.finish_startup()
    (source,) = offered
    assert Path(source["thumbnailFileName"]).is_file()
    (node,) = source["customDownloader"](source)
    assert node.GetImageData()


def test_the_segment_editor_is_one_click_away(slicer_host, the_panel, monkeypatch):
    selected = []
    monkeypatch.setattr(slicer.util, "selectModule", selected.append)
    button(the_panel, "Open Segment Editor").click()
    assert selected == ["SegmentEditor"]


def button(panel, text):
    """The button of the panel that says so."""
    import qt

    whole = panel.packages.widget.parentWidget()
    return next(each for each in whole.findChildren(qt.QPushButton) if each.text == text)
