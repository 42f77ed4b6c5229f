"""The Segment Editor effect: mark a segment on one slice, get it in the whole volume.

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
        scriptedEffect.name = "SAMSegmenter"  # no tr, modules find effects by name
        scriptedEffect.title = _("SAM Segmenter")
        scriptedEffect.perSegment = False  # so that it can say what is missing, and run for several segments
        scriptedEffect.requireSegments = False
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.wiring: Wiring | None = None

    def clone(self) -> Any:
        """Return a new scripted effect of this file, for another editor."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__.replace("\\", "/"))
        return cloned

    def icon(self) -> Any:
        """Return the effect's icon."""
        return qt.QIcon(str(ICON)) if ICON.exists() else qt.QIcon()

    def helpText(self) -> str:
        """Return the help that the editor shows."""
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
        """Make the panel and everything behind it."""
        from .in_slicer.effect.wiring import Wiring

        self.wiring = Wiring(self.scriptedEffect)

    def setMRMLDefaults(self) -> None:
        """Set parameters that have no value yet to their defaults."""
        from .in_slicer.effect import settings

        settings.set_defaults(self.scriptedEffect)

    def activate(self) -> None:
        """Begin, when the user chooses the effect."""
        self.setMRMLDefaults()  # a scene that was closed has taken them with it
        self.wiring.activate()

    def deactivate(self) -> None:
        """Stop, when the user leaves the effect."""
        if self.wiring:
            self.wiring.deactivate()

    def cleanup(self) -> None:
        """Stop everything, when the editor is deleted."""
        if self.wiring:
            self.wiring.close()
            self.wiring = None

    def layoutChanged(self) -> None:
        """Draw in the views of the new layout."""
        if self.wiring and self.scriptedEffect.active():
            self.wiring.layout_changed()

    def sourceVolumeNodeChanged(self) -> None:
        """Check what was found against the new volume."""
        if self.wiring:
            self.wiring.source_changed()

    def referenceGeometryChanged(self) -> None:
        """Check what was found against the new geometry."""
        if self.wiring:
            self.wiring.source_changed()

    def interactionNodeModified(self, interactionNode: Any) -> None:
        """Stay active while a Markups line is being placed: it may become a prompt."""

    def createCursor(self, widget: Any) -> Any:
        """Return the cursor in views."""
        return qt.QCursor(qt.Qt.CrossCursor)

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        """Pass an event of a slice view on; return whether it was used up."""
        return viewWidget.className() == "qMRMLSliceWidget" and self.wiring.handle(eventId, callerInteractor, viewWidget)

    def processViewNodeEvents(self, callerViewNode: Any, eventId: int, viewWidget: Any) -> None:
        """Draw the marks again in a slice view that has changed."""
        if viewWidget.className() == "qMRMLSliceWidget":
            self.wiring.redraw(viewWidget)

    def updateGUIFromMRML(self) -> None:
        """Show the state of everything in the panel."""
        if self.wiring:
            self.wiring.update()

    def updateMRMLFromGUI(self) -> None:
        """Do nothing: every control writes its own parameter when it is used."""
