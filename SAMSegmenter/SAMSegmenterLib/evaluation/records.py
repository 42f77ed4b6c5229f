"""Keeps attempts to segment an object: one line of JSON and one row of a table for each."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..errors import InputError
from ..files import make_folder, replacing

SCORES = (
    "dice",
    "jaccard",
    "hd95_mm",
    "nsd",
    "over_propagation",
    "prompt_over_segmentation",
    "seconds",
    "slices",
    "interactions_to_80",
    "interactions_to_90",
)
LONGEST_NAME = 200  # bytes, of a file's; file systems take 255, with suffix and whatever a temporary name adds
CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), "?")  # all but tabs and ends of lines
ADVICE = "Choose another folder, or remove the file to start anew."


@dataclass(frozen=True)
class Record:
    """One attempt: one object of one case, one method, one task.

    Attributes:
        case: the image's name without suffix.
        object: the label's name.
        label: the label's value.
        modality: as DICOM has it; empty if unknown.
        method: `methods.base.Method.name`.
        task: the key of a task, see `tasks`.
        scores: by name, see `SCORES`; NaN where a score is not defined. Empty if the attempt failed.
        retention: Dice by distance in slices from the nearest prompted slice, on both sides; the first is of distance 1.
        error: why the attempt failed; empty otherwise.
        data: `cases.Case.fingerprint` of what it was tried on.
    """

    case: str
    object: str
    label: int
    modality: str
    method: str
    task: str
    scores: dict[str, float] = field(default_factory=dict)
    retention: tuple[float, ...] = ()
    error: str = ""
    data: str = ""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """Return what identifies the attempt: case, label, method and task."""
        return self.case, self.label, self.method, self.task

    @property
    def name(self) -> str:
        """Return a file name, without suffix, that only this attempt has."""
        whole = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):x}" for c in "+".join(map(str, self.key)))
        if len(whole.encode()) <= LONGEST_NAME:
            return whole
        start = whole.encode()[: LONGEST_NAME - 20].decode(errors="ignore")
        return f"{start}~{hashlib.sha256(whole.encode()).hexdigest()[:16]}"

    def to_json(self) -> str:
        """Return one line of valid JSON in ASCII, without its end; NaN is written as null."""
        plain = asdict(self)
        plain["scores"] = {name: none_for_nan(value) for name, value in self.scores.items()}
        plain["retention"] = [none_for_nan(value) for value in self.retention]
        return json.dumps(plain, allow_nan=False)  # ASCII: a file's name may hold what UTF-8 cannot

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Return the record that `to_json` wrote.

        Raises:
            InputError: the line is no record.
        """
        try:
            plain = json.loads(line)
            scores = {name: _nan_for_none(value) for name, value in plain.pop("scores").items()}
            retention = tuple(_nan_for_none(value) for value in plain.pop("retention"))
            return cls(**plain, scores=scores, retention=retention)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"not a record of an evaluation: {line[:60]!r}.") from error


def none_for_nan(value: float) -> float | None:
    """Return what stands for a value in JSON, which knows no NaN."""
    return None if math.isnan(value) else float(value)


def _nan_for_none(value: Any) -> float:
    return math.nan if value is None else float(value)


def read_records(path: Path) -> list[Record]:
    """Return the last record of each attempt in a file; none if there is no file.

    A last line without its end, as a computer that went down leaves it, is skipped.

    Raises:
        InputError: another line is not a record.
    """
    found = {}
    for number, line in enumerate(read_text(path).split("\n")[:-1], 1):
        try:
            record = Record.from_json(line)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error} {ADVICE}") from error
        found[record.key] = record
    return list(found.values())


def read_text(path: Path) -> str:
    """Return the text of a file in the folder of an evaluation; empty if there is none.

    Raises:
        InputError: the file is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is damaged, or not of an evaluation ({error}). {ADVICE}") from error


def write_csv(path: Path, records: Iterable[Record]) -> None:
    """Write one row per record, with the scores as columns, for spreadsheets and statistics programs.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "object", "label", "modality", "method", "task", *SCORES, "error"])
        for each in records:
            scores = [_cell(each.scores.get(name, math.nan)) for name in SCORES]
            case = each.case.translate(CONTROLS)
            writer.writerow([case, each.object, each.label, each.modality, each.method, each.task, *scores, each.error])


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def mask_path(folder: Path, record: Record) -> Path:
    """Return where the mask of an attempt is kept in the folder of the evaluation."""
    return folder / "masks" / f"{record.name}.npz"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask of any shape, one bit per voxel and compressed; its folder is made.

    Raises:
        OutputError: the file cannot be written.
    """
    make_folder(path.parent)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, bits=np.packbits(mask), shape=mask.shape)


def read_mask(path: Path) -> np.ndarray:
    """Return the bool mask that `write_mask` wrote, in its shape.

    Raises:
        InputError: there is none, or the file is damaged.
    """
    try:
        with np.load(path) as stored:
            bits, shape = stored["bits"], tuple(stored["shape"])
        return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path}: there is no readable mask ({error}).") from error
