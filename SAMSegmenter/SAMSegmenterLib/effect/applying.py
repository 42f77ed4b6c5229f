"""Making the preview part of the segments."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..mrml import mask_like
from .editing import Editing
from .workbench import Workbench
from .writing import Written, write_segment

WARNING = "\N{WARNING SIGN}"


class Applier:
    """Writes previews, and remembers what of each segment came from them."""

    def __init__(self, editing: Editing, workbench: Workbench) -> None:
        self._editing, self._workbench = editing, workbench
        self._contributed: dict[tuple[str, str], np.ndarray] = {}

    def apply(self) -> None:
        """Write the preview: one step of the editor's undo.

        What an earlier call had added and the preview no longer holds is taken out again; whatever else a segment has stays.
        """
        if self._workbench.canvas.times:
            self._apply_through_time()
        else:
            self._apply_here()

    def forget(self, segment: str) -> None:
        """From now on, what was written into a segment is the user's own."""
        self._contributed = {key: voxels for key, voxels in self._contributed.items() if key[1] != segment}

    def _apply_here(self) -> None:
        effect, preview = self._editing.effect, self._workbench.preview
        effect.saveStateForUndo()
        told = []
        for segment in self._segments():
            key = self._editing.segmentation_node.GetID(), segment
            mask = mask_like(preview.mask(segment), self._workbench.stack.volume.ijk_to_ras, effect.defaultModifierLabelmap())
            written = write_segment(effect, segment, mask, self._contributed.get(key))
            self._contributed[key] = written.contributed
            told.append(self._report(segment, written))
        preview.show(False)
        self._editing.tell("\n".join(told), any(WARNING in line for line in told))

    def _apply_through_time(self) -> None:
        """Write every time's mask into the segmentation of that time, which the sequence then keeps."""
        effect, preview, canvas = self._editing.effect, self._workbench.preview, self._workbench.canvas
        segments = self._segments()
        items = sorted({index for segment in segments for index in preview.slices(segment)})
        question = _("The masks of {count} time points will be written. This cannot be undone. Go on?").format(count=len(items))
        if not slicer.util.confirmOkCancelDisplay(question):
            return
        canvas.times.keep(self._editing.segmentation_node)
        rejected = 0
        for item in canvas.times.visit(items):
            for segment in segments:
                mask = np.zeros(effect.defaultModifierLabelmap().GetDimensions()[::-1], bool)
                found = preview.slice(segment, item)
                canvas.frame_of(mask, item)[:] = False if found is None else found
                rejected += write_segment(effect, segment, mask, None).rejected
            canvas.times.save(self._editing.segmentation_node)
        preview.show(False)
        text = _("{count} time points written.").format(count=len(items))
        self._editing.tell(text + _rejection(rejected), rejected > 0)

    def _segments(self) -> list[str]:
        """What is shown of segments that still exist."""
        return [segment for segment in self._workbench.preview.segments if self._editing.has_segment(segment)]

    def _report(self, segment: str, written: Written) -> str:
        name = self._editing.segmentation_node.GetSegmentation().GetSegment(segment).GetName()
        text = _("{name}: {added} voxels added, {removed} removed.").format(name=name, added=written.added, removed=written.removed)
        return text + _rejection(written.rejected)


def _rejection(count: int) -> str:
    if not count:
        return ""
    text = _(
        "{count} voxels were not written: they lie outside the editable area or intensity range, or in a segment that may not be "
        "overwritten (see Masking)."
    )
    return f" {WARNING} " + text.format(count=count)
