"""Starts and stops what an extension finds in Slicer: scene, logics, `slicer.app`, `qt`, `ctk`, the Segment Editor."""

from __future__ import annotations

import importlib
import os
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from PIL import Image
from PySide6.QtCore import QEvent, QSettings, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QMainWindow

from . import collecting, faults, packaging, pythonqt, scene, slicer_util, surroundings
from .dialogs import user
from .module_panel import ModulePanel
from .pictures import picture
from .scripted_modules import LoadedModule, Parent


class Host:
    """One per process. `scene`, `app`, `user` (dialogs), `exceptions`, `complaints` and `qt_messages` are there for tests."""

    def __init__(self) -> None:
        self.user, self.packaging = user, packaging
        self.exceptions, self.complaints, self.qt_messages = faults.exceptions, faults.complaints, faults.qt_messages
        self.editors: list[Any] = []
        self._columns: list[ModulePanel] = []
        self._folder = tempfile.TemporaryDirectory(prefix="slicerhost")
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        qInstallMessageHandler(faults.hear_qt)
        self.qt_application = QApplication.instance() or QApplication(["Slicer"])
        pythonqt.install()
        collecting.start()
        self._keep_settings_here()
        self.scene, self.application_logic = scene.make_scene(self._folder.name)
        self.logics = scene.module_logics(self.scene, self.application_logic)
        surroundings.offer(self.scene, self.application_logic, self.logics, self._folder.name)
        self._hierarchy = scene.SubjectHierarchy(self.scene)

    def load_effect(self, path: str | Path) -> bool:
        """Register the effect in this file, as its module does it at start-up. False if that fails."""
        effect = slicer.qSlicerSegmentEditorScriptedEffect(None)
        if not effect.setPythonSource(Path(path).as_posix()):
            return False
        effect.self().register()
        return effect in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()

    def unload_effect(self, name: str) -> None:
        """Editors made from now on do not have it."""
        slicer.qSlicerSegmentEditorEffectFactory.instance().forget(name)

    def load_module(self, path: str | Path):
        """The module in this file, loaded on the first call as Slicer does it at start-up; its folder becomes importable."""
        file, parent = Path(path), Parent(Path(path))
        if hasattr(slicer.modules, file.stem.lower()):
            return getattr(slicer.modules, file.stem.lower())
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        python = getattr(importlib.import_module(file.stem), file.stem)(parent)
        loaded = LoadedModule(file, python, parent)
        setattr(slicer.modules, file.stem.lower(), loaded)
        return loaded

    def finish_startup(self) -> None:
        """What modules wait for before they register effects."""
        slicer.app.startupCompleted()

    def make_editor(self, volume: Any = None, segments: tuple[str, ...] = (), node: Any = None):
        """An editor in the column of modules, with a segmentation of the given empty segments, the first one selected."""
        editor = slicer.qMRMLSegmentEditorWidget()
        self.editors.append(editor)
        self._columns.append(ModulePanel(editor))
        editor.setMRMLScene(self.scene)
        editor.setMRMLSegmentEditorNode(node or self.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        if volume is not None:
            editor.setSegmentationNode(self.make_segmentation(volume, segments))
            editor.setSourceVolumeNode(volume)
        return editor

    def make_segmentation(self, volume: Any, segments: tuple[str, ...] = ()):
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for name in segments:
            node.GetSegmentation().AddEmptySegment(new_segment_id(), name)
        return node

    def make_volume(self, voxels: Any, ijk_to_ras: Any = None, name: str = "Volume"):
        """From ``(k, j, i)`` voxels; shown in all slice views."""
        matrix = None if ijk_to_ras is None else slicer.util.vtkMatrixFromArray(ijk_to_ras)
        node = slicer.util.addVolumeFromArray(voxels, matrix, name)
        node.CreateDefaultDisplayNodes()
        slicer.app.show_volume(node)
        slicer.app.layoutManager().resetSliceViews()
        return node

    def picture(self, panel: Any = None, views: Sequence[str] = ("Red",), size: tuple[int, int] = (400, 400)) -> Image.Image:
        """See `pictures.picture`."""
        return picture(panel, views, size)

    def clear(self) -> None:
        """An empty scene, no editors, nothing remembered."""
        for editor in self.editors:
            editor.cleanup()
        for column in self._columns:
            column.deleteLater()
        self.editors.clear()
        self._columns.clear()
        self.scene.Clear(0)
        slicer.app.layoutManager().resetAll()
        slicer.app.testing = False
        QSettings().clear()
        self._close_main_window()
        for each in (user, faults, packaging):
            each.forget()
        self.process_events()
        collecting.scene_closed()

    def open_main_window(self) -> QMainWindow:
        """What `slicer.util.mainWindow` returns until the next `clear`; before that it returns None, as with --no-main-window."""
        self._close_main_window()
        slicer_util.main_window = QMainWindow()
        slicer_util.main_window.objectName = "qSlicerMainWindow"
        return slicer_util.main_window

    def _close_main_window(self) -> None:
        if slicer_util.main_window is not None:
            slicer_util.main_window.deleteLater()
            slicer_util.main_window = None

    def save_scene(self, path: str | Path) -> None:
        """As an .mrb file, with all data."""
        if not self.scene.WriteToMRB(str(path)):
            raise OSError(f"the scene could not be written to {path}.")

    def load_scene(self, path: str | Path) -> None:
        """Load it instead of what is there; editors have no segmentation and no active effect then."""
        if not self.scene.ReadFromMRB(str(path), True):
            raise OSError(f"the scene could not be read from {path}.")

    def wait_until(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Let the application run until it holds; False if it does not in that time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.process_events()
            time.sleep(0.002)
        return True

    def process_events(self) -> None:
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        slicer.app.processEvents()

    def stop(self) -> None:
        """Take everything apart in the order that leaves no observer behind; without it the interpreter may crash at its end."""
        for module in (each for each in vars(slicer.modules).values() if isinstance(each, LoadedModule)):
            module.cleanup()
        self.clear()
        for effect in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects():
            self.unload_effect(effect.name)
        self._hierarchy.close()
        slicer.app.layoutManager().close()
        self.application_logic.GetSliceLogics().RemoveAllItems()
        self.application_logic.GetViewLogics().RemoveAllItems()
        self.scene.Clear(1)
        surroundings.withdraw()
        self.logics.clear()
        collecting.stop()
        pythonqt.uninstall()
        qInstallMessageHandler(None)
        self._folder.cleanup()

    def _keep_settings_here(self) -> None:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
            QSettings.setPath(QSettings.Format.IniFormat, scope, self._folder.name)
        QApplication.setOrganizationName("NA-MIC")
        QApplication.setApplicationName("Slicer")


def new_segment_id() -> str:
    """Return an ID as the application makes them: it says nothing of the segment's name."""
    return "S_" + "".join(random.choices(string.ascii_letters + string.digits, k=22))


_running: Host | None = None


def start() -> Host:
    """The host of this process, started on the first call."""
    global _running
    if _running is None:
        _running = Host()
    return _running


def stop() -> None:
    global _running
    if _running is not None:
        _running.stop()
        _running = None
