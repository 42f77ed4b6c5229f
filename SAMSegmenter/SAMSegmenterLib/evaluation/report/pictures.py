"""Draws pictures of the worst results."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import InputError, SAMSegmenterError
from ...image.stack import FrameStack
from ...image.window import automatic_window
from ...prompts.types import PromptSet, Segment
from ...session.contact_sheet import contact_sheet
from ..cases import Case
from ..records import Record, mask_path, read_mask

COUNT = 6
SLICES = 3
# By what they mean: the outline of the last two together is the reference, that of the first and the last the result.
MEANINGS = {"too much": (0.95, 0.35, 0.2), "missed": (0.25, 0.6, 1.0), "right": (0.35, 0.85, 0.45)}


def worst(records: Sequence[Record], folder: Path, cases: Sequence[Case], count: int = COUNT) -> list[Record]:
    """Return the attempts with the lowest Dice, at most one of each object, whose mask is kept and whose image is at hand."""
    known = {case.name for case in cases}
    shown: dict[tuple[str, int], Record] = {}
    for record in sorted(records, key=lambda each: each.scores.get("dice", math.inf)):
        if "dice" in record.scores and record.case in known and mask_path(folder, record).exists():
            shown.setdefault((record.case, record.label), record)
    return list(shown.values())[:count]


def pictures(records: Sequence[Record], folder: Path, cases: Sequence[Case]) -> Iterator[tuple[Record, str]]:
    """Yield each record with its picture as a data URI, case by case; what cannot be read any more is left out."""
    for case in cases:
        wanted = [record for record in records if record.case == case.name]
        loaded = None
        for record in wanted:
            with suppress(SAMSegmenterError, OSError, MemoryError):
                loaded = loaded or case.load()
                stack, labels, _ = loaded
                yield record, data_uri(comparison(stack, labels == record.label, read_mask(mask_path(folder, record))))


def comparison(stack: FrameStack, truth: np.ndarray, found: np.ndarray, slices: int = SLICES) -> Image.Image:
    """Return a picture of what is right, missed and too much, on the slices where most is wrong.

    Args:
        truth, found: bool ``(slices, rows, columns)``, at least one of them not empty.
        slices: at most this many.

    Raises:
        InputError: the masks are not of the stack's shape.
    """
    shape = len(stack), *stack.shape
    if not truth.shape == found.shape == shape:
        raise InputError(f"the masks have the shapes {truth.shape} and {found.shape}, the volume has {shape} slices, rows and columns.")
    labels = np.zeros(stack.volume.voxels.shape[:3], np.uint8)
    wrong = (truth ^ found).sum((1, 2)) + 1e-6 * (truth | found).sum((1, 2))
    for index in np.argsort(-wrong)[:slices]:
        stack.place(labels, int(index))[:] = found[index] + 2 * truth[index]
    values = np.concatenate([stack.intensities(int(index))[truth[index]] for index in np.flatnonzero(truth.any((1, 2)))] or [[]])
    suited = stack.windowed(automatic_window(stack.volume, values))
    legend = PromptSet(tuple(Segment(name) for name in MEANINGS), stack.axis)
    return contact_sheet(suited, labels, legend, list(MEANINGS.values()), slices)


def data_uri(picture: Image.Image) -> str:
    """Return a picture as text that a page can hold."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
