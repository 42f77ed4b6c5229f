"""The networks that can be chosen by name, described in `catalog.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError

VERSION = 1
CATALOG = Path(__file__).with_name("catalog.json")
SIZE_STEP = 32


@dataclass(frozen=True)
class CatalogEntry:
    """One published network.

    Attributes:
        id: what the user calls it.
        title: what the user reads.
        family: the module in `families` that builds it.
        config: its layout, a YAML file of the family or of the package that the family builds upon.
        file: the file's name as published.
        shipped: whether the file lies inside this package.
        url: where the file can be downloaded; None for a shipped one.
        sha256: of the file, 64 lower-case hexadecimal digits.
        licence: SPDX identifier of the weights' licence.
        native_size: side in pixels of the square input that it was trained with.
        sizes: sides in pixels that it may run at, ascending.
    """

    id: str
    title: str
    family: str
    config: str
    file: str
    shipped: bool
    url: str | None
    sha256: str
    licence: str
    native_size: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Catalog:
    """All entries and the id of the one that is used when none is chosen."""

    entries: tuple[CatalogEntry, ...]
    default: str


def entries() -> tuple[CatalogEntry, ...]:
    """Every network that can be chosen by name, the default first."""
    return _catalog().entries


def entry(id: str) -> CatalogEntry:
    """The network called `id`.

    Raises:
        InputError: listing the known ids.
    """
    for known in entries():
        if known.id == id:
            return known
    raise InputError(f"There is no model {id!r}; known are {', '.join(known.id for known in entries())}.")


def default_id() -> str:
    """The network that is used when none is chosen."""
    return _catalog().default


def read_catalog(path: Path) -> Catalog:
    """Read and validate a catalog file.

    Raises:
        InputError: naming the file and the field at fault.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON: {error}.") from error
    source = path.name
    _expect(isinstance(data, dict), source, "an object with version, default and models", data)
    _expect(data.get("version") == VERSION, f"{source}: version", str(VERSION), data.get("version"))
    models = data.get("models")
    _expect(isinstance(models, list), f"{source}: models", "a list", models)
    read = tuple(_entry(model, f"{source}: models[{n}]") for n, model in enumerate(models))
    ids = [entry.id for entry in read]
    _expect(len(set(ids)) == len(ids), f"{source}: models", "ids that differ from each other", ids)
    _expect(ids[:1] == [data.get("default")], f"{source}: default", "the id of the first model", data.get("default"))
    return Catalog(read, ids[0])


@lru_cache(maxsize=1)
def _catalog() -> Catalog:
    return read_catalog(CATALOG)


def _entry(data: Any, where: str) -> CatalogEntry:
    _expect(isinstance(data, dict), where, "an object", data)
    names = {field.name for field in fields(CatalogEntry)}
    for name in sorted(names ^ data.keys()):
        _expect(name in names, f"{where}.{name}", f"only {', '.join(sorted(names))}")
        _expect(name in data, f"{where}.{name}", "a value", None)
    for name in ("id", "title", "family", "config", "file", "licence"):
        _expect(isinstance(data[name], str) and bool(data[name].strip()), f"{where}.{name}", "a text that is not empty", data[name])
    _expect(Path(data["file"]).name == data["file"], f"{where}.file", "a file name without a folder", data["file"])
    _check_origin(data, where)
    _check_sizes(data, where)
    return CatalogEntry(**{**data, "sizes": tuple(data["sizes"])})


def _check_origin(data: dict[str, Any], where: str) -> None:
    _expect(isinstance(data["shipped"], bool), f"{where}.shipped", "true or false", data["shipped"])
    has_url = isinstance(data["url"], str) and data["url"].startswith("https://")
    _expect(has_url or (data["shipped"] and data["url"] is None), f"{where}.url", "an https address", data["url"])
    is_hash = isinstance(data["sha256"], str) and re.fullmatch("[0-9a-f]{64}", data["sha256"])
    _expect(bool(is_hash), f"{where}.sha256", "64 lower-case hexadecimal digits", data["sha256"])


def _check_sizes(data: dict[str, Any], where: str) -> None:
    sizes = data["sizes"]
    is_list = isinstance(sizes, list) and bool(sizes) and all(isinstance(n, int) and n > 0 and n % SIZE_STEP == 0 for n in sizes)
    _expect(is_list and sizes == sorted(set(sizes)), f"{where}.sizes", f"ascending multiples of {SIZE_STEP} px", sizes)
    _expect(data["native_size"] in sizes, f"{where}.native_size", "one of sizes", data["native_size"])


def _expect(condition: bool, where: str, wanted: str, got: Any = ...) -> None:
    if not condition:
        seen = "" if got is ... else f", got {'nothing' if got is None else json.dumps(got)[:80]}"
        raise InputError(f"{where}: expected {wanted}{seen}.")
