"""A network that computes NaN or infinity is an error that says so, names the model and the slice, and is no mask."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.evaluation.methods.everything import masks_on_slice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes.slice_models import Embeddings, KeyframeMaker, proposed_keyframe, segment_each_slice
from SAMSegmenterLib.models.families import sam2
from SAMSegmenterLib.network.network import Decoded
from SAMSegmenterLib.network.options import MODES, Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point, PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

MIDDLE = 6
BOX = Keyframe(MIDDLE, box=Box(22, 22, 42, 42))
POINT = Keyframe(MIDDLE, points=(Point(32, 32),))


@pytest.fixture(scope="module")
def stack():
    return FrameStack(ball(2 * MIDDLE)[0], window=Window(-160, 240))


@pytest.fixture
def spoilt(shipped_model):
    """Give the shipped model with one weight that is no number."""

    def spoil(part, value=math.nan):
        network = copy.deepcopy(shipped_model.network)
        with torch.no_grad():
            next(weight for name, weight in network.named_parameters() if part in name).view(-1)[0] = value
        return replace(shipped_model, network=network)

    return spoil


ENCODER, DECODER, SCORE = "trunk.blocks.0.attn.qkv.weight", "sam_mask_decoder.output_upscaling", "pred_obj_score_head.layers.0.weight"
MEMORY = "memory_encoder.fuser.layers.0.pwconv1.weight"
NAMED = r"SAMSegmenter pico.*slice {}.*not finite"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", [ENCODER, DECODER, SCORE])
@pytest.mark.parametrize("keyframe", [BOX, POINT], ids=["box", "point"])
def test_preview_of_prompts(stack, spoilt, mode, part, keyframe):
    session = Session(stack, spoilt(part), MODES[mode](), "cpu")
    session.set_keyframe("ball", keyframe)
    with pytest.raises(CheckpointError, match=NAMED.format(MIDDLE)):
        session.preview("ball", MIDDLE)
    assert not session.slice_mask("ball", MIDDLE).mask.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_passes_from_a_painted_slice(stack, spoilt, mode, value):
    session = Session(stack, spoilt(MEMORY, value), MODES[mode](), "cpu")
    session.set_keyframe("ball", Keyframe(MIDDLE, mask=MaskPrompt(ball(2 * MIDDLE)[1][MIDDLE])))
    with pytest.raises(CheckpointError, match=NAMED.format(f"[{MIDDLE - 1}{MIDDLE + 1}]")):
        list(session.propagate())
    assert session.composition.slices(session.prompts.segment("ball")) == [MIDDLE]


def test_advice_is_by_the_precision(stack, shipped_model):
    numbers = torch.zeros(2, 1, 4, 4), torch.zeros(2, 8), torch.zeros(2, 1), torch.zeros(2)
    for precision, advice in (("float32", "file is damaged"), ("bfloat16", r"bfloat16 on cpu.*overflow.*strict mode \(float32\)")):
        runner = Session(stack, shipped_model, Options(precision=precision), "cpu").engine.runner
        runner.checked(Decoded(*numbers), [3, 5])
        for spoilt in range(4):
            parts = [each.clone() for each in numbers]
            parts[spoilt][1] = -math.inf
            with pytest.raises(CheckpointError, match=f"slice 5 .*{advice}"):
                runner.checked(Decoded(*parts), [3, 5])


def test_models_that_see_single_slices(stack, spoilt):
    model = spoilt(ENCODER)
    embeddings = Embeddings(sam2.slice_model(model.network, model.native_size), stack)
    prompts = PromptSet((Segment("ball", (BOX,)),))
    with pytest.raises(CheckpointError, match=rf"slice {MIDDLE} is not finite"):
        KeyframeMaker(embeddings)(prompts)
    with pytest.raises(CheckpointError, match="slice 0 is not finite"):
        list(segment_each_slice(prompts, embeddings))


def test_models_that_propose(stack):
    class Odd:
        title = "odd one"

        def propose(self, pixels):
            return np.where(pixels > 0, np.nan, 1.0)

    with pytest.raises(CheckpointError, match="odd one: what it computes for slice 4 is not finite"):
        proposed_keyframe(4, stack, Odd())


def test_masks_of_whatever_is_there(stack, spoilt):
    with pytest.raises(CheckpointError, match=NAMED.format(MIDDLE)):
        masks_on_slice(spoilt(DECODER), stack, MIDDLE, "cpu", points_per_side=2)
