"""The mask decoder of SAM: the same numbers in fewer operations.

It attends between a few tokens (prompts and answers) and thousands of image positions. The package projects every image
position for every attention; here the few tokens are projected instead, which is the same product in another order:
``(W_q t) . (W_k x) = (W_k' W_q t) . x`` and ``sum a (W_v x + b) = W_v (sum a x) + b``. Maps keep their channels last
throughout, and only the candidate masks that are asked for are computed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor


def decode(decoder: MaskDecoder, image: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, several: bool) -> tuple[Tensor, Tensor]:
    """Return the answer of `decoder` to one set of prompts on one image.

    Args:
        decoder: of an unmodified SAM.
        image: ``(1, C, h, w)`` the image embedding; this and the next are best kept channels last.
        position: ``(1, C, h, w)`` its position encoding.
        sparse: ``(1, n, C)`` embedded points and boxes.
        dense: ``(1, C, h, w)`` the embedded mask.
        several: three masks, or one.

    Returns:
        Logits ``(1, m, 4 h, 4 w)`` and the expected intersection over union ``(1, m)``.
    """
    prompts = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, sparse[0]])
    tokens, pixels = _two_way(decoder, prompts, _rows(image + dense), _rows(position))
    wanted = slice(1, None) if several else slice(0, 1)
    qualities = decoder.iou_prediction_head(tokens[:1])[:, wanted]
    networks = list(enumerate(decoder.output_hypernetworks_mlps))[wanted]
    filters = torch.stack([network(tokens[1 + number]) for number, network in networks])
    return _upscaled(decoder, pixels, filters, image.shape[-2:])[None], qualities


def _two_way(decoder: MaskDecoder, prompts: Tensor, pixels: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Return tokens ``(T, C)`` and image positions ``(N, C)`` after they have attended to each other."""
    transformer, tokens = decoder.transformer, prompts
    for block in transformer.layers:
        tokens, pixels = _block(block, tokens, prompts, pixels, position)
    asked = tokens + prompts
    found = _tokens_to_image(transformer.final_attn_token_to_image, asked, pixels, pixels + position)
    return transformer.norm_final_attn(tokens + found), pixels


def _block(block: TwoWayAttentionBlock, tokens: Tensor, prompts: Tensor, pixels: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    itself = tokens if block.skip_first_layer_pe else tokens + prompts
    looked = block.self_attn(q=itself[None], k=itself[None], v=tokens[None])[0]
    tokens = block.norm1(looked if block.skip_first_layer_pe else tokens + looked)
    placed = pixels + position
    tokens = block.norm2(tokens + _tokens_to_image(block.cross_attn_token_to_image, tokens + prompts, pixels, placed))
    tokens = block.norm3(tokens + block.mlp(tokens))
    pixels = block.norm4(pixels + _image_to_tokens(block.cross_attn_image_to_token, placed, tokens + prompts, tokens))
    return tokens, pixels


def _tokens_to_image(attention: Attention, queries: Tensor, values: Tensor, keys: Tensor) -> Tensor:
    """Return what few queries ``(T, C)`` find in many values ``(N, C)`` by their keys ``(N, C)``."""
    asked = _by_head(attention, attention.q_proj(queries))
    # The keys' bias adds the same to every score of a query, which softmax takes out again.
    asked = torch.einsum("thd,chd->htc", asked, _by_head(attention, attention.k_proj.weight.T))
    weights = (_scaled(attention, asked.flatten(0, 1)) @ keys.T).softmax(-1)
    found = (weights @ values).view_as(asked)
    found = torch.einsum("htc,chd->thd", found, _by_head(attention, attention.v_proj.weight.T)).flatten(1)
    return attention.out_proj(found + attention.v_proj.bias)


def _image_to_tokens(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return what many queries ``(N, C)`` find in few values ``(T, C)`` by their keys ``(T, C)``."""
    few = _scaled(attention, _by_head(attention, attention.k_proj(keys)))
    answers = torch.einsum("thd,chd->htc", few, _by_head(attention, attention.q_proj.weight.T)).flatten(0, 1)
    offsets = torch.einsum("thd,hd->ht", few, _by_head(attention, attention.q_proj.bias[None])[0]).flatten()
    scores = torch.addmm(offsets[:, None], answers, queries.T)
    weights = scores.unflatten(0, (attention.num_heads, -1)).softmax(1).flatten(0, 1)
    told = _by_head(attention, attention.v_proj(values))
    told = torch.einsum("thd,chd->htc", told, _by_head(attention, attention.out_proj.weight)).flatten(0, 1)
    return torch.addmm(attention.out_proj.bias, weights.T, told)


def _upscaled(decoder: MaskDecoder, pixels: Tensor, filters: Tensor, shape: torch.Size) -> Tensor:
    """Return masks ``(m, 4 h, 4 w)``: each pixel is split in four twice and read with the filters ``(m, c)`` of the masks."""
    first, norm, activation, second, last = decoder.output_upscaling
    finer = F.layer_norm(_split(first, pixels), norm.weight.shape, norm.weight, norm.bias, norm.eps)
    finest = last(_split(second, activation(finer)))
    rows, columns = shape
    masks = (finest @ filters.T).view(rows, columns, 2, 2, 2, 2, len(filters))  # pixel, its quarter, and that one's quarter
    return masks.permute(6, 0, 2, 4, 1, 3, 5).reshape(len(filters), 4 * rows, 4 * columns)


def _split(convolution: torch.nn.ConvTranspose2d, pixels: Tensor) -> Tensor:
    """Return a transposed 2x2 convolution of stride 2 of pixels ``(N, C)``: ``(4 N, c)``, the four of each pixel row by row."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    assert convolution.bias is not None
    return F.linear(pixels, weight, convolution.bias.repeat(4)).view(4 * len(pixels), -1)


def _by_head(attention: Attention, x: Tensor) -> Tensor:
    """Return ``(n, heads * d)`` as ``(n, heads, d)``."""
    return x.unflatten(-1, (attention.num_heads, -1))


def _scaled(attention: Attention, x: Tensor) -> Tensor:
    return x / (attention.internal_dim // attention.num_heads) ** 0.5


def _rows(maps: Tensor) -> Tensor:
    """Return ``(1, C, h, w)`` as ``(h * w, C)``, without a copy if channels lie last."""
    return maps[0].permute(1, 2, 0).flatten(0, 1)
