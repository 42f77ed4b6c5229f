"""Changes to SAM 2 networks that leave the original as it is: other input sizes and precisions, and weights multiplied in advance.

A network given to these functions is not changed; what they return shares its weights wherever it can.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..models.sam2_package import Hiera, SAM2Base


def check_supported(network: SAM2Base) -> None:
    """Raise `CheckpointError` unless a network is configured as SAM 2 and 2.1 are, in everything that propagation relies on."""
    layer = network.memory_attention.layers[0]
    usual = (
        network.use_high_res_features_in_sam
        and network.directly_add_no_mem_embed
        and network.use_mask_input_as_output_without_sam
        and layer.self_attn.num_heads == layer.cross_attn_image.num_heads == 1
        and layer.pos_enc_at_cross_attn_keys
        and not layer.pos_enc_at_cross_attn_queries
        and not layer.pos_enc_at_attn
        and network.num_maskmem > 1
    )
    if not usual:
        raise CheckpointError("this network's configuration differs from SAM 2's in ways that are not supported.")


def resampler_of(network: SAM2Base) -> nn.Module | None:
    """Return the module that sums memories up in few tokens, such as `models.families.perceiver`.

    None if the network attends to memories as they are.
    """
    return getattr(network, "spatial_perceiver", None)


def resized(network: SAM2Base, size: int) -> SAM2Base:
    """Return `network` for another input size, in pixels: with the same weights, shared, and the attributes that state the size changed.

    Raises:
        CheckpointError: the network cannot run at that size.
    """
    if size == network.image_size:
        return network
    resampler = resampler_of(network)
    unit = network.backbone_stride * resampler.side if resampler else 32
    if size % unit:
        raise CheckpointError(f"input size {size}: expected a multiple of {unit}.")
    grid = size // network.backbone_stride
    encoder: Any = _shallow(network.sam_prompt_encoder)
    encoder.input_image_size, encoder.image_embedding_size = (size, size), (grid, grid)
    encoder.mask_input_size = (4 * grid, 4 * grid)
    other: Any = _shallow(network)
    other.image_size, other.sam_image_embedding_size = size, grid
    other.sam_prompt_encoder = encoder
    return other


def with_constant_position(network: SAM2Base, size: int) -> SAM2Base:
    """Return `network` with the position embedding of its trunk, a bicubic enlargement, computed once, if it has one."""
    if not isinstance(network.image_encoder.trunk, Hiera):
        return network
    other: Any = _shallow(network)
    other.image_encoder = _shallow(network.image_encoder)
    trunk: Any = _shallow(network.image_encoder.trunk)
    other.image_encoder.trunk = trunk
    side = size // trunk.patch_embed.proj.stride[0]
    position = trunk._get_pos_embed((side, side))
    trunk._get_pos_embed = lambda _: position
    return other


def in_precision(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of `module` whose matrix weights are kept in `dtype`, which spares autocast the cast on every call.

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


def fold_neck(network: SAM2Base, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]] | None:
    """Return the weights from the trunk's two finest levels straight to the decoder's features.

    They are a 1x1 convolution's weight ``(c, C, 1, 1)`` in `dtype` and bias ``(c,)`` for each level; None if the neck differs.
    """
    neck, decoder = network.image_encoder.neck, network.sam_mask_decoder
    usual = len(neck.convs) == 4 and neck.fpn_top_down_levels == [2, 3] and neck.fuse_type == "sum"
    if not (usual and neck.fpn_interp_model == "nearest" and network.image_encoder.scalp == 1):
        return None
    pairs = (neck.convs[3].conv, decoder.conv_s0), (neck.convs[2].conv, decoder.conv_s1)
    folded = []
    for first, second in pairs:
        weight = second.weight.flatten(1) @ first.weight.flatten(1)
        bias = second.weight.flatten(1) @ first.bias + second.bias
        folded.append((weight[:, :, None, None].to(dtype), bias.to(dtype)))
    return folded
