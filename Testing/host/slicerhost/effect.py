"""What stands between the Segment Editor and an effect written in Python: qSlicerSegmentEditorScriptedEffect."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import slicer
from PySide6.QtCore import Property, QObject
from PySide6.QtGui import QCursor, QIcon
from PySide6.QtWidgets import QFormLayout, QFrame, QLayout, QWidget

from .effect_images import EffectImages
from .effect_views import EffectViews
from .faults import complain, remember
from .parameters import EffectParameters
from .pythonqt import native

METHODS = (
    *("icon", "helpText", "clone", "activate", "deactivate", "setupOptionsFrame", "createCursor", "processInteractionEvents"),
    *("processViewNodeEvents", "setMRMLDefaults", "referenceGeometryChanged", "sourceVolumeNodeChanged", "masterVolumeNodeChanged"),
    *("layoutChanged", "interactionNodeModified", "updateGUIFromMRML", "updateMRMLFromGUI", "cleanup"),
)

NOTHING = object()
"""What a call came to that found no method, or one that raised."""


def _stored(kind: str, attribute: str) -> Property:
    def store(effect: QObject, value: Any) -> None:
        setattr(effect, attribute, value)

    return Property(kind, lambda effect: getattr(effect, attribute), store)


@native
class qSlicerSegmentEditorAbstractEffect(EffectParameters, EffectImages, EffectViews, QObject):
    """What every effect has, of whatever language."""

    ModificationModeSet, ModificationModeAdd, ModificationModeRemove, ModificationModeRemoveAll = range(4)
    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = range(3)

    _name, _title, _active, _editor, _node, _confirmed = "UnnamedScriptedEffect", "", False, None, None, None
    _per_segment = _require_segments = _cursor_in_slices = True
    _cursor_in_3d = False
    _frame: QFrame | None = None

    name = _stored("QString", "_name")
    title = Property("QString", lambda self: self._title or self._name, lambda self, value: setattr(self, "_title", value))
    perSegment = _stored("bool", "_per_segment")
    requireSegments = _stored("bool", "_require_segments")
    showEffectCursorInSliceView = _stored("bool", "_cursor_in_slices")
    showEffectCursorInThreeDView = _stored("bool", "_cursor_in_3d")

    def active(self) -> bool:
        return self._active

    def parameterSetNode(self):
        return self._node

    def setParameterSetNode(self, node) -> None:
        self._node = node

    def scene(self):
        return self._node.GetScene() if self._node else None

    def attach(self, editor: Any) -> None:
        """Called by the editor that owns this clone."""
        self._editor = editor
        self._node = editor.mrmlSegmentEditorNode()

    def optionsFrame(self) -> QFrame:
        if self._frame is None:
            self._frame = QFrame()
            QFormLayout(self._frame).setContentsMargins(4, 4, 4, 4)
        return self._frame

    def optionsLayout(self) -> QFormLayout:
        return self.optionsFrame().layout()

    def addOptionsWidget(self, added: QWidget | QLayout) -> None:
        self.optionsLayout().addRow(added)

    def addLabeledOptionsWidget(self, label: str, added: QWidget | QLayout) -> QWidget:
        self.optionsLayout().addRow(label, added)
        return self.optionsLayout().labelForField(added)

    def selectEffect(self, name: str) -> None:
        self._editor.setActiveEffectByName(name)

    def saveStateForUndo(self) -> None:
        self._editor.saveStateForUndo()

    def activate(self) -> None:
        self._active = True
        self.optionsFrame().setVisible(True)
        self.updateGUIFromMRML()

    def deactivate(self) -> None:
        self._active = False
        self.optionsFrame().setVisible(False)


@native
class qSlicerSegmentEditorScriptedEffect(qSlicerSegmentEditorAbstractEffect):
    """Finds the methods of a Python object once, calls them, and lives with whatever they do."""

    _source, _python = "", None
    _methods: Mapping[str, Any] = MappingProxyType({})

    def pythonSource(self) -> str:
        return self._source

    def setPythonSource(self, path: str) -> bool:
        """Load the class as Slicer does; False if that fails, which `faults` can tell."""
        found = path.endswith((".py", ".pyc")) and effect_class(path)
        if not found:
            complain(f"no effect class was found in {path!r}.")
            return False
        try:
            self._python = found(self)
        except Exception as error:  # whatever a constructor may raise, Slicer prints it
            remember(error)
            return False
        self._methods = {name: getattr(self._python, name) for name in METHODS if hasattr(self._python, name)}
        self._source = path
        setattr(slicer, Path(path).parent.name, self._python)
        return True

    def self(self) -> Any:
        return self._python

    def _call(self, name: str, *arguments: Any) -> Any:
        """`NOTHING` if there is no such method, or it raised."""
        if name not in self._methods:
            return NOTHING
        try:
            return self._methods[name](*arguments)
        except Exception as error:  # printed in Slicer, then forgotten
            remember(error)
            return NOTHING

    def icon(self) -> QIcon:
        found = self._call("icon")
        return found if isinstance(found, QIcon) else QIcon()

    def helpText(self) -> str:
        text = self._call("helpText")
        if type(text) is str:
            return text
        if text is not NOTHING:
            complain(f"helpText of {self.name!r} is expected to return a str, not {text!r}.")
        return ""

    def clone(self) -> qSlicerSegmentEditorScriptedEffect | None:
        copy = self._call("clone")
        if not isinstance(copy, qSlicerSegmentEditorAbstractEffect):
            complain(f"clone of {self.name!r} did not return an effect.")
            return None
        return copy

    def activate(self) -> None:
        super().activate()
        self._call("activate")

    def deactivate(self) -> None:
        super().deactivate()
        self._call("deactivate")

    def setupOptionsFrame(self) -> None:
        self._call("setupOptionsFrame")

    def createCursor(self, view: QWidget) -> QCursor:
        found = self._call("createCursor", view)
        return found if isinstance(found, QCursor) else QCursor()

    def processInteractionEvents(self, interactor: Any, event: int, view: QWidget) -> bool:
        """True if nobody else shall hear of the event; only a real `bool` says so."""
        answer = self._call("processInteractionEvents", interactor, event, view)
        if type(answer) is not bool and answer is not NOTHING:
            complain(f"processInteractionEvents of {self.name!r} is expected to return a bool, not {answer!r}.")
        return answer is True

    def processViewNodeEvents(self, node: Any, event: int, view: QWidget) -> None:
        self._call("processViewNodeEvents", node, event, view)

    def interactionNodeModified(self, node: Any) -> None:
        """An effect that says nothing to this is left as soon as a markup is to be placed."""
        if "interactionNodeModified" in self._methods:
            self._call("interactionNodeModified", node)
        elif node.GetCurrentInteractionMode() != slicer.vtkMRMLInteractionNode.ViewTransform:
            self.selectEffect("")

    def setMRMLDefaults(self) -> None:
        self._call("setMRMLDefaults")

    def updateGUIFromMRML(self) -> None:
        if self.active():
            self._call("updateGUIFromMRML")

    def updateMRMLFromGUI(self) -> None:
        self._call("updateMRMLFromGUI")

    def referenceGeometryChanged(self) -> None:
        self._call("referenceGeometryChanged")

    def sourceVolumeNodeChanged(self) -> None:
        self._call("sourceVolumeNodeChanged")

    def masterVolumeNodeChanged(self) -> None:
        self._call("masterVolumeNodeChanged")

    def layoutChanged(self) -> None:
        self._call("layoutChanged")

    def cleanup(self) -> None:
        self._call("cleanup")


def effect_class(path: str) -> type | None:
    """Of the module named like the folder if that is loaded and has it, else of the file run as a module of that name.

    The second way there is no package, so that relative imports fail, and the module takes the place of the package.
    """
    file = Path(path)
    module = file.parent.name
    name = file.stem if file.stem.endswith("Effect") else f"{file.stem}Effect"
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found or _run_as_module(module, file).get(name)


def _run_as_module(name: str, file: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the file may raise, Slicer prints it
        remember(error)
        return {}
    return vars(module)
