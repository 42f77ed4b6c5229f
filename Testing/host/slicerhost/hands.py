"""The user's hands on a slice view: what they do reaches the interactor as Qt's events do in Slicer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import slicer
import vtk
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton

from .ctk import ctkCollapsibleButton
from .module_panel import ModulePanel

Place = Sequence[float]
"""Two numbers are pixels of the view, y up; three are RAS in mm."""


class SliceView:
    """One slice view by its name, with mouse and keyboard. `modifiers` are any of "Shift", "Control", "Alt"."""

    def __init__(self, name: str = "Red") -> None:
        self.widget = slicer.app.layoutManager().sliceWidget(name)

    @property
    def node(self):
        return self.widget.mrmlSliceNode()

    @property
    def logic(self):
        return self.widget.sliceLogic()

    def set_orientation(self, name: str) -> None:
        """ "Axial", "Coronal" or "Sagittal"."""
        self.node.SetOrientation(name)

    def set_offset(self, millimetres: float) -> None:
        """Along the normal of the slice."""
        self.logic.SetSliceOffset(float(millimetres))

    def go_to(self, ras: Place) -> None:
        """The parallel slice through this point."""
        self.node.JumpSliceByOffsetting(*(float(each) for each in ras))

    def make_oblique(self, normal: Place, up: Place = (0, 1, 0), centre: Place = (0, 0, 0)) -> None:
        """A slice through `centre`, with `up` as near as possible to the top of the view."""
        across = np.cross(up, normal)
        self.node.SetSliceToRASByNTP(*(float(each) for each in (*normal, *across, *centre)), 0)

    def fit(self) -> None:
        self.logic.FitSliceToBackground()

    def ras(self, xy: Place) -> np.ndarray:
        """Where in the patient a pixel of the view is."""
        return np.array(self.node.GetXYToRAS().MultiplyPoint((*xy, 0.0, 1.0))[:3])

    def xy(self, ras: Place) -> np.ndarray:
        """The pixel, with fractions, at a place of the patient; its distance from the slice is lost."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), inverse)
        return np.array(inverse.MultiplyPoint((*ras, 1.0))[:2])

    def move(self, at: Place, modifiers: Iterable[str] = ()) -> None:
        self._event("MouseMoveEvent", at, modifiers)

    def press(self, at: Place, modifiers: Iterable[str] = (), button: str = "Left") -> None:
        self.move(at, modifiers)
        self._event(f"{button}ButtonPressEvent", at, modifiers)

    def release(self, at: Place, modifiers: Iterable[str] = (), button: str = "Left") -> None:
        self._event(f"{button}ButtonReleaseEvent", at, modifiers)

    def click(self, at: Place, modifiers: Iterable[str] = (), button: str = "Left") -> None:
        self.press(at, modifiers, button)
        self.release(at, modifiers, button)

    def double_click(self, at: Place, then: Place | None = None, modifiers: Iterable[str] = (), button: str = "Left") -> None:
        """As VTK's Qt adapter has it: the second press, at once and perhaps elsewhere, comes as a double click only."""
        self.click(at, modifiers, button)
        then = at if then is None else then
        self._event(f"{button}ButtonDoubleClickEvent", then, modifiers, repeat=1)
        self.release(then, modifiers, button)

    def drag(self, *way: Place, modifiers: Iterable[str] = (), button: str = "Left", steps: int = 4) -> None:
        """Press at the first place, move to each of the others in `steps` steps, release at the last."""
        places = [self._pixels(each) for each in way]
        self.press(places[0], modifiers, button)
        for start, end in pairwise(places):
            for share in np.linspace(0, 1, steps + 1)[1:]:
                self.move(start + share * (end - start), modifiers)
        self.release(places[-1], modifiers, button)

    def wheel(self, at: Place, clicks: int = 1, modifiers: Iterable[str] = ()) -> None:
        for _ in range(abs(clicks)):
            self._event(f"MouseWheel{'Forward' if clicks > 0 else 'Backward'}Event", at, modifiers)

    def enter(self) -> None:
        self._event("EnterEvent", (0, 0), ())

    def leave(self) -> None:
        self._event("LeaveEvent", (0, 0), ())

    def key(self, symbol: str, modifiers: Iterable[str] = ()) -> None:
        """Press and release a key, by VTK's name of it ("a", "Escape", "Delete"), with the mouse where it is."""
        place = self.widget.interactor().GetEventPosition()
        for event in ("KeyPressEvent", "CharEvent", "KeyReleaseEvent"):
            self._event(event, place, modifiers, symbol=symbol)

    def _event(self, name: str, at: Place, modifiers: Iterable[str], repeat: int = 0, symbol: str = "") -> None:
        x, y = (round(float(each)) for each in self._pixels(at))
        interactor = self.widget.interactor()
        character = symbol if len(symbol) == 1 else "\0"
        interactor.SetEventInformation(x, y, int("Control" in modifiers), int("Shift" in modifiers), character, repeat, symbol)
        interactor.SetAltKey(int("Alt" in modifiers))
        interactor.InvokeEvent(name)

    def _pixels(self, at: Place) -> np.ndarray:
        return self.xy(at) if len(at) == 3 else np.asarray(at, float)


def mouse_click(button: Any) -> None:
    """Click a button with the mouse, which gives it the focus if it takes that; unfold and scroll to it first, as the user would."""
    column = button.window()
    if not isinstance(column, ModulePanel):
        button.click()
        return
    if column.isHidden():
        column.appear()
    unfold(button)
    column.ensureWidgetVisible(button)
    assert button.isVisible(), "the button is hidden"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def unfold(widget: Any) -> None:
    """Open the folds that a widget lies in: collapsible buttons, and hidden parts that a button, which can be checked, has the name of."""
    above = widget.parent()
    while above is not None:
        if isinstance(above, ctkCollapsibleButton) and above.collapsed:
            above.collapsed = False
            widget.window().settle()
        elif above.isHidden() and above.accessibleName:
            next(each for each in above.parent().findChildren(QToolButton) if each.text == above.accessibleName).setChecked(True)
            widget.window().settle()
        above = above.parent()


def press_shortcut(key: str, within: Any) -> bool:
    """Activate the enabled QShortcut of that key among the children of a widget; False if there is none."""
    import qt

    wanted = qt.QKeySequence(key)
    for shortcut in within.findChildren(qt.QShortcut):
        if shortcut.enabled and shortcut.key == wanted:
            shortcut.activated()
            return True
    return False
