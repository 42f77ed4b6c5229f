"""The models of this machine: those of the catalog and the user's own, and where their files are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import Cancelled, CheckpointError, InputError, OutputError
from .. import catalog
from ..catalog import CatalogEntry
from ..detect import may_be_native_size
from . import hashes, records
from .folders import FOLDER_VARIABLE, folders
from .locks import turn

SHIPPED = Path(__file__).parents[2] / "Resources" / "Models"
OWN = "own.json"
FORGOTTEN = hashes.HASHES, OWN  # records from which a removed model is dropped


def entries() -> tuple[CatalogEntry, ...]:
    """Return every model that can be chosen by name: those of the catalog, then the user's own.

    Raises:
        InputError: the record of the user's own models is damaged.
    """
    return catalog.entries() + tuple(_own_entries())


def entry(id: str) -> CatalogEntry:
    """Return the model called `id`.

    Raises:
        InputError: there is none; names the one that may be meant.
    """
    known = {each.id: each for each in entries()}
    if id not in known:
        raise InputError(f"There is no model {id!r}. {catalog.advice(id, known)}")
    return known[id]


def status(entry: CatalogEntry) -> Path | None:
    """Return the file of `entry` on this machine; None if it is not installed."""
    places = (SHIPPED,) if entry.shipped else folders()
    # os.path, because Path.is_file raises if a share is gone or forbidden.
    return next((folder / entry.file for folder in places if os.path.isfile(folder / entry.file)), None)


def locate(entry: CatalogEntry) -> Path:
    """Return the file of `entry` on this machine.

    Raises:
        CheckpointError: it is not there; says how to get it.
    """
    path = status(entry)
    if path:
        return path
    if entry.shipped:
        raise CheckpointError(f"{SHIPPED / entry.file}: this file of the installation is missing. Install SAMSegmenter again.")
    if entry.url is None:
        raise CheckpointError(
            f"{entry.id}: the model file is not on this machine. {entry.obtain} Then run 'samsegmenter models import FILE', "
            "or give the path of the file in place of the model's name."
        )
    raise CheckpointError(
        f"{entry.id}: the model file is not on this machine. Run 'samsegmenter models get {entry.id}'. Without a network, download "
        f"{entry.url} elsewhere and put it as {entry.file} in {folders()[0]} or in another folder that {FOLDER_VARIABLE} names, or give "
        "the path of the downloaded file in place of the model's name."
    )


def remove(entry: CatalogEntry) -> list[Path]:
    """Delete the file of `entry`, the rest of its download, and its records, in all folders.

    Returns:
        The files that were deleted.

    Raises:
        InputError: it ships with the package, or is not installed.
        OutputError: something cannot be deleted, or is being written just now; all else is gone.
    """
    if entry.shipped:
        raise InputError(f"{entry.id}: ships with SAMSegmenter and stays.")
    recorded = any(entry.id in records.read(name) for name in FORGOTTEN)
    removed: list[Path] = []
    refusals = []
    for folder in folders():
        try:
            removed += _delete(folder / entry.file)
            for name in FORGOTTEN:
                records.forget(folder / name, entry.id)
        except OutputError as error:
            refusals.append(str(error))
    if refusals:
        raise OutputError(" ".join(refusals))
    if not removed and not recorded:
        raise InputError(f"{entry.id}: is not installed; there is nothing to remove.")
    return removed


def transient(path: Path) -> tuple[Path, Path]:
    """Return the files beside `path` during its download: what has arrived, and a note of where it came from."""
    return path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")


def keep_own(id: str, file: str, like: CatalogEntry) -> CatalogEntry:
    """Record the file called `file` in the folder of models as a model of the user's own, chosen as `id`, and return the model.

    `like` is the model whose layout, input size and normaliser it has.

    Raises:
        OutputError: no folder of models can be written to.
    """
    kept = {"file": file, "like": like.id, "native_size": like.native_size}
    records.note(OWN, id, kept)
    return _own_entry(id, kept)


def _own_entries() -> Iterator[CatalogEntry]:
    taken = {each.id for each in catalog.entries()}
    for id, kept in sorted(records.read(OWN).items()):
        if id not in taken:
            yield _own_entry(id, kept)


def _own_entry(id: str, kept: Any) -> CatalogEntry:
    try:
        file, like, size = kept["file"], catalog.entry(kept["like"]), kept["native_size"]
        if not file or Path(file).name != file:
            raise InputError(f"{file!r} is not a file name without a folder")
        if not may_be_native_size(size, like):
            raise InputError(f"{size!r} is no size in pixels of the input of {like.title}")
    except (InputError, KeyError, TypeError) as error:
        raise InputError(f"{OWN}: the record of {id!r} is damaged ({error}). Delete that record, and import the model again.") from error
    return replace(
        like,
        id=id,
        title=f"{id} ({like.title} layout)",
        good_for=f"Your own weights in the layout of {like.title}.",
        file=file,
        shipped=False,
        url=None,
        obtain="It was imported here and its file is gone.",
        bytes=None,
        sha256=None,
        licence="not known",
        licence_url=None,
        commercial_use=False,
        native_size=size,
        sizes=like.sizes if size == like.native_size else (size,),
        citation=f"Layout: {like.citation}",
    )


def _delete(path: Path) -> list[Path]:
    """Delete a model file and the rest of its download; return the files that there were."""
    found = [each for each in (path, *transient(path)) if os.path.isfile(each)]
    if not found:
        return []
    try:
        with turn(path, cancel=lambda: True):
            for each in found:
                each.unlink(missing_ok=True)
    except Cancelled as error:
        raise OutputError(f"{path}: is being downloaded or imported just now and was not deleted; stop that first.") from error
    except OSError as error:
        raise OutputError(f"{path}: could not be deleted ({error.strerror}).") from error
    return found
