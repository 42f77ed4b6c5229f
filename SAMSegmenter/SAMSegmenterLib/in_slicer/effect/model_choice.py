"""Lists the models that the panel offers, and gets one that is not on this machine yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from ...errors import Cancelled, InputError
from ...models import catalog
from ...worker import SubmittedJob, Worker
from ..module import requirements
from .editor_state import Editing

if TYPE_CHECKING:
    from ...models.catalog import CatalogEntry


@dataclass(frozen=True)
class Choice:
    """A line of the list of models: the model's id, the text of the line, and its tool tip."""

    id: str
    text: str
    tip: str


def known() -> tuple[CatalogEntry, ...]:
    """Return the models that the catalog and the user's own folders know.

    Raises:
        InputError, OSError: the record of the user's own cannot be read.
    """
    from ...models.storage import store  # needs packages that are installed together with torch

    return store.entries()


def choices(entries: Iterable[CatalogEntry], *kinds: str) -> list[Choice]:
    """Return the lines for models of some kinds ("propagation", "slice" or "proposer"), kind by kind."""
    from ...models.storage import store

    return [_choice(entry, store.status(entry) is not None) for kind in kinds for entry in entries if entry.kind == kind]


def _choice(entry: CatalogEntry, is_installed: bool) -> Choice:
    text = entry.title if is_installed else _("{title} (not installed)").format(title=entry.title)
    return Choice(entry.id, text, f"{entry.good_for}\n{_terms(entry)}")


def _terms(entry: CatalogEntry) -> str:
    from ...models.storage import licences

    return licences.terms(entry)


class Fetcher:
    """Makes a model the chosen one, after downloading it if the user agrees."""

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self._worker = Worker()  # its own one, so that previews go on meanwhile
        self._task: SubmittedJob | None = None
        self._wanted = self._parameter = ""
        self.arrived: tuple[int, int | None] = (0, None)

    @property
    def busy(self) -> bool:
        """Return whether a download is going on."""
        return self._task is not None

    def choose(self, parameter: str, id: str) -> None:
        """Set `parameter` to the model `id`, now or once it is downloaded. Of several choices the last one counts.

        Raises:
            InputError: it cannot be downloaded, or needs a package that is missing, or another download is going on; says what to do.
        """
        from ...models.storage import download, store

        published = next((each for each in catalog.entries() if each.id == id), None)
        entry = published or (store.entry(id) if id else None)
        if entry:
            requirements.check_family(entry.family)
        if entry is None or store.status(entry) is not None:
            if parameter == self._parameter:
                self._wanted = ""
            self._editing.effect.setParameter(parameter, id)
            return
        if self._task:
            raise InputError(_("Another model is being downloaded. Choose again when that is done, or stop it first."))
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
        """Stop the download."""
        if self._task:
            self._task.cancel()

    def close(self) -> None:
        """Stop the download, and end the worker."""
        self.cancel()
        self._worker.close()

    def poll(self) -> bool:
        """Return whether something has changed: a download goes on, or is over."""
        if self._task is None:
            return False
        if self._task.finished:
            task, self._task = self._task, None
            if task.cancelled or isinstance(task.error, Cancelled):
                self._editing.tell(_("Download stopped; what has arrived is kept, and the next attempt goes on from there."), False)
            elif task.error is not None:
                self._editing.tell(str(task.error), True)
            else:
                if self._wanted:
                    self._editing.effect.setParameter(self._parameter, self._wanted)
                self._editing.tell(_("Downloaded and checked."), False)
        return True

    def _note(self, done: int, total: int | None) -> None:
        """Store how many bytes have arrived; called on the worker's thread."""
        self.arrived = done, total
