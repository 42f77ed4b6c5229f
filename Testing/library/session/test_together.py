"""Segments that run together are found as if each ran alone, to the voxel."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.phantom import NAMES, make_phantom
from SAMSegmenterLib.prompts.focus import windowed
from SAMSegmenterLib.prompts.types import PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from support.session_steps import marked, run


@pytest.fixture(scope="module")
def organs():
    """A torso of the built-in phantom, and each of its organs painted on its middle slice."""
    volume, labels, _ = make_phantom(shape_ijk=(96, 96, 48), spacing_mm=(2.5, 2.5, 5.0))
    prompts = PromptSet(tuple(Segment(name, (marked(labels == number, "mask"),)) for number, name in enumerate(NAMES, 1)))
    return windowed(FrameStack(volume), prompts), prompts


def segmented(organs, model, at_once):
    stack, prompts = organs
    session = Session(stack, model, Options(precision="float32"), "cpu", prompts)
    session.engine.runner.at_once = at_once
    run(session)
    return session


def test_batches_find_what_passes_find_one_by_one(organs, shipped_model):
    alone, together = (segmented(organs, shipped_model, at_once) for at_once in (1, 8))
    for name in NAMES:
        np.testing.assert_array_equal(alone.segment_volume(name), together.segment_volume(name))
    np.testing.assert_array_equal(alone.labelmap(), together.labelmap())
    reached = [[replace(report, reason="") for report in session.reports()] for session in (alone, together)]
    assert reached[0] == reached[1]
