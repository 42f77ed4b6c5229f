"""What went wrong while the host ran code of the extension: Slicer prints such things and goes on, the host also remembers."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

exceptions: list[Exception] = []
"""Raised inside a callback, where nobody but the console hears of it."""

complaints: list[str] = []
"""What Slicer would write to its error log: qWarning and qCritical."""

qt_messages: list[str] = []
"""What Qt warned of, such as a second layout of a widget."""


def forget() -> None:
    for each in (exceptions, complaints, qt_messages):
        each.clear()


def hear_qt(kind: Any, context: Any, message: str) -> None:
    """Qt's message handler; the platform "offscreen" talks of windows that nobody sees."""
    if "propagateSizeHints" not in message:
        print(message, file=sys.stderr)
        qt_messages.append(message)


def remember(error: Exception) -> None:
    traceback.print_exception(error)
    exceptions.append(error)


def complain(message: str) -> None:
    logging.getLogger("slicerhost").warning(message)
    complaints.append(message)


def guarded(function: Callable, *arguments: Any) -> Any:
    """Call as Qt and VTK do it: an exception ends here. None if there was one."""
    try:
        return function(*arguments)
    except Exception as error:  # the very place where PythonQt prints whatever it is and goes on
        remember(error)
        return None
