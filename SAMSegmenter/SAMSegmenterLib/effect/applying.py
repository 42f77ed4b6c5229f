"""Making the preview part of the segments."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml import mask_like
from .editing import Editing
from .workbench import Workbench
from .writing import Contribution, Written, write_segment

WARNING = "\N{WARNING SIGN}"


class Applier:
    """Writes previews, and remembers what of each segment came from them."""

    def __init__(self, editing: Editing, workbench: Workbench) -> None:
        self._editing, self._workbench = editing, workbench
        self._contributed: dict[tuple[slicer.vtkMRMLSegmentationNode, str], Contribution] = {}

    def apply(self) -> None:
        """Write what the preview shows: one step of the editor's undo. It is settled then, and not written again unasked.

        What an earlier call had added and the preview no longer holds is taken out again; whatever else a segment has stays.

        Raises:
            InputError: nothing is shown, or it was found in something else than what is there now.
        """
        pending = [each for each in self._workbench.pending if self._editing.has_segment(each)]
        if not pending:
            raise InputError(_("There is no preview to apply. Mark a segment, then propagate."))
        if self._workbench.is_stale():
            raise InputError(_("The volume or the segmentation has changed or moved since this preview was found. Propagate again."))
        if self._editing.segment in pending and not self._editing.effect.confirmCurrentSegmentVisible():
            return
        spared = [each for each in pending if self._is_spared(each)]
        told = self._write([each for each in pending if each not in spared])
        told += [_("{name} is hidden, and was left as it is.").format(name=self._name(each)) for each in spared]
        self._editing.tell("\n".join(told), any(WARNING in line for line in told))

    def forget(self, segment: str) -> None:
        """From now on, what was written into a segment is the user's own."""
        self._contributed = {key: earlier for key, earlier in self._contributed.items() if key[1] != segment}

    def _write(self, segments: list[str]) -> list[str]:
        """Write these segments; what became of them, in words."""
        if not segments:
            return []
        return self._write_through_time(segments) if self._workbench.canvas.times else self._write_here(segments)

    def _write_here(self, segments: list[str]) -> list[str]:
        effect, preview = self._editing.effect, self._workbench.preview
        self._contributed = {key: earlier for key, earlier in self._contributed.items() if slicer.mrmlScene.IsNodePresent(key[0])}
        effect.saveStateForUndo()
        told = []
        for segment in segments:
            key = self._editing.segmentation_node, segment
            mask = mask_like(preview.mask(segment), self._workbench.stack.volume.ijk_to_ras, effect.defaultModifierLabelmap())
            written = write_segment(effect, segment, mask, self._contributed.get(key))
            self._contributed[key] = written.contributed
            preview.settle(segment)
            told.append(self._report(segment, written))
        return told

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
                mask = np.zeros(effect.defaultModifierLabelmap().GetDimensions()[::-1], bool)
                found = preview.slice(segment, item)
                canvas.frame_of(mask, item)[:] = False if found is None else found
                rejected += write_segment(effect, segment, mask, None).rejected
            canvas.times.save(self._editing.segmentation_node)
        for segment in segments:
            preview.settle(segment)
        return [_("{count} time points written.").format(count=len(items)) + _rejection(rejected)]

    def _is_spared(self, segment: str) -> bool:
        """Whether a segment is hidden, and not the selected one, which the user is asked about."""
        is_visible = self._editing.segmentation_node.GetDisplayNode().GetSegmentVisibility(segment)
        return not is_visible and segment != self._editing.segment

    def _report(self, segment: str, written: Written) -> str:
        text = _("{name}: {added} voxels added, {removed} removed.")
        text = text.format(name=self._name(segment), added=written.added, removed=written.removed)
        return text + _rejection(written.rejected)

    def _name(self, segment: str) -> str:
        return self._editing.segmentation_node.GetSegmentation().GetSegment(segment).GetName()


def _rejection(count: int) -> str:
    if not count:
        return ""
    text = _(
        "{count} voxels were not written: they lie outside the editable area or intensity range, or in a segment that may not be "
        "overwritten (see Masking)."
    )
    return f" {WARNING} " + text.format(count=count)
