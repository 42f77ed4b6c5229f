"""Between slice views, the patient and voxels, as effects written in Python are given it: through whole pixels and single floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QVector3D


class EffectViews:
    """The part of an effect that deals with view widgets."""

    @staticmethod
    def viewNode(view: Any):
        return view.viewNode()

    @staticmethod
    def renderWindow(view: Any):
        return view.view().renderWindow()

    @staticmethod
    def renderer(view: Any):
        return view.view().renderWindow().GetRenderers().GetItemAsObject(0)

    def addActor2D(self, view: Any, actor: Any) -> None:
        self.renderer(view).AddViewProp(actor)
        view.view().scheduleRender()

    def removeActor2D(self, view: Any, actor: Any) -> None:
        self.renderer(view).RemoveViewProp(actor)
        view.view().scheduleRender()

    addActor3D, removeActor3D = addActor2D, removeActor2D

    @staticmethod
    def scheduleRender(view: Any) -> None:
        view.view().scheduleRender()

    forceRender = scheduleRender

    @staticmethod
    def cursorOff(view: Any) -> None:
        view.view().setCursor(Qt.CursorShape.BlankCursor)

    @staticmethod
    def cursorOn(view: Any) -> None:
        view.view().unsetCursor()

    @staticmethod
    def rasToXy(ras: QVector3D, view: Any) -> QPoint:
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(view.viewNode().GetXYToRAS(), inverse)
        x, y, *_ = inverse.MultiplyPoint((ras.x(), ras.y(), ras.z(), 1.0))
        return QPoint(int(x), int(y))

    @staticmethod
    def xyzToRas(xyz: QVector3D, view: Any) -> QVector3D:
        ras = [0.0, 0.0, 0.0]
        slicer.vtkSlicerSegmentEditorLogic.XyzToRas([xyz.x(), xyz.y(), xyz.z()], ras, view.viewNode())
        return QVector3D(*ras)

    @classmethod
    def xyToRas(cls, xy: QPoint, view: Any) -> QVector3D:
        return cls.xyzToRas(QVector3D(xy.x(), xy.y(), 0.0), view)

    @staticmethod
    def xyzToIjk(xyz: QVector3D, view: Any, image: Any, transform: Any = None) -> QVector3D:
        ijk = [0, 0, 0]
        slicer.vtkSlicerSegmentEditorLogic.XyzToIjk([xyz.x(), xyz.y(), xyz.z()], ijk, view.viewNode(), image, transform)
        return QVector3D(*ijk)

    @classmethod
    def xyToIjk(cls, xy: QPoint, view: Any, image: Any, transform: Any = None) -> QVector3D:
        return cls.xyzToIjk(QVector3D(xy.x(), xy.y(), 0.0), view, image, transform)

    @staticmethod
    def sliceSpacing(view: Any) -> float:
        """Along the normal of the slice, in mm."""
        spacing = view.sliceLogic().GetLowestVolumeSliceSpacing()
        return float(np.asarray(spacing)[2])

    def segmentationDisplayableInView(self, node: Any) -> bool:
        return self._editor.logic().IsSegmentationDisplayableInView(node)
