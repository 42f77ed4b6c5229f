"""The panel beside the views, drawn by the code that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from .module_panel import ModulePanel

PANEL_WIDTH = 350
GAP = 4


def picture(panel: Any = None, views: Sequence[str] = ("Red",), size: tuple[int, int] = (400, 400)) -> Image.Image:
    """A panel, 350 pixels wide, with views of `size` to its right: "Red", "Green", "Yellow" or "3D", up to two in a row.

    Raises:
        RuntimeError: views cannot be drawn on this machine; a panel alone always can.
    """
    shown = [Image.fromarray(_view_pixels(name, *size)) for name in views]
    columns = min(2, len(shown)) or 1
    places = [((n % columns) * (size[0] + GAP), (n // columns) * (size[1] + GAP)) for n in range(len(shown))]
    right = [(image, (x + (PANEL_WIDTH + GAP if panel else 0), y)) for image, (x, y) in zip(shown, places, strict=True)]
    height = max([y + image.height for image, (_, y) in right], default=0)
    left = [(panel_picture(panel, height), (0, 0))] if panel else []
    return _together(left + right)


def panel_picture(panel: Any, height: int = 0, width: int = PANEL_WIDTH) -> Image.Image:
    """The widget alone, or the column that it lies in, as high as it needs to be, at least `height`."""
    if isinstance(panel.window(), ModulePanel):
        return _grabbed(panel.window(), width, height)
    panel.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    panel.resize(width, height)
    panel.show()
    QApplication.processEvents()
    wrapped = panel.heightForWidth(width) if panel.hasHeightForWidth() else 0
    panel.resize(width, max(height, wrapped, panel.sizeHint.height() if not wrapped else 0, panel.minimumSizeHint.height()))
    QApplication.processEvents()
    picture_of_it = _pixels(panel)
    panel.hide()
    return picture_of_it


def _grabbed(column: ModulePanel, width: int, height: int) -> Image.Image:
    """The whole of a column, without a scroll bar."""
    column.appear(width, height)
    content = column.widget()
    needed = content.heightForWidth(width) if content.hasHeightForWidth() else content.sizeHint.height()
    column.appear(width, max(height, needed, content.minimumSizeHint.height()))
    shot = _pixels(column)
    column.hide()
    return shot


def _pixels(panel: Any) -> Image.Image:
    shot = panel.grab().toImage().convertToFormat(QImage.Format.Format_RGBX8888)
    size = shot.width(), shot.height()
    return Image.frombytes("RGBX", size, bytes(shot.constBits()), "raw", "RGBX", shot.bytesPerLine()).convert("RGB")


def _view_pixels(name: str, width: int, height: int) -> np.ndarray:
    layout = slicer.app.layoutManager()
    view = layout.threeDWidget(0) if name == "3D" else layout.sliceWidget(name)
    view.resize_picture(width, height)
    return view.pixels()


def _together(parts: list[tuple[Image.Image, tuple[int, int]]]) -> Image.Image:
    width = max(x + image.width for image, (x, _) in parts)
    height = max(y + image.height for image, (_, y) in parts)
    whole = Image.new("RGB", (width, height))
    for image, place in parts:
        whole.paste(image, place)
    return whole
