"""Telling networks apart by the names and shapes of their weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from . import catalog
from .catalog import CatalogEntry

if TYPE_CHECKING:
    import torch

TRUNK = "image_encoder.trunk."
TRUNK_PATCHES = TRUNK + "patch_embed.proj.weight"
VIT_PATCHES = "image_encoder.patch_embed.proj.weight"
VIT_POSITIONS = "image_encoder.pos_embed"
PATCH_PX = 16
ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")

# Hiera layouts by channels of the first block, number of blocks, and whether it is SAM 2.1.
HIERAS = {
    (32, 8, True): "samsegmenter_pico.yaml",
    (96, 12, True): "configs/sam2.1/sam2.1_hiera_t.yaml",
    (96, 16, True): "configs/sam2.1/sam2.1_hiera_s.yaml",
    (112, 24, True): "configs/sam2.1/sam2.1_hiera_b+.yaml",
    (144, 48, True): "configs/sam2.1/sam2.1_hiera_l.yaml",
    (96, 12, False): "configs/sam2/sam2_hiera_t.yaml",
    (96, 16, False): "configs/sam2/sam2_hiera_s.yaml",
    (112, 24, False): "configs/sam2/sam2_hiera_b+.yaml",
    (144, 48, False): "configs/sam2/sam2_hiera_l.yaml",
}
# ViT layouts by channels and number of blocks.
VITS = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}

# Parts of weights' names that only this kind of network has all of, in words, and the family if it is supported;
# the first that fits counts.
SIGNATURES = (
    (("Space_Adapter.D_fc1.",), "Med-SA (Medical SAM Adapter)", "med_sa"),
    (("Adapter.channel.0.",), "SAM-Med2D", "sam_med2d"),
    (("image_encoder.adapter.spatial_prior_module.",), "DB-SAM", "db_sam"),
    (("prompt_learn.0.",), "SAM2-UNet", "sam2_unet"),
    (("recent_memory_attention.",), "SLM-SAM2", None),
    (("UNet.", "VNet."), "KnowSAM", None),
    ((TRUNK, "spatial_perceiver."), "EdgeTAM", "edgetam"),
    ((TRUNK, "sam_mask_decoder."), "a SAM 2 network", "sam2"),
    ((TRUNK, "mask_decoder."), "BioSAM2", "biosam2"),
    ((TRUNK,), "a SAM 2 network", "sam2"),
    (("image_encoder.patch_embed.seq.0.c.",), "MobileSAM", "mobile_sam"),
    (("image_encoder.blocks.",), "SAM or MedSAM (ViT image encoder)", "sam"),
)


@dataclass(frozen=True)
class Detected:
    """What a checkpoint holds.

    Attributes:
        family: the module in `families` that builds it.
        like: id of the catalog entry with the same layout, input size and normaliser; the weights may be others.
        native_size: side in pixels of the input, which its weights may tell.
        why: what it was recognised by, in a sentence.
    """

    family: str
    like: str
    native_size: int
    why: str


class Ambiguous(CheckpointError):
    """The weights fit several networks with other inputs; `candidates` are the ids of catalog entries to choose from."""

    def __init__(self, message: str, candidates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.candidates = candidates


def detect(
    weights: Mapping[str, torch.Tensor],
    source: str = "checkpoint",
    family: str | None = None,
    container: str = "",
    beside: Collection[str] = (),
) -> Detected:
    """Tell the network that the named `weights` belong to.

    Args:
        source: the path of their file; messages name it, and the file's name decides between networks of the same layout.
        family: what the user says they are: the id of a catalog entry or the beginning of one.
        container: the name under which they lay in the file, as in `Checkpoint`.
        beside: the names of what lay beside it.

    Raises:
        Ambiguous: several networks fit, and nothing tells which.
        CheckpointError: none fits, or not the one that the user says; says what they look like, and what is supported.
    """
    kind, name, config = _layout(weights)
    fitting = [entry for entry in catalog.entries() if (entry.family, entry.config) == (name, config)]
    if not fitting:
        supported = ", ".join(dict.fromkeys(entry.title for entry in catalog.entries()))
        raise CheckpointError(f"{source}: this network is not supported; it looks like {kind}. Supported are {supported}.")
    if family:
        chosen, why = _said(fitting, family, kind, source), f"Its weights fit {kind}, and you say which."
    else:
        chosen, why = _chosen(fitting, kind, source, container, beside)
    size = _native_size(weights) or chosen.native_size
    return Detected(chosen.family, chosen.id, size, why)


def looks_like(names: Iterable[str]) -> str:
    """What kind of network has weights with such names, in words."""
    names = list(names)
    kind, _ = _signature(names)
    return kind or f"an unknown network (its weights are called {', '.join(names[:3])}, ...)"


def _signature(names: Collection[str]) -> tuple[str | None, str | None]:
    for parts, kind, family in SIGNATURES:
        if all(any(part in name for name in names) for part in parts):
            return kind, family
    return None, None


def _layout(weights: Mapping[str, torch.Tensor]) -> tuple[str, str | None, str | None]:
    """The kind of network in words, the family that builds it, and the family's configuration; None where unknown."""
    kind, family = _signature(list(weights))
    if family == "sam2":
        key = (_channels(weights, TRUNK_PATCHES), _blocks(weights, TRUNK), any(name.startswith(ONLY_IN_2_1) for name in weights))
        other = f" of another size ({key[0]} channels, {key[1]} blocks)" if key[0] and key not in HIERAS else ""
        return kind + other, family, HIERAS.get(key)
    if family in ("sam", "sam_med2d", "med_sa", "db_sam"):
        key = (_channels(weights, VIT_PATCHES), _blocks(weights, "image_encoder."))
        return kind, family, VITS.get(key)
    only = next((entry.config for entry in catalog.entries() if family and entry.family == family), None)
    return kind or looks_like(weights), family, only


