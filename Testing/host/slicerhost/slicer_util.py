"""The parts of `slicer.util` that show something: remembered here; the others are those of the wheel. And `slicer.i18n`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import slicer
import slicer.util

from . import packaging
from .dialogs import user

main_window: Any = None
"""Set by `Host.open_main_window`."""


def replace() -> None:
    """Put these in the place of the wheel's, which need the application."""
    shown = {"infoDisplay": "info", "warningDisplay": "warning", "errorDisplay": "error", "messageBox": "info"}
    asked = {"confirmOkCancelDisplay": True, "confirmYesNoDisplay": True, "confirmRetryCloseDisplay": False}
    replaced = {name: _display(kind) for name, kind in shown.items()}
    replaced |= {name: _confirm(default) for name, default in asked.items()}
    replaced |= {
        "mainWindow": lambda: main_window,
        "showStatusMessage": _show_status,
        "delayDisplay": _delay,
        "pip_install": packaging.pip_install,
        "pip_uninstall": packaging.pip_install,
        "selectModule": lambda module: user.modules.append(getattr(module, "name", module)),
        "loadVolume": _load_volume,
        "loadSegmentation": _load_segmentation,
    }
    for name, function in replaced.items():
        setattr(slicer.util, name, function)


def i18n() -> ModuleType:
    """Texts stay as they are."""
    module = ModuleType("slicer.i18n")
    module.tr = lambda text: text
    module.translate = lambda context, text: text
    return module


def _display(kind: str) -> Callable:
    def show(text: str, windowTitle: str | None = None, parent: Any = None, detailedText: str = "", **_: Any) -> None:
        user.asked(kind, text, title=windowTitle, details=detailedText)

    return show


def _confirm(default: bool) -> Callable:
    def ask(text: str, windowTitle: str | None = None, parent: Any = None, detailedText: str = "", **_: Any) -> bool:
        if slicer.app.testingEnabled():
            return default
        return user.asked("question", text, default=default, title=windowTitle, details=detailedText)

    return ask


def _show_status(message: str, duration: int = 0) -> bool:
    user.status.append(message)
    return main_window is not None


def _delay(message: str, *_: Any, **__: Any) -> None:
    user.status.append(message)
    slicer.app.processEvents()


def _load_volume(filename: str, properties: dict | None = None, returnNode: bool = False):
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(filename), (properties or {}).get("name", ""), 0)
    if node is None:
        raise RuntimeError(f"Failed to load node from file: {filename}")
    return node


def _load_segmentation(filename: str, properties: dict | None = None, returnNode: bool = False):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(filename))
    if not storage.ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        raise RuntimeError(f"Failed to load node from file: {filename}")
    node.SetAndObserveStorageNodeID(storage.GetID())
    node.CreateDefaultDisplayNodes()
    return node
