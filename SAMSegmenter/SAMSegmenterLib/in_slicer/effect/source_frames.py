"""Makes the frames that a segmentation is worked on.

They are the source volume as the Segment Editor sees it: along an axis, in an oblique plane, or one slice of it through time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...image.stack import FrameStack, TimeStack
from ...image.volume import Volume
from ...image.window import Window
from ...prompts.focus import windowed
from ...prompts.from_marks import prompt_set
from ...prompts.marks import Mark, Plane
from ..mrml import ViewGeometry, content_of, display_window, image_on_grid, moves_between, oblique_grid, volume_of
from .sequence import Times
from .settings import Settings


@dataclass(frozen=True)
class SourceFrames:
    """A stack of frames, and what it was made of.

    Attributes:
        stack: the frames, in local RAS.
        plane: see `prompts.marks.Marks.plane_of`.
        image: on whose grid the stack lies, and whose voxels it may share; has to live as long as the stack.
        times: the sequence, if one slice is followed through time.
        place: see `place_of`, when the frames were made.
        window: see `window_of`, likewise.
    """

    stack: FrameStack
    plane: Plane
    image: slicer.vtkOrientedImageData
    times: Times | None
    place: tuple
    window: tuple

    def frame_of(self, array: np.ndarray, index: int) -> np.ndarray:
        """Return frame `index`, ``(rows, columns)``, of an array ``(k, j, i)`` on the image's grid: a view into the array.

        Through time it is the slice that is followed, whatever the index.
        """
        if self.times is None:
            return self.stack.place(array, index)
        assert is_time(self.plane)
        axis, followed = followed_slice(self.plane)
        return FrameStack(volume_of(self.image, ""), axis, Window(0, 1)).place(array, followed)


def source_image(effect: Any) -> slicer.vtkOrientedImageData:
    """Return the source volume in the segmentation's geometry.

    Raises:
        InputError: there is none; says what to do.
    """
    image = effect.sourceVolumeImageData() if effect.parameterSetNode() else None
    if image is None or not image.GetPointData().GetScalars() or image.GetNumberOfPoints() == 0:
        raise InputError(_("Load a volume and choose it as source volume above."))
    return image


def place_of(effect: Any, plane: Plane) -> tuple:
    """Return what identifies the source's voxels and their place in the segmentation.

    As long as it is the same, what was found belongs there.

    Raises:
        InputError: there is no source.
    """
    geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(source_image(effect))
    volume, segmentation = effect.parameterSetNode().GetSourceVolumeNode(), effect.parameterSetNode().GetSegmentationNode()
    content = Times(volume).content() if is_time(plane) else content_of(volume)
    return volume.GetID(), content, segmentation.GetID(), geometry, moves_between(volume, segmentation)


def window_of(effect: Any, settings: Settings) -> tuple[str, Window | None]:
    """Return the name of the window that the user has chosen, and the window; None for an automatic one."""
    if settings.window == "display":
        return settings.window, display_window(effect.parameterSetNode().GetSourceVolumeNode())
    return settings.window, Window.from_level(settings.level, settings.width) if settings.window == "manual" else None


def is_time(plane: Plane) -> TypeGuard[str]:
    """Return whether a plane is a slice through time."""
    return isinstance(plane, str) and plane.startswith("time")


def followed_slice(plane: str) -> tuple[str, int]:
    """Return the axis and the number of the slice that is followed through time."""
    _time, axis, index = plane.split(":")
    return axis, int(index)


def suits(plane: Plane | None, settings: Settings) -> bool:
    """Return whether marks of this plane can still be used with what the user has chosen."""
    if plane is None or is_time(plane) != (settings.video_axis == "time"):
        return False
    axis = followed_slice(plane)[0] if is_time(plane) else plane
    return settings.axis in ("auto", axis)


def plane_for(view: ViewGeometry | None, image: slicer.vtkOrientedImageData, settings: Settings) -> Plane:
    """Return the plane of the first mark's view, unless the user has chosen an axis.

    Raises:
        InputError: an oblique slice is to be followed through time, or one outside the volume.
    """
    volume = volume_of(image, "volume")
    seen = view.parallel_axis(volume.ijk_to_ras) if view else "k"
    axis = seen if settings.axis == "auto" else settings.axis
    if settings.video_axis != "time":
        return axis or oblique_grid(image, view.to_local).tolist()
    if view is None or axis is None or axis != seen:
        raise InputError(_("Only a slice along one of the volume's axes can be followed through time. Mark it in such a view."))
    place = volume.to_ijk(view.local(view.centre)[0])["ijk".index(axis)]
    if not -0.5 <= place <= volume.shape_ijk["ijk".index(axis)] - 0.5:
        raise InputError(_("The view shows nothing of the volume."))
    return f"time:{axis}:{int(np.rint(place))}"


def make_frames(effect: Any, settings: Settings, plane: Plane, marks: tuple[Mark, ...]) -> SourceFrames:
    """Return the source volume as frames in `plane`; an automatic window suits what `marks` point at.

    Raises:
        InputError: no volume, or one that cannot be used.
    """
    place, window = place_of(effect, plane), window_of(effect, settings)
    image, volume_node = source_image(effect), effect.parameterSetNode().GetSourceVolumeNode()
    times, axis = None, "k"
    if is_time(plane):
        times = Times(volume_node)
        volume = _through_time(effect, times, plane, volume_node.GetName())
    elif isinstance(plane, str):
        axis, volume = plane, volume_of(image, volume_node.GetName())
    else:
        image = image_on_grid(image, np.array(plane))
        volume = volume_of(image, volume_node.GetName())

    made = TimeStack(volume, window[1]) if times else FrameStack(volume, axis, window[1])
    if window[1] is None:
        made = windowed(made, prompt_set(marks, made))
    return SourceFrames(made, plane, image, times, place, window)


def _through_time(effect: Any, times: Times, plane: str, name: str) -> Volume:
    """Return the followed slice at all times: voxels ``(time, rows, columns)``, laid out for `image.stack.TimeStack`."""
    axis, index = followed_slice(plane)
    frames = []
    for _item in times.visit():
        spatial = FrameStack(volume_of(source_image(effect), name), axis, Window(0, 1))
        frames.append(np.array(spatial.intensities(index)))
    places = spatial.to_ras(index, np.array([(0, 0), (1, 0), (0, 1)]))
    across = spatial.to_ras(index + 1, np.array([(0, 0)]))[0]
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.stack([places[1], places[2], across], 1) - places[0][:, None]
    ijk_to_ras[:3, 3] = places[0]
    return Volume(np.stack(frames), ijk_to_ras, name)
