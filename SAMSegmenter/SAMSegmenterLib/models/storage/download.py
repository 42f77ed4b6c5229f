"""Downloads of published models, when the user asks for them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from ...errors import CheckpointError, OutputError
from ..catalog import CatalogEntry
from . import hashes, licences, store
from .folders import receiving_folder
from .locks import never, turn
from .transfer import Cancel, DownloadError, DownloadProgress, Transfer, shown

MIRROR_VARIABLE = "SAMSEGMENTER_MIRROR"


def unwatched(done: int, total: int | None) -> None:
    """Ignore the progress of a download."""


def fetch(entry: CatalogEntry, progress: DownloadProgress = unwatched, cancel: Cancel = never, accept_licence: bool = False) -> Path:
    """Download the file of `entry` into the first folder of models that can be written to, check it, and return its path.

    Nothing is downloaded if it is installed. A download that was broken off or cancelled goes on where it ended; while
    another program is downloading the same file, this waits and then takes that program's.

    Args:
        entry: of the catalog.
        progress: called with the bytes that have arrived and their number in the end, None if that is not known.
        cancel: called often; the download ends if it returns true.
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
    url = _address(entry)
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
    """Return the address from which the file of `entry` is downloaded, without secret parts, to be shown; see `transfer.shown`.

    The variable SAMSEGMENTER_MIRROR may name a folder on a server of one's own, from which all models then come.

    Raises:
        DownloadError: it is published nowhere, with how to obtain it; or the variable holds no address. The message does not repeat
            the variable, as there may be a password in it.
    """
    return shown(_address(entry))


def _address(entry: CatalogEntry) -> str:
    if entry.shipped:
        raise DownloadError(
            f"{entry.id}: ships with SAMSegmenter; its file is not downloaded. If it is missing, install SAMSegmenter again."
        )
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        return _on_mirror(mirror, entry.file)
    if entry.url is None:
        raise DownloadError(f"{entry.id}: cannot be downloaded by its name. {entry.obtain} Then run 'samsegmenter models import FILE'.")
    return entry.url


def _on_mirror(mirror: str, file: str) -> str:
    try:
        parts = urlsplit(mirror)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        is_usable = False
    if not is_usable:
        raise DownloadError(
            f"{MIRROR_VARIABLE}: holds no address of a folder on a server, such as https://server/models. In a password, write / as %2F, "
            "@ as %40, : as %3A, ? as %3F and # as %23."
        )
    return parts._replace(path=f"{parts.path.rstrip('/')}/{file}", fragment="").geturl()


def _get(entry: CatalogEntry, url: str, target: Path, progress: DownloadProgress, cancel: Cancel) -> None:
    part, notes = store.transient(target)
    transfer = Transfer(url, part, notes, entry.bytes, progress, cancel)
    while True:
        continued = part.is_file()
        transfer.run()
        sha256 = hashes.file_sha256(part)
        wrong = _wrong(entry, part, target, sha256)
        if not wrong:
            break
        transfer.discard()
        if not continued:  # otherwise the parts may come from different files, and a download in one go decides
            raise DownloadError(f"{shown(url)}: what arrived {wrong}")
    os.replace(part, target)
    notes.unlink(missing_ok=True)
    hashes.remember(entry, sha256)


def _wrong(entry: CatalogEntry, part: Path, target: Path, sha256: str) -> str:
    """Return in words why what has arrived is not the file of `entry`; empty if it is."""
    wanted = hashes.expected(entry)
    if wanted is None and entry.bytes is None:
        misfit = _misfit(entry, part, target, sha256)
        return f"is not the file of {entry.title} and was deleted ({misfit})." if misfit else ""
    if wanted in (sha256, None):
        return ""
    return (
        f"is not the file known as {entry.id} (SHA-256 {sha256}, expected {wanted}) and was deleted. "
        "Try again; if it happens again, the file was replaced or is changed on its way to you."
    )


def _misfit(entry: CatalogEntry, part: Path, target: Path, sha256: str) -> str:
    """Return why what has arrived does not hold the weights of `entry`; empty if it does.

    This is for files of which neither hash nor size is published.
    """
    from .. import loading  # needs torch, which a host may install only after it has shown what can be downloaded
    from ..weights.checkpoint import read_checkpoint

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".samsegmenter-") as folder:
        whole = Path(folder) / target.name  # a file called .part would not be read
        os.replace(part, whole)
        try:
            loading.build(loading.RecognisedFile(whole, sha256, read_checkpoint(whole).weights, entry, is_published=True, why=""))
        except CheckpointError as error:
            return str(error).replace(str(whole), target.name).rstrip(".")
        finally:
            os.replace(whole, part)
    return ""
