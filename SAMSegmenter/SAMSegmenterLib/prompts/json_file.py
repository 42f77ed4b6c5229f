"""Prompts as JSON, version 1: the file that `samsegmenter propagate` reads and a session saves.

    {"version": 1, "axis": "k", "space": "ijk", "segments": [
        {"name": "liver", "color": [0.9, 0.4, 0.3], "keyframes": [
            {"slice": 56,
             "points": [[x, y, 1], [x, y, 0]], "box": [x0, y0, x1, y1], "line": [x0, y0, x1, y1],
             "scribbles": [{"path": [[x, y], ...], "label": 1}],
             "mask": {"file": "labels.nii.gz", "value": 5}, "prior": {...}}]}]}

x and y are the two voxel indices other than the axis, in i<j<k order: continuous, voxel centres at integers. With
``"space": "ras"`` positions are in mm: points ``[R, A, S, label]``, paths ``[R, A, S]``, boxes and lines
``[R, A, S, R, A, S]``, and the slice is found from them. A mask is a labelmap file on the volume's grid, of which
the keyframe's slice is read, or ``{"shape": [rows, columns], "runs": [outside, inside, outside, ...]}``. A prior is given
like a mask: it had been found on the slice before, and the other prompts correct it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..image.stack import AXES, FrameStack
from ..image.volume import Volume
from ..json_text import SHOWN, JsonObject, expect, json_from, shortened, text_of
from .types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment

VERSION = 1
MOST_SEGMENTS = 2**16 - 1
LARGEST = 1e9  # of a position in pixels or mm; no image is as large
ROUNDING = 1e-3  # pixels by which a box may leave the slice without a warning
ReadLabelmap = Callable[[Path], Volume]


class PromptFile:
    """A prompt file, read only once because it may be a pipe.

    Args:
        path: the file; relative mask files in it start at its folder, or at the working folder if it is a pipe or in /dev.

    Attributes:
        axis: the axis that it names, along which the stack must lie.
        warnings: what `prompts` had to change; sentences for the user.

    Raises:
        InputError: it cannot be read, or is no JSON document of prompts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._data, self._files = _load(path)
        self.axis = _axis(self._data, path.name)

    def prompts(self, stack: FrameStack, read_labelmap: ReadLabelmap) -> PromptSet:
        """Return the prompts of the file, checked for `stack`.

        `read_labelmap` turns a mask file's path into a volume; it is called once for each file.

        Raises:
            InputError: naming the file and the field at fault.
        """
        piped = self.path.absolute().parts[1:2] in (("dev",), ("proc",)) or not self.path.is_file()  # /dev/stdin may lead to a file
        folder = Path() if piped else self.path.parent
        reader = _Reader(stack, read_labelmap, folder, files=self._files.copy())
        prompts = reader.prompts(self._data, self.path.name)
        self.warnings = reader.warnings
        return prompts


def read_prompts(path: Path, stack: FrameStack, read_labelmap: ReadLabelmap | None = None) -> PromptSet:
    """Return the prompts in a file, checked for `stack`.

    Args:
        path: the JSON file; docs/command-line.md has its format.
        stack: the slices to which the prompts belong.
        read_labelmap: reads the mask files that it names; `imageio.read_labelmap` if not given.

    Raises:
        InputError: it cannot be read, or its prompts cannot be used on `stack`; names the file and the field at fault.
    """
    if read_labelmap is None:
        from .. import imageio  # here, because it loads ITK, which prompts without mask files do not need

        read_labelmap = imageio.read_labelmap
    return PromptFile(path).prompts(stack, read_labelmap)


def prompts_from_dict(data: Any, stack: FrameStack, source: str = "prompts", complete: bool = True) -> PromptSet:
    """Return the prompts in a decoded JSON document that names no mask files.

    Args:
        data: the document.
        stack: the slices for which the prompts are.
        source: what messages call the document.
        complete: whether every segment must have prompts.

    Raises:
        InputError: as `read_prompts`.
    """
    return _Reader(stack, None, Path(), complete).prompts(data, source)


