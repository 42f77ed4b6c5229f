"""The Segment Editor effect: mark a segment on one slice and get it in the whole volume.

This file is what Slicer calls. It is loaded when Slicer starts, and imports nothing of the library before the effect has a panel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from .in_slicer.effect.wiring import Wiring

ICON = Path(__file__).parent / "Resources" / "Icons" / "SegmentEditorEffect.png"


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """SAM 2 as a tool of the Segment Editor.

    Attributes:
        wiring: panel, mouse and controller; None in the prototype, of which editors make their copies.
    """

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "SAMSegmenter"  # not translated, because modules find effects by name
        scriptedEffect.title = _("SAM Segmenter")
        scriptedEffect.perSegment = False  # so that it can report what is missing, and run for several segments
        scriptedEffect.requireSegments = False
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.wiring: Wiring | None = None

    def clone(self) -> Any:
        """Return a copy of the effect for another editor."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__.replace("\\", "/"))
        return cloned

    def icon(self) -> Any:
        """Return the effect's icon; an empty one if its file is missing."""
        return qt.QIcon(str(ICON)) if ICON.exists() else qt.QIcon()

    def helpText(self) -> str:
        """Return the help, as HTML, that the editor shows beside the effect's name."""
        from .in_slicer.effect.keys import control

        text = _(
            "Mark a segment on one slice and get it in the whole volume.<br><p>"
            "<b>1.</b> Drag a box closely around the segment in a slice view. A preview of that slice appears.<br>"
            "<b>2.</b> Press <b>Propagate</b>: the preview grows through the slices.<br>"
            "<b>3.</b> Correct it where needed, by points on other slices, and propagate again.<br>"
            "<b>4.</b> Press <b>Apply</b>. The settings under Masking are obeyed; Undo takes it back.<p>"
            "{key} marks what is outside the segment. Prompts are moved with the tool Move, or by their grips with any tool, and removed "
            "with Del. Everything is computed on this computer."
        )
        return "<html>" + text.format(key=control())

    def setupOptionsFrame(self) -> None:
        """Build the panel."""
        from .in_slicer.effect.wiring import Wiring

        self.wiring = Wiring(self.scriptedEffect)

    def setMRMLDefaults(self) -> None:
        """Give every parameter that has no value its default."""
        from .in_slicer.effect import settings

        settings.set_defaults(self.scriptedEffect)

    def activate(self) -> None:
        """Start listening to the scene and the views when the effect is chosen."""
        self.setMRMLDefaults()  # closing a scene removes them
        self.wiring.activate()

    def deactivate(self) -> None:
        """Stop listening when another effect is chosen."""
        if self.wiring:
            self.wiring.deactivate()

    def cleanup(self) -> None:
        """Let go of the panel and everything behind it when the editor is destroyed."""
        if self.wiring:
            self.wiring.close()
            self.wiring = None

    def layoutChanged(self) -> None:
        """Draw in the views of the new layout."""
        if self.wiring and self.scriptedEffect.active():
            self.wiring.pointer.enter()

    def sourceVolumeNodeChanged(self) -> None:
        """Take over another source volume."""
        if self.wiring:
            self.wiring.source_changed()

    def referenceGeometryChanged(self) -> None:
        """Take over another geometry of the segmentation."""
        if self.wiring:
            self.wiring.source_changed()

    def interactionNodeModified(self, interactionNode: Any) -> None:
        """Stay active while a Markups line is being placed: it may become a prompt."""

    def createCursor(self, widget: Any) -> Any:
        """Return the cursor that slice views show."""
        return qt.QCursor(qt.Qt.CrossCursor)

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        """Handle an event of the mouse or the keyboard in a slice view; return whether it was used up."""
        return viewWidget.className() == "qMRMLSliceWidget" and self.wiring.handle(eventId, callerInteractor, viewWidget)

    def processViewNodeEvents(self, callerViewNode: Any, eventId: int, viewWidget: Any) -> None:
        """Draw a slice view again when what it shows has changed."""
        if viewWidget.className() == "qMRMLSliceWidget":
            self.wiring.pointer.redraw_view(viewWidget)

    def updateGUIFromMRML(self) -> None:
        """Show the parameters of the scene in the panel."""
        if self.wiring:
            self.wiring.update()

    def updateMRMLFromGUI(self) -> None:
        """Do nothing: every control writes its own parameter when it is used."""
