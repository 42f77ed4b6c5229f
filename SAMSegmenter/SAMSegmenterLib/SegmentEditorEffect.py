"""The Segment Editor effect: mark a segment on one slice, get it in the whole volume.

This file is wiring: what Slicer calls, handed on to the controller, the panel and the pointer in `effect`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from . import pump
from .effect import settings
from .effect.controller import Controller
from .effect.networks import Fetcher, choices, known
from .effect.panel import KEYS, TOOLS, WHEN_IDLE, Panel
from .effect.pointer import Pointer
from .errors import InputError
from .models import catalog
from .mrml import inverted_by_slicer
from .setup import requirements

POLL_MS = 30
ICON = Path(__file__).parent / "Resources" / "Icons" / "SegmentEditorEffect.png"


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """SAM 2 as a tool of the Segment Editor."""

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "SAMSegmenter"  # no tr, modules find effects by name
        scriptedEffect.title = _("SAM Segmenter")
        scriptedEffect.perSegment = False  # so that it can say what is missing, and run for several segments
        scriptedEffect.requireSegments = False
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        pump.install()
        self.controller = Controller(scriptedEffect, self._tell)
        self.pointer = Pointer(scriptedEffect, self.controller.prompting)
        self.fetcher = Fetcher(self.controller.editing)
        self.panel: Panel | None = None
        self._timer: Any = None
        self._selection: tuple = ()
        self._missing = [requirement.name for requirement in requirements.NEEDED]  # until somebody has looked
        self._was_empty = True
        self._warned_of_volume = ""
        self._actions = self._make_actions()
        self._shortcuts: list[Any] = []
        self._closing: list[int] = []

    def clone(self) -> Any:
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__.replace("\\", "/"))
        return cloned

    def icon(self) -> Any:
        return qt.QIcon(str(ICON)) if ICON.exists() else qt.QIcon()

    def helpText(self) -> str:
        return "<html>" + _(
            "Mark a segment on one slice and get it in the whole volume.<br><p>"
            "<b>1.</b> Choose a tool and mark the segment in a slice view: a box around it works best. A preview appears.<br>"
            "<b>2.</b> Press <b>Propagate</b>: the preview grows through the slices.<br>"
            "<b>3.</b> Correct where needed, by prompts on other slices, and propagate again.<br>"
            "<b>4.</b> Press <b>Apply</b>. Masking settings below are obeyed; Undo takes it back.<p>"
            "Ctrl marks what is outside the segment. Prompts can be moved with the mouse, and removed with Del. "
            "Everything is computed on this computer."
        )

    def setupOptionsFrame(self) -> None:
        self.panel = Panel(self.scriptedEffect.addOptionsWidget, self._act)
        self._timer = qt.QTimer(self.scriptedEffect.optionsFrame())
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    def setMRMLDefaults(self) -> None:
        settings.set_defaults(self.scriptedEffect)

    # ------------------------------------------------------------------ coming and going

    def activate(self) -> None:
        self.setMRMLDefaults()  # a scene that was closed has taken them with it
        self.pointer.enter()
        self._observe_scene()
        self._make_shortcuts()
        self._timer.start()
        self.updateGUIFromMRML()
        self._look_for_packages()
        self._attempt(self._list_models)
        if not self._missing:
            self._attempt(self.controller.enter)
        self.updateGUIFromMRML()
        self._warn_of_volume()

    def deactivate(self) -> None:
        if self._timer:
            self._timer.stop()
        self.controller.stop(keep=True)
        self.controller.show(False)
        self.pointer.leave()
        self._unobserve()

    def cleanup(self) -> None:
        self.deactivate()
        self.controller.leave()
        self.fetcher.close()
        # What belongs to Qt must not be left to Python's collector, which may come by on the worker's thread.
        self.panel = self._timer = None

    def layoutChanged(self) -> None:
        if self.scriptedEffect.active():
            self.pointer.enter()

    def sourceVolumeNodeChanged(self) -> None:
        self._changed()
        if self.scriptedEffect.active():
            self._warn_of_volume()

    def _warn_of_volume(self) -> None:
        """Tell what is wrong with the volume as Slicer has it, and take back what was told of another one."""
        warning = inverted_by_slicer(self.controller.editing.volume_node)
        if (warning or self._warned_of_volume) and not self._missing:
            self._tell(warning, bool(warning))
        self._warned_of_volume = warning

    def referenceGeometryChanged(self) -> None:
        self._changed()

    def interactionNodeModified(self, interactionNode: Any) -> None:
        """Stay active while a Markups line is being placed: it may become a prompt."""

    # ------------------------------------------------------------------ views

    def createCursor(self, widget: Any) -> Any:
        return qt.QCursor(qt.Qt.CrossCursor)

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        if viewWidget.className() != "qMRMLSliceWidget" or not self._is_ready():
            return False
        used = self._attempt(lambda: self.pointer.handle(eventId, callerInteractor, viewWidget), otherwise=True)
        if used:
            self.updateGUIFromMRML()
        return used

    def processViewNodeEvents(self, callerViewNode: Any, eventId: int, viewWidget: Any) -> None:
        if viewWidget.className() == "qMRMLSliceWidget":
            self.pointer.redraw_view(viewWidget)

    # ------------------------------------------------------------------ panel

    def updateGUIFromMRML(self) -> None:
        if self.panel is None or not self.scriptedEffect.parameterSetNode():
            return
        controller, panel, empty = self.controller, self.panel, self.controller.editing.empty_state()
        self._look_for_packages()
        panel.setup_button.setVisible(bool(self._missing))
        panel.body.setVisible(not self._missing)
        if self._missing:
            asked = _("{names} must be installed first, once. Nothing is installed without asking.")
            panel.tell(asked.format(names=", ".join(self._missing)), False)
            return
        panel.show_settings(controller.settings, len(controller.stack) if controller.stack else 0)
        panel.show_region(self.scriptedEffect.nodeReference("ROI"))
        marks = controller.marks
        running, loading = controller.busy == "propagate", self.fetcher.busy
        panel.show_state(running, loading, controller.has_preview, marks.can_undo, marks.can_redo, not empty)
        panel.show_slices(controller.prompting.keyframes(), controller.review())
        self._show_progress()
        if empty:
            panel.tell(empty, False)
        elif self._was_empty:
            panel.tell(_("Mark the segment in a slice view: a box around it works best."), False)
        self._was_empty = bool(empty)

    def updateMRMLFromGUI(self) -> None:
        """Nothing to do: every control writes its own parameter when it is used."""

    def _show_progress(self) -> None:
        progress = self.controller.progress
        if self.fetcher.busy:
            done, total = self.fetcher.arrived
            self.panel.show_progress(done >> 20, (total or 0) >> 20, _("{done} MB").format(done=done >> 20))
        elif progress:
            text = _("{done} slices, {rate} slices/s, {left} s left") if progress.done < progress.total else _("{done} slices, refining")
            text = text.format(done=progress.done, rate=f"{progress.slices_per_second:.1f}", left=round(progress.seconds_left))
            self.panel.show_progress(progress.done, progress.total, text)
        else:
            self.panel.show_progress(0, 0, _("starting"))

    def _tell(self, text: str, is_warning: bool) -> None:
        if self.panel:
            self.panel.tell(text, is_warning)

    # ------------------------------------------------------------------ actions

    def _make_actions(self) -> dict[str, Callable[..., None]]:
        """What each control and key does, by the name under which the panel asks for it."""
        controller, prompting = self.controller, self.controller.prompting
        return {
            "tool": lambda kind: self.scriptedEffect.setParameter("Tool", kind),
            "setting": self.scriptedEffect.setParameter,
            "model": lambda id: self.fetcher.choose("Model", id),
            "keyframe_model": lambda id: self.fetcher.choose("KeyframeModel", id),
            "proposer": lambda id: self.fetcher.choose("Proposer", id),
            "polarity": lambda: self.scriptedEffect.setParameter("Positive", int(not controller.settings.positive)),
            "undo": prompting.undo,
            "redo": lambda: prompting.undo(again=True),
            "clear": controller.clear,
            "use_slice": lambda: prompting.use_slice(self.pointer.view),
            "propose": lambda: prompting.propose(self.pointer.view),
            "pick": self._pick_keyframe,
            "remove": self._remove_picked,
            "remove_keyframe": prompting.remove_keyframe,
            "line_markup": prompting.use_line,
            "roi": lambda node: self.scriptedEffect.setNodeReference("ROI", node),
            "propagate": controller.propagate,
            "stop_keep": lambda: self._stop(keep=True),
            "stop_drop": lambda: self._stop(keep=False),
            "apply": controller.apply,
            "jump": controller.jump,
            "next": lambda: controller.jump_to_check(1),
            "previous": lambda: controller.jump_to_check(-1),
            "setup": lambda: slicer.util.selectModule("SAMSegmenter"),
        }

    def _act(self, name: str, *values: Any) -> None:
        """Do what a control or a key asks for, and show what went wrong."""
        self._tell("", False)
        self._attempt(lambda: self._do(name, *values))
        self.pointer.redraw()
        self.updateGUIFromMRML()

    def _do(self, name: str, *values: Any) -> None:
        if name in WHEN_IDLE:  # a button is disabled then, its key is not
            self.controller.prompting.require_idle()
        self._actions[name](*values)

    def _attempt(self, action: Callable[[], Any], otherwise: Any = None) -> Any:
        """The action's result. What the user did wrong, or a disk that cannot be read, becomes a message, and the result is `otherwise`."""
        try:
            return action()
        except (InputError, OSError) as error:
            self._tell(str(error), True)
            return otherwise

    def _stop(self, keep: bool) -> None:
        self.fetcher.cancel()
        self.controller.stop(keep)

    def _pick_keyframe(self, index: int) -> None:
        self.pointer.picked = self.controller.prompting.marks_on(index)

    def _remove_picked(self) -> None:
        picked, self.pointer.picked = self.pointer.picked, []
        seen = [mark for mark in self.controller.prompting.visible_marks() if mark in picked]  # others are gone, or another segment's
        self.controller.prompting.remove(*seen)

    def _poll(self) -> None:
        if self.controller.selection() != self._selection:  # Slicer tells an effect nothing of this
            self._selection = self.controller.selection()
            self.controller.check()
            self.pointer.redraw()
            self.updateGUIFromMRML()
        if self.controller.workbench.follow_time():
            self.pointer.redraw()
        if self.fetcher.poll():
            self._attempt(self._list_models)
            self.updateGUIFromMRML()
        if self._attempt(self.controller.workbench.poll, otherwise=True):
            self.updateGUIFromMRML()

    def _list_models(self) -> None:
        """Offer the networks; those of the catalog at least, whatever is wrong with the user's own."""
        if not self._missing:
            entries = self._attempt(known, otherwise=catalog.entries())
            slice_models = choices(entries, "slice", "propagation")
            self.panel.show_models(choices(entries, "propagation"), slice_models, choices(entries, "proposer"))

    def _changed(self) -> None:
        """The volume or the geometry is another one: everything that was found belongs to the old one."""
        if self.scriptedEffect.parameterSetNode():
            self.controller.check()
            if self.scriptedEffect.active():
                self.pointer.redraw()
                self.updateGUIFromMRML()

    def _is_ready(self) -> bool:
        """Whether the mouse places prompts: not while something is missing, or it has another task, as window and level, or Markups."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        elsewhere = interaction is not None and interaction.GetCurrentInteractionMode() != interaction.ViewTransform
        return bool(self.controller.editing.segmentation_node) and not elsewhere and not self._missing

    def _look_for_packages(self) -> None:
        """Find out what has to be installed first, until that is nothing; takes too long for every move of the mouse."""
        if self._missing:
            self._missing = [requirement.name for requirement in requirements.missing()]

    def _observe_scene(self) -> None:
        leave = lambda caller, event: self.controller.leave()  # noqa: E731 (an observer)
        self._closing = [slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, leave)]

    def _unobserve(self) -> None:
        for tag in self._closing:
            slicer.mrmlScene.RemoveObserver(tag)
        self._closing = []
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []

    def _make_shortcuts(self) -> None:
        """Keys that work anywhere in the window, as long as the effect is active."""
        parent = slicer.util.mainWindow() or self.scriptedEffect.optionsFrame()
        wanted = [(key, ("tool", kind)) for kind, key in TOOLS.items()] + [(key, (name,)) for name, key in KEYS.items()]
        for key, action in wanted:
            shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
            shortcut.connect("activated()", lambda action=action: self._act(*action))
            self._shortcuts.append(shortcut)
