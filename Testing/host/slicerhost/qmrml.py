"""Widgets of Slicer that hold nodes."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QWidget

from .ctk import ctkSliderWidget
from .observing import Observations
from .pythonqt import native


def _flag(attribute: str) -> Property:
    def store(widget: Any, value: bool) -> None:
        setattr(widget, attribute, value)
        widget.refresh()

    return Property("bool", lambda widget: getattr(widget, attribute), store)


@native
class qMRMLWidget(QWidget):
    """Knows the scene."""

    _scene: Any = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene


@native
class qMRMLNodeComboBox(QComboBox):
    """Lists the nodes of some classes, and follows the scene."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal("QString")
    nodeAddedByUser = Signal(object)
    ALIASES: ClassVar = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "currentNodeChanged(PyObject)",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser(PyObject)",
    }
    _types: tuple[str, ...] = ()
    _none = _hidden = _add = _remove = _rename = _edit = _select_new = False
    _children = True
    _scene: Any = None
    _current: Any = None
    baseName = ""

    noneEnabled, showHidden, showChildNodeTypes = _flag("_none"), _flag("_hidden"), _flag("_children")
    addEnabled, removeEnabled, renameEnabled, editEnabled = _flag("_add"), _flag("_remove"), _flag("_rename"), _flag("_edit")
    selectNodeUponCreation = _flag("_select_new")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._observations, self._nodes = Observations(), []
        self._attributes: list[tuple[str, str, Any]] = []
        self.connect("currentIndexChanged(int)", self._chosen)
        self.connect("destroyed()", self._observations.clear)

    def _set_types(self, types: Any) -> None:
        self._types = tuple(types)
        self.refresh()

    nodeTypes = Property("QVariantList", lambda self: self._types, _set_types)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, value))
        self.refresh()

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._observations.clear()
        self._scene = scene
        if scene:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent):
                self._observations.add(scene, event, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the nodes again and keep the current one; without a "None", the first is taken."""
        nodes = [each for each in _all_nodes(self._scene) if self._is_listed(each)]
        blocked = self.blockSignals(True)
        self.clear()
        self._nodes = [None, *nodes] if self._none else nodes
        for each in self._nodes:
            self.addItem(each.GetName() or "" if each else "None")
        kept = self._current if self._current in self._nodes else None
        index = self._nodes.index(kept) if kept in self._nodes else -1
        self.setCurrentIndex(0 if index < 0 and self._nodes else index)
        self.blockSignals(blocked)
        self._chosen()

    def _is_listed(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._hidden:
            return False
        kinds = [each for each in self._types if (node.IsA(each) if self._children else node.GetClassName() == each)]
        wanted = [(name, value) for kind, name, value in self._attributes if kind in kinds]
        found = ((node.GetAttribute(name), value) for name, value in wanted)
        return bool(kinds) and all(has is not None and value in (None, has) for has, value in found)

    def _chosen(self) -> None:
        index = self.currentIndex
        node = self._nodes[index] if 0 <= index < len(self._nodes) else None
        if node is not self._current:
            self._current = node
            self.currentNodeChanged(node)
            self.currentNodeIDChanged(node.GetID() if node else "")

    def currentNode(self):
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        if node in self._nodes:
            self.setCurrentIndex(self._nodes.index(node))
        else:
            self.setCurrentIndex(-1)
        self._chosen()  # the index tells nobody while signals are blocked

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id))

    currentNodeID = Property("QString", lambda self: self._current.GetID() if self._current else "", setCurrentNodeID)

    def addNode(self):
        node = self._scene.AddNewNodeByClass(self._types[0], self.baseName)
        self.nodeAddedByUser(node)
        self.setCurrentNode(node)
        return node


@native
class qMRMLSliderWidget(ctkSliderWidget):
    quantity = ""

    def setMRMLScene(self, scene: Any) -> None: ...


def _all_nodes(scene: Any) -> list[Any]:
    if scene is None or scene.IsClosing():
        return []
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
