"""`slicer.app`: the application, with a clock of its own only as far as the extension looks at it."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import slicer
from PySide6.QtCore import Property, QObject, QSettings, Signal
from PySide6.QtWidgets import QApplication

from . import collecting
from .pythonqt import native
from .views import qSlicerLayoutManager


def _constant(kind: str, value: Any) -> Property:
    return Property(kind, lambda _: value, constant=True)


@native
class qSlicerApplication(QObject):
    startupCompleted = Signal()
    aboutToQuit = Signal()
    mrmlSceneChanged = Signal(object)
    ALIASES: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}

    applicationName = _constant("QString", "Slicer")
    applicationVersion = _constant("QString", "5.11.0")
    majorVersion = _constant("int", 5)
    minorVersion = _constant("int", 11)
    revision = _constant("QString", "34000")
    os = _constant("QString", {"win32": "win", "darwin": "macosx"}.get(sys.platform, "linux"))
    testing = False

    def __init__(self, scene: Any, logic: Any, temporary: str) -> None:
        super().__init__()
        self._scene, self._logic, self._temporary = scene, logic, temporary
        self._layout = qSlicerLayoutManager(scene, logic)

    temporaryPath = Property("QString", lambda self: self._temporary)

    def testingEnabled(self) -> bool:
        return self.testing

    def applicationLogic(self):
        return self._logic

    def mrmlScene(self):
        return self._scene

    def layoutManager(self) -> qSlicerLayoutManager:
        return self._layout

    def userSettings(self) -> QSettings:
        return QSettings()

    settings = revisionUserSettings = userSettings

    def processEvents(self, *_: Any) -> None:
        QApplication.processEvents()
        collecting.collect_new()

    def setOverrideCursor(self, cursor: Any) -> None:
        QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QApplication.restoreOverrideCursor()

    def moduleManager(self) -> qSlicerApplication:
        return self

    def module(self, name: str) -> Any:
        """Of the module manager, which this is too; None if there is no such module."""
        return getattr(slicer.modules, name.lower(), None)

    def pauseRender(self) -> None: ...

    resumeRender = pauseRender

    def show_volume(self, volume: Any) -> None:
        """In all slice views, as the editor does with its source volume."""
        self._logic.GetSelectionNode().SetActiveVolumeID(volume.GetID() if volume else None)
        self._logic.PropagateVolumeSelection(0)
