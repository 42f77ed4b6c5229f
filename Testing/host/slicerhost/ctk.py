"""The module `ctk` of Slicer's Python: the widgets that panels of effects and modules are made of."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QSlider,
    QStyle,
    QStyleOption,
    QWidget,
)

from .pythonqt import native
from .qt import QMessageBox as ctkMessageBox  # noqa: F401

HEADER = 24
STEPS = 1000


@native
class ctkCollapsibleButton(QAbstractButton):
    """A header that shows and hides what is laid out in it."""

    contentsCollapsed = Signal(bool)
    _collapsed = False

    def __init__(self, *arguments: Any) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((each for each in arguments if isinstance(each, QWidget)), None)
        super().__init__(parent)
        self.setText(text)
        self.setContentsMargins(0, HEADER, 0, 0)
        self.connect("clicked()", lambda: self._collapse(not self._collapsed))

    def _collapse(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(HEADER if collapsed else 16777215)
        self.contentsCollapsed(collapsed)

    collapsed = Property("bool", lambda self: self._collapsed, lambda self, value: self._collapse(value))

    def hitButton(self, place: Any) -> bool:
        """Only its header is a button."""
        return place.y() < HEADER

    def childEvent(self, event: Any) -> None:
        if self._collapsed and event.added() and isinstance(event.child(), QWidget):
            event.child().setVisible(False)

    def sizeHint(self):
        layout = self.layout()
        size = layout.totalSizeHint() if layout else QSize(0, 0)
        title = QSize(self.fontMetrics().horizontalAdvance(self.text) + HEADER, HEADER)
        return title if self._collapsed else size.expandedTo(title)

    minimumSizeHint = sizeHint

    def paintEvent(self, event: Any) -> None:
        painter, option = QPainter(self), QStyleOption()
        option.rect = QRect(2, 4, 16, 16)
        arrow = QStyle.PrimitiveElement.PE_IndicatorArrowRight if self._collapsed else QStyle.PrimitiveElement.PE_IndicatorArrowDown
        painter.fillRect(QRect(0, 0, self.width, HEADER), self.palette.button())
        self.style().drawPrimitive(arrow, option, painter, self)
        painter.drawText(QRect(22, 0, self.width - 22, HEADER), int(Qt.AlignmentFlag.AlignVCenter.value), self.text)


@native
class ctkCollapsibleGroupBox(QGroupBox):
    """A group with a box to tick."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.setCheckable(True)
        self.connect("toggled(bool)", self._show)

    def _show(self, shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(shown)

    collapsed = Property("bool", lambda self: not self.checked, lambda self, value: self.setChecked(not value))


@native
class ctkDoubleSpinBox(QDoubleSpinBox):
    pass


@native
class ctkComboBox(QComboBox):
    _default_text = ""
    defaultText = Property("QString", lambda self: self._default_text, lambda self, value: setattr(self, "_default_text", value))


def _on_spin_boxes(name: str) -> Property:
    """A property that all the spin boxes of a widget share."""

    def store(widget: Any, value: Any) -> None:
        for box in widget._boxes:
            setattr(box, name, value)

    return Property("int" if name == "decimals" else "double", lambda widget: getattr(widget._boxes[0], name), store)


class _SpinBoxes(QWidget):
    minimum, maximum, singleStep, decimals = (_on_spin_boxes(each) for each in ("minimum", "maximum", "singleStep", "decimals"))
    pageStep = _on_spin_boxes("singleStep")

    def _make(self, count: int) -> QHBoxLayout:
        self._boxes = [QDoubleSpinBox() for _ in range(count)]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        return row

    def setRange(self, least: float, most: float) -> None:
        self.minimum, self.maximum = least, most

    def _suffix(self, text: str) -> None:
        for box in self._boxes:
            box.setSuffix(text)

    suffix = Property("QString", lambda self: self._boxes[0].suffix, _suffix)


@native
class ctkSliderWidget(_SpinBoxes):
    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    tracking = True

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = self._make(1)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, STEPS)
        row.addWidget(self._slider)
        row.addWidget(self._boxes[0])
        self._slider.connect("valueChanged(int)", self._slid)
        self._boxes[0].connect("valueChanged(double)", self._typed)
        self.setRange(0.0, 100.0)

    def _slid(self, step: int) -> None:
        self._boxes[0].value = self.minimum + (self.maximum - self.minimum) * step / STEPS

    def _typed(self, value: float) -> None:
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round((value - self.minimum) / ((self.maximum - self.minimum) or 1.0) * STEPS))
        self._slider.blockSignals(blocked)
        self.valueIsChanging(value)
        self.valueChanged(value)

    def setValue(self, value: float) -> None:
        self._boxes[0].value = value

    value = Property("double", lambda self: self._boxes[0].value, setValue)


@native
class ctkRangeWidget(_SpinBoxes):
    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = self._make(2)
        for box in self._boxes:
            row.addWidget(box)
            box.connect("valueChanged(double)", self._changed)
        self.setRange(0.0, 100.0)

    def _changed(self) -> None:
        low, high = (box.value for box in self._boxes)
        if low > high:
            self._boxes[0].value = high
            return
        self.minimumValueChanged(low)
        self.maximumValueChanged(high)
        self.valuesChanged(low, high)

    def setValues(self, low: float, high: float) -> None:
        blocked = self.blockSignals(True)
        self._boxes[1].value = high
        self._boxes[0].value = low
        self.blockSignals(blocked)
        self._changed()

    minimumValue = Property("double", lambda self: self._boxes[0].value, lambda self, low: self.setValues(low, self.maximumValue))
    maximumValue = Property("double", lambda self: self._boxes[1].value, lambda self, high: self.setValues(self.minimumValue, high))


@native
class ctkPathLineEdit(QLineEdit):
    currentPathChanged = Signal("QString")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.connect("textChanged(QString)", self.currentPathChanged)

    currentPath = Property("QString", lambda self: self.text, lambda self, path: self.setText(path))
