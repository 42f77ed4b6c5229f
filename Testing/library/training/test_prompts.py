"""What the network is asked in training, and what its answers cost."""

import pytest
import torch

from SAMSegmenterLib.training import simulated_prompts
from SAMSegmenterLib.training.losses import judge, judge_candidates, mask_loss
from support.training_steps import disc

pytestmark = pytest.mark.usefixtures("seeded")


def test_clicks_lie_inside_and_boxes_around():
    masks = torch.stack([disc(32, 10, 20, 5), disc(32, 22, 8, 7)])
    for _ in range(20):
        first = simulated_prompts.clicks(masks, 64).xy[:, 0]
        column, row = ((first + 0.5) / 2).long().unbind(1)
        assert (masks[torch.arange(2), row, column] == 1).all()
        box = simulated_prompts.box(masks, 64)
        assert box.labels[:, :2].tolist() == [[2, 3], [2, 3]]
        edges = torch.tensor([[10, 30, 32, 52], [30, 2, 60, 32]]) - 0.5
        assert (box.xy[:, :2].flatten(1) - edges).abs().max() <= 0.12 * 30 + 1


def test_correction_clicks_into_the_larger_error():
    mask, found = disc(32, 10, 16, 6), disc(32, 24, 16, 4)
    prompt = simulated_prompts.correction(torch.stack([found, mask + found]), torch.stack([mask, mask]), 64)
    assert prompt.labels[:, 0].tolist() == [1, 0]
    (missing, excess), places = (mask, found), ((prompt.xy[:, 0] + 0.5) / 2).long()
    assert missing[places[0, 1], places[0, 0]] == 1
    assert excess[places[1, 1], places[1, 0]] == 1


def test_perfect_masks_cost_nothing():
    target = disc(32, 16, 16, 8)[None]
    logits = (target * 40 - 20)[:, None]
    loss, overlap = mask_loss(logits, target)
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert overlap.item() == pytest.approx(1)
    worse, overlap = mask_loss(-logits, target)
    assert worse.item() > 10
    assert overlap.item() == pytest.approx(0, abs=1e-3)


def test_absent_objects_are_asked_for_their_score_alone():
    target, masks = torch.zeros(1, 16, 16), torch.full((1, 16, 16), 9.0)
    right = judge(masks, torch.ones(1), torch.tensor([-9.0]), target, torch.ones(1))
    wrong = judge(masks, torch.ones(1), torch.tensor([9.0]), target, torch.ones(1))
    assert right.loss < 0.01 < 4 < wrong.loss
    assert right.present.item() == 0


def test_one_right_candidate_is_enough():
    target = disc(16, 8, 8, 4)[None]
    right, wrong = target * 20 - 10, 10 - target * 20
    good = judge_candidates(torch.stack([right, wrong, wrong], 1), torch.tensor([[1.0, 0, 0]]), target, torch.ones(1))
    bad = judge_candidates(torch.stack([wrong, wrong, wrong], 1), torch.tensor([[0.0, 0, 0]]), target, torch.ones(1))
    assert good < bad / 3