def prompts_to_dict(prompts: PromptSet) -> dict[str, Any]:
    """Return the JSON document of `prompts` in voxel coordinates, with masks inline; `prompts_from_dict` reads it back."""
    segments = []
    for segment in prompts.segments:
        entry: dict[str, Any] = {"name": segment.name, "keyframes": [_keyframe_to_dict(k) for k in segment.keyframes]}
        if segment.color is not None:
            entry["color"] = [float(value) for value in segment.color]
        segments.append(entry)
    return {"version": VERSION, "axis": prompts.axis, "space": "ijk", "segments": segments}


def _keyframe_to_dict(keyframe: Keyframe) -> dict[str, Any]:
    entry: dict[str, Any] = {"slice": int(keyframe.slice)}
    if keyframe.points:
        entry["points"] = [[float(p.x), float(p.y), int(p.positive)] for p in keyframe.points]
    if keyframe.scribbles:
        entry["scribbles"] = [{"path": [[float(x), float(y)] for x, y in s.path], "label": int(s.positive)} for s in keyframe.scribbles]
    for name, shape in (("box", keyframe.box), ("line", keyframe.line)):
        if shape:
            entry[name] = [float(value) for value in (shape.x0, shape.y0, shape.x1, shape.y1)]
    for name, painted in (("mask", keyframe.mask), ("prior", keyframe.prior)):
        if painted:
            entry[name] = _mask_to_runs(painted.mask)
    return entry


def _mask_to_runs(mask: np.ndarray) -> dict[str, list[int]]:
    flat = mask.reshape(-1)
    changes = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    bounds = [0, *changes, flat.size]
    return {"shape": list(mask.shape), "runs": [int(end - begin) for begin, end in pairwise(bounds)]}


def _load(path: Path) -> tuple[Any, Counter[str]]:
    """Return the document, and how often it names each mask file."""
    files: Counter[str] = Counter()

    def noted(pairs: list[tuple[str, Any]]) -> JsonObject:
        made = JsonObject.of(pairs)
        if isinstance(made.get("file"), str):
            files[made["file"]] += 1
        return made

    return json_from(text_of(path), str(path), object_pairs_hook=noted), files


def _axis(data: Any, source: str) -> str:
    expect(isinstance(data, dict), source, "an object with version, axis, space and segments")
    axis = data.get("axis", "k")
    expect(axis in tuple(AXES), f"{source}: axis", '"i", "j" or "k"', axis)
    return axis


