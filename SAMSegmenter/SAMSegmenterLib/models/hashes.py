"""That a model file is the one it is taken for."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from ..errors import CheckpointError, OutputError
from . import records
from .catalog import CatalogEntry

RECORDS = "hashes.json"
CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def expected(entry: CatalogEntry) -> str | None:
    """The SHA-256 that the file of `entry` must have: the published one, or that of its first use here; None before that."""
    return entry.sha256 or records.read(RECORDS).get(entry.id)


def check(entry: CatalogEntry, path: Path, sha256: str | None = None) -> str:
    """Compare the file `path` with what is known of `entry` and return its SHA-256.

    Where none is published, that of the first use is recorded and every later one compared with it. `sha256` is that of
    the file, if it is known already.

    Raises:
        CheckpointError: it is another file.
    """
    sha256 = sha256 or file_sha256(path)
    wanted = expected(entry)
    if wanted is None:
        with suppress(OutputError):  # without a folder to write to, every use is the first
            record(entry, sha256)
    elif sha256 != wanted:
        raise CheckpointError(f"{path}: {_difference(entry)} (SHA-256 {sha256}, expected {wanted}). {_remedy(entry)}")
    return sha256


def record(entry: CatalogEntry, sha256: str | None) -> None:
    """Remember the SHA-256 of a file whose authors publish none; None forgets it.

    Raises:
        OutputError: no folder of models can be written to.
    """
    records.note(RECORDS, entry.id, sha256)


def _difference(entry: CatalogEntry) -> str:
    return f"is not the file published as {entry.id}" if entry.sha256 else f"is not the file that was first used here as {entry.id}"


def _remedy(entry: CatalogEntry) -> str:
    if entry.shipped:
        return "Install SAMSegmenter again."
    again = f"Run 'samsegmenter models remove {entry.id}' and get it again"
    return f"{again}{f' (Download {entry.url})' if entry.url else ''}, or give the file by its path to use it as it is."
