"""Slice and 3-D views with real slice logic and a real interactor, as widgets of the names that Slicer's have."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from .pythonqt import native
from .rendering import SLICE_MANAGERS, THREE_D_MANAGERS, Drawing

SIZE = 400, 400
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


@native
class _View(QWidget):
    """What is drawn, and where the mouse is heard."""

    renders = 0

    def _prepare(self, factory: Any, managers: tuple[str, ...]) -> None:
        self._drawing = Drawing(*SIZE, factory, managers)

    def interactor(self):
        return self._drawing.interactor

    def renderWindow(self):
        return self._drawing.window

    def resize_picture(self, width: int, height: int) -> None:
        self.renderWindow().SetSize(width, height)
        self.interactor().SetSize(width, height)

    def scheduleRender(self) -> None:
        """Counted only; pictures are drawn when they are asked for."""
        self.renders += 1

    forceRender = scheduleRender

    def setViewCursor(self, cursor: Any) -> None:
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        self.unsetCursor()

    def displayableManagerByClassName(self, name: str):
        return self._drawing.managers(self.parent().viewNode()).GetDisplayableManagerByClassName(name)


@native
class qMRMLSliceView(_View):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._prepare(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS)

    def mrmlSliceNode(self):
        return self.parent().mrmlSliceNode()


@native
class qMRMLThreeDView(_View):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._prepare(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS)

    def mrmlViewNode(self):
        return self.parent().mrmlViewNode()


@native
class qMRMLSliceWidget(QWidget):
    def __init__(self, name: str, scene: Any, application: Any) -> None:
        super().__init__()
        self.objectName = f"qMRMLSliceWidget{name}"
        self._view = qMRMLSliceView(self)
        self._logic = logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(scene)
        self._name = name
        logic.AddSliceNode(name)
        self.reset()

    def reset(self) -> None:
        """As the view was when the application started."""
        node = self.mrmlSliceNode()
        node.SetMappedInLayout(True)
        self._view.renderWindow().SetSize(*SIZE)
        node.SetDimensions(*SIZE, 1)
        node.SetOrientation(ORIENTATIONS.get(self._name, "Axial"))
        node.SetFieldOfView(*(float(each) for each in SIZE), 1.0)
        node.SetXYZOrigin(0, 0, 0)
        self._logic.SetSliceOffset(0.0)

    def pixels(self) -> np.ndarray:
        """What the view shows, ``(height, width, 3)`` uint8."""
        self._view._drawing.show_image(self._logic.GetImageDataConnection())
        return self._view._drawing.pixels(self.viewNode())

    def resize_picture(self, width: int, height: int) -> None:
        """The view in pixels; the slice keeps its scale, as in a window that is made larger."""
        self._view.resize_picture(width, height)
        self._logic.ResizeSliceNode(width, height)

    def sliceLogic(self):
        return self._logic

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    view = sliceView

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    viewNode = mrmlSliceNode

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def interactor(self):
        return self._view.interactor()


@native
class qMRMLThreeDWidget(QWidget):
    def __init__(self, scene: Any, application: Any) -> None:
        super().__init__()
        self._view = qMRMLThreeDView(self)
        self._logic = logic = slicer.vtkMRMLViewLogic()
        logic.SetMRMLApplicationLogic(application)
        application.GetViewLogics().AddItem(logic)
        logic.SetMRMLScene(scene)
        self._node = logic.AddViewNode("1")

    def pixels(self) -> np.ndarray:
        """What the view shows, ``(height, width, 3)`` uint8."""
        return self._view._drawing.pixels(self.viewNode())

    def resize_picture(self, width: int, height: int) -> None:
        self._view.resize_picture(width, height)

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    view = threeDView

    def mrmlViewNode(self):
        """Also after the scene was closed, when the logic has lost it."""
        return self._node

    viewNode = mrmlViewNode

    def interactor(self):
        return self._view.interactor()


@native
class qSlicerLayoutManager(QObject):
    """Three slice views and one 3-D view, in whatever layout."""

    layoutChanged = Signal(int)
    layout = 4

    def __init__(self, scene: Any, application: Any) -> None:
        super().__init__()
        self._slices = {name: qMRMLSliceWidget(name, scene, application) for name in ORIENTATIONS}
        self._three_d = qMRMLThreeDWidget(scene, application)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._slices.get(name)

    @property
    def threeDViewCount(self) -> int:
        return 1

    def threeDWidget(self, index: int) -> qMRMLThreeDWidget | None:
        return self._three_d if index == 0 else None

    def setLayout(self, layout: int) -> None:
        self.layout = layout
        self.layoutChanged(layout)

    def resetSliceViews(self) -> None:
        for each in self._slices.values():
            each.sliceLogic().FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        self._three_d.view().renderWindow().GetRenderers().GetItemAsObject(0).ResetCamera()

    def resetAll(self) -> None:
        """Between tests."""
        for each in self._slices.values():
            each.reset()

    def close(self) -> None:
        """Let go of the scene."""
        for each in (*self._slices.values(), self._three_d):
            each.view()._drawing.close()
            each._logic.SetMRMLScene(None)
            each._logic.SetMRMLApplicationLogic(None)
        self._slices.clear()