def _channels(weights: Mapping[str, torch.Tensor], name: str) -> int:
    return weights[name].shape[0] if name in weights and weights[name].ndim == 4 else 0


def _blocks(weights: Mapping[str, torch.Tensor], encoder: str) -> int:
    start = encoder + "blocks."
    return len({name[len(start) :].partition(".")[0] for name in weights if name.startswith(start)})


def _native_size(weights: Mapping[str, torch.Tensor]) -> int | None:
    """The side in pixels that a ViT was trained for, which the grid of its learnt positions tells."""
    positions = weights.get(VIT_POSITIONS)
    return PATCH_PX * positions.shape[1] if positions is not None and positions.ndim == 4 else None


def _said(fitting: list[CatalogEntry], family: str, kind: str, source: str) -> CatalogEntry:
    said = [entry for entry in fitting if entry.id == family] or [entry for entry in fitting if entry.id.startswith(family)]
    if not said:
        fit = ", ".join(entry.id for entry in fitting)
        raise CheckpointError(f"{source}: is not {family}; it looks like {kind}, which may be: {fit}.")
    return said[0]


def _chosen(fitting: list[CatalogEntry], kind: str, source: str, container: str, beside: Collection[str]) -> tuple[CatalogEntry, str]:
    named = _named(fitting, Path(source).name)
    if named:
        return named, f"Its weights fit {kind}, and its name says that it is {named.title}."
    tuned = [entry for entry in fitting if entry.id == "biomedical-sam-2"]
    if tuned and container != "state_dict":
        fitting = [entry for entry in fitting if entry not in tuned]
    elif tuned and "best_dice" in beside:
        return tuned[0], f"Its weights fit {kind}, in a file as Biomedical-SAM-2 writes it."
    if len(fitting) == 1:
        return fitting[0], f"Its weights have the names and shapes of {fitting[0].title}."
    candidates: dict[str, str] = {}
    for entry in fitting:
        candidates.setdefault(entry.normaliser, entry.id)
    if len(candidates) > 1:
        raise _ambiguous(source, tuple(candidates.values()))
    alike = next((entry.id for entry in fitting if entry.native_size != fitting[0].native_size), None)
    doubt = f" Say so with --family if they are of {alike}, which is alike." if alike else ""
    return fitting[0], f"Its weights fit {kind} and are taken for {fitting[0].title}.{doubt}"


def _ambiguous(source: str, candidates: tuple[str, ...]) -> Ambiguous:
    return Ambiguous(
        f"{source}: fits {' and '.join(candidates)}, which have the same layout but other grey levels, and a wrong choice gives bad "
        f"masks. Run 'samsegmenter models import {Path(source).name} --family {candidates[0]}', or with another of them, and use the "
        "model by its name.",
        candidates,
    )


def _named(fitting: list[CatalogEntry], name: str) -> CatalogEntry | None:
    """The network whose published file name or id, the longest one, occurs in the file name `name`."""
    found = [(len(word), entry) for entry in fitting for word in _words(entry) if word in _plain(name)]
    longest = max((length for length, _ in found), default=0)
    return next((entry for length, entry in found if length == longest), None)


def _words(entry: CatalogEntry) -> set[str]:
    first = entry.id.partition("-")[0]
    words = {_plain(Path(entry.file).stem), _plain(entry.id), _plain(first)}
    return {word for word in words if len(word) > 4}  # "sam" is in "sample"


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())
