"""Import of model files that the user has, for machines without a connection and for the user's own weights."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

from ...errors import CheckpointError, InputError, OutputError
from ...files import replacing
from .. import catalog, loading
from ..catalog import CatalogEntry
from ..loading import RecognisedFile
from . import hashes, store
from .folders import folders, receiving_folder, share
from .locks import turn

SUFFIXES = {".pt", ".pth", ".ckpt", ".safetensors"}


def files_in(path: Path) -> list[Path]:
    """Return the model files that `path` means: itself or, if it is a folder, those in it in the order of their names.

    Raises:
        InputError: the folder has none, or cannot be read.
    """
    if not os.path.isdir(path):
        return [path]
    try:
        found = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and os.path.isfile(each))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if not found:
        raise InputError(f"{path}: no model files in this folder; they end in {', '.join(sorted(SUFFIXES))}.")
    return found


def import_file(path: Path, family: str | None = None, id: str | None = None) -> CatalogEntry:
    """Read a model file, `install` it and return the model; `family` says what it is where that cannot be told.

    Raises:
        Ambiguous: several networks fit; ask for `family`.
        CheckpointError: not a model file, damaged, unsafe, or of an unknown network; and as `install`.
    """
    return install(loading.read(Path(path), family), id)


def install(found: RecognisedFile, id: str | None = None) -> CatalogEntry:
    """Copy a recognised model file into the folder of models, and return the model that it has become.

    A published file is known by its hash or, where none is published, by its name and size, and is installed as that model. Any other
    file of a supported layout becomes a model of the user's own. The file that was read stays unchanged.

    Args:
        found: from `loading.read`; show its `why` to the user.
        id: the id that the model shall have; by default that of the published file, or the file's name.

    Raises:
        CheckpointError: its weights do not fit the network, or it is not the model called `id`.
        InputError: `id` cannot be a name, or is taken, or another file lies where this one would.
        OutputError: no folder can be written to, or the disk is full.
    """
    loading.build(found)  # weights that do not fit must fail now, not when the model is used
    published = _published(found, id)
    if published:
        _install_published(published, found)
        return published
    name = id or _id_of(found.path)
    file = name + _suffix(found.path)
    _check_free(name, file, found.sha256)
    _check_place(file, found.sha256)
    _copy(found.path, file)
    entry = store.keep_own(name, file, replace(catalog.entry(found.entry.id), native_size=found.entry.native_size))
    hashes.remember(entry, found.sha256)
    return entry


def _install_published(entry: CatalogEntry, found: RecognisedFile) -> None:
    hashes.check(entry, found.path, found.sha256)
    if hashes.expected(entry) is None:  # otherwise a file there that differs is not worth keeping
        _check_place(entry.file, found.sha256)
    _copy(found.path, entry.file)
    hashes.remember(entry, found.sha256)  # only now, because the file of the recorded first use must be here


def _published(found: RecognisedFile, id: str | None) -> CatalogEntry | None:
    """Return the entry of the catalog to which a file belongs; None if it is the user's own."""
    layout = found.entry
    if found.is_published:
        if id not in (None, layout.id):
            raise CheckpointError(f"{found.path}: is the published {layout.id}, not {id}. Leave out the name.")
        return layout
    asked = next((entry for entry in catalog.entries() if entry.id == id), None)
    if asked:
        if (asked.family, asked.config, asked.normaliser) != (layout.family, layout.config, layout.normaliser):
            raise CheckpointError(f"{found.path}: is not {id}. {found.why}")
        return asked
    same_name = id is None and found.path.name == layout.file and layout.sha256 is None
    return layout if same_name and layout.bytes in (None, found.path.stat().st_size) else None


def _id_of(path: Path) -> str:
    return re.sub("[^a-z0-9._-]+", "-", path.stem.lower()).strip("-.") or "own"


def _suffix(path: Path) -> str:
    """Return the ending for the file's copy, so that it is taken for weights and for nothing else in the folder of models."""
    suffix = path.suffix.lower()
    return suffix if suffix in SUFFIXES else ".pt" if zipfile.is_zipfile(path) else ".safetensors"


def _check_free(id: str, file: str, sha256: str) -> None:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", id):
        raise InputError(f"{id!r} cannot be the name of a model; use letters, digits, dots, hyphens and underscores.")
    published = {name.casefold() for entry in catalog.entries() for name in (entry.id, entry.file)}
    if not published.isdisjoint({id.casefold(), file.casefold()}):  # many file systems ignore case
        raise InputError(f"{id!r} is the name of a published model, and this file is another one. Choose a name with --as.")
    taken = next((entry for entry in store.entries() if entry.id == id), None)
    if taken and hashes.expected(taken) not in (None, sha256):
        raise InputError(f"There is a model {id!r} of yours already. Choose another name with --as, or remove that one first.")


def _check_place(file: str, sha256: str) -> None:
    for path in (folder / file for folder in folders()):
        if os.path.isfile(path) and hashes.file_sha256(path) != sha256:
            raise InputError(f"{path}: is another file and was not replaced. Choose another name with --as, or move that file away.")


def _copy(path: Path, file: str) -> None:
    target = receiving_folder() / file
    if target.is_file() and target.samefile(path):
        return
    needed, free = path.stat().st_size, shutil.disk_usage(target.parent).free
    if free < needed:
        raise OutputError(f"{target.parent}: the disk is too full: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free.")
    try:
        with turn(target), replacing(target) as temporary:
            shutil.copyfile(path, temporary)
        share(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: could not be written ({error.strerror}).") from error
