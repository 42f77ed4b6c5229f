"""Where model files lie: inside this package, or in the user's own folder."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_dir

from ..errors import CheckpointError
from .catalog import CatalogEntry

SHIPPED = Path(__file__).parent.parent / "Resources" / "Models"
FOLDER_VARIABLE = "SAMSEGMENTER_MODELS"


def models_folder() -> Path:
    """The user's folder of model files, which may not exist yet; the variable SAMSEGMENTER_MODELS names another one."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(user_data_dir("SAMSegmenter", appauthor=False)) / "models"


def find(entry: CatalogEntry) -> Path | None:
    """The file of `entry` on this machine, or None."""
    path = (SHIPPED if entry.shipped else models_folder()) / entry.file
    return path if path.is_file() else None


def locate(entry: CatalogEntry) -> Path:
    """The file of `entry` on this machine.

    Raises:
        CheckpointError: it is not there; says where it can be had and where to put it.
    """
    path = find(entry)
    if path:
        return path
    if entry.shipped:
        raise CheckpointError(f"{SHIPPED / entry.file}: this file of the installation is missing. Install SAMSegmenter again.")
    raise CheckpointError(
        f"{entry.id}: the model file is not on this machine. Download {entry.url} and put it in {models_folder()} "
        f"as {entry.file}, or give the path of the downloaded file in place of the model's name."
    )
