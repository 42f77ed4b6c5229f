"""The module `slicer.ScriptedLoadableModule`: what a module written in Python derives from."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtWidgets import QVBoxLayout, QWidget
from slicer.util import VTKObservationMixin

from .faults import guarded
from .pythonqt import native
from .qmrml import qMRMLWidget

__all__ = [
    *("ScriptedLoadableModule", "ScriptedLoadableModuleWidget", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest"),
    "VTKObservationMixin",
]


class Parent:
    """The C++ side of a module: title, category and the like are attributes."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.stem, str(path)
        self.title, self.categories, self.dependencies, self.contributors = path.stem, [], [], []
        self.helpText = self.acknowledgementText = ""
        self.hidden = False
        self.icon: Any = None

    def resourcePath(self, name: str) -> str:
        return (Path(self.path).parent / "Resources" / name).as_posix()


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, filename: str) -> str:
        return self.parent.resourcePath(filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return f'<p>See the <a href="https://example.org/{docPage or self.moduleName}">documentation</a>.</p>'

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Every test of the class `<Module>Test` beside this one."""
        getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")().runTest()


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: QWidget | None = None) -> None:
        self.developerMode = False
        self.parent = parent or qMRMLWidget()
        if self.parent.layout() is None:
            QVBoxLayout(self.parent)
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        name = type(self).__name__
        self.moduleName = name.removesuffix("Widget")
        setattr(slicer.modules, name, self)

    def resourcePath(self, filename: str) -> str:
        return (Path(getattr(slicer.modules, self.moduleName.lower()).path).parent / "Resources" / filename).as_posix()

    def setup(self) -> None: ...

    def cleanup(self) -> None: ...

    def enter(self) -> None: ...

    def exit(self) -> None: ...


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The one of this module in the scene, made if there is none."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node.SetName(self.moduleName)
            node.UnRegister(None)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int = 100) -> None:
        slicer.util.delayDisplay(message, 0)

    def setUp(self) -> None:
        slicer.mrmlScene.Clear(0)

    def runTest(self) -> None:
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            getattr(self, name)()


class LoadedModule:
    """`slicer.modules.<name>` of a module written in Python."""

    def __init__(self, path: Path, python: Any, parent: Parent) -> None:
        self.path, self.name, self.title = str(path), path.stem, parent.title
        self.parent, self._python, self._logic = parent, python, None
        self._widget: Any = None

    def self(self) -> Any:
        return self._python

    def widgetRepresentation(self) -> Any:
        """The panel, set up once; `self()` of it is the object in Python."""
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget()
            self._widget.set_up(getattr(sys.modules[self.name], f"{self.name}Widget"))
        return self._widget

    def cleanup(self) -> None:
        """As when the application ends."""
        if self._widget is not None:
            guarded(self._widget.self().cleanup)
            self._widget.deleteLater()
            self._widget = None


@native
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel of a module written in Python."""

    _python: Any = None

    def set_up(self, cls: type) -> None:
        QVBoxLayout(self)
        self.setMRMLScene(slicer.mrmlScene)
        self._python = cls(self)
        guarded(self._python.setup)

    def self(self) -> Any:
        return self._python

    def enter(self) -> None:
        guarded(self._python.enter)

    def exit(self) -> None:
        guarded(self._python.exit)
