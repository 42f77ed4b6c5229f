"""SAM-Med2D and Med-SA add adapters to SAM's blocks as their papers say, written out here once more."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models.families import med_sa, sam, sam_med2d
from support.layouts import filled, med_sa_shapes, sam_med2d_shapes, sam_shapes, shallow, shapes_only

SIZE, GRID, DEPTH = 256, 16, 3
BOX, POINT = np.array([20.0, 15.0, 100.0, 80.0]), np.array([[70.0, 40.0]])


@pytest.fixture(autouse=True)
def three_blocks(monkeypatch):
    """The first three of ViT-B: two that see windows of 14, and one that sees everything."""
    monkeypatch.setitem(sam.LAYOUTS, "three blocks", (768, 12, DEPTH, (2,)))


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (90, 130), dtype=np.uint8)


def built(family, shapes, size=SIZE):
    state = filled(shallow(shapes, DEPTH))
    return state, family.build("three blocks", size, family.clean(state), "a test")


def blocks_alone(state):
    """SAM's own blocks, without what is added to them, and the weights of what is added."""
    for number, window in enumerate((14, 14, 0)):
        norm = partial(torch.nn.LayerNorm, eps=1e-6)
        block = Block(768, 12, norm_layer=norm, use_rel_pos=True, window_size=window, input_size=(GRID, GRID))
        start = f"image_encoder.blocks.{number}."
        own = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
        block.load_state_dict({name: value for name, value in own.items() if "Adapter" not in name})
        yield block.eval(), {name: value for name, value in own.items() if "Adapter" in name}


def attention(block, x):
    normed = block.norm1(x)
    if block.window_size == 0:
        return block.attn(normed)
    windows, padding = window_partition(normed, block.window_size)
    return window_unpartition(block.attn(windows), block.window_size, padding, (GRID, GRID))


def encoded(network, state, image, formula):
    """The image encoder, each block by `formula(block, weights of its adapters, x)`."""
    encoder = network.image_encoder
    x = encoder.patch_embed(image) + state["image_encoder.pos_embed"]
    for block, weights in blocks_alone(state):
        x = formula(block, weights, x)
    return encoder.neck(x.permute(0, 3, 1, 2))


def sam_med2d_block(block, weights, x):
    """Beside the MLP: channels weighed by their means, then a 3x3 convolution down and a 4x4 up, added and normed."""
    x = x + attention(block, x)
    normed = block.norm2(x)
    means = normed.mean(dim=1).mean(dim=1)
    share = torch.sigmoid(F.relu(means @ weights["Adapter.channel.0.weight"].T) @ weights["Adapter.channel.2.weight"].T)
    maps = (normed * share[:, None, None, :]).permute(0, 3, 1, 2)
    maps = F.relu(F.conv2d(maps, weights["Adapter.spatial.0.weight"], stride=2, padding=1))
    maps = F.relu(F.conv_transpose2d(maps, weights["Adapter.spatial.2.weight"], stride=2, padding=1)).permute(0, 2, 3, 1)
    beside = F.layer_norm(normed + maps, (768,), weights["Adapter.norm.weight"], weights["Adapter.norm.bias"])
    return x + block.mlp(normed) + beside


def med_sa_block(block, weights, x):
    """After the attention an adapter on top of it; beside the MLP half of an adapter."""

    def adapter(name, y):
        hidden = F.gelu(F.linear(y, weights[f"{name}.D_fc1.weight"], weights[f"{name}.D_fc1.bias"]))
        return F.linear(hidden, weights[f"{name}.D_fc2.weight"], weights[f"{name}.D_fc2.bias"])

    found = attention(block, x)
    x = x + (found + adapter("Space_Adapter", found))
    normed = block.norm2(x)
    return x + block.mlp(normed) + 0.5 * adapter("MLP_Adapter", normed)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("family", "shapes", "formula"),
    [(sam_med2d, sam_med2d_shapes(), sam_med2d_block), (med_sa, med_sa_shapes(SIZE), med_sa_block)],
    ids=["SAM-Med2D", "Med-SA"],
)
def test_the_encoder_is_that_of_the_paper(family, shapes, formula):
    state, network = built(family, shapes)
    image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    wanted = encoded(network, state, image, formula)
    torch.testing.assert_close(network.image_encoder(image), wanted, atol=1e-4, rtol=1e-4)
    plain = encoded(network, state, image, lambda block, weights, x: block(x))
    assert (wanted - plain).abs().mean() > 0.1, "the adapters make a difference"


def test_sam_med2d_corrects_its_own_answer_with_further_clicks(picture):
    _, network = built(sam_med2d, sam_med2d_shapes())
    model = sam_med2d.slice_model(network, SIZE)
    seen = model.embed(picture)
    first = model.masks(seen, POINT, [1])
    second = model.masks(seen, np.array([[70.0, 40.0], [5.0, 5.0]]), [1, 0], mask_logits=first.low[first.best])
    assert first.low.shape == second.low.shape == (3, 64, 64), "always three, of which the best expected one counts"
    assert second.logits.shape == (3, 90, 130)
    assert np.abs(second.logits - model.masks(seen, np.array([[70.0, 40.0], [5.0, 5.0]]), [1, 0]).logits).max() > 0.01


def test_med_sa_answers_clicks_with_one_mask(picture):
    _, network = built(med_sa, med_sa_shapes(SIZE))
    model = med_sa.slice_model(network, SIZE)
    assert model.masks(model.embed(picture), POINT, [1]).logits.shape == (1, 90, 130)
    with pytest.raises(InputError, match="not trained with a box; give a point"):
        model.masks(model.embed(picture), box=BOX)


def test_med_sa_in_its_3d_form_is_refused():
    state = {"image_encoder.blocks.0.Depth_Adapter.D_fc1.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"there\.pth: this is Med-SA in its 3D form"):
        med_sa.build("vit_b", 1024, state, "there.pth")


@pytest.mark.parametrize(("family", "shapes", "size"), [(sam_med2d, sam_med2d_shapes(), 256), (med_sa, med_sa_shapes(), 1024)])
def test_networks_have_the_published_names_and_shapes(family, shapes, size):
    with shapes_only():
        network = family.build("vit_b", size, {name: torch.empty(shape) for name, shape in shapes.items()}, "a test")
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == shapes


@pytest.mark.parametrize("family", [sam_med2d, med_sa], ids=["SAM-Med2D", "Med-SA"])
def test_a_plain_sam_is_refused_with_what_it_lacks(family):
    with pytest.raises(CheckpointError, match=r"missing \(image_encoder\.blocks\.0\..*Adapter"), shapes_only():
        family.build("vit_b", 1024, {name: torch.empty(shape) for name, shape in sam_shapes("vit_b").items()}, "a test")
