"""Masks are corrected in training as the engine corrects them."""

import random

import pytest
import torch

from SAMSegmenterLib.training.correctors import Correctors
from SAMSegmenterLib.training.rollout import Rollout
from SAMSegmenterLib.training.trainee import Trainee, make_network
from support.training_steps import disc, moving_disc

pytestmark = pytest.mark.usefixtures("seeded")


def scene(x):
    return 0.2 + 0.6 * disc(64, x, 32, 12)


def logits(x):
    return 8 * disc(16, x / 4, 8, 3)[None, None] - 4


def test_a_faulty_mask_is_drawn_to_where_the_object_went():
    views, cell_mm = torch.tensor([[0.0, 0, 1]]), torch.tensor([1.5])
    correctors = Correctors(scene(28)[None], logits(28), views, cell_mm)
    corrected = correctors.correct(scene(32)[None], logits(20), views)
    truth, faulty = logits(32) > 0, logits(20) > 0
    assert ((corrected > 0) & truth).sum() > ((faulty & truth).sum())
    assert ((corrected > 0) & ~truth).sum() < (faulty & ~truth).sum()


def test_labels_move_with_the_view():
    correctors = Correctors(scene(32)[None], logits(32), torch.tensor([[0.0, 0, 1]]), torch.tensor([1.5]))
    closer = torch.tensor([[0.25, 0, 0.75]])  # the disc of radius 12 around (32, 32) is then one of radius 16 around (21.3, 32)
    corrected = correctors.correct((0.2 + 0.6 * disc(64, 21.3, 32, 16))[None], logits(21.3), closer)
    assert ((corrected > 0).float()[0, 0] - disc(16, 5.3, 8, 4)).abs().mean() < 0.1


def test_training_corrects_what_it_remembers():
    trainee = Trainee(make_network(64))
    remembered = []

    def remember(frames, masks, *rest):
        remembered.append(masks.detach())
        return type(trainee).remembered(trainee, frames, masks, *rest)

    trainee.remembered = remember
    for correcting in (False, True):
        torch.manual_seed(0)
        random.seed(0)
        Rollout(trainee, moving_disc(2), 0, correcting).loss.backward()
    assert torch.equal(remembered[0], remembered[2])  # the prompted slice is as it was
    assert not torch.equal(remembered[1], remembered[3])
