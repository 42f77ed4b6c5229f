"""The section of the set-up panel that lists the models, downloads them on request, takes them from files, and removes them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ...models import catalog
from ...models.catalog import CatalogEntry
from ...worker import CancelCheck, SubmittedJob, Worker, shared_worker
from . import requirements
from .widgets import TaskRow, button, errors_shown, fill, ignored, nothing, row, section, table, text_label

if TYPE_CHECKING:
    from ...models.detect import Ambiguous

NAME = "SAMSegmenter"
VISIBLE_ROWS = 7
HERE = "\N{CHECK MARK}"


class ModelsSection:
    """A list of all models with licence, size, and whether they are installed; details of the chosen one below."""

    def __init__(self) -> None:
        self.widget, layout = section(_("Models"))
        headers = [_("Model"), _("Licence"), _("Size"), HERE]
        tip = _("Models that can be chosen by name. {here} are on this computer; one is included, the others are optional.")
        self.table = table(headers, tip.format(here=HERE), VISIBLE_ROWS)
        self.table.connect("itemSelectionChanged()", self._show_details)
        self.details = text_label()
        self.download_button = button(
            _("Download\N{HORIZONTAL ELLIPSIS}"),
            _("Shows the chosen model's licence and address, asks, and downloads it."),
            self.download,
        )
        self.file_button = button(
            _("From file\N{HORIZONTAL ELLIPSIS}"),
            _("Copy a model file into the folder of models: one that was downloaded elsewhere, or your own. Needs no internet."),
            self.import_file,
        )
        self.remove_button = button(
            _("Remove\N{HORIZONTAL ELLIPSIS}"),
            _("Asks, and deletes the chosen model's file. The included model stays."),
            self.remove,
        )
        self.task_row = TaskRow()
        self._models: list[_ListedModel] = []
        self._worker = Worker()  # its own one, so that a download does not hold up segmenting
        for widget in (self.table, self.details, row(self.download_button, self.file_button, self.remove_button), self.task_row.widget):
            layout.addWidget(widget)

    def update(self) -> None:
        """Look again at what is installed."""
        chosen = max(self.table.currentRow(), 0)
        with errors_shown():
            self._models = _models()
        fill(self.table, [each.row for each in self._models], [each.tip for each in self._models])
        self.table.selectRow(min(chosen, len(self._models) - 1))
        self._show_details()

    def close(self) -> None:
        """Stop what is running, and end the worker."""
        self.task_row.close()
        self._worker.close()

    @property
    def chosen(self) -> _ListedModel | None:
        """Return the model that is selected in the list; None if none is."""
        place = self.table.currentRow()
        return self._models[place] if 0 <= place < len(self._models) else None

    # ------------------------------------------------------------------ actions

    def download(self) -> None:
        """Download the chosen model, if the user accepts its licence."""
        from ...models.storage.download import address

        entry = self.chosen.entry
        requirements.check_family(entry.family)
        question = _("Download {title} ({size}) from\n{url}\n\n{terms}\n\nIs that accepted?").format(
            title=entry.title, size=self.chosen.size or _("size not known"), url=address(entry), terms=_terms(entry)
        )
        if slicer.util.confirmOkCancelDisplay(question, windowTitle=NAME):
            job = _Download(entry)
            self._follow(self._worker.submit(job), lambda: self.task_row.show(job.done, job.total))

    def import_file(self) -> None:
        """Take a model file that the user chooses."""
        kinds = _("Model files") + " (*.pt *.pth *.ckpt *.safetensors)"
        path = qt.QFileDialog.getOpenFileName(None, _("Model file"), "", kinds)
        if path:
            self._import(Path(path))

    def remove(self) -> None:
        """Delete the file of the chosen model, if the user agrees."""
        chosen = self.chosen
        question = _("Remove {title} from this computer?\n\n{path}\nis deleted, and any copy in another folder of models.")
        if not chosen.entry.url:
            question += " " + _("It cannot be downloaded again.")
        if slicer.util.confirmOkCancelDisplay(question.format(title=chosen.entry.title, path=chosen.path), windowTitle=NAME):
            try:
                _store().remove(chosen.entry)
            finally:  # a failed attempt may have deleted some, or it was gone already
                self.update()

    def _import(self, path: Path, id: str | None = None) -> None:
        """Import a file on the worker; `id` is the model that the user says it is of."""
        answers: list[_Imported | Ambiguous] = []
        task = shared_worker().submit(lambda cancelled: _import(path, id))
        self._follow(task, taken=answers.append, ended=lambda: self._imported(path, answers))

    def _imported(self, path: Path, answers: list[_Imported | Ambiguous]) -> None:
        """Tell what a file was taken for, or ask where that cannot be told; there is no answer if it could not be taken."""
        for answer in answers:
            if isinstance(answer, _Imported):
                text = _("{path} is installed as {id}.\n\n{why}")
                slicer.util.infoDisplay(text.format(path=path, id=answer.id, why=answer.why), windowTitle=NAME)
            elif id := _ask_which(path, answer.candidates):
                self._import(path, id)

    def _follow(
        self,
        task: SubmittedJob,
        look: Callable[[], None] = nothing,
        taken: Callable[[Any], None] = ignored,
        ended: Callable[[], None] = nothing,
    ) -> None:
        def finish(task: SubmittedJob) -> None:
            self.update()
            ended()

        self.task_row.follow(task, finish, taken, look)
        self._enable()

    # ------------------------------------------------------------------ showing

    def _show_details(self) -> None:
        chosen = self.chosen
        if chosen:
            cite = _("Cite: {citation}").format(citation=chosen.entry.citation)
            self.details.text = "<br>".join([chosen.entry.good_for, _terms(chosen.entry, linked=True), cite, chosen.place])
        self._enable()

    def _enable(self) -> None:
        idle = _store() is not None and not self.task_row.is_running
        self.file_button.setEnabled(idle)
        self.download_button.setEnabled(bool(idle and self.chosen and self.chosen.entry.url and not self.chosen.path))
        self.remove_button.setEnabled(bool(idle and self.chosen and self.chosen.can_be_removed))


@dataclass(frozen=True)
class _ListedModel:
    """A model that can be chosen, and its file if that is on this computer."""

    entry: CatalogEntry
    path: Path | None

    @property
    def row(self) -> tuple[str, ...]:
        here = self.path or self.entry.shipped
        return self.entry.title, re.split("[;,]", self.entry.licence)[0], self.size, HERE if here else ""

    @property
    def tip(self) -> str:
        return f"{self.entry.title}: {self.entry.good_for}\n{_terms(self.entry)}"

    @property
    def can_be_removed(self) -> bool:
        """Return whether its file is in a folder of the user's own that is not read-only."""
        return bool(self.path and not self.entry.shipped and os.access(self.path.parent, os.W_OK))

    @property
    def place(self) -> str:
        """Return where the file is, or where to get it."""
        if self.entry.shipped:
            return _("Included in this extension.")
        return str(self.path or self.entry.url or self.entry.obtain)

    @property
    def size(self) -> str:
        """Return the size of the file, in words; empty if it is not known."""
        size = self.path.stat().st_size if self.path else self.entry.bytes
        return f"{size / 1e6:.0f} MB" if size else ""


