"""All that the user can do, without the panel: prompt, propagate, go to slices, apply.

Everything here runs on the main thread and returns at once; torch runs on the worker behind the workbench.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...image.stack import FrameStack
from ...prompts.marks import Marks
from ...session.background import RunProgress
from ..mrml import transform_to_world, transformed, world_to_local
from .applying import Applier
from .editor_state import Editing
from .mark_actions import Prompting
from .next_object import add_next
from .settings import Settings
from .workbench import Workbench


class Controller:
    """The actions of one effect in one editor.

    Args:
        effect: the scripted effect, through which everything of the editor is reached.
    """

    def __init__(self, effect: Any) -> None:
        self.editing = Editing(effect)
        self.workbench = Workbench(self.editing)
        self.prompting = Prompting(self.editing, self.workbench)
        self.applier = Applier(self.editing, self.workbench)
        self._jumped: int | None = None

    # ------------------------------------------------------------------ the state, to be shown

    @property
    def settings(self) -> Settings:
        """Return what the user has chosen."""
        return self.editing.settings

    @property
    def segment(self) -> str:
        """Return the ID of the selected segment; empty if none is selected."""
        return self.editing.segment

    @property
    def marks(self) -> Marks:
        """Return the marks of the segmentation that is being edited."""
        return self.editing.marks

    @property
    def stack(self) -> FrameStack | None:
        """Return the stack in use; None before the first mark."""
        return self.workbench.in_use.stack

    @property
    def busy(self) -> str:
        """Return what is running: "propagate", "preview", "apply" or ""; results that are not shown yet count."""
        return self.workbench.busy or ("apply" if self.applier.is_writing else "")

    @property
    def progress(self) -> RunProgress | None:
        """Return the progress of the present run, or of the last one; None before the first."""
        return self.workbench.progress

    @property
    def unit(self) -> str:
        """Return what users call a frame: a slice, or a time point."""
        return self.workbench.in_use.unit

    @property
    def has_preview(self) -> bool:
        """Return whether something is shown that is not applied."""
        return bool(self.workbench.pending)

    @property
    def can_apply(self) -> bool:
        """Return whether there is something to apply now."""
        return bool(self.applier.pending())

    def selection(self) -> tuple:
        """Return a value that changes whenever the user chooses something else in the editor."""
        node, volume = self.editing.segmentation_node, self.editing.volume_node
        count = node.GetSegmentation().GetNumberOfSegments() if node else 0
        return node and node.GetID(), volume and volume.GetID(), self.segment, count

    def review(self) -> list[tuple[int, float]]:
        """Return the selected segment's slices most worth checking, worst first, with their trust."""
        return self.workbench.review.get(self.segment, [])

    # ------------------------------------------------------------------ going to slices

    def jump(self, index: int) -> None:
        """Show the selected segment's middle on a slice in all slice views."""
        stack, frames = self.stack, self.workbench.in_use.frames
        if stack is None:
            return
        if frames.times:
            frames.times.item = index
        shown = self.workbench.preview.slice(self.segment, index)
        if shown is not None and shown.any():
            rows, columns = np.nonzero(shown)
            place = columns.mean(), rows.mean()
        else:
            place = (stack.shape[1] - 1) / 2, (stack.shape[0] - 1) / 2
        local = stack.to_ras(index, np.array([place]))
        world = transformed(local, transform_to_world(self.editing.segmentation_node))[0]
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
        self._jumped = index

    def jump_to_check(self, step: int) -> None:
        """Go to the next or, with -1, the previous slice of those to check.

        Raises:
            InputError: there are none yet.
        """
        slices = [index for index, _trust in self.review()]
        if not slices:
            raise InputError(_("There is nothing to check yet. Propagate first."))
        at = slices.index(self._jumped) + step if self._jumped in slices else 0 if step > 0 else -1
        self.jump(slices[at % len(slices)])

    # ------------------------------------------------------------------ propagate, apply, begin anew

    def propagate(self) -> None:
        """Propagate the marks to the slices that the settings name.

        Raises:
            InputError: nothing is marked, or the range holds no keyframe.
        """
        chosen, wanted = self.settings, self.editing.marked_segment()
        stack = self.workbench.open()
        prompts = self.workbench.in_use.prompts
        every = [each.name for each in prompts.segments if self.editing.has_segment(each.name)]
        segments = every if chosen.all_segments else [wanted]
        if not self.prompting.check(segments):
            self.jump(self.prompting.conflict.index)
            return
        marked = [keyframe.slice for each in prompts.segments if each.name in segments for keyframe in each.keyframes]
        if not marked:
            raise InputError(_("Mark the segment on a slice first: with a point inside it or a box around it."))
        elsewhere = {mark.segment for mark in self.marks.all if self.editing.has_segment(mark.segment)} - set(every)
        notes = []
        if chosen.all_segments and elsewhere:
            names = ", ".join(sorted(map(self.editing.title, elsewhere)))
            notes.append(_("Left out, as their prompts lie in other slices: {names}.").format(names=names))
        self.workbench.propagate(segments, slice_range(chosen, marked, len(stack), self._roi_slices), notes)

    def stop(self, keep: bool) -> None:
        """Stop a run. What it has found stays if `keep`; else everything is as before."""
        self.workbench.stop(keep)

    def apply(self) -> None:
        """Make the preview part of the segments: one step of the editor's undo.

        Raises:
            InputError: there is no preview, or it was found in something else than what is there now.
        """
        self.applier.apply()

    def next_object(self) -> None:
        """Apply what is found, add a segment of the same kind with the next number, and select it; tool and settings stay.

        Raises:
            InputError: there is no segment, or what was found belongs to something else than what is there now.
        """
        segment = self.editing.marked_segment()
        if self.can_apply:
            self.apply()
            self.applier.finish()
        if self.can_apply:  # the user has thought better of it
            return
        report = self.editing.messages.shown
        self.editing.select(add_next(self.editing.segmentation_node, segment))
        if report.text:  # it goes with the segment that it is about, and may be a warning
            self.editing.tell(report.text, report.is_warning)

    def clear(self) -> None:
        """Remove all marks of the selected segment, and its preview."""
        segment = self.segment
        self.prompting.clear()
        self.workbench.forget(segment)
        self.applier.forget(segment)

    # ------------------------------------------------------------------ coming and going

    def enter(self) -> None:
        """Take up the marks that are there, as when the effect is activated or a scene was loaded."""
        self.show(True)
        if self.marks.of(self.segment) and self.workbench.in_use.is_stale() and not self.editing.empty_state():
            self.workbench.open()
            if not self.prompting.check([self.segment]):
                self.jump(self.prompting.conflict.index)

    def poll(self) -> bool:
        """Show what was found since the last call, write the next segment, notice an undo; return False if nothing has changed."""
        return self.workbench.poll() | self.applier.step() | self.applier.follow()

    def leave(self) -> None:
        """Stop everything and take the preview out of the scene; marks stay."""
        self.applier.leave()
        self.editing.messages.clear()
        self.prompting.conflict = None
        self.workbench.close()

    def check(self) -> None:
        """Drop what was found in a source or for segments that are not there any more; show the selected segment's slices."""
        self.applier.finish()
        self.prompting.conflict = None
        if not self.workbench.close_if_stale():
            self.workbench.drop_removed_segments()
            self.workbench.follow_segment()

    def show(self, visible: bool) -> None:
        """Show or hide the preview."""
        if self.workbench.preview:
            self.workbench.preview.show(visible)

    # ------------------------------------------------------------------ inside

    def _roi_slices(self) -> tuple[int, int]:
        effect = self.editing.effect
        node = effect.nodeReference("ROI")
        if node is None:
            raise InputError(_("Choose a region of interest, or another range."))
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        corners = np.array(np.meshgrid(bounds[:2], bounds[2:4], bounds[4:])).reshape(3, -1).T
        places, _xy = self.stack.from_ras(world_to_local(corners, self.editing.segmentation_node))
        return int(np.ceil(places.min())), int(np.floor(places.max()))


def slice_range(chosen: Settings, marked: list[int], count: int, roi: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Return the first and last slice of a run.

    Args:
        chosen: tells range and direction.
        marked: the slices of keyframes.
        count: how many slices there are.
        roi: returns the first and last slice of the region of interest; called only if the range is that.

    Raises:
        InputError: the range is empty.
    """
    ranges = {
        "volume": lambda: (0, count - 1),
        "slices": lambda: (chosen.first, chosen.last),
        "keyframes": lambda: (min(marked), max(marked)),
        "roi": roi,
    }
    first, last = ranges[chosen.range]()
    first, last = max(first, 0), min(last, count - 1)
    if chosen.direction == "forward":
        first = max(first, min(marked))
    elif chosen.direction == "backward":
        last = min(last, max(marked))
    if first > last:
        raise InputError(_("The range of slices is empty. Choose another one under Range."))
    return first, last
