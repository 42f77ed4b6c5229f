"""What the Segment Editor works on at the moment, and the marks that its parameter node keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..marks import Marks, dumps, loads
from . import settings

Tell = Callable[[str, bool], None]  # shows a message to the user; whether it is about something that went wrong


class Editing:
    """The editor as one effect sees it.

    Args:
        effect: the scripted effect.
        tell: shows a message to the user.
    """

    def __init__(self, effect: Any, tell: Tell) -> None:
        self.effect, self.tell = effect, tell
        self._marks: dict[str, Marks] = {}
        self._saved = ""

    @property
    def settings(self) -> settings.Settings:
        return settings.read(self.effect)

    @property
    def volume_node(self) -> slicer.vtkMRMLVolumeNode | None:
        node = self.effect.parameterSetNode()
        return node.GetSourceVolumeNode() if node else None

    @property
    def segmentation_node(self) -> slicer.vtkMRMLSegmentationNode | None:
        node = self.effect.parameterSetNode()
        return node.GetSegmentationNode() if node else None

    @property
    def segment(self) -> str:
        """ID of the selected segment; empty if none is."""
        node = self.effect.parameterSetNode()
        segment = (node.GetSelectedSegmentID() or "") if node else ""
        return segment if self.has_segment(segment) else ""

    def has_segment(self, segment: str) -> bool:
        return bool(self.segmentation_node and self.segmentation_node.GetSegmentation().GetSegment(segment))

    def empty_state(self) -> str:
        """What the user has to do before marking can begin; empty if nothing."""
        if not self.volume_node:
            return _("Load a volume and choose it as source volume above.")
        if not self.segmentation_node or self.segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
            return _("Add a segment above, then mark it in a slice view.")
        if not self.segment:
            return _("Select the segment that you want to mark.")
        return ""

    def marked_segment(self) -> str:
        """ID of the segment that new marks belong to.

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
        """The marks of the segmentation that is being edited."""
        self._load()
        node = self.segmentation_node
        return self._marks.setdefault(node.GetID(), Marks()) if node else Marks()

    def save_marks(self) -> None:
        """Put the marks on the parameter node, so that they are saved with the scene."""
        self._saved = dumps(self._marks)
        self.effect.setParameter(settings.PROMPTS, self._saved)

    def _load(self) -> None:
        """Read the marks again if they were changed from outside: by another editor, or by loading a scene."""
        text = self.effect.parameter(settings.PROMPTS) if self.effect.parameterDefined(settings.PROMPTS) else ""
        if text == self._saved:
            return
        self._saved = text
        try:
            self._marks = loads(text)
        except InputError as error:
            self._marks = {}
            self.tell(str(error), True)