class _Download:
    """A job for a worker; `done` and `total` bytes can be read while it runs."""

    def __init__(self, entry: CatalogEntry) -> None:
        self._entry, self.done, self.total = entry, 0, entry.bytes

    def __call__(self, cancelled: CancelCheck) -> Iterator[Path]:
        from ...models.storage.download import fetch

        yield fetch(self._entry, self._note, cancelled, accept_licence=True)

    def _note(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total


@dataclass(frozen=True)
class _Imported:
    """A model file that was imported: the model's id from now on, and what it was recognised by."""

    id: str
    why: str


def _import(path: Path, id: str | None) -> Iterator[_Imported | Ambiguous]:
    """Import a file, as a job for a worker; yield the error instead if only the user can tell which model it is of."""
    from ...models import detect, loading
    from ...models.storage import importing

    try:
        found = loading.read(path, id)
    except detect.Ambiguous as error:
        yield error
    else:
        yield _Imported(importing.install(found).id, found.why)


def _ask_which(path: Path, candidates: tuple[str, ...]) -> str | None:
    """Return the id of the model that the user says a file is of; None if they do not."""
    text = _("{path} fits several models, which see images in different ways. A wrong choice gives bad masks. Which of them is it?")
    box = qt.QMessageBox(slicer.util.mainWindow())
    box.setWindowTitle(NAME)
    box.setText(text.format(path=path.name))
    buttons = {id: box.addButton(catalog.entry(id).title, qt.QMessageBox.AcceptRole) for id in candidates}
    box.addButton(qt.QMessageBox.Cancel)
    box.exec_()
    pressed = box.clickedButton()
    box.deleteLater()
    return next((id for id, button in buttons.items() if button == pressed), None)


def _store() -> Any:
    """Return the module that knows the files of models; None before the packages that it needs are installed."""
    try:
        from ...models.storage import store
    except ModuleNotFoundError:
        return None
    return store


def _models() -> list[_ListedModel]:
    store = _store()
    if store is None:  # only the included one can be used yet
        return [_ListedModel(entry, None) for entry in catalog.entries()]
    return [_ListedModel(entry, store.status(entry)) for entry in store.entries()]


def _terms(entry: CatalogEntry, linked: bool = False) -> str:
    licence = f'<a href="{entry.licence_url}">{entry.licence}</a>' if linked and entry.licence_url else entry.licence
    use = _("Commercial use is allowed.") if entry.commercial_use else _("Commercial use is not allowed.")
    return _("Licence: {licence}. {use}").format(licence=licence, use=use)
