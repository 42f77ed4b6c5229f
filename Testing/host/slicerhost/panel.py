"""What the Segment Editor shows: enough of it for pictures, and the buttons whose state has rules."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtGui import QColor, QIcon, QPixmap, Qt
from PySide6.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

COLUMNS = 4
SWATCH = 16


class EditorPanel(QWidget):
    """The widgets of an editor; what they show is set by `show_state` and `show_effect`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        self._names = QFormLayout()
        self._segmentation_name, self._volume_name = QLabel(), QLabel()
        self._names.addRow("Segmentation:", self._segmentation_name)
        self._names.addRow("Source volume:", self._volume_name)
        column.addLayout(self._names)
        self._table = _segments_table()
        column.addWidget(self._table)
        self._buttons: dict[str, QToolButton] = {}
        self._effects_box = QGroupBox("Effects")
        QGridLayout(self._effects_box)
        column.addWidget(self._effects_box)
        self._options = QGroupBox()
        self._help = QLabel(wordWrap=True)
        self._help.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        QVBoxLayout(self._options).addWidget(self._help)
        self._options.setVisible(False)
        column.addWidget(self._options)
        column.addStretch(1)

    def add_effect(self, effect: Any) -> None:
        """A button for it, and room for its options."""
        button = QToolButton(self._effects_box)
        button.setCheckable(True)
        button.setIcon(effect.icon())
        button.setText(effect.title)
        button.setToolTip(effect.title)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        button.connect("clicked()", lambda: self._choose(effect.name))
        place = len(self._buttons)
        self._effects_box.layout().addWidget(button, place // COLUMNS, place % COLUMNS)
        self._buttons[effect.name] = button
        self._options.layout().addWidget(effect.optionsFrame())

    def effect_button(self, name: str) -> QToolButton:
        return self._buttons[name]

    def _choose(self, name: str) -> None:
        active = self.activeEffect()
        self.setActiveEffectByName("" if active and active.name == name else name)

    def show_state(self) -> None:
        """Names, segments, and which effects can be chosen."""
        segmentation, volume = self.segmentationNode(), self.sourceVolumeNode()
        self._segmentation_name.text = segmentation.GetName() if segmentation else "None"
        self._volume_name.text = volume.GetName() if volume else "None"
        self._show_segments(segmentation)
        self._effects_box.enabled = self._options.enabled = volume is not None
        some = segmentation is not None and segmentation.GetSegmentation().GetNumberOfSegments() > 0
        for name, button in self._buttons.items():
            effect = self.effectByName(name)
            button.enabled = not effect.requireSegments or (some and (bool(self.currentSegmentID()) or not effect.perSegment))

    def show_effect(self, effect: Any) -> None:
        """Its help above its options; nothing for None."""
        for name, button in self._buttons.items():
            button.checked = effect is not None and effect.name == name
        self._options.title = effect.title if effect else ""
        self._help.text = _summary(effect.helpText()) if effect else ""
        self._options.visible = effect is not None

    def _show_segments(self, segmentation: Any) -> None:
        segments = segmentation.GetSegmentation() if segmentation else None
        ids = [segments.GetNthSegmentID(index) for index in range(segments.GetNumberOfSegments())] if segments else []
        self._table.setRowCount(len(ids))
        for row, segment in enumerate(ids):
            colour, name = QTableWidgetItem(), QTableWidgetItem(segments.GetSegment(segment).GetName())
            swatch = QPixmap(SWATCH, SWATCH)
            swatch.fill(QColor.fromRgbF(*segments.GetSegment(segment).GetColor()))
            colour.setIcon(QIcon(swatch))
            self._table.setItem(row, 0, colour)
            self._table.setItem(row, 1, name)
            if segment == self.currentSegmentID():
                self._table.selectRow(row)


def _summary(text: str) -> str:
    """What comes before the first newline, or the first <br> of a formatted text; Slicer has the rest behind a link."""
    start, *rest = re.split(r"<br\s*/?>" if Qt.mightBeRichText(text) else r"\n", text, maxsplit=1)
    return f'{start} <a href="#">More...</a>' if rest else text


def _segments_table() -> QTableWidget:
    table = QTableWidget(0, 2)
    table.setHorizontalHeaderLabels(["Color", "Name"])
    table.verticalHeader().setVisible(False)
    table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    table.setColumnWidth(0, 44)
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    table.setMaximumHeight(120)
    return table
