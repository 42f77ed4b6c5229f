"""Checks that a model file is the one it is taken for."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from ...errors import CheckpointError, OutputError
from .. import catalog
from ..catalog import CatalogEntry
from . import records

HASHES = "hashes.json"
CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def expected(entry: CatalogEntry) -> str | None:
    """Return the SHA-256 that the file of `entry` must have: the published one, or that of its first use here; None before that."""
    return entry.sha256 or records.read(HASHES).get(entry.id)


def check(entry: CatalogEntry, path: Path, sha256: str | None = None) -> str:
    """Return the SHA-256 of the file `path`, after comparing it with what is known of `entry`.

    Nothing is recorded: call `remember` when the file has proved to hold the model. `sha256` is that of the file, if it is
    already known.

    Raises:
        CheckpointError: it is another file.
    """
    check_size(entry, path)
    sha256 = sha256 or file_sha256(path)
    wanted = expected(entry)
    if wanted not in (sha256, None):
        raise CheckpointError(f"{path}: {_difference(entry)} (SHA-256 {sha256}, expected {wanted}). {_remedy(entry)}")
    other = next((each for each in catalog.entries() if each.sha256 == sha256), None)
    if wanted is None and other:
        raise CheckpointError(f"{path}: is the file published as {other.id}, not that of {entry.id}. {_remedy(entry)}")
    return sha256


def check_size(entry: CatalogEntry, path: Path) -> None:
    """Check, without reading it, that a file has the size of that of `entry`.

    Raises:
        CheckpointError: it is empty, or not as long as the published one.
    """
    size = path.stat().st_size
    if not size:
        raise CheckpointError(f"{path}: is empty. {_remedy(entry)}")
    if entry.bytes not in (size, None):
        raise CheckpointError(f"{path}: is not the file published as {entry.id} ({size} bytes, expected {entry.bytes}). {_remedy(entry)}")


def remember(entry: CatalogEntry, sha256: str) -> None:
    """Record the SHA-256 of the first file that was used as `entry`, if none is published, to compare every later one with it."""
    if expected(entry) is None:
        with suppress(OutputError):  # without a folder that can be written to, every use is the first
            records.note(HASHES, entry.id, sha256)


def _difference(entry: CatalogEntry) -> str:
    return f"is not the file published as {entry.id}" if entry.sha256 else f"is not the file that was first used here as {entry.id}"


def _remedy(entry: CatalogEntry) -> str:
    if entry.shipped:
        return "Install SAMSegmenter again."
    again = f"Run 'samsegmenter models remove {entry.id}' and get it again"
    return f"{again}{f' (Download {entry.url})' if entry.url else ''}, or give the file by its path to use it as it is."
