"""Pieces that the effect's controls are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt

from .networks import Choice


def button(text: str, tip: str, key: str = "", checkable: bool = False) -> Any:
    """A button whose tip names its key, if it has one."""
    made = qt.QPushButton(text)
    made.setToolTip(f"{tip} ({key})" if key else tip)
    made.setCheckable(checkable)
    made.setMinimumWidth(1)  # five in a row fit into a narrow column
    return made


def combo(tip: str) -> Any:
    """A list to choose from that does not grow with its longest line."""
    made = qt.QComboBox()
    made.setToolTip(tip)
    made.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(12)
    return made


def section(title: str, folded: bool = True) -> tuple[Any, Any]:
    """A part that folds, and the layout within."""
    part = ctk.ctkCollapsibleButton()
    part.text = title
    part.collapsed = folded
    layout = qt.QFormLayout(part)
    return part, layout


def fill(table: Any, entries: list[tuple[int, str]]) -> None:
    """List slices with their texts; the slice that was chosen stays so. Items that are right are left alone: one may be clicked on."""
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
    """List networks by their ids."""
    combo.clear()
    for number, choice in enumerate(choices):
        combo.addItem(choice.text, choice.id)
        combo.setItemData(number, choice.tip, qt.Qt.ToolTipRole)


def silently(widget: Any, change: Callable[[], None]) -> None:
    """Change a widget without hearing of it."""
    blocked = widget.blockSignals(True)
    change()
    widget.blockSignals(blocked)
