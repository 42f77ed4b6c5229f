"""Med-SA, the Medical SAM Adapter: SAM ViT with bottlenecks after the attention and beside the MLP of every block.

Wu et al., "Medical SAM Adapter: Adapting Segment Anything Model for Medical Image Segmentation", 2023 (arXiv 2304.12620).
Its code is GPL-3.0 and was not used: this follows the paper and the names of the published weights. Compared with the
paper's formulas written out separately. Its 3D form, which also attends across neighbouring slices, is refused.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from segment_anything.modeling import Sam
from segment_anything.modeling.image_encoder import Block
from torch import Tensor, nn

from ...errors import CheckpointError
from .fitting import State, fitted, without_prefix
from .normalisers import published
from .sam import SamSlices, around, attended, vit

SHARE = 4  # the bottleneck has a quarter of the channels
BESIDE_MLP = 0.5  # weight of the bottleneck beside the MLP


class Bottleneck(nn.Module):
    """A layer down to a quarter of the channels and one up again; names as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.D_fc1 = nn.Linear(width, width // SHARE)
        self.D_fc2 = nn.Linear(width // SHARE, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for `x` ``(..., width)``, of the same shape."""
        return self.D_fc2(F.gelu(self.D_fc1(x)))


class MedSaBlock(Block):
    """A block of SAM's encoder with two bottlenecks."""

    def __init__(self, dim: int, **settings: Any) -> None:
        super().__init__(dim, **settings)
        self.Space_Adapter = Bottleneck(dim)
        self.MLP_Adapter = Bottleneck(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for `x` ``(B, H, W, C)``, of the same shape."""
        seen = attended(self, x)
        x = x + seen + self.Space_Adapter(seen)
        normed = self.norm2(x)
        return x + self.mlp(normed) + BESIDE_MLP * self.MLP_Adapter(normed)


def build(config: str, image_size: int, state: State, source: str) -> Sam:
    """Return SAM of layout `config` ("vit_b" as published) with bottlenecks and the weights `state`; see `fitting.fitted`.

    Raises:
        CheckpointError: also if the weights are of Med-SA's 3D form.
    """
    if any("Depth_Adapter." in name for name in state):
        raise CheckpointError(
            f"{source}: this is Med-SA in its 3D form (trained with -thd), which sees several slices at once. "
            "Only its 2D form is supported; use a checkpoint without Depth_Adapter."
        )
    return fitted(lambda: around(vit(config, image_size, MedSaBlock), image_size), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: Sam, image_size: int, normaliser: str = "med_sa") -> SamSlices:
    """Return a `SliceModel` that takes points only and answers with one mask, as it was trained."""
    return SamSlices(network, published(normaliser, image_size), frozenset({"point"}), "never")
