"""SAM2-UNet: finds what it was trained for without prompts, with SAM 2's Hiera trunk as the encoder of a U-Net.

Xiong et al., "SAM2-UNet: Segment Anything 2 Makes Strong Encoder for Natural and Medical Image Segmentation", 2024 (arXiv
2408.08870); code Apache-2.0. The trunk is that of the `sam2` package, the rest is written here from the paper and the
published layout. No package has the reference: compared with its formulas written out separately.

The published script stretches each picture's probabilities to 0..1 before they are measured at every threshold; on a slice
without the object that would invent one, so that it is left out and the logits are the network's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..sam2_package import Hiera
from . import layouts
from .fitting import State, fitted, without_prefix
from .normalisers import published

CHANNELS = 64
BOTTLENECK = 32
AUXILIARY = ("side1.", "side2.", "up4.")  # outputs for training, and a stage that the published network never runs


class Sam2UNetBlock(nn.Module):
    """A block of the trunk behind a bottleneck whose output is added to the block's input."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block
        width = block.attn.qkv.in_features
        self.prompt_learn = nn.Sequential(nn.Linear(width, BOTTLENECK), nn.GELU(), nn.Linear(BOTTLENECK, width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for `x` ``(B, H, W, C)``."""
        return self.block(x + self.prompt_learn(x))


class Convolution(nn.Module):
    """A convolution that keeps the image's size, and a batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output ``(B, outputs, h, w)`` for `x` ``(B, inputs, h, w)``."""
        return self.bn(self.conv(x))


class ReceptiveField(nn.Module):
    """Four branches that see a stage of the trunk at different ranges and bring it to 64 channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(Convolution(inputs, CHANNELS, (1, 1)))
        self.branch1, self.branch2, self.branch3 = (self._branch(inputs, reach) for reach in (3, 5, 7))
        self.conv_cat = Convolution(4 * CHANNELS, CHANNELS, (3, 3))
        self.conv_res = Convolution(inputs, CHANNELS, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output ``(B, 64, h, w)`` for a stage `x` ``(B, inputs, h, w)``."""
        ranges = [branch(x) for branch in (self.branch0, self.branch1, self.branch2, self.branch3)]
        return F.relu(self.conv_cat(torch.cat(ranges, 1)) + self.conv_res(x))

    @staticmethod
    def _branch(inputs: int, reach: int) -> nn.Sequential:
        return nn.Sequential(
            Convolution(inputs, CHANNELS, (1, 1)),
            Convolution(CHANNELS, CHANNELS, (1, reach)),
            Convolution(CHANNELS, CHANNELS, (reach, 1)),
            Convolution(CHANNELS, CHANNELS, (3, 3), dilation=reach),
        )


class Up(nn.Module):
    """A step that enlarges a coarse stage to the next finer one and merges the two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ModuleDict({"double_conv": nn.Sequential(*self._layers(2 * CHANNELS), *self._layers(CHANNELS))})

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return the stages ``(B, 64, h, w)`` merged, at the size of the fine one."""
        coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True)
        return self.conv["double_conv"](torch.cat([fine, coarse], 1))

    @staticmethod
    def _layers(inputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU()]


class Sam2UNet(nn.Module):
    """A U-Net from an image ``(B, 3, n, n)`` to logits ``(B, 1, n, n)``; names as published."""

    def __init__(self, trunk: Hiera) -> None:
        super().__init__()
        self.encoder = trunk
        trunk.blocks = nn.ModuleList(Sam2UNetBlock(block) for block in trunk.blocks)
        self.rfb1, self.rfb2, self.rfb3, self.rfb4 = (ReceptiveField(width) for width in reversed(trunk.channel_list))
        self.up1, self.up2, self.up3 = Up(), Up(), Up()
        self.head = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, 1, n, n)`` of an image ``(B, 3, n, n)``."""
        stages = self.encoder(x)
        fine, middle, coarse, coarsest = (rfb(stage) for rfb, stage in zip(self._fields, stages, strict=True))
        merged = self.up3(self.up2(self.up1(coarsest, coarse), middle), fine)
        return F.interpolate(self.head(merged), scale_factor=4, mode="bilinear")

    @property
    def _fields(self) -> tuple[ReceptiveField, ...]:
        return self.rfb1, self.rfb2, self.rfb3, self.rfb4


class Sam2UNetProposer:
    """A `Proposer` of a `Sam2UNet`; `why` says by what its file was recognised, if it was not chosen by its name."""

    title, why = "the model", ""

    def __init__(self, network: Sam2UNet, image_size: int, normaliser: str) -> None:
        self.network, self.size = network, image_size
        self._normaliser = published(normaliser, image_size)

    @torch.inference_mode()
    def propose(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits of a slice; see `interfaces.Proposer.propose`."""
        image = self._normaliser.image(pixels).to(self.network.head.weight.device)
        return self._normaliser.to_slice(self.network(image)[0], pixels.shape[:2])[0].cpu().numpy()


def build(config: str, image_size: int, state: State, source: str) -> Sam2UNet:
    """Return the network around the trunk of the layout `config`, Hiera large as published; see `fitting.fitted`."""
    trunk = layouts.layout(config, image_size)["image_encoder"]["trunk"]
    return fitted(lambda: Sam2UNet(layouts.built(trunk)), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names, without those that only training uses."""
    return {name: value for name, value in without_prefix(state).items() if not name.startswith(AUXILIARY)}


def proposer(network: Sam2UNet, image_size: int, normaliser: str = "sam2_unet") -> Sam2UNetProposer:
    """Return a `Proposer` of the network."""
    return Sam2UNetProposer(network, image_size, normaliser)
