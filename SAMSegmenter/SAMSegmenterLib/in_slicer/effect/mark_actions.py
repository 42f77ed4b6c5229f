"""Changes the marks of the segmentation that is being edited, tells which slices they lie on, and requests previews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...image.stack import FrameStack
from ...prompts.from_marks import AcrossSlices, contradicted_by, mask_mark, prompt_set, slices_of
from ...prompts.marks import MASKS, Mark, Marks
from ...prompts.types import contradiction
from ..mrml import ViewGeometry, mask_of, world_to_local
from .editor_state import Editing
from .frames_in_use import OtherPlane
from .sequence import browser_of
from .workbench import Workbench


@dataclass(frozen=True, eq=False)
class Conflict:
    """A mark that contradicts `older` ones on slice `index`, and is kept only if these are put away.

    `replaced` is the same mark before it was moved; None for a new one.
    """

    older: tuple[Mark, ...]
    newer: Mark
    index: int
    replaced: Mark | None = None


class Prompting:
    """All that the user does with marks.

    Args:
        editing: holds them.
        workbench: previews their masks.

    Attributes:
        conflict: what the user is asked to decide; None if nothing.
    """

    def __init__(self, editing: Editing, workbench: Workbench) -> None:
        self.editing, self._workbench = editing, workbench
        self.conflict: Conflict | None = None

    @property
    def marks(self) -> Marks:
        """Return the marks of the segmentation that is being edited."""
        return self.editing.marks

    @property
    def _stack(self) -> FrameStack | None:
        return self._workbench.in_use.stack

    # ------------------------------------------------------------------ where marks lie

    def keyframes(self) -> list[tuple[int, str]]:
        """Return the slices on which the selected segment is marked, and how, in words."""
        kinds: dict[int, Counter[str]] = {}
        for mark in self.marks.of(self.editing.segment):
            for index in self._slices_of(mark) if mark.kind != "prior" else ():
                kinds.setdefault(index, Counter())[mark.kind] += 1
        return [(index, ", ".join(f"{count} x {kind}" for kind, count in kinds[index].items())) for index in sorted(kinds)]

    def marks_on(self, index: int) -> list[Mark]:
        """Return the selected segment's marks on a slice."""
        return [mark for mark in self.marks.of(self.editing.segment) if index in self._slices_of(mark)]

    def visible_marks(self) -> list[Mark]:
        """Return the selected segment's marks that belong to what is shown.

        On a slice through time these are the marks of the time that is shown.
        """
        marks = self.marks.of(self.editing.segment)
        times = self._workbench.in_use.frames.times if self._workbench.in_use.frames else None
        return [mark for mark in marks if times is None or mark.item == times.item]

    def shows_slices(self, view: ViewGeometry) -> bool:
        """Return whether a view shows the slices that the selected segment's marks lie on; True as long as there are none."""
        stack = self._stack if self.marks.of(self.editing.segment) else None
        return stack is None or view.parallel_axis(stack.volume.ijk_to_ras) == stack.axis

    def reach_mm(self) -> float:
        """Return how far, in mm, a mark may lie from a view's plane and still belongs to it."""
        return 0.5 * self._stack.slice_spacing_mm if self._stack else 0.5

    # ------------------------------------------------------------------ by hand

    @property
    def is_running(self) -> bool:
        """Return whether a run is going on."""
        return self._workbench.busy == "propagate"

    def drop_question(self) -> None:
        """Withdraw a question that the user has answered by going on."""
        self.conflict = None
        if self.editing.messages.shown.answer:
            self.editing.messages.clear()

    def require_idle(self) -> None:
        """Refuse to change prompts during a run: what it finds has to belong to the prompts that are shown.

        Raises:
            InputError: a run is going on.
        """
        if self.is_running:
            raise InputError(_("A run is going on. Stop it first, or wait for its end."))

    def add(self, mark: Mark, view: ViewGeometry | None = None) -> Mark | None:
        """Place a mark, drawn in `view` if in any, and preview its slice; return the mark as it was placed.

        Return None if this waits for the user's answer: whether to put away marks that it contradicts, or that lie in another plane.

        Raises:
            InputError: it cannot be used; nothing is changed.
        """
        mark = self._dated(mark)
        try:
            stack = self._workbench.open(view, mark)
            mark = replace(mark, plane=self._workbench.in_use.frames.plane)
            prompt_set((mark,), stack)
        except (OtherPlane, AcrossSlices) as error:
            self._offer_another_plane(mark, view, error)
            return None
        if self._is_contradicted(mark, self.marks.of(mark.segment)):
            return None
        slices, shown = slices_of(mark, stack), self._shown_index(view) if view else None
        index = shown if shown in slices else slices[0]
        self._set_marks((*self._corrected(mark, index), mark))
        self._workbench.ask_preview(mark.segment, index)
        return mark

    def exchange(self, old: Mark, new: Mark, view: ViewGeometry) -> None:
        """Replace a mark by the one that it became when it was moved in `view`.

        Raises:
            InputError: it cannot be used there; it stays where it was.
        """
        stack = self._workbench.open(view, new)
        changed = tuple(new if mark is old else mark for mark in self.marks.all)
        prompt_set((new,), stack)
        if self._is_contradicted(new, [mark for mark in self.marks.of(old.segment) if mark is not old], old):
            return
        self._set_marks(self._without_idle_priors(changed))
        self._workbench.refresh(old.segment, {*self._slices_of(old), *slices_of(new, stack)}, self._shown_index(view))

    def check(self, segments: Iterable[str]) -> bool:
        """Return whether no mark contradicts an earlier one, as those of a file may; else show the first that does."""
        wanted = set(segments)
        keyframes = [each for segment in self._workbench.in_use.prompts.segments if segment.name in wanted for each in segment.keyframes]
        if not any(map(contradiction, keyframes)):
            return True
        for segment in wanted:
            marks = self.marks_in_use(segment)
            if any(self._is_contradicted(mark, marks[:number]) for number, mark in enumerate(marks)):
                return False
        return True

    def marks_in_use(self, segment: str) -> list[Mark]:
        """Return a segment's marks on the slices in use."""
        frames = self._workbench.in_use.frames
        return [mark for mark in self.marks.of(segment) if frames and mark.plane == frames.plane]

    def put_away(self, segment: str) -> None:
        """Remove a segment's marks, and what is shown of it, so that it can be marked in another plane."""
        self._set_marks(mark for mark in self.marks.all if mark.segment != segment)
        self._workbench.forget(segment)

    def remove(self, *marks: Mark) -> None:
        """Remove marks, and what was found by them alone on their slices."""
        if not marks:
            return
        if not self._stack:
            self._workbench.open()
        left = [mark for mark in self.marks.all if not any(mark is each for each in marks)]
        self._set_marks(self._without_idle_priors(left))
        self._refresh_all(marks)

    def remove_keyframe(self, index: int) -> None:
        """Remove all marks of the selected segment on a slice."""
        self.remove(*self.marks_on(index))

    def clear(self) -> None:
        """Remove all marks of the selected segment, and of removed segments, whose marks are not shown."""
        others = (mark for mark in self.marks.all if mark.segment != self.editing.segment)
        self._set_marks(mark for mark in others if self.editing.has_segment(mark.segment))

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
        if self.marks.of(self.editing.segment):
            self._workbench.open()
        self._refresh_all(mark for mark in (*before, *self.marks.all) if id(mark) not in kept)

    def use_slice(self, view: ViewGeometry) -> None:
        """Take the selected segment on the slice that `view` shows, as it is painted there, as its keyframe.

        Raises:
            InputError: nothing is painted there, or it is none of the slices in use.
        """
        segment = self.editing.marked_segment()
        index, frames = self._open_slice(view), self._workbench.in_use.frames
        mask = frames.frame_of(mask_of(self.editing.effect.selectedSegmentLabelmap(), frames.image), index)
        if not mask.any():
            text = _("The selected segment is empty on this {unit}. Paint it here first, or go to one where it is painted.")
            raise InputError(text.format(unit=self._workbench.in_use.unit))
        self._paint(segment, index, mask)

    def propose(self, view: ViewGeometry) -> None:
        """Request what the chosen model finds on the slice that `view` shows; it becomes the selected segment's keyframe.

        Raises:
            InputError: no model is chosen for that, or it is none of the slices in use.
        """
        segment = self.editing.marked_segment()
        if not self.editing.settings.proposer:
            raise InputError(_("Choose a model under 'Proposals by' first."))
        index = self._open_slice(view)
        self._workbench.propose(index, lambda mask: self._paint(segment, index, mask))
        self.editing.tell(_("Looking at this {unit}...").format(unit=self._workbench.in_use.unit), is_passing=True)

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
        self.add(Mark(segment, "line", world_to_local(ends, self.editing.segmentation_node)))

    # ------------------------------------------------------------------ inside

    def _offer_another_plane(self, mark: Mark, view: ViewGeometry | None, error: InputError) -> None:
        """Ask whether to put away the segment's marks in the old plane for one in another.

        Raises:
            InputError: there are none, so that this is not the reason.
        """
        if not self.marks.of(mark.segment):
            raise error

        def begin_anew() -> None:
            self.put_away(mark.segment)
            self.add(mark, view)

        text = _("The prompts of {name} lie in other slices. Put them away, and begin with this {kind}?")
        text = text.format(name=self.editing.title(mark.segment), kind=mark.kind)
        self.editing.tell(text, True, details=str(error), answer=_("Put the old prompts away"), then=begin_anew)

    def _is_contradicted(self, mark: Mark, earlier: Iterable[Mark], replaced: Mark | None = None) -> bool:
        """Return whether a mark contradicts `earlier` ones; if so, show these, and ask the user whether to put them away."""
        older, index = contradicted_by(mark, earlier, self._stack)
        if not older:
            return False
        self.conflict = Conflict(tuple(older), mark, index, replaced)
        what = ", ".join(dict.fromkeys(each.kind for each in older))
        text = _("{name}, {unit} {index}: this {kind} contradicts the {what} that is highlighted. Only one of them can hold.")
        text = text.format(name=self.editing.title(mark.segment), unit=self._workbench.in_use.unit, index=index, kind=mark.kind, what=what)
        self.editing.tell(text, True, answer=_("Put the highlighted one away"), then=self._keep_the_newer)
        return True

    def _keep_the_newer(self) -> None:
        conflict, self.conflict = self.conflict, None
        gone = [*conflict.older, conflict.replaced, conflict.newer]
        left = [mark for mark in self.marks.all if not any(mark is each for each in gone)]
        self._set_marks(self._without_idle_priors([*left, conflict.newer]))
        self._refresh_all([*filter(None, gone)])

    def _paint(self, segment: str, index: int, mask: np.ndarray) -> None:
        """Make a mask the segment's keyframe on a slice, and preview it."""
        if not self.editing.has_segment(segment):
            return  # removed meanwhile
        kept = [mark for mark in self.marks.all if mark.segment != segment or mark.kind not in MASKS or self._slices_of(mark) != [index]]
        self._set_marks((*kept, self._made(segment, index, mask)))
        self._workbench.ask_preview(segment, index)

    def _made(self, segment: str, index: int, mask: np.ndarray, kind: str = "mask") -> Mark:
        """Return a mask of a slice as a mark, see `mask_mark`."""
        return replace(mask_mark(segment, self._stack, index, mask, kind), plane=self._workbench.in_use.frames.plane)

    def _set_marks(self, marks: Iterable[Mark]) -> None:
        self.conflict = None
        self.marks.replace_all(marks)
        self.editing.save_marks()

    def _dated(self, mark: Mark) -> Mark:
        """Return a mark with the item of the sequence that is shown, if the volume belongs to one."""
        browser = browser_of(self.editing.volume_node)
        return replace(mark, item=browser.GetSelectedItemNumber()) if browser else mark

    def _shown_index(self, view: ViewGeometry) -> int:
        """Return the index of the stack's frame that a view shows; it may lie outside the stack."""
        times = self._workbench.in_use.frames.times
        return times.item if times else view.slice_of(self._stack)

    def _open_slice(self, view: ViewGeometry) -> int:
        """Return the index of the slice in use that a view shows.

        Raises:
            InputError: it shows others, or none.
        """
        stack = self._workbench.open(view)
        if not self.shows_slices(view):
            raise OtherPlane(_("No view shows the slices that the prompts lie on. Show them in one, or put the prompts away."))
        index = self._shown_index(view)
        stack.check_slice(index)
        return index

    def _corrected(self, mark: Mark, index: int) -> list[Mark]:
        """Return all marks beside a new one. If it corrects a mask found or painted on its slice, that becomes a prior."""
        if slices_of(mark, self._stack) != [index]:
            return list(self.marks.all)
        painted = [each for each in self.marks.of(mark.segment) if each.kind == "mask" and self._slices_of(each) == [index]]
        others = [each for each in self.marks.all if each not in painted]
        if mark.kind in ("box", "lasso", "line") and mark.positive:  # these say where the segment is, whatever was there
            return others
        if painted:
            return [*others, replace(painted[-1], kind="prior")]
        found = self._workbench.found(mark.segment, index)
        return others if found is None else [*others, self._made(mark.segment, index, found, "prior")]

    def _without_idle_priors(self, marks: Iterable[Mark]) -> list[Mark]:
        """Return marks without the priors on slices where nothing corrects them any more: a prior is no prompt by itself."""
        marks = list(marks)
        marked = {(mark.segment, index) for mark in marks if mark.kind != "prior" for index in self._slices_of(mark)}
        return [mark for mark in marks if mark.kind != "prior" or marked & {(mark.segment, index) for index in self._slices_of(mark)}]

    def _slices_of(self, mark: Mark) -> list[int]:
        return self._workbench.in_use.slices_of(mark)

    def _refresh_all(self, marks: Iterable[Mark]) -> None:
        """Preview the slices of marks that were added or removed."""
        if not self._stack:
            return
        changed: dict[str, set[int]] = {}
        for mark in marks:
            changed.setdefault(mark.segment, set()).update(self._slices_of(mark))
        for segment, slices in changed.items():
            self._workbench.refresh(segment, slices)
