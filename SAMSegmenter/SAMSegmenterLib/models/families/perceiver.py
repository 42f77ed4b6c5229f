"""EdgeTAM's resampler of memories: what is remembered of a slice, summed up in 512 tokens.

Zhou et al., "EdgeTAM: On-Device Track Anything Model", CVPR 2025 (arXiv 2501.07256), section 3.2. Half of the tokens look at
the slice as a whole and have no place on it; each of the others sums up one of 16 x 16 windows and keeps its place. Weights
have their published names.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..sam2_package import PositionEmbeddingSine

CHANNELS, DEPTH, WIDER = 64, 2, 4


class Perceiver(nn.Module):
    """A resampler of memories ``(B, 64, n, n)`` to tokens ``(B, 512, 64)``; n is a multiple of `side`.

    Attributes:
        placeless: how many of the tokens, the first ones, have no place on the slice.
        side: the others lie on a grid of `side` x `side`, row by row.
    """

    def __init__(self, placeless: int = 256, side: int = 16) -> None:
        super().__init__()
        self.placeless, self.side = placeless, side
        self.latents = nn.Parameter(torch.zeros(placeless, CHANNELS))
        self.latents_2d = nn.Parameter(torch.zeros(side * side, CHANNELS))
        self.layers = nn.ModuleList(_PerceiverLayer() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(CHANNELS)

    def forward(self, maps: Tensor, position: Tensor) -> Tensor:
        """Return the tokens of `maps`; `position` ``(1, n * n, 64)`` says where each of their pixels lies."""
        batch, channels, rows, columns = maps.shape
        whole = self.latents.expand(batch, -1, -1)
        pixels = maps.flatten(2).transpose(1, 2)
        parts = self.latents_2d[None].expand(batch, -1, -1).reshape(-1, 1, channels)
        windows = maps.view(batch, channels, self.side, rows // self.side, self.side, columns // self.side)
        windows = windows.permute(0, 2, 4, 3, 5, 1).reshape(len(parts), -1, channels)
        for layer in self.layers:
            whole, parts = layer(whole, pixels, position), layer(parts, windows)
        return self.norm(torch.cat([whole, parts.view(batch, -1, channels)], 1))

    def positions(self) -> Tensor:
        """Return the place of each token, ``(1, 512, 64)``: zero for those without a place."""
        grid = PositionEmbeddingSine(CHANNELS)(self.latents.new_zeros(1, CHANNELS, self.side, self.side))
        return F.pad(grid.flatten(2).transpose(1, 2), (0, 0, self.placeless, 0))


class _PerceiverLayer(nn.Module):
    """A layer in which tokens attend to pixels and to one another, each followed by an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.attn: Any = _Attention(("norm_latents", "norm_x"))
        self.ff = _thought()
        self.self_attn: Any = _Attention(("norm",))
        self.self_ff = _thought()

    def forward(self, tokens: Tensor, pixels: Tensor, position: Tensor | None = None) -> Tensor:
        tokens = tokens + self.attn(self.attn.norm_latents(tokens), self.attn.norm_x(pixels), position)
        tokens = tokens + self.ff(tokens)
        normed = self.self_attn.norm(tokens)
        tokens = tokens + self.self_attn(normed, normed)
        return tokens + self.self_ff(tokens)


class _Attention(nn.Module):
    """Attention of one head, with the norms of what it is given under the names `norms`."""

    def __init__(self, norms: tuple[str, ...]) -> None:
        super().__init__()
        for name in norms:
            self.add_module(name, nn.LayerNorm(CHANNELS))
        self.to_q = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.to_kv = nn.Linear(CHANNELS, 2 * CHANNELS, bias=False)
        self.to_out = nn.Linear(CHANNELS, CHANNELS, bias=False)

    def forward(self, asking: Tensor, asked: Tensor, position: Tensor | None = None) -> Tensor:
        key, value = self.to_kv(asked).chunk(2, -1)
        if position is not None:
            key, value = key + position, value + position
        heads = (each[:, None] for each in (self.to_q(asking), key, value))
        return self.to_out(F.scaled_dot_product_attention(*heads)[:, 0])


def _thought() -> nn.Sequential:
    wide = WIDER * CHANNELS
    return nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, wide, bias=False), nn.GELU(), nn.Linear(wide, CHANNELS, bias=False))
