"""Builds the pieces of the set-up panel's sections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from ...errors import Cancelled, SAMSegmenterError
from ...worker import SubmittedJob

POLL_MS = 50
ROW_HEIGHT, BORDER = 24, 1


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show the user the library's own errors, and those of a disk; others go on to the Python console."""
    try:
        yield
    except (SAMSegmenterError, OSError) as error:
        slicer.util.errorDisplay(str(error), windowTitle="SAMSegmenter")


def section(text: str) -> tuple[Any, Any]:
    """Return a part of the panel that folds, and the layout within."""
    part = ctk.ctkCollapsibleButton()
    part.text = text
    return part, qt.QVBoxLayout(part)


def button(text: str, tip: str, pressed: Callable[[], Any]) -> Any:
    """Return a button; errors of what it does are shown."""

    def press() -> None:
        """Do it."""
        with errors_shown():
            pressed()

    made = qt.QPushButton(text)
    made.setToolTip(tip)
    made.setMinimumWidth(1)  # several in a row fit into a narrow column
    made.connect("clicked()", press)
    return made


def row(*widgets: Any) -> Any:
    """Return widgets beside each other."""
    whole = qt.QWidget()
    layout = qt.QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return whole


def text_label(text: str = "") -> Any:
    """Return a label for several lines with links."""
    label = qt.QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(qt.Qt.TextBrowserInteraction)
    label.setOpenExternalLinks(True)
    return label


def table(headers: list[str], tip: str, visible_rows: int) -> Any:
    """Return an empty table that cannot be edited.

    Its first column takes the room that is left, in several lines where that is little.
    """
    made = qt.QTableWidget()
    made.setColumnCount(len(headers))
    made.setHorizontalHeaderLabels(headers)
    made.setToolTip(tip)
    made.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    made.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    made.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    made.verticalHeader().setVisible(False)
    made.verticalHeader().setMinimumSectionSize(ROW_HEIGHT)
    header = made.horizontalHeader()
    header.setFixedHeight(ROW_HEIGHT)
    header.setHighlightSections(False)
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
    made.setFixedHeight(ROW_HEIGHT * (visible_rows + 1) + 2 * BORDER)
    soon = qt.QTimer(made)  # the signal comes before the column has its new width
    soon.setSingleShot(True)
    soon.connect("timeout()", made.resizeRowsToContents)
    header.connect("sectionResized(int,int,int)", lambda *_: soon.start())
    return made


def fill(made: Any, rows: list[tuple[str, ...]], tips: list[str]) -> None:
    """Put these texts into a table, with a tool tip for each row."""
    made.setRowCount(len(rows))
    for place, (texts, tip) in enumerate(zip(rows, tips, strict=True)):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tip)
            made.setItem(place, column, item)
    made.resizeRowsToContents()


def ignored(result: Any) -> None:
    """Do nothing with a result."""


def nothing() -> None:
    """Do nothing."""


class TaskRow:
    """A bar and a button to cancel, shown while a task runs on a worker."""

    def __init__(self) -> None:
        self.bar = qt.QProgressBar()
        self.cancel_button = button(_("Cancel"), _("Stop as soon as possible."), self.stop)
        self.widget = row(self.bar, self.cancel_button)
        self.widget.setVisible(False)
        self._task: SubmittedJob | None = None
        self._ended: Callable[[SubmittedJob], None] = ignored
        self._taken: Callable[[Any], None] = ignored
        self._look: Callable[[], None] = nothing
        self._timer = qt.QTimer(self.widget)  # else Python may delete it, on whatever thread it collects garbage
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.poll)

    @property
    def is_running(self) -> bool:
        """Return whether a task is shown."""
        return self._task is not None

    def follow(
        self,
        task: SubmittedJob,
        ended: Callable[[SubmittedJob], None],
        taken: Callable[[Any], None] = ignored,
        look: Callable[[], None] = nothing,
    ) -> None:
        """Show that `task` runs, and when it has ended why it failed, if it did.

        Args:
            task: of a worker.
            ended: called with the task when it is over.
            taken: called with each of its results before that.
            look: called at every look at the task.
        """
        self._task, self._ended, self._taken, self._look = task, ended, taken, look
        self.show(0, None)
        self.widget.setVisible(True)
        self._timer.start()

    def show(self, done: float, total: float | None) -> None:
        """Show how far the task has come, in any unit; None for an unknown total."""
        self.bar.setRange(0, 1000 if total else 0)
        self.bar.setValue(round(1000 * done / total) if total else 0)

    def stop(self) -> None:
        """Ask the task to stop; what it has found until then is still passed on."""
        if self._task:
            self._task.cancel()

    def close(self) -> None:
        """Stop the task, and never follow another one."""
        self.stop()
        self._forget()
        self._timer.disconnect("timeout()", self.poll)

    def poll(self) -> None:
        """Pass on the task's results since the last call; if it has ended, show an error and hide the row."""
        task = self._task
        if task is None:
            return
        finished = task.finished  # asked before taking: what comes later is taken next time
        self._look()
        for result in task.take():
            self._taken(result)
        if finished:
            self._forget()
            if task.error and not isinstance(task.error, Cancelled):
                _show_failure(task.error)
            self._ended(task)

    def _forget(self) -> None:
        self._timer.stop()
        self._task = None
        self.widget.setVisible(False)


def _show_failure(error: BaseException) -> None:
    text = str(error)
    if not isinstance(error, SAMSegmenterError):
        logging.error("SAMSegmenter: set-up failed", exc_info=error)
        text = _("{kind}: {error}\n\nThe log has the details. If a package is damaged, install it again and restart Slicer.")
        text = text.format(kind=type(error).__name__, error=error)
    slicer.util.errorDisplay(text, windowTitle="SAMSegmenter")