class _Reader:
    """A converter of decoded JSON to prompts; every method takes the `where` that its error messages name."""

    def __init__(
        self,
        stack: FrameStack,
        read_labelmap: ReadLabelmap | None,
        folder: Path,
        complete: bool = True,
        files: Counter[str] | None = None,
    ) -> None:
        self.stack, self.read_labelmap, self.folder, self.complete = stack, read_labelmap, folder, complete
        self.ras = False
        self.warnings: list[str] = []
        self._files = files or Counter()  # how often each mask file is still named
        self._labelmaps: dict[str, Volume] = {}

    def prompts(self, data: Any, source: str) -> PromptSet:
        axis = _axis(data, source)
        _only(data, {"version", "axis", "space", "segments"}, source)
        expect(_is_whole(data.get("version")) and data["version"] == VERSION, f"{source}: version", str(VERSION), data.get("version"))
        expect(axis == self.stack.axis, f"{source}: axis", f'"{self.stack.axis}", the axis in use', axis)
        space = data.get("space", "ijk")
        expect(space in ("ijk", "ras"), f"{source}: space", '"ijk" or "ras"', space)
        self.ras = space == "ras"
        segments = _items(data.get("segments"), f"{source}: segments", "Give at least one segment." if self.complete else "")
        expect(len(segments) <= MOST_SEGMENTS, f"{source}: segments", f"at most {MOST_SEGMENTS}, which a labelmap holds", len(segments))
        read = tuple(self.segment(entry, where) for where, entry in segments)
        try:
            prompts = PromptSet(read, axis)
            if self.complete:
                prompts.check(self.stack)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        return prompts

    def segment(self, data: Any, where: str) -> Segment:
        _only(data, {"name", "color", "keyframes"}, where)
        name = data.get("name")
        expect(isinstance(name, str) and bool(name.strip()), f"{where}.name", "a text", name)
        color = data.get("color")
        if color is not None:
            color = tuple(_numbers(color, 3, f"{where}.color"))
            expect(all(0 <= value <= 1 for value in color), f"{where}.color", "three numbers from 0 to 1", list(color))
        advice = "Mark the segment on at least one slice." if self.complete else ""
        keyframes = _items(data.get("keyframes"), f"{where}.keyframes", advice)
        return _named(where, Segment, name, tuple(self.keyframe(entry, at) for at, entry in keyframes), color)

    def keyframe(self, data: Any, where: str) -> Keyframe:
        _only(data, {"slice", "points", "box", "line", "scribbles", "mask", "prior"}, where)
        slices: list[float] = []
        points = tuple(self.point(entry, at, slices) for at, entry in _items(data.get("points"), f"{where}.points"))
        scribbles = tuple(self.scribble(entry, at, slices) for at, entry in _items(data.get("scribbles"), f"{where}.scribbles"))
        box, line = (
            _named(f"{where}.{name}", kind, *self.corners(data[name], f"{where}.{name}", slices)) if data.get(name) is not None else None
            for name, kind in (("box", Box), ("line", Line))
        )
        if box:
            box = self.cut(box, f"{where}.box")
        index = self.slice(data, where, slices)
        mask, prior = (
            self.mask(data[name], f"{where}.{name}", index) if data.get(name) is not None else None for name in ("mask", "prior")
        )
        return Keyframe(index, points, box, scribbles, line, mask, prior)

    def slice(self, data: Any, where: str, found: list[float]) -> int:
        """Return the slice index given, or, in RAS, that of the slice to which all positions are nearest."""
        given = data.get("slice")
        if given is None and self.ras and found:
            given = round(float(np.median(found)))
        expect(_is_whole(given) and abs(given) < LARGEST, f"{where}.slice", "a whole number", given)
        _named(f"{where}.slice", self.stack.check_slice, given)
        for position in found:
            expect(abs(position - given) <= 1, where, f"all positions on slice {given} of axis {self.stack.axis}", round(position, 2))
        return given

    def place(self, values: list[float], slices: list[float]) -> list[float]:
        """Return the slice pixels of one position; in RAS, its slice is appended to `slices`."""
        if not self.ras:
            return values
        position, xy = self.stack.from_ras(np.array(values))
        slices.append(float(position))
        return xy.tolist()

    def point(self, data: Any, where: str, slices: list[float]) -> Point:
        *position, label = _numbers(data, 4 if self.ras else 3, where)
        expect(label in (0, 1), where, "a label of 1 (inside) or 0 (outside) at the end", label)
        x, y = self.place(position, slices)
        return Point(x, y, positive=label == 1)

    def corners(self, data: Any, where: str, slices: list[float]) -> list[float]:
        values = _numbers(data, 6 if self.ras else 4, where)
        half = len(values) // 2
        return self.place(values[:half], slices) + self.place(values[half:], slices)

    def cut(self, box: Box, where: str) -> Box:
        """Return the part of a box that lies on the slice; warn if that is not the whole box."""
        rows, columns = self.stack.shape
        right, bottom = columns - 0.5, rows - 0.5
        x0, y0, x1, y1 = max(box.x0, -0.5), max(box.y0, -0.5), min(box.x1, right), min(box.y1, bottom)
        if (x0, y0, x1, y1) == (box.x0, box.y0, box.x1, box.y1):
            return box
        extent = f"the slice, which has x 0 to {columns - 1} and y 0 to {rows - 1}"
        corners = f"({box.x0:g}, {box.y0:g}) to ({box.x1:g}, {box.y1:g})"
        expect(x0 < x1 and y0 < y1, where, f"a box on {extent}; it reaches from {corners}")
        if max(-0.5 - box.x0, -0.5 - box.y0, box.x1 - right, box.y1 - bottom) > ROUNDING:
            self.warnings.append(f"{where}: the box from {corners} leaves {extent}; it was cut at the border.")
        return _named(where, Box, x0, y0, x1, y1)

    def scribble(self, data: Any, where: str, slices: list[float]) -> Scribble:
        _only(data, {"path", "label"}, where)
        label = data.get("label", 1)
        expect(_is_whole(label) and label in (0, 1), f"{where}.label", "1 (inside) or 0 (outside)", label)
        positions = _items(data.get("path"), f"{where}.path", "Draw it through at least one position.")
        path = [_numbers(entry, 3 if self.ras else 2, at) for at, entry in positions]
        return Scribble(tuple((x, y) for x, y in (self.place(position, slices) for position in path)), positive=label == 1)

    def mask(self, data: Any, where: str, index: int) -> MaskPrompt:
        expect(isinstance(data, dict), where, "an object with file and value", data)
        if "file" in data:
            return self.mask_file(data, where, index)
        _only(data, {"shape", "runs"}, where)
        rows, columns = self.stack.shape
        shape = _numbers(data.get("shape"), 2, f"{where}.shape")
        expect(shape == [rows, columns], f"{where}.shape", f"the slice's rows and columns, {[rows, columns]}", data["shape"])
        lengths = _numbers(data.get("runs"), None, f"{where}.runs")
        expect(all(n.is_integer() for n in lengths), f"{where}.runs", "whole numbers", data["runs"])
        runs = [int(n) for n in lengths]
        complete = min(runs, default=-1) >= 0 and sum(runs) == rows * columns
        expect(complete, f"{where}.runs", f"lengths that add up to {rows * columns}", sum(runs))
        return MaskPrompt(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns))

    def mask_file(self, data: Any, where: str, index: int) -> MaskPrompt:
        _only(data, {"file", "value"}, where)
        expect(isinstance(data["file"], str), f"{where}.file", "a file name", data["file"])
        value = data.get("value", 1)
        expect(_is_whole(value), f"{where}.value", "a whole number", value)
        labelmap = self.labelmap(data["file"], f"{where}.file")
        painted = self.stack.place(labelmap.voxels, index) == value
        expect(bool(painted.any()), f"{where}.value", f"a label that occurs on slice {index} of {Path(data['file']).name}", value)
        return MaskPrompt(painted)

    def labelmap(self, file: str, where: str) -> Volume:
        """Return the volume of a mask file, which is read once and kept until no keyframe names it any more."""
        expect(self.read_labelmap is not None, where, "an inline mask (shape and runs), since files cannot be read here")
        assert self.read_labelmap is not None
        if file not in self._labelmaps:
            self._labelmaps[file] = _named(where, self.read_labelmap, self.folder / file)
            _named(where, self._labelmaps[file].check_grid, self.stack.volume)
            self.warnings += self._labelmaps[file].source.warnings
        self._files[file] -= 1
        return self._labelmaps[file] if self._files[file] > 0 else self._labelmaps.pop(file)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _named(where: str, call: Callable, *arguments: Any) -> Any:
    """Return `call(*arguments)`, putting `where` before the message of any `InputError` that it raises."""
    try:
        return call(*arguments)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _only(data: Any, known: set[str], where: str) -> None:
    expect(isinstance(data, dict), where, f"an object with {', '.join(sorted(known))}", data)
    if isinstance(data, JsonObject) and data.twice is not None:
        raise InputError(f"{where}: the field {shortened(repr(data.twice))} is given twice; leave one of them out.")
    for name in data:
        if name not in known:
            close = get_close_matches(name[:SHOWN], sorted(known), 1)
            advice = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
            raise InputError(f"{where}: unknown field {shortened(repr(name))}; {advice}")


def _items(entries: Any, where: str, advice: str = "") -> list[tuple[str, Any]]:
    """Return the entries of a list, each with its own `where`; the list must not be empty if there is an `advice` for that."""
    if entries is None and not advice:
        return []
    wanted = "a list that is not empty" if advice else "a list"
    expect(isinstance(entries, list) and (bool(entries) or not advice), where, wanted, entries, advice)
    return [(f"{where}[{n}]", entry) for n, entry in enumerate(entries)]


def _numbers(data: Any, count: int | None, where: str) -> list[float]:
    right_length = isinstance(data, list) and (count is None or len(data) == count)
    numbers = right_length and all(isinstance(n, (int, float)) and not isinstance(n, bool) and abs(n) < LARGEST for n in data)
    expect(numbers, where, f"{'' if count is None else f'{count} '}finite numbers below {LARGEST:.0e} in a list", data)
    return [float(n) for n in data]
