"""Marks: positions in mm that the user placed in the views of a host; they outlive every change of slices, axis and geometry.

`from_marks` turns marks into prompts of one stack of slices.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..fields import Fields

VERSION = 1
KINDS = ("point", "box", "scribble", "lasso", "line", "mask", "prior")
MASKS = ("mask", "prior")
MOST_PIXELS, MOST_ITEMS, FARTHEST_MM = 2**26, 10**6, 1e9  # of a mask; of a sequence; from the origin
Plane = str | list[list[float]]  # see `Mark.plane`
POSITIONS = {"point": 1, "box": 4, "line": 2, "mask": 3, "prior": 3}  # exact numbers; other kinds have one or more


@dataclass(frozen=True, eq=False)
class Mark:
    """One prompt at the place where the user put it.

    Attributes:
        segment: ID of its segment.
        kind: one of `KINDS`.
        positions: float ``(n, 3)`` in mm, RAS of the segmentation: the place of a point; four corners of a box in order; the path of
            a scribble or lasso; the ends of a line; the centres of a mask's first pixel, of the next one in its
            row, and of the next one in its column.
        positive: whether it lies inside the segment.
        item: the index of the item of a sequence that was shown when it was placed; None outside sequences.
        plane: of the slices to which it belongs: the axis ``"i"``, ``"j"`` or ``"k"`` along which they follow each other, or the 4x4 matrix
            to RAS of an oblique grid's voxel axes, or ``"time:k:23"`` for slice 23 of that axis followed through time. None until it is
            placed.
        mask: bool ``(rows, columns)``, of a mask or a prior only. A prior is no mark of the user: it had been found on a slice where
            other marks now correct it.
    """

    segment: str
    kind: str
    positions: np.ndarray
    positive: bool = True
    mask: np.ndarray | None = None
    item: int | None = None
    plane: Plane | None = None

    def __post_init__(self) -> None:
        positions = np.array(self.positions, float).reshape(-1, 3)
        wanted = POSITIONS.get(self.kind)
        if self.kind not in KINDS or not np.isfinite(positions).all() or len(positions) != (wanted or max(len(positions), 1)):
            raise InputError(f"mark: a {self.kind} with {len(positions)} positions cannot be used.")
        if (self.kind in MASKS) != (self.mask is not None):
            raise InputError("mark: a mask needs its pixels, and nothing else has any.")
        object.__setattr__(self, "positions", positions)

    def moved(self, handle: int | None, to: np.ndarray, offset: np.ndarray) -> Mark:
        """Return the mark with its position number `handle` at `to`, or shifted by `offset` if `handle` is None.

        Both are ``(3,)`` in mm, RAS. A box stays a rectangle.
        """
        positions = self.positions.copy()
        if handle is None:
            positions += offset
        elif self.kind == "box":  # the opposite corner stays, and the two beside it follow along the box's sides
            opposite, before, after = (handle + 2) % 4, (handle - 1) % 4, (handle + 1) % 4
            diagonal = np.asarray(to) - positions[opposite]
            for neighbour in (before, after):
                side = positions[neighbour] - positions[opposite]
                side /= np.linalg.norm(side)
                positions[neighbour] = positions[opposite] + (diagonal @ side) * side
            positions[handle] = to
        else:
            positions[handle] = to
        return replace(self, positions=positions)


@dataclass
class Marks:
    """All marks of a segmentation, with undo and redo. Those of one segment lie in one plane."""

    all: tuple[Mark, ...] = ()
    _done: list[tuple[Mark, ...]] = field(default_factory=list)
    _undone: list[tuple[Mark, ...]] = field(default_factory=list)

    def replace_all(self, marks: Iterable[Mark]) -> None:
        """Replace all marks by these, in one step of undo."""
        self._done.append(self.all)
        self._undone.clear()
        self.all = tuple(marks)

    def add(self, mark: Mark) -> None:
        """Add a mark."""
        self.replace_all((*self.all, mark))

    def remove(self, mark: Mark) -> None:
        """Remove a mark."""
        self.replace_all(each for each in self.all if each is not mark)

    def exchange(self, old: Mark, new: Mark) -> None:
        """Replace one mark by another."""
        self.replace_all(new if each is old else each for each in self.all)

    def of(self, segment: str) -> tuple[Mark, ...]:
        """Return the marks of a segment, in the order in which they were placed."""
        return tuple(mark for mark in self.all if mark.segment == segment)

    def plane_of(self, segment: str) -> Plane | None:
        """Return the plane of a segment's marks, see `Mark.plane`; None if it has no marks."""
        return next((mark.plane for mark in self.of(segment)), None)

    def undo(self) -> bool:
        """Take back the last change; return False if there is none."""
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """Repeat the change that `undo` took back; return False if there is none."""
        return self._swap(self._undone, self._done)

    @property
    def can_undo(self) -> bool:
        """Return whether there is a change to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Return whether there is a change to repeat."""
        return bool(self._undone)

    def _swap(self, source: list[tuple[Mark, ...]], target: list[tuple[Mark, ...]]) -> bool:
        if not source:
            return False
        target.append(self.all)
        self.all = source.pop()
        return True


def marks_to_json(marks: Marks) -> dict[str, Any]:
    """Return marks as plain values; `marks_from_json` restores them exactly."""
    first = next((mark.plane for mark in marks.all), None)  # for versions that know only one plane for all marks
    return {"version": VERSION, "plane": first, "marks": [_mark_to_json(mark) for mark in marks.all]}


