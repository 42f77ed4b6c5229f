"""How effects keep their settings: text on the segment editor node, so that they are saved with the scene."""

from __future__ import annotations

import slicer

from .faults import complain


class EffectParameters:
    """The part of a Segment Editor effect that reads and writes parameters; needs `name` and `parameterSetNode()`."""

    def parameter(self, name: str) -> str:
        """The effect's own, else the one that all effects share; empty, and a complaint, if there is neither."""
        value = self._found(name)
        if value is None:
            complain(f"parameter {name!r} of effect {self.name!r} is not defined.")
        return value or ""

    def integerParameter(self, name: str) -> int:
        return self._number(name, int)

    def doubleParameter(self, name: str) -> float:
        return self._number(name, float)

    def nodeReference(self, name: str):
        node = self.parameterSetNode()
        return node.GetNodeReference(self._key(name)) or node.GetNodeReference(name) if node else None

    def setParameter(self, name: str, value: str | int | float) -> None:
        self._store(self._key(name), value)

    def setCommonParameter(self, name: str, value: str | int | float) -> None:
        self._store(name, value)

    def setParameterDefault(self, name: str, value: str | int | float) -> None:
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def setCommonParameterDefault(self, name: str, value: str | int | float) -> None:
        if not self.commonParameterDefined(name):
            self.setCommonParameter(name, value)

    def setNodeReference(self, name: str, node) -> None:
        self._refer(self._key(name), node)

    def setCommonNodeReference(self, name: str, node) -> None:
        self._refer(name, node)

    def parameterDefined(self, name: str) -> bool:
        return self._is_defined(self._key(name))

    def commonParameterDefined(self, name: str) -> bool:
        return self._is_defined(name)

    def _key(self, name: str) -> str:
        return f"{self.name}.{name}"

    def _is_defined(self, key: str) -> bool:
        node = self.parameterSetNode()
        return bool(node and (node.GetAttribute(key) or node.GetNodeReferenceID(key)))

    def _found(self, name: str) -> str | None:
        node = self.parameterSetNode()
        if node is None:
            return None
        own = node.GetAttribute(self._key(name))
        return node.GetAttribute(name) if own is None else own

    def _number(self, name: str, kind: type[int] | type[float]) -> int | float:
        text = self.parameter(name)
        try:
            return kind(text)
        except ValueError:
            complain(f"parameter {name!r} of effect {self.name!r} is not a number: {text!r}.")
            return kind(0)

    def _store(self, key: str, value: str | int | float) -> None:
        node = self.parameterSetNode()
        if node is None:
            complain(f"parameter {key!r} cannot be set; there is no segment editor node.")
            return
        text = _as_text(value)
        if node.GetAttribute(key) != text:
            self._quietly(lambda: node.SetAttribute(key, text))

    def _refer(self, key: str, target) -> None:
        node = self.parameterSetNode()
        if node is None:
            complain(f"node reference {key!r} cannot be set; there is no segment editor node.")
        elif node.GetNodeReference(key) is not target:
            self._quietly(lambda: node.SetNodeReferenceID(key, target.GetID() if target else None))

    def _quietly(self, change) -> None:
        """The node does not tell of its modification, only that a parameter has changed."""
        node = self.parameterSetNode()
        before = node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        change()
        node.SetDisableModifiedEvent(before)
        node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)


def _as_text(value: str | int | float) -> str:
    """Return it as C++ stores it: of a double six significant digits, of a bool Python's word for it, which is no number.

    Raises:
        TypeError: neither text nor a number of Python's; PythonQt finds no function for it.
    """
    if type(value) is float:
        return f"{value:.6g}"
    if type(value) not in (str, int, bool):
        raise TypeError(f"setParameter takes a str, int or float, not a {type(value).__name__}.")
    return str(value)
