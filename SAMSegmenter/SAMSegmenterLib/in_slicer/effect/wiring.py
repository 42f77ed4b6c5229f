"""Wires one effect of one editor together: panel and keys to actions, the mouse to marks, a clock to what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...models import catalog
from .. import pump
from ..module import requirements
from ..mrml import inverted_by_slicer
from .controller import Controller
from .frames_in_use import OtherPlane
from .keys import KEYS, TOOLS, delete_keys
from .messages import Message
from .model_choice import Fetcher, choices, known
from .panel import WHEN_IDLE, EffectPanel
from .pointer import PRESSES, Pointer

QUICK_MS = 10  # while the user waits for a preview, or for segments to be written
POLL_MS = 30  # while slices or models arrive, which need the processor
IDLE_MS = 120  # to notice what the user has chosen elsewhere in the editor


class Wiring:
    """The parts of one effect. It is made with the effect's options; the effect passes on to it what Slicer tells.

    Args:
        effect: the scripted effect.
    """

    def __init__(self, effect: Any) -> None:
        pump.install()
        self.scriptedEffect = effect
        self.controller = Controller(effect)
        self.pointer = Pointer(effect, self.controller.prompting)
        self.fetcher = Fetcher(self.controller.editing)
        self.messages = self.controller.editing.messages
        self.messages.on_change = self._show_message
        self.panel: EffectPanel | None = EffectPanel(effect.addOptionsWidget, self._act)
        self._timer: Any = qt.QTimer(effect.optionsFrame())
        self._timer.setInterval(IDLE_MS)
        self._timer.connect("timeout()", self._poll)
        self._selection: tuple = ()
        self._missing = [requirement.name for requirement in requirements.NEEDED]  # until `_look_for_packages` has looked
        self._empty = ""
        self._is_listed = False
        self._actions = self._make_actions()
        self._shortcuts: list[Any] = []
        leave = lambda caller, event: self.controller.leave()  # noqa: E731 (an observer)
        self._closing = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, leave)  # also while another effect is active

    # ------------------------------------------------------------------ coming and going

    def activate(self) -> None:
        """Show the marks and the preview, and start mouse, keys and clock."""
        self.pointer.enter()
        self._make_shortcuts()
        self._timer.start()
        self._warn_of_volume()
        self._is_listed = False  # listed by the next turn of the event loop, so that this one is short
        self.update()
        if not self._missing:
            self._attempt(self.controller.enter)
            self._run_clock()
            self.pointer.redraw()
        self.update()

    def deactivate(self) -> None:
        """Stop a run, hide marks and preview, and stop mouse, keys and clock."""
        if self._timer:
            self._timer.stop()
        self.controller.applier.finish()
        self.controller.stop(keep=True)
        self.controller.show(False)
        self.pointer.leave()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []

    def close(self) -> None:
        """Stop everything, for good."""
        self.deactivate()
        slicer.mrmlScene.RemoveObserver(self._closing)
        self.controller.leave()
        self.fetcher.close()
        # Objects of Qt must not be left to Python's collector, which may run on the worker's thread.
        self.panel = self._timer = None

    def source_changed(self) -> None:
        """Drop what was found if the volume or the geometry is another one."""
        if self.scriptedEffect.parameterSetNode():
            self._attempt(self.controller.check)
            if self.scriptedEffect.active():
                self._warn_of_volume()
                self.pointer.redraw()
                self.update()

    def _warn_of_volume(self) -> None:
        """Warn if Slicer shows the volume otherwise than its file has it."""
        warning = inverted_by_slicer(self.controller.editing.volume_node)
        if warning:
            self.messages.tell(warning, True)

    # ------------------------------------------------------------------ views

    def layout_changed(self) -> None:
        """Draw in the views of the new layout."""
        self.pointer.enter()

    def redraw(self, widget: Any) -> None:
        """Draw the marks again in a slice view that has changed."""
        self.pointer.redraw_view(widget)

    def handle(self, event: int, interactor: Any, widget: Any) -> bool:
        """Pass an event of a slice view to the mouse, and return whether it was used up."""
        if not self._is_ready():
            return False
        if event in PRESSES:
            self.controller.applier.finish()
        used = self._attempt(lambda: self.pointer.handle(event, interactor, widget), otherwise=True)
        if used:
            self._run_clock()
            self.update()
        return used

    # ------------------------------------------------------------------ panel

    def update(self) -> None:
        """Show the state of everything in the panel."""
        if self.panel is None or not self.scriptedEffect.parameterSetNode():
            return
        controller, panel = self.controller, self.panel
        self._empty = controller.editing.empty_state()
        self._look_for_packages()
        panel.setup_button.setVisible(bool(self._missing))
        panel.body.setVisible(not self._missing)
        if not self._missing:
            panel.show_settings(controller.settings, len(controller.stack) if controller.stack else 0)
            panel.show_region(self.scriptedEffect.nodeReference("ROI"))
            running, loading = controller.busy == "propagate", self.fetcher.busy
            review = controller.review()
            panel.show_state(running, loading, self._possible(review), not self._empty)
            panel.show_slices(controller.unit, controller.prompting.keyframes(), review)
            self._show_progress(running)
        self.messages.drop_outdated(bool(controller.busy or self.fetcher.busy))
        self._show_message()

    def _possible(self, review: list) -> dict[str, bool]:
        marks = self.controller.marks
        return {
            "apply": self.controller.can_apply,
            "undo": marks.can_undo,
            "redo": marks.can_redo,
            "remove": bool(self.pointer.picked),
            "next": bool(review),
            "previous": bool(review),
        }

    def _show_message(self) -> None:
        """Show the present message, or else what to do next."""
        if self.panel is None:
            return
        told, is_first = self.messages.shown, self._is_first()
        if self._missing:
            text = _("{names} must be installed first, once. Nothing is installed without asking.")
            told = Message(text.format(names=", ".join(self._missing)))
        elif self._empty:
            told = Message(self._empty)
        elif not told.text:
            told = Message(self._hint(is_first))
        self.panel.show_message(told)
        self.panel.show_hint(is_first and told.text == self._hint(True))

    def _is_first(self) -> bool:
        """Return whether the selected segment still has to be marked."""
        return not (self._missing or self._empty or self.controller.marks.of(self.controller.segment))

    def _hint(self, is_first: bool) -> str:
        if self.controller.busy == "propagate":
            return _("Propagating...")
        if is_first:
            return _("Drag a box closely around the segment in a slice view, as in the picture. A preview of that slice follows.")
        if self.controller.can_apply:
            return _("This is a preview. Correct it by more prompts, Propagate it through the volume, or Apply it to the segment.")
        return ""

    def _show_progress(self, running: bool) -> None:
        progress = self.controller.progress
        if self.fetcher.busy:
            done, total = self.fetcher.arrived
            self.panel.show_progress(done >> 20, (total or 0) >> 20, _("{done} MB").format(done=done >> 20))
        elif not running:
            self.panel.show_progress(0, 1, "")
        elif progress:
            text = _("{done} {unit}s, {rate} {unit}s/s, {left} s left")
            if progress.done >= progress.total:
                text = _("{done} {unit}s, refining")
            left, rate = round(progress.seconds_left), f"{progress.slices_per_second:.1f}"
            text = text.format(done=progress.done, unit=self.controller.unit, rate=rate, left=left)
            self.panel.show_progress(progress.done, progress.total, text)
        else:
            self.panel.show_progress(0, 0, _("starting"))

    # ------------------------------------------------------------------ actions

    def _make_actions(self) -> dict[str, Callable[..., None]]:
        """Return what each control and key does, by the name under which the panel asks for it."""
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
            "next_object": controller.next_object,
            "jump": controller.jump,
            "next": lambda: controller.jump_to_check(1),
            "previous": lambda: controller.jump_to_check(-1),
            "setup": lambda: slicer.util.selectModule("SAMSegmenter"),
        }

    def _act(self, name: str, *values: Any) -> None:
        """Do what a control or a key asks for, and show errors."""
        told = self.messages.shown
        self.controller.applier.finish()
        if name == "answer":
            self._attempt(lambda: self._answer(told))
        else:
            self.controller.prompting.conflict = None
            self.messages.clear()
            self._attempt(lambda: self._do(name, *values))
        self._run_clock()
        self.pointer.redraw()
        self.update()

    def _answer(self, told: Message) -> None:
        self.messages.clear()
        if told.then:
            self.controller.prompting.require_idle()
            told.then()

    def _do(self, name: str, *values: Any) -> None:
        if name in WHEN_IDLE:  # a button is disabled then, its key is not
            self.controller.prompting.require_idle()
        self._actions[name](*values)

    def _attempt(self, action: Callable[[], Any], otherwise: Any = None) -> Any:
        """Return the action's result, or `otherwise` after an error of the user's or of a disk, which becomes a message."""
        try:
            return action()
        except OtherPlane as error:
            segment = self.controller.segment
            put_away = lambda: self.controller.prompting.put_away(segment)  # noqa: E731 (an answer)
            self.messages.tell(str(error), True, answer=_("Put the old prompts away"), then=put_away)
        except (InputError, OSError) as error:
            self.messages.tell(str(error), True)
        return otherwise

    def _stop(self, keep: bool) -> None:
        self.fetcher.cancel()
        self.controller.stop(keep)

    def _pick_keyframe(self, index: int) -> None:
        self.pointer.picked = self.controller.prompting.marks_on(index)

    def _remove_picked(self) -> None:
        picked, self.pointer.picked = self.pointer.picked, []
        # the others are gone, or belong to another segment
        seen = [mark for mark in self.controller.prompting.visible_marks() if mark in picked]
        self.controller.prompting.remove(*seen)

    # ------------------------------------------------------------------ the clock

    def _run_clock(self) -> None:
        """Look often while something is running, and seldom otherwise."""
        wanted = self._milliseconds_to_next_look()
        if self._timer and self._timer.interval != wanted:
            self._timer.setInterval(wanted)

    def _milliseconds_to_next_look(self) -> int:
        busy = self.controller.busy
        if busy in ("preview", "apply"):
            return QUICK_MS
        return POLL_MS if busy or self.fetcher.busy or not self._is_listed else IDLE_MS

    def _poll(self) -> None:
        changed = False
        if self.controller.selection() != self._selection:  # Slicer does not tell an effect of this
            self._selection = self.controller.selection()
            self.messages.drop_outdated(True)
            self._attempt(self.controller.check)
            self.pointer.redraw()
            changed = True
        if self.controller.workbench.follow_time():
            self.pointer.redraw()
        if self.fetcher.poll() or not self._is_listed:
            self._attempt(self._list_models)
            if not (self._is_listed or self._missing):
                self.controller.workbench.warm_up()  # not before: while the system loads torch's libraries, other imports wait for it
            self._is_listed = changed = True
        changed |= bool(self._attempt(self.controller.poll, otherwise=True))
        if changed:
            self.update()
        self._run_clock()

    def _list_models(self) -> None:
        """Offer the models; those of the catalog at least, whatever is wrong with the user's own."""
        if not self._missing:
            entries = self._attempt(known, otherwise=catalog.entries())
            slice_models = choices(entries, "slice", "propagation")
            self.panel.show_models(choices(entries, "propagation"), slice_models, choices(entries, "proposer"))

    def _is_ready(self) -> bool:
        """Return whether the mouse places marks: not while packages are missing, or while it adjusts the window or places Markups."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        elsewhere = interaction is not None and interaction.GetCurrentInteractionMode() != interaction.ViewTransform
        return bool(self.controller.editing.segmentation_node) and not elsewhere and not self._missing

    def _look_for_packages(self) -> None:
        """Look which packages have to be installed first, until none is missing; too slow for every move of the mouse."""
        if self._missing:
            self._missing = [requirement.name for requirement in requirements.missing()]

    def _make_shortcuts(self) -> None:
        """Make the keys, which work anywhere in the window as long as the effect is active."""
        parent = slicer.util.mainWindow() or self.scriptedEffect.optionsFrame()
        wanted = [(key, ("tool", kind)) for kind, key in TOOLS.items()] + [(key, (name,)) for name, key in KEYS.items() if name != "remove"]
        wanted += [(key, ("remove",)) for key in delete_keys()]
        for key, action in wanted:
            shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
            shortcut.connect("activated()", lambda action=action: self._act(*action))
            self._shortcuts.append(shortcut)
