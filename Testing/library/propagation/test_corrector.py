"""What goes along with a pass: labels carried by patches and intensities put the network's masks right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.network.network import Decoded
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.slice_result import SliceResult
from SAMSegmenterLib.prompts.types import Keyframe, MaskPrompt
from SAMSegmenterLib.propagation.corrector import Corrected, Corrector
from SAMSegmenterLib.propagation.engine import Engine
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

CPU = torch.device("cpu")


@pytest.fixture
def scene(shipped_model):
    volume, inside = ball()
    stack = FrameStack(volume, window=Window(-160, 240))
    engine = Engine(shipped_model, stack, Options(precision="float32"), CPU)
    return stack, inside, engine.seed(Keyframe(16, mask=MaskPrompt(inside[16])))


def answer(view, mask, certainty=5.0):
    """A network's answer that is a mask ``(rows, columns)`` as seen through a view."""
    seen = torch.from_numpy(view.crop(np.where(mask, certainty, -certainty).astype(np.float32)))[None, None]
    logits = torch.nn.functional.interpolate(seen, (view.size // 4,) * 2, mode="bilinear", antialias=True)
    return Decoded(logits, torch.zeros(1, 8), torch.full((1, 1), 5.0), torch.full((1,), 0.8))


def shown(found, index, view, stack):
    return SliceResult.of(index, view, found.decoded, exact=True).mask(stack.shape)


def test_a_faulty_mask_is_put_right(scene):
    stack, inside, seed = scene
    faulty = np.roll(inside[17], 5, 1)
    view = seed.result.view
    found = Corrector(stack, seed).correct(17, view, answer(view, faulty))
    assert dice(faulty, inside[17]) < 0.8
    assert dice(shown(found, 17, view, stack), inside[17]) > 0.93


def test_a_mask_of_the_network_alone_does_not_win_against_everything_else(scene):
    stack, inside, seed = scene
    view = seed.result.view
    found = Corrector(stack, seed).correct(17, view, answer(view, np.ones_like(inside[17])))
    assert shown(found, 17, view, stack).sum() < 1.5 * inside[17].sum()


def test_looking_changes_nothing_and_accepting_goes_on(scene):
    stack, inside, seed = scene
    view, corrector = seed.result.view, Corrector(stack, seed)
    first, again = (corrector.correct(17, view, answer(view, inside[17])) for _ in range(2))
    torch.testing.assert_close(first.decoded.logits, again.decoded.logits, rtol=0, atol=0)
    corrector.accept(first.state)
    beyond = corrector.correct(18, view, answer(view, inside[18]))
    assert beyond.state.slice == 18
    assert not torch.equal(beyond.state.labels, first.state.labels)


def test_labels_keep_their_place_when_the_view_moves(scene):
    stack, inside, seed = scene
    view = seed.result.view
    moved = View(view.left - 6, view.top + 3, view.width + 8, view.height + 8, view.size)
    for other in (view, moved):
        found = Corrector(stack, seed).correct(17, other, answer(other, inside[17]))
        assert dice(shown(found, 17, other, stack), inside[17]) > 0.93


def test_little_is_carried_to_where_the_object_is_not(scene):
    stack, inside, seed = scene
    view, corrector = seed.result.view, Corrector(stack, seed)
    carried = []
    for index in range(17, 30):
        found = corrector.correct(index, view, answer(view, inside[index]))
        corrector.accept(found.state)
        carried.append(found.carried)
    assert carried[0] > 0.9
    assert carried[-1] < 0.3, "the ball ends at slice 26"
    assert Corrected(found.decoded).carried == 1, "nothing goes along"


def test_an_image_in_colour_is_seen_by_its_mean(scene):
    stack, inside, seed = scene
    grey = stack.window.apply(stack.volume.voxels)
    coloured = FrameStack(replace(stack.volume, voxels=np.repeat(grey[..., None], 3, -1)))
    view = seed.result.view
    found = Corrector(coloured, seed).correct(17, view, answer(view, np.roll(inside[17], 5, 1)))
    assert dice(shown(found, 17, view, stack), inside[17]) > 0.93


def test_passes_that_are_not_refined_go_alone(scene, shipped_model):
    stack, _, seed = scene
    alone = Engine(shipped_model, stack, Options(precision="float32", refine=False), CPU)
    assert alone.track(seed, 1, 20).corrector is None
    assert Engine(shipped_model, stack, Options(precision="float32"), CPU).track(seed, 1, 20).corrector is not None


@pytest.mark.parametrize("region", [True, False])
def test_a_line_thinner_than_a_cell_is_no_trouble(shipped_model, region):
    voxels = np.zeros((6, 512, 512), np.int16)
    voxels[:, 250, 60:450] = 100
    stack = FrameStack(Volume(voxels), window=Window(0, 100))
    session = Session(stack, shipped_model, Options(precision="float32", region=region), "cpu")
    session.set_keyframe("line", Keyframe(2, mask=MaskPrompt(voxels[2] > 0)))
    for _ in session.propagate():
        pass
    assert session.segment_volume("line")[2].sum() == 390