def marks_from_json(data: Any) -> Marks:
    """Return the marks that `marks_to_json` wrote.

    Raises:
        InputError: they are damaged, or of a newer version of this program.
    """
    marks, wrong = _readable(data)
    if wrong:
        raise InputError(wrong)
    return marks


def _readable(data: Any) -> tuple[Marks, str]:
    """Return the marks that can be read, and a sentence about the others; the sentence is empty if there are none."""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        return Marks(), "the saved prompts are of another version of this program, or damaged."
    plane, entries = data.get("plane"), data.get("marks")
    if not isinstance(entries, list):
        return Marks(), "the saved prompts are damaged (there is no list of them)."
    found, faults, common = [], [], plane if _is_plane(plane) else None
    for number, entry in enumerate(entries):
        try:
            found.append(_mark_from_json(Fields(entry, f"prompt {number + 1}"), common))
        except InputError as error:
            faults.append(str(error).rstrip("."))
    wrong = [f"{len(faults)} of {len(entries)} saved prompts are damaged and left out ({faults[0]})."] if faults else []
    if not _is_plane(plane):
        wrong.append(f"the saved prompts lie in an unknown plane ({str(plane)[:60]}).")
    return Marks(tuple(found)), " ".join(wrong)


def _is_plane(plane: Any) -> bool:
    if plane is None or isinstance(plane, str):
        return plane is None or re.fullmatch("[ijk]|time:[ijk]:[0-9]{1,9}", plane) is not None
    try:
        matrix = _numbers(plane)
    except InputError:
        return False
    return matrix.shape == (4, 4) and abs(np.linalg.det(matrix)) > 0


def _mark_to_json(mark: Mark) -> dict[str, Any]:
    entry = {"segment": mark.segment, "kind": mark.kind, "positive": mark.positive, "positions": mark.positions.tolist()}
    if mark.plane is not None:
        entry["plane"] = mark.plane
    if mark.item is not None:
        entry["item"] = mark.item
    if mark.mask is not None:
        packed = base64.b64encode(zlib.compress(np.packbits(mark.mask).tobytes())).decode("ascii")
        entry["mask"] = {"shape": list(mark.mask.shape), "bits": packed}
    return entry


def _mark_from_json(entry: Fields, plane: Plane | None) -> Mark:
    """Return a mark that was saved; it lies in `plane` unless it names another one.

    Raises:
        InputError: a field is missing, of another kind, or not to be used.
    """
    segment, positions = entry.text("segment"), _numbers(entry.value("positions"))
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"positions of the shape {positions.shape}, expected (n, 3)")
    item = entry.whole("item", 0, MOST_ITEMS) if "item" in entry and entry.value("item") is not None else None
    mask = _mask_from_json(entry.inner("mask")) if "mask" in entry else None
    plane = entry.value("plane") if "plane" in entry else plane
    if not _is_plane(plane):
        raise InputError(f"an unknown plane ({str(plane)[:60]})")
    mark = Mark(segment, entry.choice("kind", KINDS), positions, bool(entry.value("positive")), mask, item, plane)
    sides = positions[1:] - positions[:1]
    if mark.kind in ("box", "line") and not np.linalg.norm(sides[len(sides) // 2]) > 0:
        raise InputError(f"a {mark.kind} without extent")
    if mark.kind in MASKS and not np.linalg.norm(np.cross(*sides)) > 0:
        raise InputError("a mask whose rows and columns run along each other")
    return mark


def _mask_from_json(entry: Fields) -> np.ndarray:
    """Return a bool mask ``(rows, columns)``, unpacking no more than it says it has."""
    rows, columns = (int(n) for n in entry.numbers("shape", 2))
    if not (rows > 0 and columns > 0 and rows * columns <= MOST_PIXELS):
        raise InputError(f"a mask of {rows} x {columns} pixels")
    wanted = -(-rows * columns // 8)
    try:
        bits = zlib.decompressobj().decompress(base64.b64decode(entry.text("bits")), wanted + 1)
    except (ValueError, zlib.error) as error:
        raise InputError(f"a mask that cannot be unpacked ({error})") from error
    if len(bits) != wanted:
        raise InputError("a saved mask has another size than it says")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns).reshape(rows, columns).astype(bool)


def _numbers(values: Any) -> np.ndarray:
    """Return nested lists of numbers as float64.

    Raises:
        InputError: something else is among them, or a number too large for a position.
    """
    try:
        numbers = np.array(values, dtype=object)
        if not all(type(each) in (int, float) and abs(each) <= FARTHEST_MM for each in numbers.flat):
            raise InputError("positions that are no numbers, or too large")
        return numbers.astype(float)
    except ValueError as error:
        raise InputError("positions of different length") from error


def dumps(marks: Marks) -> str:
    """Return marks as text; empty if there are none."""
    return json.dumps(marks_to_json(marks), separators=(",", ":")) if marks.all else ""


def loads(text: str) -> Marks:
    """Return the marks that `dumps` wrote.

    Raises:
        InputError: the text is damaged.
    """
    marks, wrong = salvaged(text)
    if wrong:
        raise InputError(wrong)
    return marks


def salvaged(text: str) -> tuple[Marks, str]:
    """Return the marks that can be read from a text, and a sentence about anything else in it; empty if there is nothing else."""
    try:
        return _readable(json.loads(text)) if text else (Marks(), "")
    except (ValueError, RecursionError) as error:
        return Marks(), f"the saved prompts are damaged ({error})."
