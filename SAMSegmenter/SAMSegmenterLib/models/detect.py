"""Recognition of models by the names and shapes of their weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from . import catalog
from .catalog import CatalogEntry

if TYPE_CHECKING:
    import torch

VIT = "image_encoder."
TRUNK = "image_encoder.trunk."
PATCH_PX = 16
LARGEST_PX = 2048  # no network here sees more; a file could otherwise ask for a network of any size
ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")


@dataclass(frozen=True)
class Size:
    """The size of an image encoder: channels of the first block, number of blocks, and whether it is of SAM 2.1."""

    channels: int
    blocks: int
    is_2_1: bool = False


HIERAS = {
    Size(32, 8, is_2_1=True): "samsegmenter_pico",
    Size(96, 12, is_2_1=True): "configs/sam2.1/sam2.1_hiera_t.yaml",
    Size(96, 16, is_2_1=True): "configs/sam2.1/sam2.1_hiera_s.yaml",
    Size(112, 24, is_2_1=True): "configs/sam2.1/sam2.1_hiera_b+.yaml",
    Size(144, 48, is_2_1=True): "configs/sam2.1/sam2.1_hiera_l.yaml",
    Size(96, 12): "configs/sam2/sam2_hiera_t.yaml",
    Size(96, 16): "configs/sam2/sam2_hiera_s.yaml",
    Size(112, 24): "configs/sam2/sam2_hiera_b+.yaml",
    Size(144, 48): "configs/sam2/sam2_hiera_l.yaml",
}
VITS = {Size(768, 12): "vit_b", Size(1024, 24): "vit_l", Size(1280, 32): "vit_h"}
VIT_FAMILIES = {"sam", "sam_med2d", "med_sa", "db_sam"}

# Parts of weights' names, all of which only one kind of network has; that kind in words; and its family, if it is supported.
# The first that fits counts.
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
# The same for networks without the part that would tell them: with the families to which the rest may belong, the likeliest first.
REMAINS = (
    (("image_encoder.layers.",), "a part of MobileSAM", ("mobile_sam",)),
    (("sam_mask_decoder.transformer.",), "a part of a SAM 2 network", ("sam2", "edgetam")),
    (("mask_decoder.transformer.",), "a part of a SAM", ("sam", "sam_med2d", "mobile_sam", "med_sa", "db_sam", "biosam2")),
)


@dataclass(frozen=True)
class Detected:
    """The model whose weights a checkpoint holds.

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
    """Weights that fit several models with different inputs; `candidates` are the ids of the catalog entries to choose from."""

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
    """Return the model to which the named `weights` belong.

    Args:
        source: the path of their file; messages name it, and the file's name decides between networks of the same layout.
        family: what the user says they are: the id of a catalog entry or the beginning of one.
        container: the name under which they lay in the file, as in `Checkpoint`.
        beside: the names of what lay beside it.

    Raises:
        Ambiguous: several networks fit, and nothing tells which.
        CheckpointError: none fits, or not the one that the user says; says what they look like, and what is supported.
    """
    fit, size = _fitting(weights, source), _native_size(weights)
    if family:
        chosen, why = _said(fit, family, source), f"Its weights fit {fit.kind}, and you say which."
    elif fit.is_whole:
        chosen, why = _chosen(fit, size, source, container, beside)
    else:  # building it names what is missing
        chosen = _named(fit.entries, Path(source).name) or fit.entries[0]
        why = f"Its weights are at most a part of those of {chosen.title}."
    return Detected(chosen.family, chosen.id, size or chosen.native_size, why)


def layout(weights: Mapping[str, torch.Tensor], source: str = "checkpoint") -> str:
    """Return the configuration of the network to which the named `weights` belong, in its family's own terms.

    Models that differ only in their inputs have the same configuration.

    Raises:
        CheckpointError: as `detect`.
    """
    return _fitting(weights, source).entries[0].config


def may_be_native_size(size: Any, like: CatalogEntry) -> bool:
    """Return whether `detect` can find `size`, in pixels, to be the input size of models like this; only a ViT can have other sizes."""
    told = range(PATCH_PX, LARGEST_PX + 1, PATCH_PX) if like.family in VIT_FAMILIES else ()
    return type(size) is int and (size == like.native_size or size in told)


def looks_like(names: Iterable[str]) -> str:
    """Return in words what kind of network has weights with these names."""
    return _by_names(list(names)).kind


@dataclass(frozen=True)
class _Fit:
    """The models to which some weights may belong.

    Attributes:
        kind: what all of them are, in words.
        entries: of the catalog; the likeliest comes first.
        is_whole: whether the weights have their layout; if not, they are at most a part of those of each entry.
    """

    kind: str
    entries: list[CatalogEntry]
    is_whole: bool


def _by_names(names: Collection[str]) -> _Fit:
    for signatures in (SIGNATURES, REMAINS):
        for parts, kind, families in signatures:
            if all(any(part in name for name in names) for part in parts):
                entries = sorted(
                    (each for each in catalog.entries() if each.family in families), key=lambda each: families.index(each.family)
                )
                return _Fit(kind, entries, is_whole=signatures is SIGNATURES)
    return _Fit(f"an unknown network (its weights are called {', '.join(list(names)[:3])}, ...)", [], is_whole=False)


