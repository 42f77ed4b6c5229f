"""What the user marked in the views of a host: positions in mm, which outlive every change of slices, axis and geometry.

`marking` makes prompts of them, for one stack of slices.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import InputError

VERSION = 1
KINDS = ("point", "box", "scribble", "lasso", "line", "mask", "prior")
MASKS = ("mask", "prior")
POSITIONS = {"point": 1, "box": 4, "line": 2, "mask": 3, "prior": 3}  # exactly; the others have one or more


@dataclass(frozen=True, eq=False)
class Mark:
    """One prompt, where it was placed.

    Attributes:
        segment: ID of the segment that it belongs to.
        kind: one of `KINDS`.
        positions: float ``(n, 3)`` in mm, RAS of the segmentation: the place of a point; four corners of a box in order; the path of
            a scribble or lasso; the ends of a line; the centres of a mask's first pixel, of the next one in its
            row, and of the next one in its column.
        positive: whether it lies inside the segment.
        item: which one of a sequence was shown when it was placed; None outside of sequences.
        mask: bool ``(rows, columns)``, of a mask or a prior only. A prior is no mark by the user: it is what had been found on a slice
            where other marks now correct it.
    """

    segment: str
    kind: str
    positions: np.ndarray
    positive: bool = True
    mask: np.ndarray | None = None
    item: int | None = None

    def __post_init__(self) -> None:
        positions = np.array(self.positions, float).reshape(-1, 3)
        wanted = POSITIONS.get(self.kind)
        if self.kind not in KINDS or not np.isfinite(positions).all() or len(positions) != (wanted or max(len(positions), 1)):
            raise InputError(f"mark: a {self.kind} with {len(positions)} positions cannot be used.")
        if (self.kind in MASKS) != (self.mask is not None):
            raise InputError("mark: a mask needs its pixels, and nothing else has any.")
        object.__setattr__(self, "positions", positions)

    def moved(self, handle: int | None, to: np.ndarray, offset: np.ndarray) -> Mark:
        """With one of its positions, `handle`, at `to`; or, if `handle` is None, all of it shifted by `offset`."""
        positions = self.positions.copy()
        if handle is None:
            positions += offset
        elif self.kind == "box":  # the opposite corner stays, the two beside it follow along the box's sides
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
    """All marks of a segmentation, with an undo of their own.

    Attributes:
        plane: the axis ``"i"``, ``"j"`` or ``"k"`` that the marks are used along, or the 4x4 matrix to RAS of an oblique grid's
            voxel axes, or ``"time:k:23"`` for slice 23 of that axis followed through time; None until the first mark is placed.
    """

    all: tuple[Mark, ...] = ()
    plane: str | list[list[float]] | None = None
    _done: list[tuple] = field(default_factory=list)
    _undone: list[tuple] = field(default_factory=list)

    def replace_all(self, marks: Iterable[Mark], plane: Any = ...) -> None:
        """Have these marks instead; one step of undo."""
        self._done.append((self.all, self.plane))
        self._undone.clear()
        self._set(tuple(marks), self.plane if plane is ... else plane)

    def add(self, mark: Mark) -> None:
        self.replace_all((*self.all, mark))

    def remove(self, mark: Mark) -> None:
        self.replace_all(each for each in self.all if each is not mark)

    def exchange(self, old: Mark, new: Mark) -> None:
        self.replace_all(new if each is old else each for each in self.all)

    def of(self, segment: str) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.all if mark.segment == segment)

    def undo(self) -> bool:
        """Take back the last change; False if there is none."""
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """Make the change again that `undo` took back; False if there is none."""
        return self._swap(self._undone, self._done)

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def _swap(self, source: list[tuple], target: list[tuple]) -> bool:
        if not source:
            return False
        target.append((self.all, self.plane))
        self._set(*source.pop())
        return True

    def _set(self, marks: tuple[Mark, ...], plane: Any) -> None:
        self.all, self.plane = marks, plane if marks else None  # the next first mark may lie in another plane


def marks_to_json(marks: Marks) -> dict[str, Any]:
    """Marks as plain values; `marks_from_json` reads them back, exactly."""
    return {"version": VERSION, "plane": marks.plane, "marks": [_mark_to_json(mark) for mark in marks.all]}


def marks_from_json(data: Any) -> Marks:
    """The marks that `marks_to_json` has written.

    Raises:
        InputError: they are damaged, or of a newer version of this program.
    """
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise InputError("the saved prompts are of another version of this program, or damaged.")
    try:
        plane = data["plane"]
        if not (plane is None or _is_axis(plane) or np.array(plane, float).shape == (4, 4)):
            raise InputError(f"the saved prompts lie in an unknown plane ({plane}).")
        return Marks(tuple(_mark_from_json(entry) for entry in data["marks"]), plane)
    except (KeyError, TypeError, ValueError, zlib.error, binascii.Error) as error:
        raise InputError(f"the saved prompts are damaged ({type(error).__name__}: {error}).") from error


def _is_axis(plane: Any) -> bool:
    return isinstance(plane, str) and re.fullmatch("[ijk]|time:[ijk]:[0-9]+", plane) is not None


def _mark_to_json(mark: Mark) -> dict[str, Any]:
    entry = {"segment": mark.segment, "kind": mark.kind, "positive": mark.positive, "positions": mark.positions.tolist()}
    if mark.item is not None:
        entry["item"] = mark.item
    if mark.mask is not None:
        packed = base64.b64encode(zlib.compress(np.packbits(mark.mask).tobytes())).decode("ascii")
        entry["mask"] = {"shape": list(mark.mask.shape), "bits": packed}
    return entry


def _mark_from_json(entry: dict[str, Any]) -> Mark:
    mask = None
    if "mask" in entry:
        rows, columns = entry["mask"]["shape"]
        wanted = -(-rows * columns // 8)
        bits = zlib.decompressobj().decompress(base64.b64decode(entry["mask"]["bits"]), wanted + 1)
        if len(bits) != wanted:
            raise InputError("a saved mask has another size than it says.")
        mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns).reshape(rows, columns).astype(bool)
    item = int(entry["item"]) if entry.get("item") is not None else None
    return Mark(str(entry["segment"]), entry["kind"], entry["positions"], bool(entry["positive"]), mask, item)


def dumps(marks: Marks) -> str:
    """Marks as text; empty if there are none."""
    return json.dumps(marks_to_json(marks), separators=(",", ":")) if marks.all else ""


def loads(text: str) -> Marks:
    """What `dumps` has written.

    Raises:
        InputError: the text is damaged.
    """
    try:
        return marks_from_json(json.loads(text)) if text else Marks()
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"the saved prompts are damaged ({error}).") from error
