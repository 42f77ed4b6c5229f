"""The folders of model files on this machine, beside those that ship with the package."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_data_dir

from ...errors import OutputError

FOLDER_VARIABLE = "SAMSEGMENTER_MODELS"


def folders() -> tuple[Path, ...]:
    """Return the folders that are searched for model files, in this order; any of them may be missing or read-only.

    The variable SAMSEGMENTER_MODELS names them, separated as in PATH: a user's own first, then for instance a department's share or a
    DVD. Without the variable it is one folder in the user's data.
    """
    named = [part.strip() for part in os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep)]
    chosen = tuple(expanded(part) for part in named if part)
    return chosen or (Path(user_data_dir("SAMSegmenter", appauthor=False)) / "models",)


def expanded(path: str | Path) -> Path:
    """Return `path` with the home folder in place of ``~``; unchanged if there is no such user."""
    return Path(os.path.expanduser(path))


def receiving_folder() -> Path:
    """Return the first of `folders` that can be written to, after making it if it is missing.

    Raises:
        OutputError: none can be; says why for each.
    """
    refusals = []
    for folder in folders():
        if folder.parts[:1] == ("~",):  # it cannot be expanded, and would be made in the working folder
            refusals.append(f"{folder} (there is no home folder)")
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell this on Windows and on shares
                return folder
        except OSError as error:
            refusals.append(f"{folder} ({error.strerror})")
    raise OutputError(
        f"No folder of models can be written to: {', '.join(refusals)}. Name one in the variable {FOLDER_VARIABLE}, or make room there."
    )


def shared_mode(folder: Path) -> int:
    """Return the permissions with which all who may write in `folder` can change a file there, whatever the umask of its maker.

    Raises:
        OSError: the folder is missing or out of reach.
    """
    return folder.stat().st_mode & 0o666 | 0o600


def share(path: Path) -> None:
    """Give the file `path` the `shared_mode` of its folder, if it belongs to the user and the file system knows permissions."""
    with suppress(OSError):
        path.chmod(shared_mode(path.parent))
