"""Fixtures of the tests of evaluation."""

import numpy as np
import pytest

from SAMSegmenterLib.evaluation.cases import Target, find_cases
from SAMSegmenterLib.evaluation.tasks import parse_tasks
from SAMSegmenterLib.evaluation.trials import Plan
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.evaluation_steps import SIDE, SLICES, Fixed, object_mask


@pytest.fixture
def stack():
    voxels = np.random.default_rng(0).normal(0, 10, (SLICES, SIDE, SIDE)) + 100 * object_mask()
    return FrameStack(Volume(voxels.astype(np.float32)))


@pytest.fixture
def target():
    return Target.of("case", object_mask().astype(np.uint8), 1, "block")


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, stack):
    """Two cases with the block and a smaller one, and a broken case between them."""
    labels = object_mask().astype(np.uint8)
    labels[1:8, 25:35, 2:12] = 2
    for name in ("a", "c"):
        write_volume(tmp_path / f"{name}.nrrd", stack.volume)
        write_volume(tmp_path / f"{name}_labels.nrrd", Volume(labels))
    write_volume(tmp_path / "b_labels.nrrd", Volume(labels))
    return tmp_path


@pytest.fixture
def plan(folder):
    """A plan for this folder, of two methods that give the first object for everything."""

    def make(tasks=("mask", "box"), methods=None, **fields):
        both = [Fixed(object_mask(), "one"), Fixed(object_mask(), "other")]
        return Plan(find_cases(folder), methods or both, parse_tasks(tasks), **fields)

    return make
