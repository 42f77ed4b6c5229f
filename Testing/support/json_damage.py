"""Damages decoded JSON anywhere, for tests of what reads it."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st


def places(value: Any, way: tuple = ()) -> Iterator[tuple]:
    """Yield the ways to all values of a document."""
    yield from [way] if way else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*way, key))


def damage(data: st.DataObject, document: Any, way: tuple, odd: st.SearchStrategy) -> None:
    """Put something odd in place of one value of a document, or nothing."""
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[way[-1]] = data.draw(odd)
    else:
        del holder[way[-1]]
