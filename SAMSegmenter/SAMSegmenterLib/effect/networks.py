"""Which networks the panel offers, and getting one that is not on this machine yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from ..errors import Cancelled
from ..worker import Task, Worker
from .editing import Editing

if TYPE_CHECKING:
    from ..models.catalog import CatalogEntry


@dataclass(frozen=True)
class Choice:
    """A line of the list of networks: the model's id, what the user reads, and what is told on top of it."""

    id: str
    text: str
    tip: str


def choices(kind: str) -> list[Choice]:
    """The networks of a kind ("propagation" or "slice") that the catalog and the user's own folder know."""
    from ..models import store  # needs packages that are installed together with torch

    return [_choice(entry, store.status(entry) is not None) for entry in store.entries() if entry.kind == kind]


def _choice(entry: CatalogEntry, is_installed: bool) -> Choice:
    text = entry.title if is_installed else _("{title} (not installed)").format(title=entry.title)
    return Choice(entry.id, text, f"{entry.good_for}\n{_terms(entry)}")


def _terms(entry: CatalogEntry) -> str:
    from ..models import licences

    return licences.terms(entry)


class Fetcher:
    """Makes a network the chosen one, after downloading it if the user agrees."""

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self._worker = Worker()  # of its own, so that previews go on meanwhile
        self._task: Task | None = None
        self._wanted = self._parameter = ""
        self.arrived: tuple[int, int | None] = (0, None)

    @property
    def busy(self) -> bool:
        return self._task is not None

    def choose(self, parameter: str, id: str) -> None:
        """Have `parameter` name the network `id`, now or once it is there.

        Raises:
            InputError: it cannot be downloaded; says how to come by it.
        """
        from ..models import download, store

        entry = store.entry(id) if id else None
        if entry is None or store.status(entry) is not None:
            self._editing.effect.setParameter(parameter, id)
            return
        size = _("{megabytes} MB").format(megabytes=round(entry.bytes / 1e6)) if entry.bytes else _("size not known")
        question = _("{title} is not on this computer.\n{good_for}\n\n{terms}\n\nDownload it now ({size}) from\n{address}?").format(
            title=entry.title, good_for=entry.good_for, terms=_terms(entry), size=size, address=download.address(entry)
        )
        if not slicer.util.confirmOkCancelDisplay(question):
            return
        self._wanted, self._parameter, self.arrived = id, parameter, (0, entry.bytes)
        self._task = self._worker.submit(lambda cancelled: [download.fetch(entry, self._note, cancelled, accept_licence=True)])
        self._editing.tell(_("Downloading {title}...").format(title=entry.title), False)

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()

    def close(self) -> None:
        self.cancel()
        self._worker.close()

    def poll(self) -> bool:
        """Whether something has changed: a download goes on, or is over."""
        if self._task is None:
            return False
        if self._task.finished:
            task, self._task = self._task, None
            if task.cancelled or isinstance(task.error, Cancelled):
                self._editing.tell(_("Download stopped; what has arrived is kept, and the next attempt goes on from there."), False)
            elif task.error is not None:
                self._editing.tell(str(task.error), True)
            else:
                self._editing.effect.setParameter(self._parameter, self._wanted)
                self._editing.tell(_("Downloaded and checked."), False)
        return True

    def _note(self, done: int, total: int | None) -> None:
        """Called on the worker's thread."""
        self.arrived = done, total
