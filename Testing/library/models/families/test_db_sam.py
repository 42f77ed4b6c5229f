"""DB-SAM: deformable attention by its equation, and two branches that trade what they should."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.models.families import db_sam, sam
from SAMSegmenterLib.models.families.deformable import DeformableAttention
from support.layouts import db_sam_shapes, filled, shallow, shapes_only

SIZE, DEPTH = 128, 4


@pytest.fixture
def state():
    return filled(shallow(db_sam_shapes(SIZE), DEPTH))


@pytest.fixture
def network(state, monkeypatch):
    """With one block instead of three before each exchange."""
    monkeypatch.setitem(sam.LAYOUTS, "four blocks", (768, 12, DEPTH, (2,)))
    monkeypatch.setattr(db_sam, "BLOCKS_PER_STAGE", 1)
    return db_sam.build("four blocks", SIZE, db_sam.clean(state), "a test")


def read(values, x, y):
    """A map ``(H, W, C)`` at the pixel position (x, y), bilinearly, zero outside."""
    rows, columns, channels = values.shape
    total = torch.zeros(channels)
    for row, column in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        if 0 <= row < rows and 0 <= column < columns:
            total += (1 - abs(y - row)) * (1 - abs(x - column)) * values[row, column]
    return total


@torch.inference_mode()
def test_deformable_attention_is_its_equation():
    """sum over heads W_m (sum over levels and points A_mlqk W'_m x_l(phi_l(p_q) + dp_mlqk)), place by place."""
    torch.manual_seed(0)
    width, heads, levels, points = 8, 2, 2, 3
    attention = DeformableAttention(width, heads, levels, points)
    queries, places = torch.randn(1, 4, width), torch.rand(4, 2)
    maps = [torch.randn(1, 5, 7, width), torch.randn(1, 3, 4, width)]
    offsets = attention.sampling_offsets(queries[0]).view(4, heads, levels, points, 2)
    weights = attention.attention_weights(queries[0]).view(4, heads, levels * points).softmax(-1).view(4, heads, levels, points)
    gathered = torch.zeros(4, heads, width // heads)
    for query, head, level, point in itertools.product(range(4), range(heads), range(levels), range(points)):
        values = attention.value_proj(maps[level][0]).unflatten(-1, (heads, -1))[:, :, head]
        rows, columns = values.shape[:2]
        dx, dy = offsets[query, head, level, point].tolist()
        x, y = (places[query] * torch.tensor([columns, rows])).tolist()
        gathered[query, head] += weights[query, head, level, point] * read(values, x + dx - 0.5, y + dy - 0.5)
    wanted = attention.output_proj(gathered.flatten(1))
    torch.testing.assert_close(attention(queries, places, maps)[0], wanted, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_without_exchange_the_first_branch_is_sams_encoder(network, state):
    """`gamma` zero as before training, and a fusion that takes all from SAM's branch and adds nothing."""
    adapter = network.image_encoder.adapter
    for exchange in (*adapter.self_attn_blocks, *adapter.self_attn_blocks1):
        exchange.gamma.zero_()
    for fc in adapter.fusion.conv_fc:
        fc.weight.zero_()
        fc.bias.fill_(-1e4)
    for linear in (adapter.fusion.vit_fc, adapter.fusion.ffn[3]):
        linear.weight.zero_()
        linear.bias.zero_()
    image = torch.randn(1, 3, SIZE, SIZE)
    plain = sam.vit("four blocks", SIZE).eval()
    prefix = "image_encoder."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix) and ".adapter." not in name}
    plain.load_state_dict(own)
    x = plain.patch_embed(image) + plain.pos_embed
    for block in plain.blocks:
        x = block(x)
    norm = state[prefix + "adapter.norm.weight"], state[prefix + "adapter.norm.bias"]
    wanted = plain.neck(F.layer_norm(x, (768,), *norm).permute(0, 3, 1, 2))
    torch.testing.assert_close(network.image_encoder(image), wanted, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_both_branches_change_each_other(network):
    adapter, image = network.image_encoder.adapter, torch.randn(1, 3, SIZE, SIZE)
    before = network.image_encoder(image)
    for exchanges in (adapter.self_attn_blocks, adapter.self_attn_blocks1):
        kept = [each.gamma.clone() for each in exchanges]
        for each in exchanges:
            each.gamma.zero_()
        assert (network.image_encoder(image) - before).abs().mean() > 1e-3
        for each, gamma in zip(exchanges, kept, strict=True):
            each.gamma.copy_(gamma)
    assert torch.equal(network.image_encoder(image), before)


def test_it_takes_boxes_only(network):
    model = db_sam.slice_model(network, SIZE)
    seen = model.embed(np.random.default_rng(1).integers(0, 256, (90, 130), dtype=np.uint8))
    assert model.masks(seen, box=np.array([20.0, 15.0, 100.0, 80.0])).logits.shape == (1, 90, 130)
    with pytest.raises(InputError, match="give a box"):
        model.masks(seen, np.array([[70.0, 40.0]]), [1])


def test_the_network_has_the_names_of_its_layout():
    shapes = db_sam_shapes()
    with shapes_only():
        network = db_sam.build("vit_b", 1024, {name: torch.empty(shape) for name, shape in shapes.items()}, "a test")
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == shapes
