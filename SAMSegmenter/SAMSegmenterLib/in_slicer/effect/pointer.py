"""The mouse in slice views: places marks, picks them up and moves them."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ...errors import InputError
from ...prompts.marks import Mark
from ..mrml import ViewGeometry
from .gestures import Gesture, Shift
from .mark_actions import Prompting
from .mark_icons import MarkPicture, grip_at

# The second press of a double click comes only as such. Left alone, it would enlarge the view.
PRESSES = vtk.vtkCommand.LeftButtonPressEvent, vtk.vtkCommand.LeftButtonDoubleClickEvent
MOVE = "move"  # the tool that places nothing
ORDINARY_DPI = 72  # of a view whose pixels are those of an ordinary screen; Qt's own views multiply it where they are smaller


class Pointer:
    """Draws the marks in every slice view, and turns drags into changes of them.

    Args:
        effect: the scripted effect.
        prompting: holds the marks.
    """

    def __init__(self, effect: Any, prompting: Prompting) -> None:
        self._effect, self._prompting = effect, prompting
        self._pictures: dict[Any, MarkPicture] = {}
        self._drag: Gesture | Shift | None = None
        self._view_widget: Any = None
        self._gripping: Any = None  # the view whose cursor shows that there is a grip under the mouse
        self.picked: list[Mark] = []

    @property
    def view(self) -> ViewGeometry:
        """Return the slice view that an action is about: the one that the mouse was in last, or else the first.

        Only views count that show the slices in use, if there are such: on its way to the panel the mouse may have crossed others.

        Raises:
            InputError: there is nothing to mark, or no slice view is shown.
        """
        self._prompting.editing.marked_segment()
        widgets = [self._view_widget, *self._pictures]
        views = [self._geometry(each) for each in widgets if each and each.sliceLogic().GetSliceNode().IsViewVisibleInLayout()]
        if not views:
            raise InputError(_("No slice view is shown. Choose a layout that has one."))
        return next((view for view in views if self._prompting.shows_slices(view)), views[0])

    def enter(self) -> None:
        """Draw in every slice view that there is."""
        self._pictures = {widget: self._pictures[widget] for widget in self._widgets()}
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames() if manager else ():
            self._picture(manager.sliceWidget(name))
        self.redraw()

    def leave(self) -> None:
        """Take the drawings out of all views."""
        self._show_grip(None)
        for widget in self._widgets():
            for actor in self._pictures[widget].actors:
                self._effect.removeActor2D(widget, actor)
            widget.sliceView().scheduleRender()
        self._pictures.clear()
        self._drag = self._view_widget = None
        self.picked = []

    def redraw(self) -> None:
        """Draw the marks in all views."""
        for widget in self._widgets():
            self.redraw_view(widget)

    def redraw_view(self, widget: Any) -> None:
        """Draw the selected segment's marks in one view, and the mark that is being drawn."""
        if not self._prompting.editing.segmentation_node:
            return
        marks, drawn, conflict = self._prompting.visible_marks(), None, self._prompting.conflict
        if self._drag and widget is self._view_widget:
            drawn = self._drag.mark()
            if isinstance(self._drag, Shift) and drawn:
                marks = [mark for mark in marks if mark is not self._drag.old]
        if conflict:
            marks = [mark for mark in marks if mark not in conflict.older and mark is not conflict.newer]
            marks += [*conflict.older, conflict.newer]
        shown = [*marks, drawn] if drawn else marks
        disputed = conflict.older if conflict else ()
        self._picture(widget).draw(shown, self._geometry(widget), self._prompting.reach_mm(), disputed)
        widget.sliceView().scheduleRender()

    def handle(self, event: int, interactor: Any, widget: Any) -> bool:
        """Do what a mouse event asks for, and return whether it was used up.

        Raises:
            InputError: what was drawn cannot be used.
        """
        xy = interactor.GetEventPosition()
        if self._drag is None:
            self._view_widget = widget
        if event in PRESSES and not interactor.GetShiftKey() and not interactor.GetAltKey():
            return self._press(xy, widget, bool(interactor.GetControlKey()))
        if event == vtk.vtkCommand.MouseMoveEvent and self._drag is None:
            self._show_grip(widget if self._grip(xy, widget, bool(interactor.GetControlKey())) else None)
        if event == vtk.vtkCommand.LeaveEvent:
            self._show_grip(None)
        if self._drag is None or widget is not self._view_widget:
            return False
        if event == vtk.vtkCommand.MouseMoveEvent:
            self._drag.move(xy)
            self.redraw_view(widget)
            return True
        if event == vtk.vtkCommand.LeftButtonReleaseEvent:
            self._drag.move(xy)
            self._release()
            return True
        return False

    def _press(self, xy: tuple[int, int], widget: Any, opposite: bool) -> bool:
        self._prompting.require_idle()
        self._prompting.drop_question()
        self._view_widget, view, chosen = widget, self._geometry(widget), self._prompting.editing.settings
        shows = widget is self._gripping or chosen.tool == MOVE
        grip = self._grip(xy, widget, opposite) if shows else None
        self.picked = [grip[0]] if grip else []
        if grip:
            self._drag = Shift(*grip, view, xy)
        elif chosen.tool != MOVE:
            self._drag = Gesture(chosen.tool, self._prompting.editing.marked_segment(), chosen.positive != opposite, view, xy)
        return True

    def _release(self) -> None:
        drag, self._drag = self._drag, None
        self._prompting.require_idle()  # a key may have begun a run meanwhile
        mark = drag.mark()
        if mark and isinstance(drag, Shift):
            self._prompting.exchange(drag.old, mark, drag.view)
            self.picked = [mark]
        elif mark:
            placed = self._prompting.add(mark, drag.view)
            self.picked = [placed] if placed else []
        self.redraw()

    def _grip(self, xy: tuple[int, int], widget: Any, opposite: bool) -> tuple[Mark, int | None] | None:
        """Return the mark that the mouse would pick up at a pixel, and the handle on it; None if nothing.

        With Control it picks up nothing, as that marks what is outside, wherever it is.
        """
        chosen = self._prompting.editing.settings
        if self._prompting.is_running or (opposite and chosen.tool != MOVE):
            return None
        marks, reach_mm = self._prompting.visible_marks(), self._prompting.reach_mm()
        return grip_at(marks, xy, self._geometry(widget), reach_mm, chosen.tool == MOVE)

    def _show_grip(self, widget: Any) -> None:
        """Show by the cursor of a view that something can be picked up there; other views have the effect's own cursor."""
        if widget is self._gripping:
            return
        if self._gripping:
            self._gripping.sliceView().setViewCursor(qt.QCursor(qt.Qt.CrossCursor))
        if widget:
            widget.sliceView().setViewCursor(qt.QCursor(qt.Qt.SizeAllCursor))
        self._gripping = widget

    def _widgets(self) -> list[Any]:
        """Return the views that are drawn in, without those that were deleted meanwhile, which are false in PythonQt."""
        return [widget for widget in self._pictures if widget]

    def _picture(self, widget: Any) -> MarkPicture:
        if widget not in self._pictures:
            picture = self._pictures[widget] = MarkPicture()
            for actor in picture.actors:
                self._effect.addActor2D(widget, actor)
        return self._pictures[widget]

    def _geometry(self, widget: Any) -> ViewGeometry:
        density = widget.sliceView().renderWindow().GetDPI() / ORDINARY_DPI
        return ViewGeometry(widget.sliceLogic().GetSliceNode(), self._prompting.editing.segmentation_node, density)
