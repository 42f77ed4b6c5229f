"""The random networks of these tests are repeatable and lively."""

import pytest
import torch

from SAMSegmenterLib.models import catalog
from support.networks import IDS, random_network


@pytest.mark.parametrize("config", ["pico", "t"])
def test_random_networks_are_repeatable_and_lively(config):
    before = torch.random.get_rng_state()
    first, second, other = (random_network(config, 128, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = first.state_dict()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in weights.items())
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in weights.items())
    assert (first.image_size, first.fill_hole_area, first.training) == (128, 0, False)
    features = first.forward_image(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))["backbone_fpn"]
    *_, logits, _, score = first._forward_sam_heads(features[2], None, None, features[:2])
    assert 0.2 < logits.std() < 5
    assert score.item() > 0


def test_random_networks_exist_for_every_size():
    assert set(IDS.values()) <= {entry.id for entry in catalog.entries()}
