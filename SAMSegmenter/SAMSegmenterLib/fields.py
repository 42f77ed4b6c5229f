"""Decoded JSON that may be damaged: values of the expected kind, or an error that names the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from .json_text import expect


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Kind = TypeVar("Kind", bound=Dataclass)
LARGEST = 2**53  # of whole numbers, so that a float64 holds them exactly
FARTHEST = 1e300


class Fields:
    """The fields of an object in a JSON document.

    Args:
        data: the value that should be an object.
        where: its place in the document, for messages.

    Raises:
        InputError: it is no object; and from every method, if a field is missing or of another kind.
    """

    def __init__(self, data: Any, where: str) -> None:
        self._data, self._where = data, where
        expect(isinstance(data, dict), where or "document", "an object", data)

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def value(self, name: str) -> Any:
        """Return a field of any kind."""
        expect(name in self._data, self._at(name), "a value")
        return self._data[name]

    def whole(self, name: str, low: int = -LARGEST, high: int = LARGEST) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.value(name)
        expect(type(value) is int and low <= value <= high, self._at(name), f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str) -> float:
        """Return a finite number."""
        return _number(self.value(name), self._at(name))

    def text(self, name: str) -> str:
        """Return a text without control characters."""
        value = self.value(name)
        expect(isinstance(value, str) and value.isprintable(), self._at(name), "a text", value)
        return value

    def numbers(self, name: str, count: int) -> list[float]:
        """Return a list of `count` finite numbers."""
        values = self.value(name)
        expect(isinstance(values, list) and len(values) == count, self._at(name), f"a list of {count} numbers", values)
        return [_number(value, self._at(name)) for value in values]

    def choice(self, name: str, known: Sequence[Any]) -> Any:
        """Return a field that is one of the `known` texts or numbers."""
        value = self.value(name)
        is_known = any(type(value) is type(each) and value == each for each in known)
        expect(is_known, self._at(name), f"one of {', '.join(map(str, known))}", value)
        return value

    def inner(self, name: str) -> Fields:
        """Return the fields of an object that is itself a field."""
        return Fields(self.value(name), self._at(name))

    def objects(self, name: str) -> list[Fields]:
        """Return the fields of each object in a list."""
        values = self.value(name)
        expect(isinstance(values, list), self._at(name), "a list", values)
        return [Fields(value, f"{self._at(name)}[{number}]") for number, value in enumerate(values)]

    def as_a(self, kind: type[Kind]) -> Kind:
        """Return an instance of the dataclass `kind` made of these fields.

        Its types may be bool, int, float, str, literals, dataclasses, and optional ones of these. Only fields with a default may be
        missing.
        """
        hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}
        for name in self._data:
            expect(name in known, self._at(name), f"only {', '.join(known)}")
        given = [name for name, field in known.items() if name in self or field.default is MISSING]
        return kind(**{name: self._of(name, hints[name]) for name in given})

    def _of(self, name: str, hint: Any) -> Any:
        if get_origin(hint) is Literal:
            return self.choice(name, get_args(hint))
        if get_origin(hint) in (Union, UnionType):
            others = [each for each in get_args(hint) if each is not NoneType]
            return None if self.value(name) is None else self._of(name, others[0])
        if isinstance(hint, type) and is_dataclass(hint):
            return self.inner(name).as_a(hint)
        if hint is int:
            return self.whole(name)
        if hint is float:
            return self.number(name)
        value = self.value(name)
        expect(type(value) is hint, self._at(name), {bool: "true or false", str: "a text"}[hint], value)
        return value

    def _at(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def _number(value: Any, where: str) -> float:
    is_number = type(value) in (int, float) and abs(value) <= FARTHEST and math.isfinite(value)
    expect(is_number, where, "a finite number", value)
    return float(value)
