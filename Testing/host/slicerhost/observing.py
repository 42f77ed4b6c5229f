"""Observers of VTK that end together, and the events of views on their way to the active effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

from .faults import guarded

PRIORITY = 1.0
"""Before the view's own interactions, so that an effect may keep an event to itself."""

SLICE_EVENTS = tuple(
    [f"{button}Button{action}Event" for button in ("Left", "Middle", "Right") for action in ("Press", "Release", "DoubleClick")]
    + ["MouseMoveEvent", "KeyPressEvent", "KeyReleaseEvent", "EnterEvent", "LeaveEvent"]
    + [f"MouseWheel{way}Event" for way in ("Forward", "Backward", "Left", "Right")]
)


class Observations:
    """Observers, to be removed at once."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: str | int, called: Callable[[], Any]) -> None:
        self._made.append((subject, subject.AddObserver(event, lambda *_: guarded(called))))

    def add_prior(self, subject: Any, event: str, called: Callable[[], bool]) -> None:
        """Nobody after it hears of the event if `called` answers True."""

        def hear(*_: Any) -> None:
            if guarded(called):
                subject.GetCommand(tag).SetAbortFlag(1)

        tag = subject.AddObserver(event, hear, PRIORITY)
        self._made.append((subject, tag))

    def clear(self) -> None:
        for subject, tag in self._made:
            subject.RemoveObserver(tag)
        self._made.clear()


class ViewEvents:
    """What happens in the views, told to whichever effect is active then."""

    def __init__(self, active_effect: Callable[[], Any]) -> None:
        self._active_effect = active_effect
        self._observations = Observations()

    def observe(self) -> None:
        """All views there are now."""
        self.clear()
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames():
            self._observe(layout.sliceWidget(name), SLICE_EVENTS)
        for index in range(layout.threeDViewCount):
            self._observe(layout.threeDWidget(index), [each for each in SLICE_EVENTS if "DoubleClick" not in each])

    def show_cursors(self, effect: Any) -> None:
        """Of the effect, where it wants to show one."""
        layout = slicer.app.layoutManager()
        for view in (layout.sliceWidget(name) for name in layout.sliceViewNames()):
            if effect.showEffectCursorInSliceView:
                view.view().setViewCursor(effect.createCursor(view))

    def clear(self) -> None:
        self._observations.clear()
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames():
            layout.sliceWidget(name).view().unsetViewCursor()

    def _observe(self, view: Any, events: Any) -> None:
        for event in events:
            self._observations.add_prior(view.interactor(), event, lambda event=event: self._interaction(view, event))
        self._observations.add(view.viewNode(), "ModifiedEvent", lambda: self._view_node(view))

    def _interaction(self, view: Any, event: str) -> bool:
        effect = self._active_effect()
        return bool(effect) and effect.processInteractionEvents(view.interactor(), vtk.vtkCommand.GetEventIdFromString(event), view)

    def _view_node(self, view: Any) -> None:
        effect = self._active_effect()
        if effect:
            effect.processViewNodeEvents(view.viewNode(), vtk.vtkCommand.ModifiedEvent, view)
