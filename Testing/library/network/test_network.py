"""Each rewrite of upstream's computation gives upstream's numbers."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.network.memory import MemoryBank
from SAMSegmenterLib.network.network import Network
from SAMSegmenterLib.network.rewrites import in_precision, resized
from support.networks import random_network

SIZE = 128
GRID = SIZE // 16


@pytest.fixture(scope="module", params=["t", "pico"])
def upstream(request):
    return random_network(request.param, SIZE)


@pytest.fixture(scope="module")
def network(upstream):
    return Network(upstream, SIZE)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 255, (3, SIZE, SIZE), dtype=np.uint8)


def normalised(pixels):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std


@torch.inference_mode()
def test_folded_neck_equals_upstream_features(upstream, network, pixels):
    fine, middle, coarse = upstream.forward_image(normalised(pixels[:1]))["backbone_fpn"]
    ours = network.encode(pixels[:1])[0]
    torch.testing.assert_close(ours.fine, fine, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.middle, middle, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.coarse, coarse, atol=1e-4, rtol=1e-4)


def test_a_batch_equals_one_by_one(network, pixels):
    batch = network.encode(pixels)
    single = [network.encode(pixels[n : n + 1])[0] for n in range(len(pixels))]
    for one, other in zip(batch, single, strict=True):
        torch.testing.assert_close(one.tokens, other.tokens, atol=1e-4, rtol=1e-4)


def test_colour_and_grey_are_one_path(network, pixels):
    grey = network.encode(pixels[:1])[0]
    colour = network.encode(np.repeat(pixels[:1, ..., None], 3, -1))[0]
    torch.testing.assert_close(grey.coarse, colour.coarse)


@torch.inference_mode()
@pytest.mark.parametrize("slices_seen", [0, 2, 20])
def test_memory_attention_equals_upstream_module(upstream, network, pixels, slices_seen):
    """Real rotary encoding, values in the memories' own channels, and the cached first self-attention, together."""
    bank = remembered(network, pixels, slices_seen)
    features = network.encode(pixels[:1])[0]
    recall = bank.recall(slices_seen + 1, 40)
    memory, position, pointers = network._gather([recall], 40)
    theirs = upstream.memory_attention(
        curr=features.coarse.flatten(2).permute(2, 0, 1),
        curr_pos=upstream.image_encoder.neck.position_encoding(features.coarse).flatten(2).permute(2, 0, 1),
        memory=memory.transpose(0, 1),
        memory_pos=position.transpose(0, 1),
        num_obj_ptr_tokens=pointers,
    )
    ours = network._attend([features], [recall], 40)
    torch.testing.assert_close(ours.flatten(2).permute(2, 0, 1), theirs, atol=2e-4, rtol=2e-4)


def remembered(network, pixels, slices_seen):
    features = network.encode(pixels[:1])[0]
    decoded = network.prompt(features, np.array([[30.0, 30.0], [90.0, 80.0]]), np.array([2, 3]))
    keyframe = network.remember([features], decoded, prompted=True)[0]
    bank = MemoryBank(0, keyframe, network.memories, network.max_pointers, network.memories - 1)
    for index in range(1, slices_seen + 1):
        decoded = network.track([features], [bank.recall(index, 40)], 40)
        bank.add(index, network.remember([features], decoded, prompted=False)[0])
    return bank


def test_several_objects_in_one_batch_equal_one_by_one(network, pixels):
    banks = [remembered(network, pixels[n:], 3) for n in range(2)]
    features = [network.encode(pixels[2:])[0], network.encode(pixels[1:2])[0]]
    recalls = [bank.recall(4, 40) for bank in banks]
    batch = network.track(features, recalls, 40)
    for number, one in enumerate(batch.split()):
        alone = network.track([features[number]], [recalls[number]], 40)
        torch.testing.assert_close(one.logits, alone.logits, atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(one.pointer, alone.pointer, atol=2e-4, rtol=2e-4)


def test_bfloat16_stays_close(upstream, network, pixels):
    low = Network(upstream, SIZE, dtype=torch.bfloat16)
    box, corners = np.array([[30.0, 30.0], [90.0, 80.0]]), np.array([2, 3])
    exact = network.prompt(network.encode(pixels[:1])[0], box, corners).logits
    rough = low.prompt(low.encode(pixels[:1])[0], box, corners).logits
    assert 0 < (exact - rough).abs().max() < 0.5
    assert ((exact > 0) != (rough > 0)).float().mean() < 0.02


def test_precision_and_size_leave_the_original_network_as_it_was(upstream):
    before = {name: tensor.clone() for name, tensor in upstream.state_dict().items()}
    low, large = in_precision(upstream, torch.bfloat16), resized(upstream, 2 * SIZE)
    assert low.obj_ptr_proj.layers[0].weight.dtype == torch.bfloat16
    assert large.image_size == large.sam_prompt_encoder.input_image_size[0] == 2 * SIZE
    assert large.no_mem_embed is upstream.no_mem_embed, "weights are shared, not copied"
    assert upstream.image_size == upstream.sam_prompt_encoder.input_image_size[0] == SIZE
    assert all(torch.equal(before[name], tensor) for name, tensor in upstream.state_dict().items())


def test_one_network_runs_at_several_sizes(upstream):
    for size in (64, 128, 192):
        network = Network(upstream, size)
        features = network.encode(np.full((1, size, size), 100, np.uint8))[0]
        decoded = network.prompt(features, np.array([[size / 2, size / 2]]), np.array([1]))
        assert decoded.logits.shape == (1, 1, size // 4, size // 4)
        assert torch.isfinite(decoded.logits).all()


def test_a_size_that_does_not_fit_is_refused(upstream):
    with pytest.raises(CheckpointError, match="multiple of 32"):
        resized(upstream, 100)


def test_a_network_unlike_sam2_is_refused(upstream):
    other = resized(upstream, 2 * SIZE)
    other.directly_add_no_mem_embed = False
    with pytest.raises(CheckpointError, match="not supported"):
        Network(other, SIZE)
