"""Builds the pieces of the effect's controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from .model_choice import Choice

ROW_PIXELS = 20  # the largest height of a row in a list


def button(text: str, tip: str, key: str = "", checkable: bool = False) -> Any:
    """Return a button whose tip names its key, if it has one.

    Its place never depends on its text. It takes no focus: when it is disabled, it would pass the focus to a control that the panel then
    scrolls to under the mouse.
    """
    made = qt.QPushButton(text)
    made.setToolTip(f"{tip} ({key})" if key else tip)
    made.setCheckable(checkable)
    made.setFocusPolicy(qt.Qt.NoFocus)
    made.setMinimumWidth(1)
    made.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
    return made


def combo(tip: str) -> Any:
    """Return a list to choose from that does not grow with its longest line."""
    made = qt.QComboBox()
    made.setToolTip(tip)
    made.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(12)
    return made


def text() -> Any:
    """Return room for text of several lines, which can be copied from it."""
    made = qt.QLabel()
    made.setWordWrap(True)
    made.setAlignment(qt.Qt.AlignTop | qt.Qt.AlignLeft)
    made.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
    return made


def grid(columns: int) -> tuple[Any, Any]:
    """Return a part and the grid within, whose columns share its width evenly."""
    part = qt.QWidget()
    layout = qt.QGridLayout(part)
    layout.setContentsMargins(0, 0, 0, 0)
    for column in range(columns):
        layout.setColumnStretch(column, 1)
    return part, layout


def table(tip: str, rows: int) -> Any:
    """Return a list that is as high as this number of rows, whatever is in it."""
    made = qt.QListWidget()
    made.setToolTip(tip)
    made.setFixedHeight(rows * ROW_PIXELS)
    made.setMinimumWidth(1)
    return made


def form() -> tuple[Any, Any]:
    """Return a part and the layout within, of rows with titles."""
    part = qt.QWidget()
    layout = qt.QFormLayout(part)
    layout.setContentsMargins(0, 0, 0, 0)
    return part, layout


def folds(parts: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return titled parts folded away below a row of headers, and the headers by title.

    One part is open at most, below all headers: whichever is opened moves nothing but what was open before.
    """
    area, layout = grid(len(parts))
    headers = {title: _header(title) for title in parts}
    for column, (title, part) in enumerate(parts.items()):
        part.setAccessibleName(title)
        part.setVisible(False)
        layout.addWidget(headers[title], 0, column)
        layout.addWidget(part, 1, 0, 1, len(parts))
        headers[title].connect("toggled(bool)", lambda is_open, title=title: _fold(headers, title, parts[title], is_open))
    return area, headers


def _header(title: str) -> Any:
    made = qt.QToolButton()
    made.text = title
    made.setCheckable(True)
    made.setAutoRaise(True)
    made.setArrowType(qt.Qt.RightArrow)
    made.setToolButtonStyle(qt.Qt.ToolButtonTextBesideIcon)
    made.setFocusPolicy(qt.Qt.NoFocus)
    made.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
    return made


def _fold(headers: dict[str, Any], title: str, part: Any, is_open: bool) -> None:
    if is_open:
        for other in headers.keys() - {title}:
            headers[other].setChecked(False)
    headers[title].setArrowType(qt.Qt.DownArrow if is_open else qt.Qt.RightArrow)
    part.setVisible(is_open)


def fill(table: Any, entries: list[tuple[int, str]]) -> None:
    """List slices with their texts, keeping the selected slice. A list that is right is left alone: a row may just be clicked on."""
    if [table.item(row).text() for row in range(table.count)] == [text for _index, text in entries]:
        return
    current = table.currentItem()
    chosen = current.data(qt.Qt.UserRole) if current else None
    table.clear()
    for index, text in entries:
        item = qt.QListWidgetItem(text)
        item.setData(qt.Qt.UserRole, index)
        table.addItem(item)
        if index == chosen:
            table.setCurrentItem(item)


def offer(combo: Any, choices: list[Choice]) -> None:
    """List models by their ids."""
    combo.clear()
    for number, choice in enumerate(choices):
        combo.addItem(choice.text, choice.id)
        combo.setItemData(number, choice.tip, qt.Qt.ToolTipRole)


def silently(widget: Any, change: Callable[[], None]) -> None:
    """Change a widget without its signals."""
    blocked = widget.blockSignals(True)
    change()
    widget.blockSignals(blocked)
