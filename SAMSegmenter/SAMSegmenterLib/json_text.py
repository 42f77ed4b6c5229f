"""JSON text written by anybody: read whole, decoded, or refused with the file and the place."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .errors import InputError

MOST_BYTES = 2**28  # of a file
SHOWN = 80  # letters of a wrong value in a message


class JsonObject(dict):
    """A JSON object that remembers the first name that occurs twice in it."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> JsonObject:
        """Return the object of these names and values; a later value of a name replaces an earlier one."""
        made = cls(pairs)
        if len(made) < len(pairs):
            made.twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return made


def text_of(path: Path) -> str:
    """Return the text of a prompt file, which may be a pipe.

    Raises:
        InputError: it cannot be read, is empty, too long, or not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Give a file that is there and may be read.") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: is longer than {MOST_BYTES >> 20} MiB, which no prompts need. Give masks as files.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf_16 = " This one seems to be in UTF-16; save it as UTF-8." if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise InputError(f"{path}: is not a text file in UTF-8. Give the prompts as JSON, see docs/command-line.md.{utf_16}") from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty, which is not valid JSON. Give the prompts as JSON, see docs/command-line.md.")
    return text


def json_from(text: str, source: str, **options: Any) -> Any:
    """Return a decoded JSON document.

    Args:
        text: the document.
        source: what messages call it.
        options: those of `json.loads`.

    Raises:
        InputError: it is no JSON, is nested too deeply, or has numbers of thousands of digits.
    """
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise InputError(f"{source}: is not usable JSON: its lists are nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{source}: is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except ValueError as error:  # Python refuses whole numbers of thousands of digits
        raise InputError(f"{source}: is not usable JSON: it has a number of thousands of digits.") from error


def expect(condition: bool, where: str, wanted: str, got: Any = ..., advice: str = "") -> None:
    """Raise `InputError` unless `condition`, saying that `wanted` was expected at `where` and, if it is given, that `got` was found."""
    if not condition:
        seen = "" if got is ... else f", got {'nothing' if got is None else _shown(got)}"
        raise InputError(f"{where}: expected {wanted}{seen}. {advice}".rstrip())


def _shown(value: Any) -> str:
    try:
        return shortened(json.dumps(value, default=str))
    except RecursionError:
        return "lists within lists"


def shortened(text: str) -> str:
    """Return a text from a file, cut to a length that suits a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
