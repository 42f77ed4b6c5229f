"""The module `qt` of Slicer's Python, made of PySide6: one flat namespace, without windows that wait for an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .dialogs import user
from .pythonqt import native

# Custom signals crash PythonQt, and the rest is PySide's own.
_ABSENT = {"Signal", "Slot", "Property", "ClassInfo", "SignalInstance"}
_BUTTONS = QtWidgets.QMessageBox.StandardButton


def __getattr__(name: str) -> Any:
    modules = () if name.startswith("_") or name in _ABSENT else (QtCore, QtGui, QtWidgets)
    for module in modules:
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module 'qt' has no attribute {name!r}")


@native
class QTimer(QtCore.QTimer):
    @staticmethod
    def singleShot(milliseconds: int, called: Callable[[], Any]) -> None:
        """As Slicer has it: each call makes a timer that stays until the application ends."""
        timer = QTimer(slicer.app.moduleManager())
        timer.setSingleShot(True)
        timer.connect("timeout()", called)
        timer.start(milliseconds)


@native
class QDialog(QtWidgets.QDialog):
    def exec_(self) -> Any:
        return user.asked("dialog", self.windowTitle, default=QtWidgets.QDialog.DialogCode.Rejected)


@native
class QMenu(QtWidgets.QMenu):
    def exec_(self, *_: Any) -> None:
        user.asked("menu", self.title)

    popup = exec_


@native
class QMessageBox(QtWidgets.QMessageBox):
    def exec_(self) -> Any:
        kinds = {QtWidgets.QMessageBox.Icon.Warning: "warning", QtWidgets.QMessageBox.Icon.Critical: "error"}
        asks = self.standardButtons & (_BUTTONS.Cancel | _BUTTONS.No)
        kind = "question" if asks else kinds.get(self.icon, "info")
        answer = user.asked(kind, self.text, default=_BUTTONS.Ok, title=self.windowTitle, details=self.detailedText)
        self._clicked = next((each for each in self.buttons() if each.text == answer), None)
        return answer

    def clickedButton(self) -> Any:
        """The button whose text was answered; None if it was another answer."""
        return self._clicked

    @staticmethod
    def information(parent: Any, title: str, text: str, *_: Any) -> Any:
        return user.asked("info", text, default=_BUTTONS.Ok, title=title)

    @staticmethod
    def warning(parent: Any, title: str, text: str, *_: Any) -> Any:
        return user.asked("warning", text, default=_BUTTONS.Ok, title=title)

    @staticmethod
    def critical(parent: Any, title: str, text: str, *_: Any) -> Any:
        return user.asked("error", text, default=_BUTTONS.Ok, title=title)

    @staticmethod
    def question(parent: Any, title: str, text: str, *_: Any) -> Any:
        return user.asked("question", text, default=_BUTTONS.Yes, title=title)


@native
class QFileDialog(QtWidgets.QFileDialog):
    """Like PythonQt's, these return the path alone and not the filter with it."""

    @staticmethod
    def getOpenFileName(parent: Any = None, caption: str = "", *_: Any) -> str:
        return user.asked("file", caption, default="")

    @staticmethod
    def getOpenFileNames(parent: Any = None, caption: str = "", *_: Any) -> tuple[str, ...]:
        return user.asked("file", caption, default=())

    @staticmethod
    def getSaveFileName(parent: Any = None, caption: str = "", *_: Any) -> str:
        return user.asked("file", caption, default="")

    @staticmethod
    def getExistingDirectory(parent: Any = None, caption: str = "", *_: Any) -> str:
        return user.asked("folder", caption, default="")


class QDesktopServices:
    """The browser, which is never opened."""

    @staticmethod
    def openUrl(url: QtCore.QUrl) -> bool:
        user.urls.append(url.toString())
        return True
