"""The module `SegmentEditorEffects`: what an effect written in Python derives from; and the factory that effects are known to."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import QObject, QPoint
from PySide6.QtGui import QCursor, QVector3D

from .effect import qSlicerSegmentEditorAbstractEffect
from .faults import complain
from .pythonqt import native


@native
class qSlicerSegmentEditorEffectFactory(QObject):
    """The prototypes of which every editor makes its own copies."""

    _instance: qSlicerSegmentEditorEffectFactory | None = None

    def __init__(self) -> None:
        super().__init__()
        self._effects: list[Any] = []

    @classmethod
    def instance(cls) -> qSlicerSegmentEditorEffectFactory:
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def registerEffect(self, effect: qSlicerSegmentEditorAbstractEffect) -> bool:
        """False, without a word in Slicer, if there is one of that name."""
        if not effect.name or any(each.name == effect.name for each in self._effects):
            complain(f"an effect of the name {effect.name!r} cannot be registered; it is empty or taken.")
            return False
        self._effects.append(effect)
        return True

    def registeredEffects(self) -> list[Any]:
        return list(self._effects)

    def forget(self, name: str) -> None:
        """What Slicer never does, and tests must."""
        self._effects = [each for each in self._effects if each.name != name]


class AbstractScriptedSegmentEditorEffect:
    """Holds the adaptor and lends effects its views' geometry in plain lists."""

    def __init__(self, scriptedEffect: Any) -> None:
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)

    def createCursor(self, widget: Any) -> QCursor:
        return QCursor()

    def xyzToRas(self, xyz: Any, viewWidget: Any) -> list[float]:
        return _numbers(self.scriptedEffect.xyzToRas(QVector3D(*xyz), viewWidget))

    def xyToRas(self, xy: Any, viewWidget: Any) -> list[float]:
        return _numbers(self.scriptedEffect.xyToRas(QPoint(xy[0], xy[1]), viewWidget))

    def xyzToIjk(self, xyz: Any, viewWidget: Any, image: Any, parentTransformNode: Any = None) -> list[int]:
        return [int(each) for each in _numbers(self.scriptedEffect.xyzToIjk(QVector3D(*xyz), viewWidget, image, parentTransformNode))]

    def xyToIjk(self, xy: Any, viewWidget: Any, image: Any, parentTransformNode: Any = None) -> list[int]:
        place = self.scriptedEffect.xyToIjk(QPoint(xy[0], xy[1]), viewWidget, image, parentTransformNode)
        return [int(each) for each in _numbers(place)]

    def rasToXy(self, ras: Any, viewWidget: Any) -> list[int]:
        place = self.scriptedEffect.rasToXy(QVector3D(*ras), viewWidget)
        return [place.x(), place.y()]


def _numbers(vector: QVector3D) -> list[float]:
    return [vector.x(), vector.y(), vector.z()]
