"""Files that are either complete or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, of the same name, that takes its place when the block has ended without an error.

    Raises:
        OutputError: the folder is missing or cannot be written to, or the disk is full; what was at `path` is unchanged.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".samsegmenter-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: could not be written ({error.strerror or error}). Nothing has been changed.") from error
