"""DB-SAM: SAM ViT-B with a second, convolutional branch that trades features with it.

Qin et al., "DB-SAM: Delving into High Quality Universal Medical Image Segmentation", MICCAI 2024 (arXiv 2410.04172). Its code
has no licence and was not used, and no weights were ever published: this follows the paper, and the names of the parts that
are known. What the parts hold is this project's own reading, so that a file of the authors may be refused, with the names
that differ; results cannot be compared with theirs. The deformable attention is compared with its equation, the two
branches with SAM's encoder where they trade nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from .deformable import DeformableAttention
from .fitting import State, fitted, without_prefix
from .normalisers import published
from .sam import SamSlices, around, vit

WIDTH, HEADS, POINTS = 768, 12, 4
LEVELS = 5  # of the convolutional branch: 1/8 to 1/128 of the input's side
STAGES, BLOCKS_PER_STAGE = 4, 3
SLIM = 64  # channels within the convolutional branch


class ConvolutionBranch(nn.Module):
    """A branch of convolutions from an image ``(B, 3, n, n)`` to five maps ``(B, h, w, C)``, each half as wide as the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_halving(3), _halving(SLIM), _halving(SLIM))
        self.lcb1, self.lcb2, self.lcb3, self.lcb4 = (_halving(SLIM) for _ in range(LEVELS - 1))
        self.fc = nn.ModuleList(nn.Linear(SLIM, WIDTH) for _ in range(LEVELS))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return five maps ``(B, h, w, C)`` of an image ``(B, 3, n, n)``."""
        maps = [self.stem(image)]
        for block in (self.lcb1, self.lcb2, self.lcb3, self.lcb4):
            maps.append(block(maps[-1]))
        return [fc(each.permute(0, 2, 3, 1)) for fc, each in zip(self.fc, maps, strict=True)]


class CrossAttention(nn.Module):
    """Attention by which the maps of one branch take up those of the other; it adds nothing before training, as `gamma` is zero."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.query_norm, self.value_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = DeformableAttention(WIDTH, HEADS, levels, POINTS)
        self.gamma = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, queries: list[Tensor], values: list[Tensor]) -> list[Tensor]:
        """Return `queries`, maps ``(B, h, w, C)``, with what they find in the maps `values` added."""
        flat = torch.cat([each.flatten(1, 2) for each in queries], 1)
        places = torch.cat([_centres(each) for each in queries])
        found = self.gamma * self.attn(self.query_norm(flat), places, [self.value_norm(each) for each in values])
        parts = found.split([each.shape[1] * each.shape[2] for each in queries], 1)
        return [each + part.view_as(each) for each, part in zip(queries, parts, strict=True)]


class SelectiveFusion(nn.Module):
    """A fusion of both branches into one map, weighted for every channel by how much each source tells."""

    def __init__(self) -> None:
        super().__init__()
        self.vit_fc = nn.Linear(WIDTH, WIDTH)
        self.conv_fc = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LEVELS))
        self.ffn = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH // 4), nn.GELU(), nn.Linear(WIDTH // 4, WIDTH))

    def forward(self, seen: Tensor, maps: list[Tensor]) -> Tensor:
        """Return one map ``(B, h, w, C)`` of the map `seen` ``(B, h, w, C)`` and the `maps` of the other branch."""
        size = seen.shape[1:3]
        sources = [seen, *(_resized(each, size) for each in maps)]
        votes = [fc(each.mean((1, 2))) for fc, each in zip([self.vit_fc, *self.conv_fc], sources, strict=True)]
        shares = torch.stack(votes).softmax(0)[:, :, None, None]
        fused = sum(share * each for share, each in zip(shares, sources, strict=True))
        return fused + self.ffn(fused)


class BranchAdapter(nn.Module):
    """The parts that DB-SAM adds to SAM's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial_prior_module = ConvolutionBranch()
        self.level_embed = nn.Parameter(torch.zeros(LEVELS, WIDTH))
        self.self_attn_blocks = nn.ModuleList(CrossAttention(LEVELS) for _ in range(STAGES))
        self.self_attn_blocks1 = nn.ModuleList(CrossAttention(1) for _ in range(STAGES))
        self.fusion = SelectiveFusion()
        self.norm = nn.LayerNorm(WIDTH)


class DualEncoder(ImageEncoderViT):
    """SAM's encoder with a convolutional branch beside it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.adapter = BranchAdapter()

    def forward(self, image: Tensor) -> Tensor:
        """Return the embedding ``(B, 256, n / 16, n / 16)`` of an image ``(B, 3, n, n)``."""
        adapter = self.adapter
        seen = self.patch_embed(image) + self.pos_embed
        maps = [each + level for each, level in zip(adapter.spatial_prior_module(image), adapter.level_embed, strict=True)]
        for stage in range(STAGES):
            for block in self.blocks[stage * BLOCKS_PER_STAGE : (stage + 1) * BLOCKS_PER_STAGE]:
                seen = block(seen)
            (taken,) = adapter.self_attn_blocks[stage]([seen], maps)
            maps = adapter.self_attn_blocks1[stage](maps, [seen])
            seen = taken
        fused = adapter.norm(adapter.fusion(seen, maps))
        return self.neck(fused.permute(0, 3, 1, 2))


def build(config: str, image_size: int, state: State, source: str) -> Sam:
    """Return SAM of layout `config` ("vit_b" as published) with two branches and the weights `state`; see `fitting.fitted`."""
    return fitted(lambda: around(vit(config, image_size, encoder=DualEncoder), image_size), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: Sam, image_size: int, normaliser: str = "sam") -> SamSlices:
    """Return a `SliceModel` that takes boxes only."""
    return SamSlices(network, published(normaliser, image_size), frozenset({"box"}), "never")


def _halving(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, SLIM, 3, stride=2, padding=1, bias=False), LayerNorm2d(SLIM), nn.GELU())


def _centres(each: Tensor) -> Tensor:
    """Return the centres ``(h * w, 2)`` of the pixels of a map ``(B, h, w, C)``, x and y from 0 to 1."""
    rows, columns = each.shape[1:3]
    y, x = torch.meshgrid(torch.arange(rows, device=each.device), torch.arange(columns, device=each.device), indexing="ij")
    return torch.stack([(x + 0.5) / columns, (y + 0.5) / rows], -1).flatten(0, 1)


def _resized(each: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(each.permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1)
