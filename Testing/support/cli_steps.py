"""What the tests of the command line share: a ball to find, what marks it, and how an outcome is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

import SAMSegmenterLib

LIBRARY = Path(SAMSegmenterLib.__file__).parents[1]
SLICES, SIDE, MIDDLE = 20, 48, 10
BOX = [15, 15, 33, 33]
INVERSE = np.array([[-0.8, 0, 0, 12], [0, -0.8, 0, -7], [0, 0, 2.5, 100], [0, 0, 0, 1]])  # the scanner's usual directions, in RAS


def segment(name: str = "ball", index: int = MIDDLE, **prompts: Any) -> dict:
    """One segment of a prompt file, with a box around the ball where no other prompts are given."""
    return {"name": name, "keyframes": [{"slice": index, **(prompts or {"box": BOX})}]}


def labels_in(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def assert_refused(outcome, *words: str, code: int = 1) -> None:
    """One clear message, no traceback. ITK may have printed a line of its own before it."""
    assert outcome.code == code, outcome
    assert [line.startswith("samsegmenter: error: ") for line in outcome.err.splitlines()].count(True) == 1
    assert "Traceback" not in outcome.err, outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


def assert_wrong_call(outcome, *words: str) -> None:
    """One message in the frame that typer draws, no traceback."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err, outcome.err
    said = " ".join(outcome.err.replace("│", " ").split())
    for word in words:
        assert word in said, said


def leftovers(folder: Path, *expected: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)
