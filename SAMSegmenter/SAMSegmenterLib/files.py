"""Files that are either complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, OutputError

READABLE = "a .nrrd, .nhdr, .nii, .nii.gz, .mha or .mhd file, a folder of DICOM images, or one file of it"  # as volumes


def check_name(path: Path) -> None:
    """Raise `InputError` for a name at which image libraries written in C++ would abort the program.

    Raises:
        InputError: the name of the file, or of a folder on the way to it, is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: its name is not UTF-8; rename it.") from error


def real(path: Path) -> Path:
    """Return the file that `path` leads to if it is a symbolic link, whether that file exists or not; else `path` itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_writable(path: Path) -> None:
    """Raise `OutputError`, before any long work, unless its result can be written to `path`.

    Raises:
        OutputError: the folder is missing or not writable, or the path is a folder or a write-protected file; or a link in a circle.
    """
    target = real(path)
    if target.is_symlink():
        raise OutputError(f"{path}: this link leads in a circle. Remove it, or choose another name.")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder. Give the name of a file.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: this file is write-protected. Choose another name.")
    if not target.parent.is_dir():
        link = f"{path}: this link leads to a missing folder. " if target is not path else ""
        raise OutputError(f"{link}{target.parent}: there is no such folder. Make it, or choose another one.")
    try:
        probe = target.with_name(f".samsegmenter-{uuid.uuid4().hex[:12]}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{target.parent}: cannot write to this folder ({error.strerror}). Choose another one.") from error


def make_folder(folder: Path) -> None:
    """Make a folder for results unless it exists.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror}).") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block ends without an error.

    It keeps the name and the permissions of `path`. A symbolic link stays; the file that it leads to is replaced, or made.

    Raises:
        OutputError: the folder is missing or cannot be written to, or the disk is full; what was at `path` is unchanged.
    """
    target = real(path)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".samsegmenter-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{path}: could not be written ({error.strerror or error}). What was there is unchanged.") from error
