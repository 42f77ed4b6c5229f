"""MobileSAM's encoder, weight by published weight."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.families import mobile_sam
from support.layouts import filled, mobile_sam_shapes, without

SIZE = 256


@pytest.fixture(scope="module")
def state():
    return filled(mobile_sam_shapes())


@pytest.fixture(scope="module")
def network(state):
    return mobile_sam.build("vit_t", SIZE, mobile_sam.clean(state), "a test")


class Published:
    """MobileSAM's image encoder as functions of its published weights."""

    def __init__(self, state):
        self.state = state

    def __call__(self, image):
        x = F.gelu(self.conv_bn("patch_embed.seq.0", image, stride=2, padding=1))
        x = self.conv_bn("patch_embed.seq.2", x, stride=2, padding=1)
        for block in range(2):
            x = self.inverted_bottleneck(f"layers.0.blocks.{block}.", x)
        x = self.merged("layers.0.downsample.", x, stride=2)
        for layer, depth, heads, window in ((1, 2, 4, 7), (2, 6, 5, 14), (3, 2, 10, 7)):
            for block in range(depth):
                x = self.transformer(f"layers.{layer}.blocks.{block}.", x, heads, window)
            if layer < 3:
                x = self.merged(f"layers.{layer}.downsample.", x, stride=2 if layer == 1 else 1)  # the last one keeps the size
        x = self.channel_norm("neck.1", F.conv2d(x, self["neck.0.weight"]))
        return self.channel_norm("neck.3", F.conv2d(x, self["neck.2.weight"], padding=1))

    def __getitem__(self, name):
        return self.state["image_encoder." + name]

    def conv_bn(self, name, x, stride=1, padding=0, groups=1):
        x = F.conv2d(x, self[name + ".c.weight"], stride=stride, padding=padding, groups=groups)
        statistics = (self[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *statistics)

    def inverted_bottleneck(self, name, x):
        hidden = F.gelu(self.conv_bn(name + "conv1", x))
        hidden = F.gelu(self.conv_bn(name + "conv2", hidden, padding=1, groups=hidden.shape[1]))
        return F.gelu(x + self.conv_bn(name + "conv3", hidden))

    def merged(self, name, x, stride):
        x = F.gelu(self.conv_bn(name + "conv1", x))
        x = F.gelu(self.conv_bn(name + "conv2", x, stride=stride, padding=1, groups=x.shape[1]))
        return self.conv_bn(name + "conv3", x)

    def transformer(self, name, x, heads, window):
        x = x + self.windowed(name, x, heads, window)
        x = self.conv_bn(name + "local_conv", x, padding=1, groups=x.shape[1]).permute(0, 2, 3, 1)
        hidden = F.gelu(self.linear(name + "mlp.fc1", self.norm(name + "mlp.norm", x)))
        return (x + self.linear(name + "mlp.fc2", hidden)).permute(0, 3, 1, 2)

    def windowed(self, name, x, heads, window):
        """Attention within each window; those at the right and lower edge are filled up with zeros."""
        found = torch.zeros_like(x)
        for top in range(0, x.shape[2], window):
            for left in range(0, x.shape[3], window):
                cut = x[:, :, top : top + window, left : left + window]
                rows, columns = cut.shape[-2:]
                full = F.pad(cut, (0, window - columns, 0, window - rows)).flatten(2).transpose(1, 2)
                seen = self.attention(name + "attn.", full, heads, window).transpose(1, 2).unflatten(-1, (window, window))
                found[:, :, top : top + rows, left : left + columns] = seen[:, :, :rows, :columns]
        return found

    def attention(self, name, x, heads, window):
        q, k, v = self.linear(name + "qkv", self.norm(name + "norm", x)).unflatten(-1, (heads, -1)).chunk(3, -1)
        row, column = (axis.flatten() for axis in torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"))
        # Biases are stored by distance, rows and columns apart, in the order in which distances from the first pixel occur.
        bias = self[name + "attention_biases"][:, (row[:, None] - row).abs() * window + (column[:, None] - column).abs()]
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5 + bias
        return self.linear(name + "proj", torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self[name + ".weight"], self[name + ".bias"])

    def channel_norm(self, name, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self[name + ".weight"], self[name + ".bias"], 1e-6)
        return x.permute(0, 3, 1, 2)

    def linear(self, name, x):
        return F.linear(x, self[name + ".weight"], self[name + ".bias"])


@torch.inference_mode()
def test_the_encoder_is_the_published_one(network, state):
    """64, 32 and 16 positions a side are no multiples of 7 and 14, so that windows reach over the edge."""
    image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    wanted = Published(state)(image)
    assert wanted.shape == (1, 256, SIZE // 16, SIZE // 16)
    torch.testing.assert_close(network.image_encoder(image), wanted, atol=1e-4, rtol=1e-4)


def test_it_segments_from_points_and_boxes(network):
    model = mobile_sam.slice_model(network, SIZE)
    seen = model.embed(np.random.default_rng(1).integers(0, 256, (90, 130), dtype=np.uint8))
    assert model.masks(seen, np.array([[70.0, 40.0]]), [1]).logits.shape == (3, 90, 130)
    assert model.masks(seen, box=np.array([20.0, 15.0, 100.0, 80.0])).logits.shape == (1, 90, 130)


def test_every_weight_but_those_of_the_unused_classifier_is_taken(network, state):
    taken = mobile_sam.clean({"module." + name: value for name, value in state.items()})
    assert len(taken) == len(state) - 4
    assert taken.keys() == network.state_dict().keys()


def test_a_missing_weight_is_named(state):
    incomplete = mobile_sam.clean(without(state, "image_encoder.layers.1.blocks.0.attn.qkv.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing \(image_encoder\.trunk\.stages\.1\.blocks\.0\.attn\.qkv\.weight\)"):
        mobile_sam.build("vit_t", SIZE, incomplete, "there.pt")


def test_without_timm_it_says_what_to_install(state, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.models.tiny_vit", None)
    with pytest.raises(CheckpointError, match="pip install timm"):
        mobile_sam.build("vit_t", SIZE, mobile_sam.clean(state), "there.pt")
