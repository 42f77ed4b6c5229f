"""Finds volumes with reference masks in a folder, and the objects in them.

Either an image and its labels lie side by side::

    liver_1.nii.gz   liver_1_labels.nii.gz   liver_1_labels.json
    scan/ (DICOM)    scan_labels.nrrd

or in two folders, under the same name::

    images/case_7.mha   labels/case_7.nii.gz   labels/case_7.json

Names of the labels come from the JSON file beside them (``{"1": "liver"}``), or from ``labels.json`` in the folder, for all
cases alike; a ``.seg.nrrd`` brings its own. Without any of these an object is called ``label 1``.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, printable
from ..image.stack import FrameStack
from ..image.volume import Volume
from ..image.window import looks_like_ct
from ..imageio import read_labelmap, read_segment_names, read_volume

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
MARK = "_labels"
NAMES_FOR_ALL = "labels.json"
LEAST_SLICES, LEAST_PIXELS = 6, 60
LONGEST_NAME = 80  # letters of an object's


@dataclass(frozen=True)
class Case:
    """One volume and its reference labels, not read yet.

    Attributes:
        name: of the image, without suffix.
        image: a file or a DICOM folder; the expected file if there is none.
        labels: a label map on the image's grid.
        names: a JSON file with the labels' names, if there is one.
    """

    name: str
    image: Path
    labels: Path
    names: Path | None = None

    def load(self, axis: str = "k") -> tuple[FrameStack, np.ndarray, dict[int, str]]:
        """Read the image and its labels.

        Returns:
            The slices along `axis`; the labels ``(slices, rows, columns)`` as integers; the names of the labels that occur, by value.

        Raises:
            InputError: an image is missing or cannot be read; labels do not lie on the image's grid; names are no names.
        """
        if not os.path.exists(self.image):
            raise InputError(f"{self.labels}: there is no image for it; expected {self.image}, a DICOM folder or {' '.join(SUFFIXES[1:])}.")
        volume, labels = read_volume(self.image), read_labelmap(self.labels)
        labels.check_grid(volume)
        stack = FrameStack(volume, axis)
        voxels = np.moveaxis(labels.voxels, 2 - "ijk".index(axis), 0)
        given = read_names(self.names) if self.names else read_segment_names(self.labels)
        present = sorted({int(value) for each in voxels for value in np.unique(each)} - {0})
        return stack, voxels, {value: _cleaned(given.get(value, "")) or f"label {value}" for value in present}

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of change of its files, which tells whether they were replaced."""
        told = [(path.name, stat.st_size, stat.st_mtime_ns) for path in sorted(self._files()) for stat in [path.stat()]]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def _files(self) -> Iterator[Path]:
        """Yield the files that the case is made of; beside a header also the file with its voxels, which has another suffix."""
        for path in (self.image, self.labels):
            near = path.rglob("*") if os.path.isdir(path) else path.parent.glob(f"{glob.escape(_stem(path))}.*")
            yield from (each for each in near if os.path.isfile(each) and not each.name.startswith("."))
        if self.names:
            yield self.names


@dataclass(frozen=True, eq=False)
class Target:
    """One object of one case.

    Attributes:
        case: the case's name.
        label: the label's value.
        name: the label's name.
        mask: bool ``(slices, rows, columns)``: the whole label, in however many parts.
        slices: the slices that it is on.
    """

    case: str
    label: int
    name: str
    mask: np.ndarray
    slices: np.ndarray

    @classmethod
    def of(cls, case: str, labels: np.ndarray, label: int, name: str) -> Target:
        """Return an object of the labels ``(slices, rows, columns)``."""
        mask = labels == label
        return cls(case, label, name, mask, np.flatnonzero(mask.any((1, 2))))


def find_cases(folder: Path) -> list[Case]:
    """Return all cases of a folder by name, without reading them.

    Raises:
        InputError: there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    for_all = folder / NAMES_FOR_ALL if (folder / NAMES_FOR_ALL).exists() else None
    beside = [(path, _stem(path).removesuffix(MARK), folder) for path in folder.iterdir() if _stem(path).endswith(MARK)]
    apart = [(path, _stem(path), folder / "images") for path in folder.glob("labels/*") if _stem(path)]
    cases = []
    for labels, name, images in sorted(beside + apart):
        names = labels.with_name(f"{_stem(labels)}.json")
        cases.append(Case(name, _image(images, name), labels, names if os.path.exists(names) else for_all))
    if not cases:
        raise InputError(f"{folder}: no labels found. Call them NAME{MARK}.nii.gz beside the image NAME, or use folders images, labels.")
    _check_distinct(cases)
    return cases


def find_objects(labels: np.ndarray, names: dict[int, str], wanted: Collection[str] = ()) -> dict[int, str]:
    """Return the objects of a case that are large enough to score.

    These lie on at least 6 slices, with at least 60 pixels on one of them.

    Args:
        labels: integers ``(slices, rows, columns)``.
        names: by label; both are from `Case.load`.
        wanted: names, in upper or lower case, to choose only these.

    Returns:
        Their names by label.
    """
    chosen = {name.casefold() for name in wanted}
    slices, largest = Counter[int](), Counter[int]()
    for each in labels:
        for label, pixels in zip(*(part.tolist() for part in np.unique(each, return_counts=True)), strict=True):
            slices[label] += 1
            largest[label] = max(largest[label], pixels)
    large = {label for label in names if slices[label] >= LEAST_SLICES and largest[label] >= LEAST_PIXELS}
    return {label: name for label, name in names.items() if label in large and (not chosen or name.casefold() in chosen)}


def modality(volume: Volume) -> str:
    """Return a volume's modality as DICOM has it; "CT" if only the values tell; else empty."""
    return volume.modality or ("CT" if looks_like_ct(volume) else "")


def _stem(path: Path) -> str:
    """Return a file's name without the suffix of an image.

    It is empty for a file without such a suffix, and for those that macOS puts beside others.
    """
    if path.name.startswith("."):
        return ""
    return next((path.name[: -len(suffix)] for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def _image(folder: Path, name: str) -> Path:
    """Return the image of a name: the first file that exists, in the order of `SUFFIXES`, else a folder."""
    files = (folder / f"{name}{suffix}" for suffix in SUFFIXES[1:])
    return next((path for path in files if os.path.isfile(path)), folder / name)  # a name may be too long with another suffix


def _cleaned(name: str) -> str:
    """Return an object's name on one line, in printable letters."""
    name = printable(" ".join(name.split()))
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _check_distinct(cases: list[Case]) -> None:
    names = [case.name.casefold() for case in cases]
    twice = [case for case in cases if names.count(case.name.casefold()) > 1]
    if twice:
        raise InputError(f"{twice[0].labels} and {twice[1].labels} are labels of the same name; remove one, or rename it with its image.")


def read_names(path: Path) -> dict[int, str]:
    """Read the names of labels, by value, from a JSON file.

    Raises:
        InputError: it cannot be read, or holds no names.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors on Windows write a byte order mark
        return {int(value): str(name) for value, name in names.items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f'{path}: expected names of labels as {{"1": "liver", "2": "spleen"}} ({error}).') from error
