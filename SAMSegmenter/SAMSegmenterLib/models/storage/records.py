"""Records about the models on this machine: small JSON files beside them, each with an object by model id."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import InputError, OutputError
from ...files import replacing
from .folders import folders, receiving_folder, share
from .locks import turn

ADVICE = "Delete it; licences are asked for and hashes learned again, models of your own must be imported again."


def read(name: str) -> dict[str, Any]:
    """Return the records in the files called `name` of all folders of models; if several know an id, the first folder counts.

    Raises:
        InputError: the file in the first folder is damaged; says what to do.
    """
    first, *others = folders()
    known: dict[str, Any] = {}
    for folder in reversed(others):
        known |= _load_if_possible(folder / name)
    return known | _load(first / name)


def note(name: str, id: str, value: Any) -> None:
    """Record `value`, which JSON can hold, for the model `id`.

    Raises:
        OutputError: no folder of models can be written to.
        InputError: what is there is damaged.
    """
    _change(receiving_folder() / name, lambda known: known | {id: value})


def forget(path: Path, id: str) -> None:
    """Drop the record of the model `id`, if there is one, from the file of records `path`.

    Raises:
        OutputError: it cannot be written.
    """
    if id in _load_if_possible(path):
        _change(path, lambda known: {key: value for key, value in known.items() if key != id})


def _change(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    try:
        with turn(path):
            content = change(_load(path))
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            share(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: could not be written ({error.strerror}).") from error


def _load_if_possible(path: Path) -> dict[str, Any]:
    # The user can seldom repair a folder that others keep, and a share that is gone for an hour must not stop all work.
    try:
        return _load(path)
    except InputError as error:
        warnings.warn(f"Going on without these records: {error}", stacklevel=3)
        return {}


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}). {ADVICE}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is damaged (not an object). {ADVICE}")
    return content