def _fitting(weights: Mapping[str, torch.Tensor], source: str) -> _Fit:
    """Return the models that fit the names and sizes of weights.

    Raises:
        CheckpointError: no entry fits.
    """
    fit = _by_names(list(weights))
    if fit.is_whole:
        fit = _of_size(fit, _size(weights))
    if not fit.entries:
        supported = ", ".join(dict.fromkeys(entry.title for entry in catalog.entries()))
        raise CheckpointError(f"{source}: this network is not supported; it looks like {fit.kind}. Supported are {supported}.")
    if fit.is_whole:
        return fit
    # A model that ships is unlikely to be passed on in parts.
    return replace(fit, entries=sorted(fit.entries, key=lambda entry: entry.shipped))


def _of_size(fit: _Fit, seen: Size) -> _Fit:
    """Return the models of one size, if their families come in several; if none has it, the larger ones."""
    sizes = _sizes({entry.family for entry in fit.entries})
    if not sizes:
        return fit
    if seen in sizes:
        return replace(fit, entries=[entry for entry in fit.entries if entry.config == sizes[seen]])
    larger = [each for each in sizes if seen.channels in (0, each.channels) and seen.blocks <= each.blocks]
    larger.sort(key=lambda each: (each.is_2_1 != seen.is_2_1, each.blocks))
    entries = [entry for each in larger for entry in fit.entries if entry.config == sizes[each]]
    return _Fit(f"{fit.kind} of another size ({seen.channels} channels, {seen.blocks} blocks)", entries, is_whole=False)


def _sizes(families: Collection[str]) -> Mapping[Size, str]:
    """Return the configurations, by size, of families that come in several sizes."""
    if "sam2" in families:
        return HIERAS
    return VITS if VIT_FAMILIES.intersection(families) else {}


def _size(weights: Mapping[str, torch.Tensor]) -> Size:
    encoder = TRUNK if any(name.startswith(TRUNK) for name in weights) else VIT
    return Size(_channels(weights, encoder), _blocks(weights, encoder), any(name.startswith(ONLY_IN_2_1) for name in weights))


def _channels(weights: Mapping[str, torch.Tensor], encoder: str) -> int:
    """Return the width of the first block; 0 if nothing tells it."""
    names = f"{encoder}patch_embed.proj.weight", f"{encoder}blocks.0.norm1.weight"
    return next((weights[name].shape[0] for name in names if name in weights and weights[name].ndim), 0)


def _blocks(weights: Mapping[str, torch.Tensor], encoder: str) -> int:
    start = encoder + "blocks."
    return len({name[len(start) :].partition(".")[0] for name in weights if name.startswith(start)})


def _native_size(weights: Mapping[str, torch.Tensor]) -> int | None:
    """Return the input size in pixels for which a ViT was trained, as the grid of its learnt positions tells; None if it does not."""
    positions = weights.get(f"{VIT}pos_embed")
    if positions is None or positions.ndim != 4:
        return None
    _, rows, columns, channels = positions.shape
    is_sane = rows == columns and channels == _channels(weights, VIT) and PATCH_PX * rows <= LARGEST_PX
    return PATCH_PX * rows if is_sane else None


def _said(fit: _Fit, family: str, source: str) -> CatalogEntry:
    said = [entry for entry in fit.entries if entry.id == family] or [entry for entry in fit.entries if entry.id.startswith(family)]
    if not said:
        ids = ", ".join(entry.id for entry in fit.entries)
        raise CheckpointError(f"{source}: is not {family}; it looks like {fit.kind}, which may be: {ids}.")
    return said[0]


def _chosen(fit: _Fit, size: int | None, source: str, container: str, beside: Collection[str]) -> tuple[CatalogEntry, str]:
    fitting = fit.entries
    named = _named(fitting, Path(source).name)
    if named:
        return named, f"Its weights fit {fit.kind}, and its name says that it is {named.title}."
    tuned = [entry for entry in fitting if entry.id == "biomedical-sam-2"]
    if tuned and container != "state_dict":
        fitting = [entry for entry in fitting if entry not in tuned]
    elif tuned and "best_dice" in beside:
        return tuned[0], f"Its weights fit {fit.kind}, in a file as Biomedical-SAM-2 writes it."
    fed: dict[tuple[str, int], CatalogEntry] = {}
    for entry in fitting:
        fed.setdefault((entry.normaliser, size or entry.native_size), entry)
    if len(fed) > 1:
        raise _ambiguous(source, list(fed.values()))
    return fitting[0], f"Its weights have the names and shapes of {fitting[0].title}."


def _ambiguous(source: str, fitting: list[CatalogEntry]) -> Ambiguous:
    ids = tuple(entry.id for entry in fitting)
    fed: dict[str, set[Any]] = {
        "grey levels": {entry.normaliser for entry in fitting},
        "input sizes": {entry.native_size for entry in fitting},
    }
    other = " and ".join(name for name, values in fed.items() if len(values) > 1)
    return Ambiguous(
        f"{source}: fits {' and '.join(ids)}, which have the same layout but other {other}, and a wrong choice gives bad masks. "
        f"Run 'samsegmenter models import {Path(source).name} --family {ids[0]}', or with another of them, and use the model by its name.",
        ids,
    )


def _named(fitting: list[CatalogEntry], name: str) -> CatalogEntry | None:
    """Return the model whose published file name or id, the longest one, occurs in the file name `name`; None if there is none."""
    found = [(len(word), entry) for entry in fitting for word in _words(entry) if word in _plain(name)]
    longest = max((length for length, _ in found), default=0)
    return next((entry for length, entry in found if length == longest), None)


def _words(entry: CatalogEntry) -> set[str]:
    first = entry.id.partition("-")[0]
    words = {_plain(Path(entry.file).stem), _plain(entry.id), _plain(first)}
    return {word for word in words if len(word) > 4}  # "sam" is in "sample"


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())
