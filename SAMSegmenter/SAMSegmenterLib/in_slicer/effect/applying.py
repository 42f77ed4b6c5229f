"""Writes the preview into the segments: a little at a time between two turns of the event loop, as one step of undo."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from .editor_state import Editing
from .messages import Message
from .workbench import Workbench
from .writing import Patch, Written, grid_of, segment_in_box, to_end, write_segment

WARNING = "\N{WARNING SIGN}"
DONE = object()
AppliedKey = tuple[slicer.vtkMRMLSegmentationNode, str]  # a segmentation, and a segment's ID


@dataclass
class Applied:
    """The last write into a segment, kept to notice the editor's undo and redo of it.

    Attributes:
        written: what became of the mask.
        earlier: what had come from writes before.
        changed: when the segment was last seen to have changed.
        is_undone: whether it is as it was before.
    """

    written: Written
    earlier: Patch | None
    changed: int
    is_undone: bool = False


class Applier:
    """Writes previews, and remembers what of each segment came from them."""

    def __init__(self, editing: Editing, workbench: Workbench) -> None:
        self._editing, self._workbench = editing, workbench
        self._contributed: dict[AppliedKey, Patch | None] = {}
        self._applied: dict[AppliedKey, Applied] = {}
        self._writing: Generator[None, None, None] | None = None
        self._told: list[str] = []
        self._report_shown: Message | None = None

    @property
    def is_writing(self) -> bool:
        """Return whether something is still to be written."""
        return self._writing is not None

    def apply(self) -> None:
        """Begin to write what the preview shows: one step of the editor's undo; `step` does the writing, a little at a time.

        What is written is settled, and not written again unasked; so is what the user has undone, unless its segment is selected.
        What an earlier call had added and the preview no longer holds is taken out again; whatever else a segment has stays.

        Raises:
            InputError: nothing is shown, or it was found in something else than what is there now.
        """
        pending = self.pending()
        if not pending:
            raise InputError(_("There is no preview to apply. Mark a segment, then propagate."))
        if self._workbench.in_use.is_stale():
            raise InputError(_("The volume or the segmentation has changed or moved since this preview was found. Propagate again."))
        if self._editing.segment in pending and not self._editing.effect.confirmCurrentSegmentVisible():
            return
        spared = [each for each in pending if self._is_spared(each)]
        self._told = [_("{name} is hidden, and was left as it is.").format(name=self._editing.title(each)) for each in spared]
        segments = [each for each in pending if each not in spared]
        if not segments:
            self._tell()
        elif self._workbench.in_use.frames.times:
            self._begin_through_time(segments)
        else:
            self._forget_gone()
            self._editing.effect.saveStateForUndo()
            self._writing = self._write_all(segments)

    def pending(self) -> list[str]:
        """Return the IDs of the segments that `apply` would write now."""
        offered = self._workbench.preview.offered if self._workbench.preview else ()
        pending = [each for each in self._workbench.pending if self._editing.has_segment(each)]
        return [each for each in pending if each not in offered or each == self._editing.segment]

    def step(self) -> bool:
        """Write a little more; return False if there was nothing to write."""
        # Showing another time makes the editor report a change during a step.
        if self._writing is None or self._writing.gi_running:  # type: ignore[attr-defined]  # what `yield` makes has it
            return False
        if next(self._writing, DONE) is DONE:
            self._writing = None
            self._tell()
        return True

    def finish(self) -> None:
        """Write what is left at once, and notice an undo: whatever comes next waits for that."""
        while self.step():
            pass
        self.follow()

    def leave(self) -> None:
        """Forget what is left, as when the scene is closed."""
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        self._told = []
        self._applied.clear()

    def forget(self, segment: str) -> None:
        """Forget what was written into a segment: from now on it is the user's own."""
        for known in (self._contributed, self._applied):
            for key in [key for key in known if key[1] == segment]:
                del known[key]

    def follow(self) -> bool:
        """Notice the editor's undo and redo of what was written, and return whether there was one. What was undone can be applied again."""
        if self.is_writing:
            return False
        changed = False
        for (node, segment), applied in self._applied.items():
            preview = self._workbench.preview
            if node is self._editing.segmentation_node and preview and segment in preview.segments and self._editing.has_segment(segment):
                changed |= self._follow(node, segment, applied)
        return changed

    # ------------------------------------------------------------------ inside

    def _follow(self, node: slicer.vtkMRMLSegmentationNode, segment: str, applied: Applied) -> bool:
        changed, written = _changed(node, segment), applied.written
        if changed == applied.changed or written.added + written.removed == 0:
            return False
        applied.changed = changed
        grid = grid_of(self._editing.effect)
        if grid is None or tuple(grid.GetDimensions()[::-1]) != written.before.shape:
            return False
        now = segment_in_box(self._editing.effect, segment, grid, written.before.box)
        wanted = written.after if applied.is_undone else written.before
        if not np.array_equal(now, wanted.voxels):
            return False
        applied.is_undone = not applied.is_undone
        self._contributed[node, segment] = applied.earlier if applied.is_undone else written.contributed
        if applied.is_undone:
            self._workbench.preview.offer(segment)
        elif segment in self._workbench.preview.offered:
            self._workbench.preview.settle(segment)
        if self._editing.messages.shown is self._report_shown:
            self._editing.messages.clear()
        return True

    def _write_all(self, segments: list[str]) -> Generator[None, None, None]:
        """Write segments one after the other, each as long as it is there."""
        for segment in segments:
            steps = self._write(segment)
            while self._editing.has_segment(segment) and next(steps, DONE) is not DONE:
                yield

    def _write(self, segment: str) -> Generator[None, None, None]:
        """Write one segment, and note what became of it for the report."""
        effect, preview, node = self._editing.effect, self._workbench.preview, self._editing.segmentation_node
        mask = preview.patch(segment).on(self._workbench.in_use.stack.volume.ijk_to_ras, grid_of(effect))
        earlier = self._contributed.get((node, segment))
        written = yield from write_segment(effect, segment, mask, earlier)
        self._contributed[node, segment] = written.contributed
        self._applied[node, segment] = Applied(written, earlier, _changed(node, segment))
        preview.settle(segment)
        self._told.append(self._report(segment, written))
        yield

    def _begin_through_time(self, segments: list[str]) -> None:
        """Ask the user, and begin to write every time's masks."""
        items = sorted({index for segment in segments for index in self._workbench.preview.slices(segment)})
        question = _("The masks of {count} time points will be written. This cannot be undone. Go on?").format(count=len(items))
        if slicer.util.confirmOkCancelDisplay(question):
            self._writing = self._write_through_time(segments, items)
        else:
            self._tell()

    def _write_through_time(self, segments: list[str], items: list[int]) -> Generator[None, None, None]:
        """Write one time's masks after the other's into the segmentation of that time, which the sequence then keeps."""
        preview, times, node = self._workbench.preview, self._workbench.in_use.frames.times, self._editing.segmentation_node
        times.keep(node)
        count = rejected = 0
        with closing(times.visit(items)) as visited:
            for item in visited:
                there = list(filter(self._editing.has_segment, segments))
                for segment in there:
                    rejected += to_end(write_segment(self._editing.effect, segment, self._at_time(segment, item), None)).rejected
                times.save(node)
                count += bool(there)
                yield
        for segment in segments:
            preview.settle(segment)
        self._told.insert(0, _("{count} time points written.").format(count=count) + _rejection(rejected))

    def _at_time(self, segment: str, item: int) -> Patch:
        """Return what was found of a segment at a time."""
        mask = np.zeros(grid_of(self._editing.effect).GetDimensions()[::-1], bool)
        found = self._workbench.preview.slice(segment, item)
        self._workbench.in_use.frames.frame_of(mask, item)[:] = False if found is None else found
        return Patch.of(mask)

    def _is_spared(self, segment: str) -> bool:
        """Return whether a segment is left alone: it is hidden and not selected. For a selected one the user is asked."""
        is_visible = self._editing.segmentation_node.GetDisplayNode().GetSegmentVisibility(segment)
        return not is_visible and segment != self._editing.segment

    def _forget_gone(self) -> None:
        for known in (self._contributed, self._applied):
            for key in [key for key in known if not slicer.mrmlScene.IsNodePresent(key[0])]:
                del known[key]

    def _tell(self) -> None:
        if self._told:
            self._editing.tell("\n".join(self._told), any(WARNING in line for line in self._told))
            self._report_shown = self._editing.messages.shown
        self._told = []

    def _report(self, segment: str, written: Written) -> str:
        text = _("{name}: {added} voxels added, {removed} removed.")
        text = text.format(name=self._editing.title(segment), added=written.added, removed=written.removed)
        return text + _rejection(written.rejected)


def _changed(node: slicer.vtkMRMLSegmentationNode, segment: str) -> int:
    """Return a number that changes with a segment's voxels."""
    name = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    labelmap = node.GetSegmentation().GetSegment(segment).GetRepresentation(name)
    return labelmap.GetMTime() if labelmap else 0


def _rejection(count: int) -> str:
    if not count:
        return ""
    text = _(
        "{count} voxels were not written: they lie outside the editable area or intensity range, or in a segment that may not be "
        "overwritten (see Masking)."
    )
    return f" {WARNING} " + text.format(count=count)
