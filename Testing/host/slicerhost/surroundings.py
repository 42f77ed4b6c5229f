"""What Python code finds in Slicer and not elsewhere: modules to import, and the rest of the package `slicer`."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer

from . import application, ctk, editor, effect, effect_base, packaging, qmrml, qt, sample_data, scripted_modules, slicer_util

_offered: list[str] = []


def offer(scene: Any, logic: Any, logics: dict[str, Any], folder: str) -> None:
    """Let `import qt`, `slicer.app` and the like work, until `withdraw`."""
    slicer.mrmlScene = scene
    slicer.modules = SimpleNamespace(**{name.lower(): SimpleNamespace(logic=lambda each=each: each) for name, each in logics.items()})
    slicer.app = application.qSlicerApplication(scene, logic, folder)
    slicer_util.replace()
    sources = effect, effect_base, qmrml, editor, scripted_modules
    classes = {name: value for module in sources for name, value in vars(module).items()}
    classes = {name: value for name, value in classes.items() if name.startswith(("qSlicer", "qMRML"))}
    for name, value in classes.items():
        setattr(slicer, name, value)
    base = effect_base.AbstractScriptedSegmentEditorEffect
    _as_module("qt", qt)
    _as_module("ctk", ctk)
    _as_module("SegmentEditorEffects", _module("SegmentEditorEffects", AbstractScriptedSegmentEditorEffect=base))
    _as_module("qSlicerSegmentationsEditorEffectsPythonQt", _module("qSlicerSegmentationsEditorEffectsPythonQt", **classes))
    _as_module("SampleData", sample_data)
    _as_module("slicer.packaging", packaging)
    _as_module("slicer.i18n", slicer_util.i18n())
    _as_module("slicer.ScriptedLoadableModule", scripted_modules)


def withdraw() -> None:
    for name in _offered:
        sys.modules.pop(name, None)
    _offered.clear()
    for name in ("app", "mrmlScene", "modules"):
        delattr(slicer, name)


def _as_module(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    _offered.append(name)
    package, _, attribute = name.partition(".")
    if attribute:
        setattr(sys.modules[package], attribute, module)


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module
