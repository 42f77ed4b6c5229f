"""The frames on which marks are used: which they are, and whether they still suit the editor."""

from __future__ import annotations

from slicer.i18n import tr as _

from ...errors import InputError
from ...image.stack import FrameStack
from ...prompts.from_marks import prompt_set, slices_of
from ...prompts.marks import Mark, Plane
from ...prompts.types import PromptSet
from ..mrml import ViewGeometry
from .editor_state import Editing
from .source_frames import SourceFrames, is_time, make_frames, place_of, plane_for, source_image, suits, window_of


class OtherPlane(InputError):
    """The request lies in another plane than the selected segment's prompts, which would have to be put away."""


class FramesInUse:
    """The frames on which the marks of one segmentation are used.

    Attributes:
        frames: None before the first mark.
    """

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self.frames: SourceFrames | None = None

    @property
    def stack(self) -> FrameStack | None:
        """Return the stack in use; None before the first mark."""
        return self.frames.stack if self.frames else None

    @property
    def unit(self) -> str:
        """Return what users call a frame."""
        return self.stack.unit if self.stack else _("slice")

    @property
    def prompts(self) -> PromptSet:
        """Return the marks in the present plane as prompts."""
        return prompt_set(self._editing.marks_in(self.frames.plane), self.stack, self._editing.title)

    def slices_of(self, mark: Mark) -> list[int]:
        """Return the slices in use that a mark lies on; none for one of another plane."""
        if not self.stack or mark.plane != self.frames.plane:
            return []
        try:
            return slices_of(mark, self.stack)
        except InputError:
            return []

    def marked(self, segment: str) -> set[int]:
        """Return the slices in use that a segment is marked on."""
        return {index for mark in self._editing.marks.of(segment) for index in self.slices_of(mark)}

    def is_stale(self) -> bool:
        """Return whether the source, or its place in the segmentation, has changed since the frames were made."""
        if not self.frames or not self._editing.segmentation_node:
            return True
        try:
            return place_of(self._editing.effect, self.frames.plane) != self.frames.place
        except InputError:
            return True

    def have_another_window(self) -> bool:
        """Return whether the settings ask for another window than that of the frames."""
        return self.frames.window != window_of(self._editing.effect, self._editing.settings)

    def plane_for(self, segment: str, view: ViewGeometry | None) -> Plane:
        """Return the plane of a segment's own marks, or the one in use where `view` shows its slices, or that of `view`.

        Raises:
            OtherPlane: the settings ask for another plane than that of its marks.
        """
        chosen, own = self._editing.settings, self._editing.marks.plane_of(segment)
        if own is not None:
            if not suits(own, chosen):
                text = _("The prompts of {name} lie in other slices than those chosen under Advanced.")
                raise OtherPlane(text.format(name=self._editing.title(segment)))
            return own
        in_use = self.frames.plane if self.frames else None
        is_shown = view is None or (self.frames and view.parallel_axis(self.stack.volume.ijk_to_ras) == self.stack.axis)
        if in_use is not None and not is_time(in_use) and suits(in_use, chosen) and is_shown and not self.is_stale():
            return in_use
        return plane_for(view, source_image(self._editing.effect), chosen)

    def made_for(self, plane: Plane, mark: Mark | None) -> SourceFrames:
        """Return new frames in a plane, with a window that suits the marks there, or `mark` if there are none yet.

        Raises:
            InputError: there is no volume, or one that cannot be used; or the marks do not lie in this plane.
        """
        marks = self._editing.marks_in(plane)
        frames = make_frames(self._editing.effect, self._editing.settings, plane, marks or ((mark,) if mark else ()))
        prompt_set(marks, frames.stack, self._editing.title)
        return frames
