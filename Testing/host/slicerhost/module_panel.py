"""The column that a module's panel is shown in: it scrolls, and widgets in it have places, focus and room."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFrame, QScrollArea, QWidget

WIDTH, HEIGHT = 350, 700
LAYOUT_TURNS = 8


class ModulePanel(QScrollArea):
    """Holds `content` as the application's own column does: as wide as the column, as high as it wants to be.

    It is laid out and has focus as on a screen as soon as `appear` is called; before that it costs nothing.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        self.resize(WIDTH, HEIGHT)
        self.setWidget(content)

    def appear(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Be shown in a window of this size that has the focus."""
        self.resize(width, height)
        self.show()
        self.activateWindow()
        self.settle()

    def settle(self) -> None:
        """Let all layouts find their places: each may ask the one above it for room, one turn of the event loop later."""
        for _turn in range(LAYOUT_TURNS):
            QApplication.processEvents()
