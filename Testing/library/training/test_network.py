"""The network in training is the one in use, and all of it learns."""

import random

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.training import simulated_prompts
from SAMSegmenterLib.training.rollout import Rollout
from SAMSegmenterLib.training.trainee import Trainee, make_network
from support.training_steps import moving_disc

pytestmark = pytest.mark.usefixtures("seeded")


def test_trainee_answers_as_the_engine_does(shipped_model):
    """A prompted and a tracked slice: the network in training and the one in use give the same logits."""
    from SAMSegmenterLib.network.memory import Recall
    from SAMSegmenterLib.network.network import Network

    size = shipped_model.native_size
    trainee = Trainee(make_network(size, shipped_model.network.state_dict()).eval())
    used = Network(shipped_model.network, size, "cpu", torch.float32, shipped_model.mean, shipped_model.std)
    pixels = np.stack([(moving_disc(2, size).images[0, n].numpy() * 255).round().astype(np.uint8) for n in range(2)])
    first, second = used.encode(pixels)
    points, labels = np.array([[40.0, 50.0], [60.0, 80.0]]), np.array([2, 3])
    decoded = used.prompt(first, points, labels)
    memory = used.remember([first], decoded, prompted=True)[0]
    recall = Recall(((0, memory.tokens),), ((1, memory.pointer),))
    expected = used.track([second], [recall], 64)
    with torch.no_grad():
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (shipped_model.mean, shipped_model.std))
        frames = trainee.look((torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std)
        at = [frames.of(torch.tensor([n])) for n in range(2)]
        prompt = simulated_prompts.Prompt(torch.tensor(points[None], dtype=torch.float32), torch.tensor(labels[None], dtype=torch.int32))
        answer = trainee.prompted(at[0], prompt)
        torch.testing.assert_close(answer.masks[:, :1], decoded.logits, rtol=1e-3, atol=1e-3)
        hard = torch.where(torch.nn.functional.interpolate(answer.masks[:, :1], (size, size), mode="bilinear") > 0, 20.0, -20.0)
        kept = trainee.remembered(at[0], hard, answer.token, answer.score)
        tracked = trainee.tracked(at[1], {"cond_frame_outputs": {0: kept}, "non_cond_frame_outputs": {}}, 1, 64)
    for found, given in ((answer.score, decoded.score), (tracked.score, expected.score), (tracked.quality[:, 0], expected.quality)):
        torch.testing.assert_close(found, given.flatten(), rtol=0.02, atol=0.02)  # the engine rounds memories to bfloat16


def test_steps_on_one_sequence_learn_it():
    network = make_network(64)
    trainee, optimizer = Trainee(network), torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        torch.manual_seed(1)
        random.seed(1)
        loss = Rollout(trainee, moving_disc(), taught=1.0).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_every_part_of_the_network_learns():
    network = make_network(64)
    asked = set()
    for _ in range(8):
        rollout = Rollout(Trainee(network), moving_disc(4), taught=0.5)
        rollout.loss.backward()
        asked |= set(rollout.tally.means())
    idle = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert set(idle) <= {"no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial"}  # the first is never used, the others where it is absent
    assert {"box", "box corrected", "click", "1 click", "painted", "tracked"} <= asked


def test_weights_of_another_network_are_refused():
    with pytest.raises(CheckpointError, match="do not fit"):
        make_network(64, {"some.weight": torch.zeros(3)})
