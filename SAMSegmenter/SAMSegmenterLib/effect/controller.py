"""What the user can do, without the panel: place marks, see previews, propagate, correct, apply.

Everything here runs on the main thread and returns at once; torch runs on the worker behind the workbench.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..frames import FrameStack
from ..interaction import Progress
from ..marking import mask_mark, prompt_set, slices_of
from ..marks import MASKS, Mark, Marks
from ..mrml import ViewGeometry, mask_of, transform_to_world, transformed, world_to_local
from .applying import Applier
from .editing import Editing, Tell
from .settings import Settings
from .times import browser_of
from .workbench import Workbench


class Controller:
    """The actions of one effect in one editor.

    Args:
        effect: the scripted effect, through which everything of the editor is reached.
        tell: shows a message to the user.
    """

    def __init__(self, effect: Any, tell: Tell) -> None:
        self.editing = Editing(effect, tell)
        self.workbench = Workbench(self.editing)
        self._applier = Applier(self.editing, self.workbench)
        self._jumped: int | None = None

    # ------------------------------------------------------------------ the state, for whoever shows it

    @property
    def settings(self) -> Settings:
        return self.editing.settings

    @property
    def segment(self) -> str:
        """ID of the selected segment; empty if none is."""
        return self.editing.segment

    @property
    def marks(self) -> Marks:
        """The marks of the segmentation that is being edited."""
        return self.editing.marks

    @property
    def stack(self) -> FrameStack | None:
        """The frames in use; None before the first mark."""
        return self.workbench.stack

    @property
    def busy(self) -> str:
        """What is running: "propagate", "preview" or ""; results that are not shown yet count."""
        return self.workbench.busy

    @property
    def progress(self) -> Progress | None:
        return self.workbench.progress

    @property
    def has_preview(self) -> bool:
        """Whether there is something to apply."""
        return bool(self.workbench.pending)

    def selection(self) -> tuple:
        """What is being edited; changes whenever the user has chosen something else in the editor."""
        node, volume = self.editing.segmentation_node, self.editing.volume_node
        count = node.GetSegmentation().GetNumberOfSegments() if node else 0
        return node and node.GetID(), volume and volume.GetID(), self.segment, count

    def review(self) -> list[tuple[int, float]]:
        """The selected segment's slices most worth checking, worst first, with their trust."""
        return self.workbench.review.get(self.segment, [])

    def keyframes(self) -> list[tuple[int, str]]:
        """Slices on which the selected segment is marked, and how, in words."""
        counts: dict[int, dict[str, int]] = {}
        for mark in self.marks.of(self.segment) if self.stack else ():
            for index in self._slices_of(mark) if mark.kind != "prior" else ():
                of_slice = counts.setdefault(index, {})
                of_slice[mark.kind] = of_slice.get(mark.kind, 0) + 1
        return [(index, ", ".join(f"{count} x {kind}" for kind, count in counts[index].items())) for index in sorted(counts)]

    def visible_marks(self) -> list[Mark]:
        """The selected segment's marks that belong to what is shown; on a slice through time, those of the time that is shown."""
        marks = self.marks.of(self.segment)
        times = self.workbench.canvas.times if self.workbench.canvas else None
        return [mark for mark in marks if times is None or mark.item == times.item]

    def reach_mm(self) -> float:
        """How far from a view's plane a mark still belongs to it."""
        return 0.5 * self.stack.slice_spacing_mm if self.stack else 0.5

    # ------------------------------------------------------------------ marks

    def add(self, mark: Mark, view: ViewGeometry) -> Mark:
        """Place a mark that was drawn in `view`, and preview its slice; the mark as it was placed.

        Raises:
            InputError: it cannot be used; nothing is changed.
        """
        mark = self._dated(mark)
        stack = self.workbench.open(view, mark)
        prompt_set((*self.marks.all, mark), stack)
        slices, shown = slices_of(mark, stack), self._shown_index(view)
        index = shown if shown in slices else slices[0]
        self._set_marks((*self.marks.all, *self._prior(mark, index), mark))
        self.workbench.ask_preview(mark.segment, index)
        return mark

    def exchange(self, old: Mark, new: Mark, view: ViewGeometry) -> None:
        """Have a mark that was moved in `view` where it is now.

        Raises:
            InputError: it cannot be used there; it stays where it was.
        """
        stack = self.workbench.open(view, new)
        changed = tuple(new if mark is old else mark for mark in self.marks.all)
        prompt_set(changed, stack)
        self._set_marks(changed)
        self.workbench.refresh(old.segment, {*slices_of(old, stack), *slices_of(new, stack)}, self._shown_index(view))

    def remove(self, *marks: Mark) -> None:
        """Remove marks, and what was found by them alone on their slices."""
        self._set_marks(mark for mark in self.marks.all if not any(mark is each for each in marks))
        self._refresh_all(marks)

    def remove_keyframe(self, index: int) -> None:
        """Remove all marks of the selected segment on a slice."""
        if self.stack:
            self.remove(*(mark for mark in self.marks.of(self.segment) if index in self._slices_of(mark)))

    def clear(self) -> None:
        """Remove all marks of the selected segment, and its preview."""
        segment = self.segment
        self._set_marks(mark for mark in self.marks.all if mark.segment != segment)
        self.workbench.forget(segment)
        self._applier.forget(segment)

    def undo(self, again: bool = False) -> None:
        """Take back the last change of marks, or make it `again`.

        Raises:
            InputError: there is none.
        """
        before = self.marks.all
        if not (self.marks.redo() if again else self.marks.undo()):
            raise InputError(_("There is no change of prompts to redo.") if again else _("There is no change of prompts to undo."))
        self.editing.save_marks()
        kept = {id(mark) for mark in before} & {id(mark) for mark in self.marks.all}
        if self.marks.all:
            self.workbench.open()
        self._refresh_all(mark for mark in (*before, *self.marks.all) if id(mark) not in kept)

    def use_slice(self, view: ViewGeometry) -> None:
        """Take the selected segment on the slice that `view` shows, as it is painted there, as its keyframe.

        Raises:
            InputError: nothing is painted there.
        """
        segment = self.editing.marked_segment()
        stack = self.workbench.open(view)
        canvas, index = self.workbench.canvas, self._shown_index(view)
        stack.check_slice(index)
        mask = canvas.frame_of(mask_of(self.editing.effect.selectedSegmentLabelmap(), canvas.image), index)
        if not mask.any():
            raise InputError(_("The selected segment is empty on this slice. Paint it here first, or go to a slice where it is painted."))
        self._paint(segment, index, mask)

    def propose(self, view: ViewGeometry) -> None:
        """Have the chosen network find the selected segment on the slice that `view` shows; that becomes its keyframe there.

        Raises:
            InputError: no network is chosen for that.
        """
        segment = self.editing.marked_segment()
        if not self.settings.proposer:
            raise InputError(_("Choose a network under 'Proposals by' first."))
        self.workbench.open(view)
        index = self._shown_index(view)
        self.stack.check_slice(index)
        self.workbench.propose(index, lambda mask: self._paint(segment, index, mask))
        self.editing.tell(_("Looking at this slice..."), False)

    def use_line(self, node: slicer.vtkMRMLMarkupsLineNode | None) -> None:
        """Take a line that was measured with Markups as the selected segment's diameter.

        Raises:
            InputError: there is no such line, or it does not lie in one slice.
        """
        segment = self.editing.marked_segment()
        if node is None or node.GetNumberOfControlPoints() < 2:
            raise InputError(_("Choose a line with two ends."))
        ends = np.zeros((2, 3))
        for number in range(2):
            node.GetNthControlPointPositionWorld(number, ends[number])
        mark = self._dated(Mark(segment, "line", world_to_local(ends, self.editing.segmentation_node)))
        stack = self.workbench.open(mark=mark)
        prompt_set((*self.marks.all, mark), stack)
        self._set_marks((*self.marks.all, mark))
        self.workbench.ask_preview(segment, slices_of(mark, stack)[0])

    # ------------------------------------------------------------------ going to slices

    def jump(self, index: int) -> None:
        """Have all slice views show the selected segment's middle on a slice."""
        stack, canvas = self.stack, self.workbench.canvas
        if stack is None:
            return
        if canvas.times:
            canvas.times.item = index
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
            raise InputError(_("There are no slices to check yet. Propagate first."))
        at = slices.index(self._jumped) + step if self._jumped in slices else 0 if step > 0 else -1
        self.jump(slices[at % len(slices)])

    # ------------------------------------------------------------------ propagate, apply

    def propagate(self) -> None:
        """Carry the marks on to the slices that the settings name.

        Raises:
            InputError: nothing is marked, or the range holds no keyframe.
        """
        chosen, wanted = self.settings, self.editing.marked_segment()
        stack = self.workbench.open()
        prompts = self.workbench.prompts
        every = [each.name for each in prompts.segments if self.editing.has_segment(each.name)]
        segments = every if chosen.all_segments else [wanted]
        marked = [keyframe.slice for each in prompts.segments if each.name in segments for keyframe in each.keyframes]
        if not marked:
            raise InputError(_("Mark the segment on a slice first: with a point inside it or a box around it."))
        self.workbench.propagate(segments, slice_range(chosen, marked, len(stack), self._roi_slices))
        self.editing.tell(_("Propagating..."), False)

    def stop(self, keep: bool) -> None:
        """Stop a run; what it has found stays if `keep`, else everything is as before."""
        self.workbench.stop(keep)

    def apply(self) -> None:
        """Make the preview part of the segments: one step of the editor's undo.

        Raises:
            InputError: there is no preview, or it was found in something else than what is there now.
        """
        self._applier.apply()

    # ------------------------------------------------------------------ coming and going

    def enter(self) -> None:
        """Take up the marks that are there, as when the effect is activated or a scene was loaded, and have the network ready."""
        self.workbench.warm_up()
        self.show(True)
        if self.marks.all and self.workbench.is_stale() and not self.editing.empty_state():
            self.workbench.open()

    def leave(self) -> None:
        """Stop everything and take the preview out of the scene; marks stay."""
        self.workbench.close()

    def check(self) -> None:
        """Drop what was found in a source or for segments that are not there any more."""
        if not self.workbench.close_if_stale():
            self.workbench.drop_removed_segments()

    def show(self, visible: bool) -> None:
        if self.workbench.preview:
            self.workbench.preview.show(visible)

    # ------------------------------------------------------------------ inside

    def _paint(self, segment: str, index: int, mask: np.ndarray) -> None:
        """Have a mask be the segment's keyframe on a slice, and preview it."""
        if not self.editing.has_segment(segment):
            return  # removed meanwhile
        stack = self.stack
        kept = [mark for mark in self.marks.all if mark.segment != segment or mark.kind not in MASKS or slices_of(mark, stack) != [index]]
        self._set_marks((*kept, mask_mark(segment, stack, index, mask)))
        self.workbench.ask_preview(segment, index)

    def _set_marks(self, marks: Iterable[Mark]) -> None:
        self.marks.replace_all(marks, self.marks.plane)
        self.editing.save_marks()

    def _dated(self, mark: Mark) -> Mark:
        """A mark with the item of the sequence that is shown, if the volume is of one."""
        browser = browser_of(self.editing.volume_node)
        return replace(mark, item=browser.GetSelectedItemNumber()) if browser else mark

    def _shown_index(self, view: ViewGeometry) -> int:
        """The frame of the stack that a view shows; may lie outside the stack."""
        times = self.workbench.canvas.times
        return times.item if times else view.slice_of(self.stack)

    def _prior(self, mark: Mark, index: int) -> list[Mark]:
        """What was found on a slice, as a mark, if `mark` is the first one there and so corrects it."""
        found = self.workbench.found(mark.segment, index)
        whole = mark.kind in ("box", "lasso", "line") and mark.positive  # these say where the segment is, whatever was found
        if found is None or whole or slices_of(mark, self.stack) != [index]:
            return []
        return [mask_mark(mark.segment, self.stack, index, found, "prior")]

    def _slices_of(self, mark: Mark) -> list[int]:
        """The slices in use that a mark lies on; none for one that was drawn in another plane, before an undo or in another editor."""
        try:
            return slices_of(mark, self.stack)
        except InputError:
            return []

    def _refresh_all(self, marks: Iterable[Mark]) -> None:
        """Preview the slices of marks that came or went."""
        if not self.stack:
            return
        changed: dict[str, set[int]] = {}
        for mark in marks:
            changed.setdefault(mark.segment, set()).update(self._slices_of(mark))
        for segment, slices in changed.items():
            self.workbench.refresh(segment, slices)

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
    """The first and last slice of a run from keyframes on the slices `marked`, of `count` slices; `roi` answers where it is asked for.

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
