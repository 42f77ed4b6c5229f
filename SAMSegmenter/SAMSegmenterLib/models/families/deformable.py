"""Deformable attention in plain PyTorch: each query looks at a few places that it chooses itself.

Zhu et al., "Deformable DETR", 2021 (arXiv 2010.04159), equation 3. It samples with `grid_sample`, where the authors' version
needs a compiled CUDA operation; compared with the equation written out place by place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Attention of queries to `points` places on each of `levels` maps, per head; names as in Deformable DETR."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, queries: Tensor, places: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Return what queries ``(B, Q, C)`` find on maps, ``(B, Q, C)``.

        Args:
            queries: ``(B, Q, C)``.
            places: ``(Q, 2)``, where each query looks first, x and y from 0 to 1.
            maps: one ``(B, H, W, C)`` for each level.
        """
        batch, count, width = queries.shape
        shape = batch, count, self.heads, self.levels, self.points
        offsets = self.sampling_offsets(queries).view(*shape, 2)
        weights = self.attention_weights(queries).view(*shape[:3], -1).softmax(-1).view(shape)
        seen: Tensor = sum(  # type: ignore[assignment]  # of one map at least
            self._look(each, places[:, None, None], offsets[:, :, :, level], weights[:, :, :, level]) for level, each in enumerate(maps)
        )
        return self.output_proj(seen.transpose(1, 2).reshape(batch, count, width))

    def _look(self, values: Tensor, places: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """Return what the heads gather from one map, ``(B, heads, Q, C / heads)``; offsets are in pixels of that map."""
        batch, height, columns, width = values.shape
        values = self.value_proj(values).view(batch, height, columns, self.heads, -1)
        values = values.permute(0, 3, 4, 1, 2).reshape(batch * self.heads, width // self.heads, height, columns)
        at = places + offsets / torch.tensor([columns, height], device=offsets.device)
        at = 2 * at.transpose(1, 2).flatten(0, 1) - 1
        sampled = F.grid_sample(values, at, mode="bilinear", padding_mode="zeros", align_corners=False)
        gathered = (sampled * weights.transpose(1, 2).flatten(0, 1)[:, None]).sum(-1)
        return gathered.view(batch, self.heads, width // self.heads, -1).transpose(2, 3)
