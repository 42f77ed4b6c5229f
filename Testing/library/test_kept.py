"""Files of earlier versions stay readable: a session, prompts and marks of version 0.1.0, kept in ``support/kept``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SAMSegmenterLib import FrameStack, read_prompts, read_volume
from SAMSegmenterLib.imageio import read_labelmap
from SAMSegmenterLib.prompts import marks
from SAMSegmenterLib.session.saving import restore_session

KEPT = Path(__file__).parents[1] / "support" / "kept"


@pytest.fixture(scope="module")
def volume():
    return read_volume(KEPT / "volume.nrrd")


@pytest.fixture(scope="module")
def session(volume, shipped_model):
    """As it was saved, whatever model ships by now."""
    model = replace(shipped_model, sha256=(KEPT / "model.sha256").read_text().strip())
    return restore_session(KEPT / "session.safetensors", volume, model, "cpu")


def test_a_session_shows_the_masks_that_were_saved(session):
    assert np.array_equal(session.labelmap(), read_labelmap(KEPT / "labels.nrrd").voxels)
    assert session.remaining() == len(session.stack) - 1  # of the segment that had not been followed


def test_prompts_are_those_of_the_session(session, volume):
    assert read_prompts(KEPT / "prompts.json", FrameStack(volume)) == session.prompts


def test_marks_of_a_scene_come_back(volume):
    text = (KEPT / "marks.json").read_text().strip()
    found = marks.loads(text)
    assert [mark.kind for mark in found.all] == ["box", "point", "scribble", "lasso", "line", "mask", "prior"]
    assert [mark.plane for mark in found.all[:5]] == ["k"] * 3 + ["time:k:2"] * 2
    assert [mark.item for mark in found.all[3:5]] == [3, 3]
    assert found.all[5].mask.shape == volume.voxels.shape[1:]
    assert marks.dumps(found) == text
