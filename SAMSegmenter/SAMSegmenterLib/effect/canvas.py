"""The slices that a segmentation is worked on: the source volume as the Segment Editor sees it, along one axis or in an oblique plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..frames import FrameStack, Window, automatic_window
from ..marking import prompt_set
from ..marks import Mark
from ..mrml import ViewGeometry, display_window, image_on_grid, oblique_grid, volume_of
from ..prompts import intensities_near
from .settings import Settings


@dataclass(frozen=True)
class Canvas:
    """A stack of slices and what it was made of.

    Attributes:
        stack: the slices, in local RAS.
        plane: see `marks.Marks.plane`.
        image: whose voxels the stack shares; must live as long as it.
        origin: tells whether the source has changed since.
    """

    stack: FrameStack
    plane: str | list[list[float]]
    image: slicer.vtkOrientedImageData
    origin: tuple


def source_image(effect: Any) -> slicer.vtkOrientedImageData:
    """The source volume in the segmentation's geometry.

    Raises:
        InputError: there is none; says what to do.
    """
    image = effect.sourceVolumeImageData() if effect.parameterSetNode() else None
    if image is None or not image.GetPointData().GetScalars() or image.GetNumberOfPoints() == 0:
        raise InputError(_("Load a volume and choose it as source volume above."))
    return image


def origin_of(effect: Any, settings: Settings) -> tuple:
    """What a canvas depends on beside its plane: equal as long as the canvas is still right."""
    image, volume = source_image(effect), effect.parameterSetNode().GetSourceVolumeNode()
    window = display_window(volume) if settings.window == "display" else (settings.level, settings.width)
    return (volume.GetID(), image.GetMTime(), image.GetExtent(), settings.window, None if settings.window == "auto" else window)


def plane_for(view: ViewGeometry | None, image: slicer.vtkOrientedImageData, settings: Settings) -> str | list[list[float]]:
    """The plane of the first mark's view, unless the user has chosen an axis."""
    if settings.axis != "auto":
        return settings.axis
    if view is None:
        return "k"
    return view.parallel_axis(volume_of(image, "").ijk_to_ras) or oblique_grid(image, view.to_local).tolist()


def make_canvas(effect: Any, settings: Settings, plane: str | list[list[float]], marks: tuple[Mark, ...]) -> Canvas:
    """The source volume as slices in `plane`; an automatic window suits what `marks` point at.

    Raises:
        InputError: no volume, or one that cannot be used.
    """
    origin = origin_of(effect, settings)
    image, volume_node = source_image(effect), effect.parameterSetNode().GetSourceVolumeNode()
    axis = plane if isinstance(plane, str) else "k"
    if axis is not plane:
        image = image_on_grid(image, np.array(plane))
    volume = volume_of(image, volume_node.GetName())
    stack = FrameStack(volume, axis, _window(volume_node, settings) or automatic_window(volume))
    if settings.window == "auto" and marks:
        stack = FrameStack(volume, axis, automatic_window(volume, intensities_near(prompt_set(marks, stack), stack)))
    return Canvas(stack, plane, image, origin)


def _window(volume_node: slicer.vtkMRMLVolumeNode, settings: Settings) -> Window | None:
    if settings.window == "display":
        return display_window(volume_node)
    return Window.from_level(settings.level, settings.width) if settings.window == "manual" else None
