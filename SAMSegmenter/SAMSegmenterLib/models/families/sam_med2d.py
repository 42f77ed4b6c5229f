"""SAM-Med2D: SAM ViT-B at 256 pixels with an adapter beside the MLP of every block.

Cheng et al., "SAM-Med2D", 2023 (arXiv 2308.16184); code and weights Apache-2.0. Its adapters are written here from the
paper and the published layout, around the blocks of `segment-anything`. No package has the reference: compared with the
formulas of the adapted block written out separately.
"""

from __future__ import annotations

from typing import Any

from segment_anything.modeling import Sam
from segment_anything.modeling.image_encoder import Block
from torch import Tensor, nn

from .fitting import State, fitted, without_prefix
from .normalisers import published
from .sam import SamSlices, around, attended, vit

SHARE = 4  # hidden channels are a quarter


class ParallelAdapter(nn.Module):
    """An adapter that weighs channels by the whole image and then adds each place's surroundings; names as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.channel = nn.Sequential(
            nn.Linear(width, width // SHARE, bias=False), nn.ReLU(), nn.Linear(width // SHARE, width, bias=False), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, kernel_size=4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for `x` ``(B, H, W, C)``, of the same shape."""
        weighed = x * self.channel(x.mean((1, 2)))[:, None, None]
        around = self.spatial(weighed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.norm(x + around)


class SamMed2dBlock(Block):
    """A block of SAM's encoder with an adapter parallel to its MLP."""

    def __init__(self, dim: int, **settings: Any) -> None:
        super().__init__(dim, **settings)
        self.Adapter = ParallelAdapter(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for `x` ``(B, H, W, C)``, of the same shape."""
        x = x + attended(self, x)
        normed = self.norm2(x)
        return x + self.mlp(normed) + self.Adapter(normed)


def build(config: str, image_size: int, state: State, source: str) -> Sam:
    """Return SAM of layout `config` ("vit_b" as published) with adapters and the weights `state`; see `fitting.fitted`."""
    return fitted(lambda: around(vit(config, image_size, SamMed2dBlock), image_size), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: Sam, image_size: int, normaliser: str = "sam_med2d") -> SamSlices:
    """Return a `SliceModel` of the network.

    It was trained with clicks that correct its own last answer, so give that back as `mask_logits`.
    """
    return SamSlices(network, published(normaliser, image_size), candidates="always")
