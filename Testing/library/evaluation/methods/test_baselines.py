"""What SAMSegmenter is compared with: simple methods, Slicer's filters, and upstream's predictor."""

import os
import subprocess
import sys

import numpy as np
import pytest

from SAMSegmenterLib.errors import SAMSegmenterError
from SAMSegmenterLib.evaluation.methods.base import Unsuited
from SAMSegmenterLib.evaluation.methods.baselines import BASELINES, Copy, Grow, Interpolate
from SAMSegmenterLib.evaluation.methods.upstream import Upstream
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point
from support.networks import random_network
from support.phantoms import as_model, ball, cells
from support.upstream import propagate_upstream

MIDDLE = 16


@pytest.fixture(scope="module")
def a_ball():
    """A bright ball as slices, and its mask."""
    volume, inside = ball()
    return FrameStack(volume), inside


def painted(mask, *slices):
    return [Keyframe(index, mask=MaskPrompt(mask[index])) for index in slices]


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def reach_of(stack):
    return 0, len(stack) - 1


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines_start_from_painted_slices_only(kind, a_ball):
    with pytest.raises(Unsuited, match="painted slices"):
        kind().segment(a_ball[0], [Keyframe(MIDDLE, points=(Point(32, 32),))], (0, 31))


def test_copy_takes_the_nearest_painted_slice_within_reach(a_ball):
    stack, inside = a_ball
    found = Copy().segment(stack, painted(inside, 10, 20), (5, 25))
    assert not found[:5].any()
    assert not found[26:].any()
    assert all((found[index] == inside[10]).all() for index in range(5, 16))
    assert all((found[index] == inside[20]).all() for index in range(16, 26))


def test_interpolation_fills_between_painted_slices_and_nothing_beyond(a_ball):
    stack, inside = a_ball
    found = Interpolate().segment(stack, painted(inside, 10, MIDDLE, 22), reach_of(stack))
    assert not found[:10].any()
    assert not found[23:].any()
    assert (found[[10, MIDDLE, 22]] == inside[[10, MIDDLE, 22]]).all()
    assert dice(found[10:23], inside[10:23]) > 0.93


def test_interpolation_of_one_painted_slice_is_that_slice(a_ball):
    stack, inside = a_ball
    found = Interpolate().segment(stack, painted(inside, MIDDLE), reach_of(stack))
    assert np.flatnonzero(found.any((1, 2))).tolist() == [MIDDLE]
    assert (found[MIDDLE] == inside[MIDDLE]).all()


def test_growing_finds_a_ball_that_stands_out_from_one_painted_slice(a_ball):
    stack, inside = a_ball
    found = Grow().segment(stack, painted(inside, MIDDLE), reach_of(stack))
    assert dice(found, inside) > 0.95


def test_growing_stays_within_reach(a_ball):
    stack, inside = a_ball
    found = Grow().segment(stack, painted(inside, MIDDLE), (MIDDLE, 31))
    assert not found[:MIDDLE].any()
    assert found[MIDDLE + 1].any()


def test_growing_takes_colours_and_any_axis():
    volume, inside = ball()
    grey = np.clip(volume.voxels, 0, 255).astype(np.uint8)
    stack = FrameStack(Volume(np.repeat(grey[..., None], 3, -1)), axis="i")
    turned = inside.transpose(2, 0, 1)
    assert dice(Grow().segment(stack, painted(turned, 32), reach_of(stack)), turned) > 0.95


def test_a_missing_slicer_is_named_with_what_to_install(a_ball, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", None)
    with pytest.raises(SAMSegmenterError, match="slicer-core"):
        Grow().segment(a_ball[0], painted(a_ball[1], MIDDLE), (0, 31))


def test_python_ends_without_a_crash_after_interpolating():
    code = """if True:
        import numpy as np
        from SAMSegmenterLib.evaluation.methods.slicer_filters import fill_between_slices
        painted = np.zeros((7, 64, 64), bool)
        painted[0, 20:30, 20:30] = painted[6, 10:50, 15:60] = painted[6, 2:5, 2:5] = True
        for _ in range(5):
            assert fill_between_slices(painted)[3].any()
    """
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


# ---------------------------------------------------------------- upstream


@pytest.fixture(scope="module")
def pico():
    return random_network("pico", 128)


@pytest.fixture(scope="module")
def upstream(pico):
    return Upstream(as_model(pico), "cpu")


@pytest.mark.parametrize("prompts", [{"box": Box(20.0, 18.0, 44.0, 40.0)}, {"points": (Point(30, 30), Point(5, 5, False))}])
def test_upstream_goes_forward_and_after_a_reset_in_reverse(upstream, pico, prompts):
    stack, keyframe = cells(slices=7), Keyframe(3, **prompts)
    found = upstream.segment(stack, [keyframe], (0, 6))
    for reverse, slices in ((False, range(3, 7)), (True, range(4))):
        theirs = propagate_upstream(pico, stack, [keyframe], reverse)[0]
        assert all((found[index] == (theirs[index].numpy() > 0)).all() for index in slices)
    assert 0 < found.mean() < 1


def test_upstream_takes_painted_slices_beside_other_prompts(upstream):
    stack, mask = cells(slices=8), np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    found = upstream.segment(stack, [Keyframe(2, mask=MaskPrompt(mask)), Keyframe(5, points=(Point(30, 30),))], (1, 6))
    assert dice(found[2], mask) > 0.9
    assert not found[[0, 7]].any()
    assert found.any((1, 2))[1:7].sum() > 2


def test_upstream_has_the_weights_of_the_model_and_shows_no_bars(shipped_model, capfd):
    volume, inside = ball(slices=8, side=48, radius=10)
    stack = FrameStack(volume)
    found = Upstream(shipped_model, "cpu").segment(stack, painted(inside, 4), (2, 6))
    assert dice(found[4], inside[4]) > 0.8
    assert capfd.readouterr().err == ""
