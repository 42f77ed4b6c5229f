"""The common parts of NRRD and MetaImage headers: lines of text, numbers, units, and the place of a grid."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from .integrity import Part

LONGEST = 1 << 26  # bytes of a header; that of a segmentation has a few hundred for each segment
UNITS_MM = {"nm": 1e-6, "um": 1e-3, "mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0}
METRES = {"nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "deci": "dm", "": "m"}
UNSPACED = "The file does not say how far apart its voxels lie; 1 mm is assumed."
UNKNOWN_UNITS = ("", "?", "???", "none")


@dataclass(frozen=True)
class Header:
    """The content of a header of an image with three axes.

    Attributes:
        decoder: the name of ITK's reader.
        shape: ``(k, j, i)``, of colours ``(k, j, i, 3 or 4)``.
        dtype: of the stored voxels, in the machine's byte order.
        parts: where they are stored.
        ijk_to_lps: ``(4, 4)`` voxel indices to LPS mm, by the format's own rules.
        geometry: where it comes from, in words.
        warnings: what had to be assumed; sentences for the user.
        scaling: slope and offset from a stored voxel to its value.
        place: the fields that a result in the same format takes over, so that every program places both alike.
        exact: whether nothing should follow the voxels.
        unoriented: whether the axes of the patient are an assumption.
        centred: whether the place of the first voxel is an assumption.
    """

    decoder: str
    shape: tuple[int, ...]
    dtype: np.dtype
    parts: tuple[Part, ...]
    ijk_to_lps: np.ndarray
    geometry: str
    warnings: tuple[str, ...]
    scaling: tuple[float, float] = (1.0, 0.0)
    place: Any = None
    exact: bool = True
    unoriented: bool = False
    centred: bool = False


def lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the lines of a header without their ends, one at a time; the file then stands behind the last one.

    Raises:
        InputError: the header is no text, or does not end.
    """
    for line in iter(lambda: file.readline(LONGEST), b""):
        if b"\0" in line or file.tell() > LONGEST:
            raise InputError(f"{path}: its header is damaged, or is none. Export the image again.")
        yield line.decode(errors="surrogateescape").rstrip("\r\n")


def listed(file: BinaryIO, path: Path) -> list[str]:
    """Return the names of data files, one a line, from the current place in a header to its end.

    Raises:
        InputError: the last line has no end; ITK would skip it and fill its slice with whatever is in memory.
    """
    names = list(lines(file, path))
    file.seek(-1, os.SEEK_END)
    if names and file.read() != b"\n":
        raise InputError(f"{path}: the list of its data files does not end with a line break. Add one.")
    return names


class HeaderFields(dict[str, str]):
    """The fields of a header by name, with its path for messages."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def wrong(self, name: str, problem: str) -> InputError:
        """Return the error that reports a problem with a field."""
        return InputError(f"{self.path}: its field {name!r} {problem}. Correct the header, or export the image again.")

    def add(self, name: str, value: str) -> None:
        """Add a field. Raise `InputError` if it exists already."""
        if name in self:
            raise self.wrong(name, "is there twice")
        self[name] = value

    def need(self, name: str) -> str:
        """Return a field's text. Raise `InputError` if it is missing."""
        if name not in self:
            raise self.wrong(name, "is missing")
        return self[name]

    def whole(self, name: str, default: int = 0) -> int:
        """Return a field's whole number. Raise `InputError` if it is something else."""
        text = self.get(name, str(default)).strip()
        if not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise self.wrong(name, f"is {quoted(text)}, not a whole number")
        return int(text)

    def sizes(self, name: str, count: int) -> list[int]:
        """Return the number of voxels along each axis. Raise `InputError` unless there are `count` whole numbers above 0."""
        words = self.need(name).split()
        if len(words) != count or not all(re.fullmatch(r"\+?\d{1,18}", word) and int(word) for word in words):
            raise self.wrong(name, f"is {quoted(self[name])}; expected {count} whole numbers above 0")
        return [int(word) for word in words]

    def numbers(self, name: str, count: int, finite: bool = True) -> np.ndarray:
        """Return ``(count,)`` float64 numbers. Raise `InputError` if there are more, fewer, or (if `finite`) NaN or infinite ones."""
        return self.parsed(name, self.need(name).split(), count, finite)

    def parsed(self, name: str, words: Sequence[str], count: int, finite: bool = True) -> np.ndarray:
        """Return the ``(count,)`` float64 numbers that `words` stand for, as `numbers` does."""
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            raise self.wrong(name, f"is {quoted(self[name])}, which are not all numbers") from None
        if len(values) != count:
            raise self.wrong(name, f"has {len(values)} numbers where {count} are expected")
        if finite and not np.isfinite(values).all():
            raise self.wrong(name, f"is {quoted(self[name])}; expected finite numbers")
        return values

    def millimetres(self, name: str, unit: str) -> float:
        """Return how many mm a unit has; 1 if it is stated to be unknown. Raise `InputError` for any other word."""
        word = unit.strip().strip('"').strip().replace("\u00b5", "u").replace("\u03bc", "u")
        named = re.fullmatch(r"(nano|micro|milli|centi|deci|)met(er|re)s?|(micron)s?", word.lower())
        short = ("um" if named[3] else METRES[named[1]]) if named else word.lower() if word.lower() in UNITS_MM else word
        if word.lower() in UNKNOWN_UNITS:
            return 1.0
        if short not in UNITS_MM:
            raise self.wrong(name, f"has the unit {quoted(word)}, which is none of {', '.join(UNITS_MM)}")
        return UNITS_MM[short]


def quoted(text: str) -> str:
    """Return a text from a file, quoted and cut to a length that suits a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def affine(columns: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the ``(4, 4)`` matrix with these ``(3, 3)`` columns and this ``(3,)`` origin."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = columns, origin
    return matrix


def check_axes(path: Path, lengths: Sequence[int], others: Sequence[int] = ()) -> None:
    """Raise `InputError` unless there are three axes in space and nothing along any other axis."""
    shape = " x ".join(str(n) for n in (*lengths, *others))
    if len(lengths) < 3:
        raise InputError(f"{path}: this is a 2-D image ({shape}); there are no slices to propagate to. Give a volume.")
    if any(n > 1 for n in (*lengths[3:], *others)):
        raise InputError(f"{path}: 4-D images ({shape}) are not supported. Save the time point or component to segment as a volume.")


def check_colours(path: Path, components: int, dtype: np.dtype) -> None:
    """Raise `InputError` unless voxels of `components` numbers are 8-bit colours."""
    if components not in (3, 4) or dtype != np.uint8:
        raise InputError(f"{path}: its voxels are vectors ({components} components) or complex. Save the component to segment as a volume.")
