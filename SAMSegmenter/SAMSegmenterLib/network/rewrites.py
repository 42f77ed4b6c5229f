"""SAM 2 networks made over without changing them: other input sizes and precisions, and weights multiplied out beforehand.

A network given to these functions stays as it is; what they return shares its weights wherever it can.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..models.sam2_package import Hiera, SAM2Base


def check_supported(model: SAM2Base) -> None:
    """Raise `CheckpointError` unless the network is configured as SAM 2 and 2.1 are, in what propagation relies on."""
    layer = model.memory_attention.layers[0]
    usual = (
        model.use_high_res_features_in_sam
        and model.directly_add_no_mem_embed
        and model.use_mask_input_as_output_without_sam
        and layer.self_attn.num_heads == layer.cross_attn_image.num_heads == 1
        and layer.pos_enc_at_cross_attn_keys
        and not layer.pos_enc_at_cross_attn_queries
        and not layer.pos_enc_at_attn
        and model.num_maskmem > 1
    )
    if not usual:
        raise CheckpointError("this network's configuration differs from SAM 2's in ways that are not supported.")


def resampler_of(model: SAM2Base) -> nn.Module | None:
    """What sums memories up in few tokens, as `models.families.perceiver` does; None where they are attended to as they are."""
    return getattr(model, "spatial_perceiver", None)


def resized(model: SAM2Base, size: int) -> SAM2Base:
    """`model` for another input size: the same weights, shared, with the few attributes that state the size changed."""
    if size == model.image_size:
        return model
    resampler = resampler_of(model)
    unit = model.backbone_stride * resampler.side if resampler else 32
    if size % unit:
        raise CheckpointError(f"input size {size}: expected a multiple of {unit}.")
    grid = size // model.backbone_stride
    encoder: Any = _shallow(model.sam_prompt_encoder)
    encoder.input_image_size, encoder.image_embedding_size = (size, size), (grid, grid)
    encoder.mask_input_size = (4 * grid, 4 * grid)
    other: Any = _shallow(model)
    other.image_size, other.sam_image_embedding_size = size, grid
    other.sam_prompt_encoder = encoder
    return other


def with_constant_position(model: SAM2Base, size: int) -> SAM2Base:
    """`model` with the position embedding of its trunk, a bicubic enlargement, computed once, if it has any."""
    if not isinstance(model.image_encoder.trunk, Hiera):
        return model
    other: Any = _shallow(model)
    other.image_encoder = _shallow(model.image_encoder)
    trunk: Any = _shallow(model.image_encoder.trunk)
    other.image_encoder.trunk = trunk
    side = size // trunk.patch_embed.proj.stride[0]
    position = trunk._get_pos_embed((side, side))
    trunk._get_pos_embed = lambda _: position
    return other


def in_precision(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `module` whose matrix weights are kept in `dtype`, which spares autocast the cast on every call.

    Norms, embeddings and tokens stay float32, as autocast would have them.
    """
    memo = {id(tensor): nn.Parameter(tensor.to(dtype), requires_grad=False) for tensor in _matrix_weights(module)}
    return copy.deepcopy(module, memo)


def _matrix_weights(module: nn.Module) -> list[Tensor]:
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return [tensor for part in module.modules() if isinstance(part, kinds) for tensor in part.parameters(recurse=False)]


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def fold_neck(model: SAM2Base, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]] | None:
    """Weights from the trunk's two finest levels straight to the decoder's features; None where the neck differs."""
    neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
    usual = len(neck.convs) == 4 and neck.fpn_top_down_levels == [2, 3] and neck.fuse_type == "sum"
    if not (usual and neck.fpn_interp_model == "nearest" and model.image_encoder.scalp == 1):
        return None
    pairs = (neck.convs[3].conv, decoder.conv_s0), (neck.convs[2].conv, decoder.conv_s1)
    folded = []
    for first, second in pairs:
        weight = second.weight.flatten(1) @ first.weight.flatten(1)
        bias = second.weight.flatten(1) @ first.bias + second.bias
        folded.append((weight[:, :, None, None].to(dtype), bias.to(dtype)))
    return folded
