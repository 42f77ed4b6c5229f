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

VIT = "image_encoder."
TRUNK = "image_encoder.trunk."
PATCH_PX = 16
LARGEST_PX = 2048  # no network here sees more, and what a file asks for is built
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
# ViT layouts by channels and number of blocks, and the families that have them.
VITS = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
VIT_FAMILIES = {"sam", "sam_med2d", "med_sa", "db_sam"}

# Parts of weights' names that only this kind of network has all of, in words, and the family if it is supported;
# the first that fits counts.
SIGNATURES = (
    (("Space_Adapter.D_fc1.",), "Med-SA (Medical SAM Adapter)", ("med_sa",)),
    (("Adapter.channel.0.",), "SAM-Med2D", ("sam_med2d",)),
    (("image_encoder.adapter.spatial_prior_module.",), "DB-SAM", ("db_sam",)),
    (("prompt_learn.0.",), "SAM2-UNet", ("sam2_unet",)),
    (("recent_memory_attention.",), "SLM-SAM2", ()),
    (("UNet.", "VNet."), "KnowSAM", ()),
    ((TRUNK, "neck.convs.0.conv_1x1."), "EfficientTAM, which MedSAM2's files eff_medsam2_... are of, too", ()),
    ((TRUNK, "spatial_perceiver."), "EdgeTAM", ("edgetam",)),
    ((TRUNK, "sam_mask_decoder."), "a SAM 2 network", ("sam2",)),
    ((TRUNK, "mask_decoder."), "BioSAM2", ("biosam2",)),
    ((TRUNK,), "a SAM 2 network", ("sam2",)),
    (("image_encoder.patch_embed.seq.0.c.",), "MobileSAM", ("mobile_sam",)),
    (("image_encoder.blocks.",), "SAM or MedSAM (ViT image encoder)", ("sam",)),
)
# Likewise where the part is missing that would tell the network, with the families that what is left may be of, the likeliest first.
REMAINS = (
    (("image_encoder.layers.",), "a part of MobileSAM", ("mobile_sam",)),
    (("sam_mask_decoder.transformer.",), "a part of a SAM 2 network", ("sam2", "edgetam")),
    (("mask_decoder.transformer.",), "a part of a SAM", ("sam", "sam_med2d", "mobile_sam", "med_sa", "db_sam", "biosam2")),
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
    kind, fitting, is_whole = _fitting(weights, source)
    size = _native_size(weights)
    if family:
        chosen, why = _said(fitting, family, kind, source), f"Its weights fit {kind}, and you say which."
    elif is_whole:
        chosen, why = _chosen(fitting, size, kind, source, container, beside)
    else:  # building it names what is missing
        chosen = _named(fitting, Path(source).name) or fitting[0]
        why = f"Its weights are at most a part of those of {chosen.title}."
    return Detected(chosen.family, chosen.id, size or chosen.native_size, why)


def layout(weights: Mapping[str, torch.Tensor], source: str = "checkpoint") -> str:
    """The configuration of the network that the named `weights` belong to, in its family's own terms.

    Networks that differ in nothing but what they are fed have the same.

    Raises:
        CheckpointError: as `detect`.
    """
    _, fitting, _ = _fitting(weights, source)
    return fitting[0].config


def looks_like(names: Iterable[str]) -> str:
    """What kind of network has weights with such names, in words."""
    return _signature(list(names))[0]


def _signature(names: Collection[str]) -> tuple[str, tuple[str, ...], bool]:
    """The kind of network in words, the families that may build it, and whether the part is there that tells it."""
    for signatures in (SIGNATURES, REMAINS):
        for parts, kind, families in signatures:
            if all(any(part in name for name in names) for part in parts):
                return kind, families, signatures is SIGNATURES
    return f"an unknown network (its weights are called {', '.join(list(names)[:3])}, ...)", (), False


def _fitting(weights: Mapping[str, torch.Tensor], source: str) -> tuple[str, list[CatalogEntry], bool]:
    """The kind of network in words, the entries of the catalog of which the weights may be, and whether they have their layout.

    If not, the weights are at most a part of those of each entry; the likeliest comes first.

    Raises:
        CheckpointError: there is no such entry.
    """
    kind, families, is_whole = _signature(list(weights))
    entries = [entry for entry in catalog.entries() if entry.family in families]
    sizes, seen = _sizes(weights, families) if is_whole else ({}, ())
    if sizes and seen not in sizes:
        is_whole, kind = False, f"{kind} of another size ({seen[0]} channels, {seen[1]} blocks)"
        larger = [each for each in sizes if seen[0] in (0, each[0]) and seen[1] <= each[1]]
        larger.sort(key=lambda each: (each[2:] != seen[2:], each[1]))
        entries = [entry for each in larger for entry in entries if entry.config == sizes[each]]
    elif sizes:
        entries = [entry for entry in entries if entry.config == sizes[seen]]
    if not entries:
        supported = ", ".join(dict.fromkeys(entry.title for entry in catalog.entries()))
        raise CheckpointError(f"{source}: this network is not supported; it looks like {kind}. Supported are {supported}.")
    if not is_whole:  # what ships is hardly handed around in parts
        entries.sort(key=lambda entry: (entry.shipped, families.index(entry.family)))
    return kind, entries, is_whole


def _sizes(weights: Mapping[str, torch.Tensor], families: Collection[str]) -> tuple[dict[tuple[int, ...], str], tuple[int, ...]]:
    """The configurations of `families` by size, if they come in several, and the size that the weights have."""
    if "sam2" in families:
        is_2_1 = any(name.startswith(ONLY_IN_2_1) for name in weights)
        return HIERAS, (_channels(weights, TRUNK), _blocks(weights, TRUNK), is_2_1)
    if VIT_FAMILIES.intersection(families):
        return VITS, (_channels(weights, VIT), _blocks(weights, VIT))
    return {}, ()


def _channels(weights: Mapping[str, torch.Tensor], encoder: str) -> int:
    """The width of the first block; 0 if nothing tells it."""
    names = f"{encoder}patch_embed.proj.weight", f"{encoder}blocks.0.norm1.weight"
    return next((weights[name].shape[0] for name in names if name in weights and weights[name].ndim), 0)


def _blocks(weights: Mapping[str, torch.Tensor], encoder: str) -> int:
    start = encoder + "blocks."
    return len({name[len(start) :].partition(".")[0] for name in weights if name.startswith(start)})


def _native_size(weights: Mapping[str, torch.Tensor]) -> int | None:
    """The side in pixels that a ViT was trained for, which the grid of its learnt positions tells."""
    positions = weights.get(f"{VIT}pos_embed")
    if positions is None or positions.ndim != 4:
        return None
    _, rows, columns, channels = positions.shape
    is_sane = rows == columns and channels == _channels(weights, VIT) and PATCH_PX * rows <= LARGEST_PX
    return PATCH_PX * rows if is_sane else None


def _said(fitting: list[CatalogEntry], family: str, kind: str, source: str) -> CatalogEntry:
    said = [entry for entry in fitting if entry.id == family] or [entry for entry in fitting if entry.id.startswith(family)]
    if not said:
        fit = ", ".join(entry.id for entry in fitting)
        raise CheckpointError(f"{source}: is not {family}; it looks like {kind}, which may be: {fit}.")
    return said[0]


def _chosen(
    fitting: list[CatalogEntry], size: int | None, kind: str, source: str, container: str, beside: Collection[str]
) -> tuple[CatalogEntry, str]:
    named = _named(fitting, Path(source).name)
    if named:
        return named, f"Its weights fit {kind}, and its name says that it is {named.title}."
    tuned = [entry for entry in fitting if entry.id == "biomedical-sam-2"]
    if tuned and container != "state_dict":
        fitting = [entry for entry in fitting if entry not in tuned]
    elif tuned and "best_dice" in beside:
        return tuned[0], f"Its weights fit {kind}, in a file as Biomedical-SAM-2 writes it."
    fed: dict[tuple[str, int], CatalogEntry] = {}
    for entry in fitting:
        fed.setdefault((entry.normaliser, size or entry.native_size), entry)
    if len(fed) > 1:
        raise _ambiguous(source, list(fed.values()))
    return fitting[0], f"Its weights have the names and shapes of {fitting[0].title}."


def _ambiguous(source: str, fitting: list[CatalogEntry]) -> Ambiguous:
    ids = tuple(entry.id for entry in fitting)
    fed = {"grey levels": {entry.normaliser for entry in fitting}, "input sizes": {entry.native_size for entry in fitting}}
    other = " and ".join(name for name, values in fed.items() if len(values) > 1)
    return Ambiguous(
        f"{source}: fits {' and '.join(ids)}, which have the same layout but other {other}, and a wrong choice gives bad masks. "
        f"Run 'samsegmenter models import {Path(source).name} --family {ids[0]}', or with another of them, and use the model by its name.",
        ids,
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
