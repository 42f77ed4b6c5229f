"""What was learned or decided about models on this machine: small JSON files beside them, each an object by model id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..files import replacing
from .folders import folders, receiving_folder
from .locks import turn


def read(name: str) -> dict[str, Any]:
    """The records of all folders of models in the file `name`; where several know an id, the first folder counts.

    Raises:
        InputError: a file is damaged; says what to do.
    """
    known: dict[str, Any] = {}
    for folder in reversed(folders()):
        known |= _load(folder / name)
    return known


def note(name: str, id: str, value: Any) -> None:
    """Record `value`, which JSON can hold, for the model `id`; None forgets what was recorded.

    Raises:
        OutputError: no folder of models can be written to.
        InputError: what is there is damaged.
    """
    path = receiving_folder() / name
    try:
        with turn(path):
            content = {**_load(path), id: value}
            kept = {key: each for key, each in content.items() if each is not None}
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: could not be written ({error.strerror}).") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}). Delete it; what it recorded is asked or learned again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is damaged (not an object). Delete it; what it recorded is asked or learned again.")
    return content
