"""The state of the Segment Editor, and the marks that the segmentation keeps."""

from __future__ import annotations

import json
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...prompts.marks import Mark, Marks, dumps, salvaged
from . import settings
from .messages import Messages
from .sequence import copies_of

PROMPTS = "SAMSegmenter.Prompts"  # the attribute of a segmentation node that holds its marks, as JSON
UNREAD = "SAMSegmenter.Prompts.Unread"  # an attribute for marks that could not be read and were replaced


class Editing:
    """The editor as one effect sees it.

    Args:
        effect: the scripted effect.

    Attributes:
        messages: what the user is told.
    """

    def __init__(self, effect: Any) -> None:
        self.effect, self.messages = effect, Messages(self.place)
        self.tell = self.messages.tell
        self._marks, self._marked, self._saved = Marks(), None, ""
        self._unread = ""

    @property
    def settings(self) -> settings.Settings:
        """Return what the user has chosen."""
        return settings.read(self.effect)

    @property
    def volume_node(self) -> slicer.vtkMRMLVolumeNode | None:
        """Return the source volume; None if none is chosen."""
        node = self.effect.parameterSetNode()
        return node.GetSourceVolumeNode() if node else None

    @property
    def segmentation_node(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Return the segmentation that is being edited; None if none is."""
        node = self.effect.parameterSetNode()
        return node.GetSegmentationNode() if node else None

    @property
    def segment(self) -> str:
        """Return the ID of the selected segment; empty if none is selected."""
        node = self.effect.parameterSetNode()
        segment = (node.GetSelectedSegmentID() or "") if node else ""
        return segment if self.has_segment(segment) else ""

    def place(self) -> tuple[str, str, str]:
        """Return the IDs of the volume, of the segmentation and of the segment that are being edited."""
        volume, segmentation = (node.GetID() if node else "" for node in (self.volume_node, self.segmentation_node))
        return volume, segmentation, self.segment

    def title(self, segment: str) -> str:
        """Return what the user calls a segment."""
        found = self.segmentation_node.GetSegmentation().GetSegment(segment) if self.segmentation_node else None
        return found.GetName() if found else _("removed segment")

    def has_segment(self, segment: str) -> bool:
        """Return whether the segmentation has a segment of this ID."""
        return bool(self.segmentation_node and self.segmentation_node.GetSegmentation().GetSegment(segment))

    def empty_state(self) -> str:
        """Return what the user has to do before marking can begin; empty if nothing."""
        if not self.volume_node:
            return _("Load a volume and choose it as source volume above.")
        if not self.segmentation_node or self.segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
            return _("Add a segment above, then mark it in a slice view.")
        if not self.segment:
            return _("Select the segment that you want to mark.")
        return ""

    def select(self, segment: str) -> None:
        """Select the segment of this ID in the editor."""
        self.effect.parameterSetNode().SetSelectedSegmentID(segment)

    def marked_segment(self) -> str:
        """Return the ID of the segment that new marks belong to.

        Raises:
            InputError: there is none; says what to do.
        """
        missing = self.empty_state()
        if missing:
            raise InputError(missing)
        return self.segment

    # ------------------------------------------------------------------ marks

    @property
    def marks(self) -> Marks:
        """Return the marks of the segmentation that is being edited.

        They are read again if another editor, or loading a scene, has changed them.
        """
        node = self.segmentation_node
        if node:
            self._hand_over_old_marks()
        text = (node.GetAttribute(PROMPTS) or "") if node else ""
        if node is not self._marked or text != self._saved:
            self._marked, self._saved = node, text
            self._marks, wrong = salvaged(text)
            self._unread = text if wrong else ""
            if wrong:
                self.tell(wrong, True)
        return self._marks

    def marks_in(self, plane: Any) -> tuple[Mark, ...]:
        """Return the marks that lie in a plane, of all segments."""
        return tuple(mark for mark in self.marks.all if mark.plane == plane)

    def save_marks(self) -> None:
        """Write the marks to the segmentation node, so that they are saved with the scene, and other scenes get them with it."""
        node, self._saved = self.segmentation_node, dumps(self._marks)
        for each in (node, *copies_of(node)) if node else ():  # when its time is shown, a copy replaces the attributes of the node
            each.SetAttribute(PROMPTS, self._saved or None)
            if self._unread:
                each.SetAttribute(UNREAD, self._unread)
        self._unread = ""

    def _hand_over_old_marks(self) -> None:
        """Move marks from the editor's node, where older scenes have them by the IDs of segmentations, to these segmentations."""
        text = self.effect.parameter("Prompts") if self.effect.parameterDefined("Prompts") else ""
        if not text:
            return
        self.effect.setParameter("Prompts", "")
        try:
            old = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.tell(_("The saved prompts are damaged ({error}).").format(error=error), True)
            return
        if not isinstance(old, dict):
            self.tell(_("The saved prompts are damaged ({error}).").format(error=text[:60]), True)
            return
        for name, marks in old.items():
            node = slicer.mrmlScene.GetNodeByID(name) if name.isprintable() else None
            if node and node.IsA("vtkMRMLSegmentationNode") and not node.GetAttribute(PROMPTS):
                node.SetAttribute(PROMPTS, json.dumps(marks))
