"""The models that can be chosen by name, as described in `catalog.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError

VERSION = 2
CATALOG = Path(__file__).with_name("catalog.json")
SIZE_STEP = 32
KINDS = "propagation", "slice", "proposer"
NORMALISERS = "sam", "medsam", "sam_med2d", "med_sa", "sam2", "biomedical_sam2", "sam2_unet"
PROMPTS = "point", "box", "mask"


@dataclass(frozen=True)
class CatalogEntry:
    """One published model.

    Attributes:
        id: what the user calls it.
        title: what the user reads.
        family: the module in `families` that builds it.
        kind: "propagation" carries keyframes through a volume, "slice" turns prompts on a slice into a mask, "proposer"
            proposes a mask without a prompt.
        config: its layout, in the family's own terms.
        good_for: what it is good for, in a sentence.
        file: the file's name as published.
        shipped: whether the file lies inside this package.
        url: where the file can be downloaded; None for a shipped one, and where there is no stable address.
        obtain: how to obtain the file where there is no `url`, in sentences; else None.
        bytes: of the file, where published.
        sha256: of the file, 64 lower-case hexadecimal digits, where published; else it is recorded at the first use.
        licence: of the weights: the SPDX identifier, or words.
        licence_url: where the licence can be read; None if not known.
        commercial_use: whether the licence allows it.
        native_size: side in pixels of the square input with which it was trained.
        sizes: sides in pixels at which it may run, ascending.
        normaliser: how grey levels become its input, a name in `families.normalisers.PUBLISHED`.
        prompts: the kinds that it takes, of "point", "box" and "mask".
        citation: what to cite.
    """

    id: str
    title: str
    family: str
    kind: str
    config: str
    good_for: str
    file: str
    shipped: bool
    url: str | None
    obtain: str | None
    bytes: int | None
    sha256: str | None
    licence: str
    licence_url: str | None
    commercial_use: bool
    native_size: int
    sizes: tuple[int, ...]
    normaliser: str
    prompts: tuple[str, ...]
    citation: str


@dataclass(frozen=True)
class Catalog:
    """All entries and the id of the one that is used when none is chosen."""

    entries: tuple[CatalogEntry, ...]
    default: str


def entries() -> tuple[CatalogEntry, ...]:
    """Return every published model that can be chosen by name, the default first."""
    return _catalog().entries


def entry(id: str) -> CatalogEntry:
    """Return the published model called `id`.

    Raises:
        InputError: there is none; names the one that may be meant.
    """
    known = {each.id: each for each in entries()}
    if id not in known:
        raise InputError(f"There is no model {id!r}. {advice(id, known)}")
    return known[id]


def advice(id: str, known: Iterable[str]) -> str:
    """Return a sentence for a user who asked for a model `id` that is not among the `known` ones."""
    close = get_close_matches(id, known, 1)
    return f"{f'Did you mean {close[0]}? ' if close else ''}'samsegmenter models list' shows all."


def default_id() -> str:
    """Return the id of the model that is used when none is chosen."""
    return _catalog().default


def read_catalog(path: Path) -> Catalog:
    """Return the catalog in a file, after all of it has been checked.

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
    for name in ("id", "file"):
        values = [getattr(entry, name) for entry in read]
        _expect(len(set(values)) == len(values), f"{source}: models", f"{name}s that differ from each other", values)
    ids = [entry.id for entry in read]
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
    for name in ("id", "title", "family", "config", "good_for", "file", "licence", "citation"):
        _expect(_is_text(data[name]), f"{where}.{name}", "a text that is not empty", data[name])
    for name in ("shipped", "commercial_use"):
        _expect(isinstance(data[name], bool), f"{where}.{name}", "true or false", data[name])
    _expect(bool(re.fullmatch(r"[a-z0-9_]+", data["family"])), f"{where}.family", "the name of a module", data["family"])
    _expect(Path(data["file"]).name == data["file"], f"{where}.file", "a file name without a folder", data["file"])
    _check_origin(data, where)
    _check_sizes(data, where)
    _check_input(data, where)
    return CatalogEntry(**{**data, "sizes": tuple(data["sizes"]), "prompts": tuple(data["prompts"])})


def _check_origin(data: dict[str, Any], where: str) -> None:
    origins = [data["shipped"], data["url"] is not None, data["obtain"] is not None]
    _expect(sum(origins) == 1, f"{where}.url", "exactly one of shipped, url and obtain", data["url"])
    for name in ("url", "licence_url"):
        _expect(data[name] is None or _is_https(data[name]), f"{where}.{name}", "an https address or null", data[name])
    _expect(data["obtain"] is None or _is_text(data["obtain"]), f"{where}.obtain", "a text or null", data["obtain"])
    size, sha256 = data["bytes"], data["sha256"]
    _expect(size is None or (type(size) is int and size > 0), f"{where}.bytes", "a whole number above 0 or null", size)
    is_hash = isinstance(sha256, str) and bool(re.fullmatch("[0-9a-f]{64}", sha256))
    _expect(is_hash or (sha256 is None and not data["shipped"]), f"{where}.sha256", "64 lower-case hexadecimal digits", sha256)


def _check_sizes(data: dict[str, Any], where: str) -> None:
    sizes = data["sizes"]
    is_list = isinstance(sizes, list) and bool(sizes) and all(isinstance(n, int) and n > 0 and n % SIZE_STEP == 0 for n in sizes)
    _expect(is_list and sizes == sorted(set(sizes)), f"{where}.sizes", f"ascending multiples of {SIZE_STEP} px", sizes)
    _expect(data["native_size"] in sizes, f"{where}.native_size", "one of sizes", data["native_size"])


def _check_input(data: dict[str, Any], where: str) -> None:
    _expect(data["kind"] in KINDS, f"{where}.kind", f"one of {', '.join(KINDS)}", data["kind"])
    _expect(data["normaliser"] in NORMALISERS, f"{where}.normaliser", f"one of {', '.join(NORMALISERS)}", data["normaliser"])
    prompts = data["prompts"]
    known = isinstance(prompts, list) and all(prompt in PROMPTS for prompt in prompts)
    _expect(known and bool(prompts) == (data["kind"] != "proposer"), f"{where}.prompts", f"some of {', '.join(PROMPTS)}", prompts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_https(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("https://")


def _expect(condition: bool, where: str, wanted: str, got: Any = ...) -> None:
    if not condition:
        seen = "" if got is ... else f", got {'nothing' if got is None else json.dumps(got)[:80]}"
        raise InputError(f"{where}: expected {wanted}{seen}.")
