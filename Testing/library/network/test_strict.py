"""Strict mode gives upstream's logits: same weights, same frames, same prompts, float32."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.network import device
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.packed import packing_exists
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point
from SAMSegmenterLib.propagation.engine import Engine
from support.networks import random_network
from support.phantoms import as_model, cells
from support.upstream import add_prompts, propagate_upstream, upstream_state

TOLERANCE = 1e-3
SIZE = 128
DISC = np.hypot(*np.ogrid[-30:34, -24:40]) < 9


@pytest.fixture(scope="module")
def tiny():
    return random_network("t", SIZE)


def prompts_on(index):
    return {
        "box": Keyframe(index, box=Box(20.0, 14.0, 41.0, 37.5)),
        "click": Keyframe(index, points=(Point(30.0, 28.0),)),
        "clicks": Keyframe(index, points=(Point(30.0, 28.0), Point(12.0, 50.0, False), Point(33.5, 20.25))),
        "box and click": Keyframe(index, box=Box(10.0, 12.0, 30.0, 52.0), points=(Point(18.0, 30.0),)),
        "mask": Keyframe(index, mask=MaskPrompt(DISC)),
    }


def strict_logits(network, stack, keyframes, direction):
    engine = Engine(as_model(network), stack, Options.strict(), torch.device("cpu"))
    last = len(stack) - 1 if direction > 0 else 0
    seeds = [engine.seed(keyframe) for keyframe in keyframes]
    tracks = [engine.track(seed, direction, last) for seed in seeds]
    found = [{seed.slice: seed.result.logits(stack.shape)} for seed in seeds]
    while not all(track.finished for track in tracks):
        for track, result in engine.advance(tracks):
            found[tracks.index(track)][result.slice] = result.logits(stack.shape)
    return found


def largest_difference(ours, theirs):
    assert len(ours) == len(theirs)
    assert all(mine.keys() == yours.keys() for mine, yours in zip(ours, theirs, strict=True))
    return max(np.abs(mine[n] - yours[n].numpy()).max() for mine, yours in zip(ours, theirs, strict=True) for n in mine)


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.skipif(not packing_exists(), reason="nothing to pack with"))])
def packing(request, monkeypatch):
    """Linear layers as they are, and packed, whatever is quicker here."""
    monkeypatch.setattr(device, "packing_is_worth_it", lambda: request.param)


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("names", [["box"], ["box", "clicks", "mask"]], ids=["1 segment", "3 segments"])
def test_equals_upstream_over_a_long_stack(tiny, names, direction):
    """More than 32 slices: beyond them, all 7 memories and 16 pointers have been replaced twice."""
    stack = cells(slices=36)
    keyframes = [prompts_on(1 if direction > 0 else 34)[name] for name in names]
    theirs = propagate_upstream(tiny, stack, keyframes, reverse=direction < 0)
    assert len(theirs[0]) == 35
    assert np.std([logits.numpy() for logits in theirs[0].values()]) > 0.1, "flat logits would agree whatever is computed"
    assert largest_difference(strict_logits(tiny, stack, keyframes, direction), theirs) < TOLERANCE


@pytest.mark.parametrize("prompt", prompts_on(0))
def test_equals_upstream_for_every_kind_of_prompt(tiny, prompt):
    stack, keyframe = cells(slices=4), prompts_on(1)[prompt]
    theirs = propagate_upstream(tiny, stack, [keyframe], reverse=False)
    assert largest_difference(strict_logits(tiny, stack, [keyframe], 1), theirs) < TOLERANCE


@pytest.mark.parametrize("config", ["t", "pico"])
def test_equals_upstream_where_the_object_is_absent(config):
    network, stack, keyframe = random_network(config, SIZE, always_visible=False), cells(slices=12), prompts_on(2)["box"]
    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-0.05)
    theirs = propagate_upstream(network, stack, [keyframe], reverse=False)
    assert largest_difference(strict_logits(network, stack, [keyframe], 1), theirs) < TOLERANCE


def test_previews_equal_upstream(tiny):
    stack = cells(slices=4)
    engine = Engine(as_model(tiny), stack, Options.strict(), torch.device("cpu"))
    for keyframe in prompts_on(2).values():
        theirs = add_prompts(tiny, upstream_state(tiny, stack), 0, keyframe)[0, 0].numpy()
        assert np.abs(engine.seed(keyframe).result.logits(stack.shape) - theirs).max() < TOLERANCE


@pytest.mark.parametrize("config", ["s", "b+"])
def test_equals_upstream_for_larger_networks(config):
    network, stack, keyframe = random_network(config, SIZE), cells(slices=4), prompts_on(0)["box"]
    theirs = propagate_upstream(network, stack, [keyframe], reverse=False)
    assert largest_difference(strict_logits(network, stack, [keyframe], 1), theirs) < TOLERANCE
