"""Telling networks apart by the names and shapes of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CheckpointError

if TYPE_CHECKING:
    import torch

TRUNK = "image_encoder.trunk."
PATCHES = TRUNK + "patch_embed.proj.weight"
BLOCKS = TRUNK + "blocks."
ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")

# SAM 2 layouts by channels of the first block, number of blocks, and whether it is 2.1.
LAYOUTS = {
    (32, 8, True): "samsegmenter-pico",
    (96, 12, True): "sam2.1-hiera-tiny",
    (96, 16, True): "sam2.1-hiera-small",
    (112, 24, True): "sam2.1-hiera-base-plus",
    (144, 48, True): "sam2.1-hiera-large",
    (96, 12, False): "sam2-hiera-tiny",
    (96, 16, False): "sam2-hiera-small",
    (112, 24, False): "sam2-hiera-base-plus",
    (144, 48, False): "sam2-hiera-large",
}
SUPPORTED = "SAM 2.0 and SAM 2.1 (Hiera tiny, small, base plus, large) and SAMSegmenter pico"

# Part of a weight's name that only this kind of network has; the first that occurs counts.
SIGNATURES = (
    ("Space_Adapter.D_fc1.", "Med-SA (Medical SAM Adapter)"),
    ("Adapter.channel.0.", "SAM-Med2D"),
    ("image_encoder.adapter.spatial_prior_module.", "DB-SAM"),
    ("prompt_learn.0.", "SAM2-UNet"),
    ("recent_memory_attention.", "SLM-SAM2"),
    ("image_encoder.blocks.", "SAM or MedSAM (ViT image encoder)"),
)


@dataclass(frozen=True)
class Detected:
    """What a checkpoint holds.

    Attributes:
        family: the module in `families` that builds it.
        like: id of the catalog entry with the same layout; the weights may be others.
    """

    family: str
    like: str


def detect(state: Mapping[str, torch.Tensor], source: str = "checkpoint") -> Detected:
    """Tell the network that the named weights `state` belong to; `source` is what messages call them.

    Raises:
        CheckpointError: saying what they look like instead, and what is supported.
    """
    like = LAYOUTS.get(_layout(state))
    if like is None:
        raise CheckpointError(f"{source}: this network is not supported; it looks like {_describe(state)}. Supported are {SUPPORTED}.")
    return Detected("sam2", like)


def looks_like(names: Iterable[str]) -> str:
    """What kind of network has weights with such names, in words."""
    names = list(names)
    for part, kind in SIGNATURES:
        if any(part in name for name in names):
            return kind
    prefixed = next((name for name in names if TRUNK in name), None)
    if prefixed is None:
        return f"an unknown network (its weights are called {', '.join(names[:3])}, ...)"
    prefix = prefixed.partition(TRUNK)[0]
    return f"a SAM 2 network whose weights' names start with {prefix!r}" if prefix else "a SAM 2 network"


def _layout(state: Mapping[str, torch.Tensor]) -> tuple[int, int, bool] | None:
    if PATCHES not in state or state[PATCHES].ndim != 4:
        return None
    blocks = {name[len(BLOCKS) :].partition(".")[0] for name in state if name.startswith(BLOCKS)}
    is_2_1 = any(name.startswith(ONLY_IN_2_1) for name in state)
    return state[PATCHES].shape[0], len(blocks), is_2_1


def _describe(state: Mapping[str, torch.Tensor]) -> str:
    layout = _layout(state)
    size = f" of another size ({layout[0]} channels, {layout[1]} blocks)" if layout else ""
    return looks_like(state) + size
