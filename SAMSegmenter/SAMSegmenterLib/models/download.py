"""Getting a published model onto this machine, when the user asks for it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError
from . import hashes, licences, store
from .catalog import CatalogEntry
from .folders import receiving_folder
from .locks import never, turn
from .transfer import Cancel, DownloadError, Progress, Transfer

MIRROR_VARIABLE = "SAMSEGMENTER_MIRROR"


def unwatched(done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


def fetch(entry: CatalogEntry, progress: Progress = unwatched, cancel: Cancel = never, accept_licence: bool = False) -> Path:
    """Download the file of `entry` into the first folder of models that can be written to, and check it.

    Nothing is downloaded if it is installed. A download that was broken off or cancelled goes on where it ended; while
    another program is downloading the same file, this waits and then takes that program's.

    Args:
        entry: of the catalog.
        progress: called with the bytes that have arrived and their number in the end, None if nobody knows.
        cancel: asked often; true ends the download.
        accept_licence: the user has seen `licences.terms` and accepted them, which is remembered.

    Returns:
        The file.

    Raises:
        CheckpointError: what is installed is not as long as the published file.
        LicenceNotAccepted: the licence is not permissive; show it, ask, and call again with `accept_licence`.
        Cancelled: `cancel` returned true; what has arrived is kept.
        DownloadError: it cannot be downloaded, or is not the published file.
        OutputError: no folder can be written to, or the disk is full.
    """
    path = store.status(entry)
    if path:
        hashes.check_size(entry, path)
        return path
    url = address(entry)
    if accept_licence:
        licences.accept(entry)
    if not licences.is_accepted(entry):
        raise licences.LicenceNotAccepted(entry)
    target = receiving_folder() / entry.file
    try:
        with turn(target, cancel):
            if not target.is_file():
                _get(entry, url, target, progress, cancel)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: could not be written ({error.strerror or error}). What has arrived is kept.") from error
    return target


def address(entry: CatalogEntry) -> str:
    """Where the file of `entry` is downloaded from.

    The variable SAMSEGMENTER_MIRROR may name a folder on a server of one's own, which is asked instead for all models.

    Raises:
        DownloadError: it is published nowhere; says how to come by it.
    """
    if entry.shipped:
        raise DownloadError(
            f"{entry.id}: ships with SAMSegmenter; its file is not downloaded. If it is missing, install SAMSegmenter again."
        )
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        return f"{mirror.rstrip('/')}/{entry.file}"
    if entry.url is None:
        raise DownloadError(f"{entry.id}: cannot be downloaded by its name. {entry.obtain} Then run 'samsegmenter models import FILE'.")
    return entry.url


def _get(entry: CatalogEntry, url: str, target: Path, progress: Progress, cancel: Cancel) -> None:
    part, notes = store.transient(target)
    transfer = Transfer(url, part, notes, entry.bytes, progress, cancel)
    while True:
        continued = part.is_file()
        transfer.run()
        sha256 = hashes.file_sha256(part)
        wanted = hashes.expected(entry)
        if wanted in (sha256, None):
            break
        transfer.discard()
        if not continued:  # else the parts may have been of different files, and one download in one go decides
            raise DownloadError(
                f"{url}: what arrived is not the file known as {entry.id} (SHA-256 {sha256}, expected {wanted}) and was deleted. "
                "Try again; if it happens again, the file was replaced or is changed on its way to you."
            )
    os.replace(part, target)
    notes.unlink(missing_ok=True)
    hashes.remember(entry, sha256)
