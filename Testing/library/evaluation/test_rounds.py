"""The user corrects until it is good: when that ends, and what is counted."""

import math

import numpy as np
import pytest

from SAMSegmenterLib.evaluation.tasks import Rounds
from support.evaluation_steps import FIRST, LAST, Fixed, Learning


@pytest.mark.parametrize("prompt", ["point", "mask"])
def test_rounds_go_on_until_it_is_good(stack, target, random, prompt):
    scores = Rounds(prompt).attempt(Learning(target.mask), stack, target, random).scores
    # n of 8 equal slices: Dice 2n / (n + 8)
    assert scores["dice_after_1"] == pytest.approx(2 / 9)
    assert scores["interactions_to_80"] == 6
    assert scores["interactions_to_90"] == 7
    assert scores["dice"] == pytest.approx(14 / 15)


def test_rounds_end_after_ten(stack, target, random):
    method = Fixed(np.zeros_like(target.mask))
    scores = Rounds("point").attempt(method, stack, target, random).scores
    assert len(method.asked) == 10
    assert math.isnan(scores["interactions_to_80"])
    assert "dice_after_10" in scores


def test_rounds_end_where_nothing_can_be_marked(stack, target, random):
    flood = target.mask.copy()
    flood[: FIRST - 1] = flood[LAST + 1 :] = True
    method = Fixed(flood)
    Rounds("mask").attempt(method, stack, target, random)
    assert len(method.asked) == 1
