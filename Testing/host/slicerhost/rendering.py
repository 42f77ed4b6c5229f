"""A window that is never on a screen: renderers and an interactor at once, displayable managers and pixels when asked for."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = ("vtkMRMLModelSliceDisplayableManager", "vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager")
THREE_D_MANAGERS = (
    *("vtkMRMLCameraDisplayableManager", "vtkMRMLViewDisplayableManager", "vtkMRMLModelDisplayableManager"),
    *("vtkMRMLSegmentationsDisplayableManager3D", "vtkMRMLMarkupsDisplayableManager"),
)
_TRIAL = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.AddRenderer(vtk.vtkRenderer()); w.Render()"


@cache
def can_render() -> bool:
    """Whether this machine draws without a screen; tried in another process, since it may crash."""
    return subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False).returncode == 0


class Drawing:
    """What one view shows, `width` x `height` pixels."""

    def __init__(self, width: int, height: int, factory: Any, managers: tuple[str, ...]) -> None:
        self.window = _window(width, height)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(None)
        self.interactor.SetSize(width, height)
        self.interactor.EnableRenderOff()
        self._factory, self._names = factory, managers
        self._group: Any = None
        self._image = _image_actor()

    def managers(self, node: Any):
        """The displayable managers, which draw nodes; made on the first call, as they cost time at every change of the scene."""
        if self._group is None:
            for name in self._names:
                if not self._factory.IsDisplayableManagerRegistered(name):
                    self._factory.RegisterDisplayableManager(name)
            self._group = slicer.vtkMRMLDisplayableManagerGroup()
            self._group.SetRenderer(self.renderer)
            self._group.Initialize(self._factory, self.renderer)
            self._group.SetMRMLDisplayableNode(node)
        return self._group

    def show_image(self, connection: Any) -> None:
        """Below everything else; nothing for None."""
        self._image.GetMapper().SetInputConnection(connection)
        self._image.SetVisibility(connection is not None)
        if not self.renderer.HasViewProp(self._image):
            self.renderer.AddViewProp(self._image)

    def pixels(self, node: Any) -> np.ndarray:
        """``(height, width, 3)`` uint8.

        Raises:
            RuntimeError: nothing can be drawn on this machine.
        """
        if not can_render():
            raise RuntimeError("pictures need OpenGL without a screen, such as Mesa's EGL; this machine has none.")
        self.managers(node)
        self.window.Render()
        shot = vtk.vtkWindowToImageFilter()
        shot.SetInput(self.window)
        shot.ReadFrontBufferOff()
        shot.Update()
        width, height, _ = shot.GetOutput().GetDimensions()
        values = vtk_to_numpy(shot.GetOutput().GetPointData().GetScalars())
        return values.reshape(height, width, -1)[::-1, :, :3].copy()

    def close(self) -> None:
        if self._group is not None:
            self._group.SetMRMLDisplayableNode(None)
            self._group = None
        self.interactor.SetRenderWindow(None)
        self.window.Finalize()


def _window(width: int, height: int):
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)  # VTK warns that there is no X server
    window = vtk.vtkRenderWindow()
    vtk.vtkLogger.SetStderrVerbosity(before)
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(width, height)
    return window


def _image_actor():
    """For the image of a slice logic, which is coloured already."""
    mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    return actor
