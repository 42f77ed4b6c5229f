"""The images that an effect reads and the one way to write a segment, all by the logic of Slicer itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dialogs import user
from .faults import complain


class EffectImages:
    """The part of an effect that works on voxels; needs `_editor` and `parameterSetNode()`."""

    def modifierLabelmap(self):
        return self._logic().GetModifierLabelmap()

    def defaultModifierLabelmap(self):
        return self._after("ResetModifierLabelmapToDefault", "GetModifierLabelmap")

    def selectedSegmentLabelmap(self):
        return self._after("UpdateSelectedSegmentLabelmap", "GetSelectedSegmentLabelmap")

    def maskLabelmap(self):
        return self._after("UpdateMaskLabelmap", "GetMaskLabelmap")

    def referenceGeometryImage(self):
        return self._after("UpdateReferenceGeometryImage", "GetReferenceGeometryImage")

    def sourceVolumeImageData(self):
        return self._after("UpdateAlignedSourceVolume", "GetAlignedSourceVolume")

    def modifySelectedSegmentByLabelmap(self, labelmap: Any, mode: int, *options: Any) -> None:
        """Options as for `modifySegmentByLabelmap`."""
        node = self.parameterSetNode()
        segment = node.GetSelectedSegmentID() if node else None
        if not segment:
            complain("modifySelectedSegmentByLabelmap: no segment is selected.")
            return
        self.modifySegmentByLabelmap(node.GetSegmentationNode(), segment, labelmap, mode, *options)

    def modifySegmentByLabelmap(self, segmentation: Any, segment: str, labelmap: Any, mode: int, *options: Any) -> None:
        """Options: six bounds in voxels of the labelmap, and whether to ignore the editable area."""
        extent = options[:1] if options and not isinstance(options[0], bool) else ()
        bypass = options[len(extent) :] or (False,)
        if len(bypass) != 1 or type(bypass[0]) is not bool or (extent and not _is_extent(extent[0])):
            raise ValueError(f"no modifySegmentByLabelmap takes {options!r}; wanted: six bounds, or a bool, or both.")
        if labelmap is None or not segment:
            complain("modifySegmentByLabelmap: the segment or the labelmap is missing.")
            return
        logic = self._logic()
        modes = (logic.ModificationModeSet, logic.ModificationModeAdd, logic.ModificationModeRemove, logic.ModificationModeRemoveAll)
        logic.ModifySegmentByLabelmap(
            segmentation, segment, labelmap, modes[mode], *(tuple(each) for each in extent), self.perSegment, bypass[0]
        )

    def confirmCurrentSegmentVisible(self) -> int:
        """Ask once per hidden segment whether to go on; one of the ConfirmationResults."""
        logic = self._logic()
        segment = logic.GetCurrentSegmentID()
        if not segment or logic.IsSelectedSegmentVisible() or segment == self._confirmed:
            return self.ConfirmedWithoutDialog
        if not user.asked("question", "The current segment is hidden. Edit it nevertheless?", default=True):
            return self.NotConfirmed
        self._confirmed = segment
        return self.ConfirmedWithDialog

    def _logic(self):
        return self._editor.logic()

    def _after(self, update: str, getter: str):
        """None if the logic cannot make it, as without a volume."""
        if self._editor is None or not getattr(self._logic(), update)():
            complain(f"{update} failed.")
            return None
        return getattr(self._logic(), getter)()


def _is_extent(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 6 and all(type(each) is int for each in value)
