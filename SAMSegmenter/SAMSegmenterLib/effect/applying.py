"""Making the preview part of the segments: one segment at a time between two turns of the event loop, in one step of undo."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from .editing import Editing
from .messages import Message
from .workbench import Workbench
from .writing import Patch, Written, grid_of, segment_in_box, write_segment

WARNING = "\N{WARNING SIGN}"
Key = tuple[slicer.vtkMRMLSegmentationNode, str]  # a segmentation, and a segment's ID


@dataclass
class Applied:
    """Remember what the last write has made of a segment, so that the editor's undo and redo of it are noticed.

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
        self._contributed: dict[Key, Patch | None] = {}
        self._applied: dict[Key, Applied] = {}
        self._queue: deque[str] = deque()
        self._told: list[str] = []
        self._report_shown: Message | None = None

    @property
    def is_writing(self) -> bool:
        """Return whether segments are still to be written."""
        return bool(self._queue)

    def apply(self) -> None:
        """Begin to write what the preview shows: one step of the editor's undo; `step` writes the segments, one at a time.

        What is written is settled, and not written again unasked; so is what the user has undone, unless its segment is selected.
        What an earlier call had added and the preview no longer holds is taken out again; whatever else a segment has stays.

        Raises:
            InputError: nothing is shown, or it was found in something else than what is there now.
        """
        pending = self.pending()
        if not pending:
            raise InputError(_("There is no preview to apply. Mark a segment, then propagate."))
        if self._workbench.is_stale():
            raise InputError(_("The volume or the segmentation has changed or moved since this preview was found. Propagate again."))
        if self._editing.segment in pending and not self._editing.effect.confirmCurrentSegmentVisible():
            return
        spared = [each for each in pending if self._is_spared(each)]
        self._told = [_("{name} is hidden, and was left as it is.").format(name=self._editing.title(each)) for each in spared]
        segments = [each for each in pending if each not in spared]
        if self._workbench.canvas.times:
            self._told[:0] = self._write_through_time(segments) if segments else []
        elif segments:
            self._forget_gone()
            self._editing.effect.saveStateForUndo()
            self._queue.extend(segments)
        if not self._queue:
            self._tell()

    def pending(self) -> list[str]:
        """Return the IDs of the segments that `apply` would write now."""
        offered = self._workbench.preview.offered if self._workbench.preview else ()
        pending = [each for each in self._workbench.pending if self._editing.has_segment(each)]
        return [each for each in pending if each not in offered or each == self._editing.segment]

    def step(self) -> bool:
        """Write the next segment; whether there was one."""
        if not self._queue:
            return False
        segment = self._queue.popleft()
        if self._editing.has_segment(segment):
            self._told.append(self._write(segment))
        if not self._queue:
            self._tell()
        return True

    def finish(self) -> None:
        """Write what is left at once, and notice an undo: whatever comes next waits for that."""
        while self.step():
            pass
        self.follow()

    def leave(self) -> None:
        """Forget what is left, as when the scene is closed."""
        self._queue.clear()
        self._applied.clear()

    def forget(self, segment: str) -> None:
        """From now on, what was written into a segment is the user's own."""
        for known in (self._contributed, self._applied):
            for key in [key for key in known if key[1] == segment]:
                del known[key]

    def follow(self) -> bool:
        """Notice the editor's undo and redo of what was written: undone, it can be applied again. Whether there was one."""
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

    def _write(self, segment: str) -> str:
        """Write one segment; what became of it, in words."""
        effect, preview, node = self._editing.effect, self._workbench.preview, self._editing.segmentation_node
        mask = preview.patch(segment).on(self._workbench.stack.volume.ijk_to_ras, grid_of(effect))
        earlier = self._contributed.get((node, segment))
        written = write_segment(effect, segment, mask, earlier)
        self._contributed[node, segment] = written.contributed
        self._applied[node, segment] = Applied(written, earlier, _changed(node, segment))
        preview.settle(segment)
        return self._report(segment, written)

    def _write_through_time(self, segments: list[str]) -> list[str]:
        """Write every time's mask into the segmentation of that time, which the sequence then keeps."""
        effect, preview, canvas = self._editing.effect, self._workbench.preview, self._workbench.canvas
        items = sorted({index for segment in segments for index in preview.slices(segment)})
        question = _("The masks of {count} time points will be written. This cannot be undone. Go on?").format(count=len(items))
        if not slicer.util.confirmOkCancelDisplay(question):
            return []
        canvas.times.keep(self._editing.segmentation_node)
        rejected = 0
        for item in canvas.times.visit(items):
            for segment in segments:
                mask = np.zeros(grid_of(effect).GetDimensions()[::-1], bool)
                found = preview.slice(segment, item)
                canvas.frame_of(mask, item)[:] = False if found is None else found
                rejected += write_segment(effect, segment, Patch.of(mask), None).rejected
            canvas.times.save(self._editing.segmentation_node)
        for segment in segments:
            preview.settle(segment)
        return [_("{count} time points written.").format(count=len(items)) + _rejection(rejected)]

    def _is_spared(self, segment: str) -> bool:
        """Whether a segment is hidden, and not the selected one, which the user is asked about."""
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
    """Return another number when a segment's voxels are other ones."""
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
