"""A module written in Python is loaded, shown and ended as in Slicer."""

import sys

import pytest
import slicer

MODULE = """
import qt
import slicer
from slicer.i18n import tr as _, translate
from slicer.ScriptedLoadableModule import *

class Small(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Small")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        slicer.app.connect("startupCompleted()", self.start)

    def start(self):
        slicer.started = True

class SmallWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.button = qt.QPushButton("Install")
        self.button.connect("clicked()", self.onInstall)
        self.layout.addWidget(self.button)

    def onInstall(self):
        if slicer.util.confirmOkCancelDisplay("Install torch?"):
            slicer.util.pip_install("torch")

    def cleanup(self):
        self.removeObservers()
        slicer.ended = True

class SmallLogic(ScriptedLoadableModuleLogic):
    pass

class SmallTest(ScriptedLoadableModuleTest):
    def test_one(self):
        slicer.tested = True
"""


@pytest.fixture
def a_module(slicer_host, scene, tmp_path, monkeypatch):
    """The loaded module; it leaves `started`, `tested` and `ended` on `slicer`."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "Small.py").write_text(MODULE)
    yield slicer_host.load_module(tmp_path / "Small.py")
    slicer.app.disconnect("startupCompleted()")
    sys.modules.pop("Small")
    for name in ("small", "SmallWidget"):
        vars(slicer.modules).pop(name, None)
    for name in ("started", "tested", "ended"):
        vars(slicer).pop(name, None)


def test_a_module_hears_when_slicer_has_started(slicer_host, a_module):
    slicer_host.finish_startup()
    assert slicer.started
    assert slicer.modules.small is a_module
    assert a_module.parent.title == slicer.app.moduleManager().module("Small").title == "Small"


def test_its_panel_is_set_up_once_and_cleaned_up(slicer_host, a_module, tmp_path):
    panel = a_module.widgetRepresentation()
    assert panel is a_module.widgetRepresentation()
    assert slicer.util.getModuleWidget("Small") is panel.self()
    assert slicer.modules.SmallWidget is panel.self()
    assert panel.self().resourcePath("Icons/a.png") == (tmp_path / "Resources" / "Icons" / "a.png").as_posix()
    a_module.cleanup()
    assert slicer.ended
    assert not slicer_host.exceptions


def test_nothing_is_installed_unless_a_test_provides_it(slicer_host, a_module):
    button = a_module.widgetRepresentation().self().button
    slicer_host.user.will_answer("question", False)
    button.click()
    assert slicer_host.packaging.requests == []
    button.click()
    assert slicer_host.packaging.requests == ["torch"]
    assert isinstance(slicer_host.exceptions[0], RuntimeError)
    installed = []
    slicer_host.packaging.installer = installed.append
    button.click()
    assert installed == ["torch"]


def test_its_tests_and_its_parameter_node_work(slicer_host, a_module):
    a_module.self().runTest()
    assert slicer.tested
    node = sys.modules["Small"].SmallLogic().getParameterNode()
    assert node is sys.modules["Small"].SmallLogic().getParameterNode()
    assert node.GetAttribute("ModuleName") == "Small"
