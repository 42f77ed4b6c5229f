"""What a box or a click may mean: many answers of a small network, and the one that fits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes import ranking
from SAMSegmenterLib.keyframes.question import question
from SAMSegmenterLib.keyframes.ranking import SIGNS, fitness, signs
from SAMSegmenterLib.keyframes.search import best_answer, every_answer, worth_searching
from SAMSegmenterLib.keyframes.seeder import Seeder
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.runner import Runner
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, Point
from SAMSegmenterLib.session.session import Session
from support.networks import random_network
from support.phantoms import as_model, ball

SIZE = 128
Y, X = np.mgrid[:SIZE, :SIZE]
DISC = (X - 60) ** 2 + (Y - 64) ** 2 <= 25**2
HALF = DISC & (X < 60)
WIDE = (X - 60) ** 2 + (Y - 64) ** 2 <= 40**2
PICTURE = torch.from_numpy(np.where(DISC, 180, 60).astype(np.float32))
BOX = torch.tensor([[34.5, 38.5], [85.5, 89.5]]), torch.tensor([2, 3])
CLICK = torch.tensor([[60.0, 64.0]]), torch.tensor([1])


def logits(*masks, certainty=4.0):
    """As a network gives them, a quarter as wide and high."""
    full = torch.stack([torch.from_numpy(np.where(mask, certainty, -certainty).astype(np.float32)) for mask in masks])
    return torch.nn.functional.avg_pool2d(full, 4)


def told(masks, prompts, picture=PICTURE, quality=0.7):
    """The signs of masks, by their names."""
    table = signs(logits(*masks), torch.full((len(masks),), quality), picture, *prompts)
    return dict(zip(SIGNS, table.T, strict=True))


def best(masks, prompts, picture=PICTURE, quality=None):
    quality = torch.full((len(masks),), 0.7) if quality is None else torch.tensor(quality)
    return int(fitness(logits(*masks), quality, picture, *prompts).argmax())


def test_a_mask_that_fills_its_box_is_taken_and_none_beyond_it():
    assert best([HALF, DISC, WIDE], BOX) == 1
    found = told([HALF, DISC, WIDE], BOX)
    assert found["tight"][1] > 0.85 > 0.7 > found["tight"][0]
    assert found["beyond"][1] < 0.05 < 0.4 < found["beyond"][2]


def test_a_mask_that_differs_from_its_surroundings_is_taken_for_a_click():
    assert best([HALF, WIDE, DISC], CLICK) == 2
    alike = told([HALF, WIDE, DISC], CLICK)["alike"]
    assert alike[2] < alike[:2].min()


def test_clicks_outside_are_obeyed():
    beside = torch.tensor([[60.0, 64.0], [60.0, 30.0]]), torch.tensor([1, 0])
    flat = torch.full((SIZE, SIZE), 100.0)
    assert told([DISC, WIDE], beside, flat)["obeyed"].tolist() == [1, 0.5]
    assert best([WIDE, DISC], beside, flat) == 1


def test_of_equal_masks_the_one_expected_to_be_better_is_taken():
    assert best([DISC, DISC], CLICK, quality=[0.5, 0.8]) == 1
    assert best([DISC, DISC], BOX, quality=[0.8, 0.5]) == 0


def test_a_mask_whose_border_depends_on_the_threshold_is_doubted():
    ramp = torch.from_numpy((25 - np.hypot(X - 60, Y - 64)).astype(np.float32))
    soft, sharp = (torch.nn.functional.avg_pool2d((ramp * steepness)[None], 4) for steepness in (0.1, 2.0))
    stable = signs(torch.cat([soft, sharp]), torch.ones(2), PICTURE, *CLICK)[:, SIGNS.index("stable")]
    assert stable[0] < 0.5 < 0.9 < stable[1]


WORTH_IN_QUALITY = {
    "box": {"stable": 1.25, "alike": -0.875, "obeyed": 1.25, "tight": 5, "beyond": -3.75, "sized": 0},
    "click": {"stable": 0.75, "alike": -1, "obeyed": 0.75, "tight": 0, "beyond": 0, "sized": 0.15},
}


@pytest.mark.parametrize(("kind", "sign", "worth"), [(kind, *each) for kind, signs in WORTH_IN_QUALITY.items() for each in signs.items()])
def test_each_sign_is_outweighed_by_so_much_quality_and_by_no_less(monkeypatch, kind, sign, worth):
    def preferred(quality):
        """Return whether a mask with the sign is preferred to one of this quality, all else being equal."""
        table = torch.zeros(2, len(SIGNS))
        table[0, SIGNS.index(sign)], table[1, SIGNS.index("quality")] = 1, quality
        monkeypatch.setattr(ranking, "signs", lambda *_: table)  # whatever it is asked of
        with_sign, with_quality = fitness(table, None, None, *(BOX if kind == "box" else CLICK))
        return bool(with_sign > with_quality)

    assert preferred(worth - 0.01)
    assert not preferred(worth + 0.01)


def test_an_empty_mask_is_no_trouble_and_no_choice():
    nothing = np.zeros_like(DISC)
    for prompts in (BOX, CLICK):
        assert fitness(logits(nothing, DISC), torch.ones(2), PICTURE, *prompts).isfinite().all()
        assert best([nothing, DISC], prompts) == 1


# ---------------------------------------------------------------- asking


@pytest.fixture
def stack():
    return FrameStack(ball()[0], window=Window(-160, 240))


def test_a_box_is_asked_for_with_clicks_in_it_and_other_prompts_as_they_are(shipped_model, stack):
    runner = Runner(shipped_model, stack, Options(precision="float32"), torch.device("cpu"))
    view = stack.whole(128)
    box, click = Box(21.5, 21.5, 42.5, 42.5), (Point(32, 32),)
    counts = {}
    for name, keyframe in {
        "box": Keyframe(16, box=box),
        "click": Keyframe(16, points=click),
        "both": Keyframe(16, box=box, points=click),
        "line": Keyframe(16, line=Line(22, 32, 42, 32)),
    }.items():
        counts[name] = len(every_answer(runner, 16, question(keyframe), view).logits)
    assert counts == {"box": 40, "click": 4, "both": 4, "line": 4}


def test_several_prompts_at_once_are_answered_as_each_by_itself(shipped_model, stack):
    runner = Runner(shipped_model, stack, Options(precision="float32"), torch.device("cpu"))
    view = stack.whole(128)
    features, network = runner.features(16, view), runner.network(128)
    asked = [(view.to_input(np.array([[x, 30.0]])), np.array([1])) for x in (20.0, 32.0, 44.0)]
    together = network.candidates(features, asked)
    for n, each in enumerate(asked):
        alone = network.candidates(features, [each])
        for name in ("logits", "pointer", "score", "quality"):
            torch.testing.assert_close(getattr(together, name)[4 * n : 4 * n + 4], getattr(alone, name), rtol=1e-4, atol=1e-4)
    clear = network.prompt(features, *asked[1])  # a single click: the best of the last three
    offered = network.candidates(features, [asked[1]])
    taken = 1 + int(offered.quality[1:].argmax())
    torch.testing.assert_close(clear.logits[0], offered.logits[taken], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(clear.pointer[0], offered.pointer[taken], rtol=1e-4, atol=1e-4)


def test_what_was_marked_is_there_whatever_the_network_thinks(shipped_model, stack, monkeypatch):
    runner = Runner(shipped_model, stack, Options(precision="float32"), torch.device("cpu"))
    network, asked = runner.network(128), question(Keyframe(16, points=(Point(32, 32),)))
    real = network.candidates
    monkeypatch.setattr(network, "candidates", lambda *given: (found := real(*given)) and replace(found, score=-found.score.abs()))
    _, decoded = best_answer(runner, 16, asked, [stack.whole(128)])
    assert decoded.score > 0


def test_only_small_networks_are_searched_and_not_if_told_so(shipped_model, stack):
    cpu = torch.device("cpu")
    large = as_model(random_network("t", 512), (512,))
    assert worth_searching(Runner(shipped_model, stack, Options(), cpu))
    assert not worth_searching(Runner(shipped_model, stack, Options.strict(), cpu))
    assert not worth_searching(Runner(large, stack, Options(), cpu))


def test_a_box_finds_the_ball_where_the_first_answer_is_wrong(shipped_model, stack, monkeypatch):
    runner = Runner(shipped_model, stack, Options(precision="float32", refine=False), torch.device("cpu"))
    truth, keyframe = ball()[1][16], Keyframe(16, box=Box(21.5, 21.5, 42.5, 42.5))
    for size in runner.model.sizes:
        network = runner.network(size)
        real = network.candidates

        def misled(features, asked, real=real):
            found = real(features, asked)
            spoilt = found.logits.clone()
            spoilt[::4] = -spoilt[::4]
            return replace(found, logits=spoilt)

        monkeypatch.setattr(network, "candidates", misled)
    assert dice(Seeder(runner).seed(keyframe).mask, truth) > 0.8


@pytest.mark.parametrize("side", [4, 10, 40])
def test_a_click_is_understood_on_slices_of_any_size(shipped_model, side):
    voxels = np.random.default_rng(0).normal(0, 8, (3, side, side)).astype(np.float32)
    voxels[:, 1:-1, 1:-1] += 100
    session = Session(FrameStack(Volume(voxels)), shipped_model, Options(precision="float32"), "cpu")
    session.set_keyframe("a", Keyframe(1, points=(Point(side // 2, side // 2),)))
    assert session.preview("a", 1).mask[side // 2, side // 2]
