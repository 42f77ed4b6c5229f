"""MobileSAM: SAM's prompt encoder and decoder behind a small image encoder, TinyViT-5M.

Zhang et al., "Faster Segment Anything", 2023 (arXiv 2306.14289); code and weights Apache-2.0. The encoder is that of the
`timm` package, the only maintained one that has it, with the changes that MobileSAM makes: no last downsampling, and SAM's
neck behind it. Compared with MobileSAM's encoder written out separately, weight by published weight.
"""

from __future__ import annotations

import re
from typing import Any

from segment_anything.modeling import Sam
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from ...errors import CheckpointError
from .fitting import NEEDS_TIMM, State, fitted, without_prefix
from .normalisers import published
from .sam import CHANNELS, SamSlices, around

WIDTHS = (64, 128, 160, 320)
ENCODER = "image_encoder."
CLASSIFIER = (ENCODER + "norm_head.", ENCODER + "head.")  # left over from TinyViT, unused

# From published names to those of timm, whose stages begin with the downsampling that ends the published layer before.
RENAMED = (
    (r"^patch_embed\.seq\.0\.", "patch_embed.conv1."),
    (r"^patch_embed\.seq\.2\.", "patch_embed.conv2."),
    (r"^layers\.(\d)\.downsample\.", lambda found: f"stages.{int(found[1]) + 1}.downsample."),
    (r"^layers\.", "stages."),
    (r"(conv\d)\.c\.", r"\1.conv."),
    (r"local_conv\.c\.", "local_conv.conv."),
)


class Encoder(nn.Module):
    """TinyViT and a neck, from an image ``(B, 3, n, n)`` to an embedding ``(B, 256, n / 16, n / 16)``."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.img_size = image_size
        self.trunk = _tiny_vit()
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding ``(B, 256, n / 16, n / 16)`` of an image ``(B, 3, n, n)``."""
        return self.neck(self.trunk(x))


def build(config: str, image_size: int, state: State, source: str) -> Sam:
    """Return the network with the weights `state`; see `fitting.fitted`. There is one layout, called "vit_t".

    Raises:
        CheckpointError: also if the package timm is missing.
    """
    return fitted(lambda: around(Encoder(image_size), image_size), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    state = without_prefix(state)
    return {_renamed(name): value for name, value in state.items() if not name.startswith(CLASSIFIER)}


def slice_model(network: Sam, image_size: int, normaliser: str = "sam") -> SamSlices:
    """Return a `SliceModel` of the network."""
    return SamSlices(network, published(normaliser, image_size))


def _tiny_vit() -> nn.Module:
    try:
        from timm.models.tiny_vit import TinyVit
    except ImportError as error:
        raise CheckpointError(NEEDS_TIMM.format(name="MobileSAM")) from error
    trunk: Any = TinyVit(embed_dims=WIDTHS, num_heads=(2, 4, 5, 10), window_sizes=(7, 7, 14, 7), drop_path_rate=0.0)
    trunk.stages[3].downsample.conv2.conv.stride = (1, 1)
    trunk.head = nn.Identity()
    return trunk


def _renamed(name: str) -> str:
    if not name.startswith(ENCODER) or name.startswith(ENCODER + "neck."):
        return name
    inner = name.removeprefix(ENCODER)
    for pattern, replacement in RENAMED:
        inner = re.sub(pattern, replacement, inner)
    return ENCODER + "trunk." + inner
