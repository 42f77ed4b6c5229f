"""One SAM 2 network at one input size and precision, as four functions: encode, prompt, track, remember.

The modules of an unmodified ``sam2.modeling.sam2_base.SAM2Base`` do the work. Where upstream's way of calling them
wastes time, the same numbers are computed in fewer operations; each such rewrite is exact up to rounding and tested
for equality with upstream's predictor:

- the two 1x1 convolutions from the trunk to the decoder's high-resolution features are folded into one;
- position encodings and embeddings, which are constant, are computed once;
- rotary encodings use real cosines and sines (the rows of Q and K are reordered to suit);
- memories stay in their own few channels while attention weighs them: with one head,
  ``softmax(QK) (M W + b) = (softmax(QK) M) W + b``, and W folds into the output projection;
- the first self-attention of memory attention sees the image alone, so it belongs to the cached features;
- of the candidate masks only the chosen one is enlarged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor, nn

from ..errors import CheckpointError
from .memory import Memory, Recall

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
QUERIES_AT_ONCE = 256  # keeps a block of attention weights within a CPU's cache


@dataclass(frozen=True, eq=False)
class Features:
    """What the network knows of one view of one slice, whoever asks.

    Attributes:
        fine: ``(1, C/8, size/4, size/4)`` and
        middle: ``(1, C/4, size/8, size/8)``, for the mask decoder.
        coarse: ``(1, C, size/16, size/16)``, the image embedding.
        tokens: ``(1, T, C)``, `coarse` after the first self-attention of memory attention.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    tokens: Tensor

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self._tensors())

    def to(self, dtype: torch.dtype) -> Features:
        return Features(*(tensor.to(dtype) for tensor in self._tensors()))

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True, eq=False)
class Decoded:
    """A mask as the network sees it.

    Attributes:
        logits: ``(B, 1, size/4, size/4)`` float32; positive inside.
        pointer: ``(B, C)`` the object pointer, a summary of the object.
        score: ``(B, 1)`` object score logit; the object is on the slice if positive.
        quality: ``(B,)`` intersection over union that the network expects of its mask.
    """

    logits: Tensor
    pointer: Tensor
    score: Tensor
    quality: Tensor

    def split(self) -> list[Decoded]:
        """One `Decoded` of batch 1 for each in the batch."""
        parts = zip(*(getattr(self, field.name).split(1) for field in fields(self)), strict=True)
        return [Decoded(*part) for part in parts]


class Network:
    """Runs `model` at `size` x `size` input pixels on `device`.

    Args:
        model: any SAM 2 network; it is shared, not changed.
        size: input side in pixels, a multiple of 32.
        device: where it runs.
        dtype: float32, or bfloat16/float16 for the matrix products (everything else stays float32).
        mean, std: normaliser of the three colour channels, in 0..1.

    Raises:
        CheckpointError: the network's memory attention has a form that SAM 2 never had.
    """

    def __init__(
        self,
        model: SAM2Base,
        size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        _check_supported(model)
        self.size, self.device, self.dtype = size, torch.device(device), dtype
        self.grid = size // model.backbone_stride
        self.model = resized(model, size)
        self.channels, self.memory_channels = model.hidden_dim, model.mem_dim
        self.memories = model.num_maskmem
        self.max_pointers = model.max_obj_ptrs_in_encoder
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1)
        self._pointer_positions: dict[tuple[int, int], Tensor] = {}
        with torch.inference_mode():
            self._prepare_constants()

    # ------------------------------------------------------------------ what the engine calls

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> list[Features]:
        """Encode uint8 views ``(B, size, size)`` or ``(B, size, size, 3)``."""
        images = torch.from_numpy(np.array(pixels)).to(self.device).float().div_(255)
        images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images[:, None].expand(-1, 3, -1, -1)
        with self._precision():
            fine, middle, coarse = self._pyramid((images - self._mean) / self._std)
            start = coarse.flatten(2).transpose(1, 2).float() + self._image_position
            tokens = self._self_attention(self._layers[0], start)
        parts = zip(fine.split(1), middle.split(1), coarse.split(1), tokens.split(1), strict=True)
        return [Features(*(tensor.contiguous() for tensor in part)) for part in parts]

    @torch.inference_mode()
    def prompt(self, features: Features, points: np.ndarray, labels: np.ndarray, hint: Tensor | None = None) -> Decoded:
        """Decode prompts on a slice by themselves, without memory.

        Args:
            features: of the prompted view.
            points: ``(n, 2)`` input pixels, centres at integers.
            labels: ``(n,)`` 1 inside, 0 outside, 2 and 3 the top left and bottom right corner of a box.
            hint: ``(1, 1, size/4, size/4)`` logits of an earlier mask to refine.
        """
        coarse = features.coarse + self.model.no_mem_embed.view(1, -1, 1, 1)
        coords = torch.as_tensor(points, dtype=torch.float32, device=self.device)[None]
        kinds = torch.as_tensor(labels, dtype=torch.int32, device=self.device)[None]
        sparse, dense = self._prompt_encoder(coords, kinds, hint)
        several = self.model._use_multimask(True, {"point_labels": kinds})
        with self._precision():
            return self._decode(coarse, features.fine, features.middle, sparse, dense, several)

    @torch.inference_mode()
    def prompt_mask(self, features: Features, mask: Tensor) -> Decoded:
        """Take a painted mask ``(size, size)`` bool as the answer on its slice; it need not be decoded."""
        painted = mask.to(self.device).float()[None, None]
        logits = painted * 20 - 10
        logits = F.interpolate(logits, scale_factor=0.25, mode="bilinear", align_corners=False, antialias=True)
        present = painted.any().view(1, 1)
        with self._precision():
            pointer = self._mask_pointer(features, painted)
        pointer = self._pointer_if_present(pointer, present.float())
        quality = torch.ones(1, device=self.device)
        return Decoded(logits, pointer, present.float() * 20 - 10, quality)

    @torch.inference_mode()
    def track(self, features: Sequence[Features], recalls: Sequence[Recall], slices: int) -> Decoded:
        """Find objects on the next slice from what is remembered of them.

        Args:
            features: of the slice that each of B objects is looked for on.
            recalls: what each of them remembers; all of the same `Recall.structure`.
            slices: number of slices of the stack, which scales the time encoding of pointers.
        """
        coarse = self._attend(features, recalls, slices)
        fine = torch.cat([each.fine for each in features])
        middle = torch.cat([each.middle for each in features])
        sparse = self._no_points.expand(len(features), -1, -1)
        dense = self._no_mask.expand(len(features), -1, -1, -1)
        with self._precision():
            return self._decode(coarse, fine, middle, sparse, dense, self.model._use_multimask(False, None))

    @torch.inference_mode()
    def remember(self, features: Sequence[Features], decoded: Decoded, prompted: bool) -> list[Memory]:
        """Encode slices and the masks found on them into memories; `prompted` masks as hard-edged as they are shown."""
        model = self.model
        mask = F.interpolate(decoded.logits, size=(self.size, self.size), mode="bilinear", align_corners=False)
        hard = prompted and model.binarize_mask_from_pts_for_mem_enc
        mask = (mask > 0).float() if hard else torch.sigmoid(mask)
        mask = mask * model.sigmoid_scale_for_mem_enc + model.sigmoid_bias_for_mem_enc
        coarse = torch.cat([each.coarse for each in features])
        with self._precision():
            encoded = model.memory_encoder(coarse, mask, skip_mask_sigmoid=True)["vision_features"]
        if model.no_obj_embed_spatial is not None:
            absent = 1 - (decoded.score > 0).float()
            encoded = encoded + (absent * model.no_obj_embed_spatial)[..., None, None]
        maps = encoded.to(torch.bfloat16).split(1)
        return [Memory(each, pointer) for each, pointer in zip(maps, decoded.pointer.split(1), strict=True)]

    # ------------------------------------------------------------------ constants and rewritten weights

    def _prepare_constants(self) -> None:
        model, grid = self.model, self.grid
        coarse = torch.zeros(1, self.channels, grid, grid, device=self.device)
        position = model.image_encoder.neck.position_encoding(coarse)
        self._image_position = 0.1 * _tokens(position) if model.memory_attention.pos_enc_at_input else 0.0
        small = torch.zeros(1, self.memory_channels, grid, grid, device=self.device)
        memory_position = _tokens(model.memory_encoder.position_encoding(small))
        self._memory_positions = memory_position + model.maskmem_tpos_enc.flatten(1).flip(0)[:, None]
        self._dense_position = model.sam_prompt_encoder.get_dense_pe()
        blank = torch.zeros(1, 1, 2, device=self.device), -torch.ones(1, 1, dtype=torch.int32, device=self.device)
        self._no_points, self._no_mask = model.sam_prompt_encoder(points=blank, boxes=None, masks=None)
        running = model if self.dtype == torch.float32 else in_precision(model, self.dtype)
        running = _with_constant_position(running, self.size)
        layers = zip(model.memory_attention.layers, running.memory_attention.layers, strict=True)
        self._layers = [_AttentionLayer(exact, module, grid, self.dtype) for exact, module in layers]
        self._folded = _fold_neck(model, self.dtype)
        self.model = running

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    # ------------------------------------------------------------------ image encoder

    def _pyramid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fine, middle and coarse features ``(B, ...)``."""
        model = self.model
        if self._folded is None:
            fine, middle, coarse = model.forward_image(images)["backbone_fpn"]
            return fine, middle, coarse
        levels = model.image_encoder.trunk(images)
        neck = model.image_encoder.neck.convs
        coarse = neck[1](levels[2]) + F.interpolate(neck[0](levels[3]).float(), scale_factor=2.0, mode="nearest")
        return F.conv2d(levels[0], *self._folded[0]), F.conv2d(levels[1], *self._folded[1]), coarse

    # ------------------------------------------------------------------ memory attention

    def _attend(self, features: Sequence[Features], recalls: Sequence[Recall], slices: int) -> Tensor:
        """Condition image embeddings on memories: ``(B, C, grid, grid)``."""
        with self._precision():
            memory, position, pointers = self._gather(recalls, slices)
            memory, keyed = memory.to(self.dtype), (memory + position).to(self.dtype)
            x = torch.cat([each.tokens for each in features]).float()
            for number, layer in enumerate(self._layers):
                if number:
                    x = self._self_attention(layer, x)
                x = self._cross_attention(layer, x, memory, keyed, pointers)
                x = x + layer.module.linear2(F.relu(layer.module.linear1(layer.module.norm3(x))))
            x = self.model.memory_attention.norm(x)
        return x.transpose(1, 2).reshape(len(features), self.channels, self.grid, self.grid)

    def _self_attention(self, layer: _AttentionLayer, x: Tensor) -> Tensor:
        attention = layer.module.self_attn
        normed = layer.module.norm1(x)
        query = layer.rotate(F.linear(normed, *layer.self_query))
        key = layer.rotate(F.linear(normed, *layer.self_key))
        value = attention.v_proj(normed)
        return x + attention.out_proj(_attention(query, key, value))

    def _cross_attention(self, layer: _AttentionLayer, x: Tensor, memory: Tensor, keyed: Tensor, pointers: int) -> Tensor:
        query = layer.rotate(F.linear(layer.module.norm2(x), *layer.cross_query))
        key = F.linear(keyed, *layer.cross_key)
        spatial = key.shape[1] - pointers
        key[:, :spatial] = layer.rotate(key[:, :spatial])
        return x + F.linear(_attention(query, key, memory), *layer.cross_output)

    def _gather(self, recalls: Sequence[Recall], slices: int) -> tuple[Tensor, Tensor, int]:
        """Memories ``(B, M, c)`` of all objects, their positions ``(1, M, c)``, and how many are pointers."""
        spatial = [_tokens(torch.cat([recall.spatial[n][1].to(self.device) for recall in recalls])) for n in range(len(recalls[0].spatial))]
        positions = [self._memory_positions[age][None] for age, _ in recalls[0].spatial]
        pointers, pointer_positions = self._pointer_tokens(recalls, slices)
        memory = torch.cat([*(each.float() for each in spatial), *pointers], 1)
        return memory, torch.cat([*positions, *pointer_positions], 1), sum(each.shape[1] for each in pointers)

    def _pointer_tokens(self, recalls: Sequence[Recall], slices: int) -> tuple[list[Tensor], list[Tensor]]:
        if not self.model.use_obj_ptrs_in_encoder or not recalls[0].pointers:
            return [], []
        stacked = torch.stack([torch.cat([pointer.to(self.device) for _, pointer in recall.pointers]) for recall in recalls])
        per_pointer = self.channels // self.memory_channels
        tokens = stacked.float().reshape(len(recalls), -1, self.memory_channels)
        furthest = min(slices, self.max_pointers) - 1
        positions = [self._pointer_position(distance, furthest) for distance, _ in recalls[0].pointers]
        return [tokens], [torch.cat(positions).repeat_interleave(per_pointer, dim=0)[None]]

    def _pointer_position(self, distance: int, furthest: int) -> Tensor:
        """``(1, c)`` time encoding of a pointer `distance` slices back."""
        known = self._pointer_positions.get((distance, furthest))
        if known is None:
            known = self._pointer_positions[distance, furthest] = self._encode_distance(distance, furthest)
        return known

    def _encode_distance(self, distance: int, furthest: int) -> Tensor:
        model = self.model
        if not model.add_tpos_enc_to_obj_ptrs:
            return torch.zeros(1, self.memory_channels, device=self.device)
        width = self.channels if model.proj_tpos_enc_in_obj_ptrs else self.memory_channels
        encoding = get_1d_sine_pe(torch.tensor([distance], device=self.device) / furthest, dim=width)
        return model.obj_ptr_tpos_proj(encoding).float()

    # ------------------------------------------------------------------ prompt encoder and mask decoder

    def _prompt_encoder(self, points: Tensor, labels: Tensor, hint: Tensor | None) -> tuple[Tensor, Tensor]:
        # Outside autocast on purpose: 8 bits of a coordinate would move a click by whole pixels.
        encoder = self.model.sam_prompt_encoder
        with torch.autocast(self.device.type, enabled=False):
            sparse, dense = encoder(points=(points, labels), boxes=None, masks=None)
        if hint is not None:
            with self._precision():
                dense = encoder.mask_downscaling(hint.clamp(-32, 32))
        return sparse, dense

    def _decode(self, coarse: Tensor, fine: Tensor, middle: Tensor, sparse: Tensor, dense: Tensor, several: bool) -> Decoded:
        model, batch = self.model, len(coarse)
        logits, quality, tokens, score = model.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=self._dense_position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            repeat_image=False,
            high_res_features=[fine, middle],
        )
        every, best = torch.arange(batch, device=self.device), quality.argmax(-1)
        token = tokens[every, best] if tokens.shape[1] > 1 else tokens[:, 0]
        logits = logits[every, best][:, None].float()
        pointer = model.obj_ptr_proj(token)
        if model.pred_obj_scores:
            present = score > 0
            logits = torch.where(present[..., None, None], logits, NO_OBJ_SCORE)
            pointer = self._pointer_if_present(pointer, score.sigmoid() if model.soft_no_obj_ptr else present.float())
        return Decoded(logits, pointer.float(), score.float(), quality[every, best].float())

    def _mask_pointer(self, features: Features, painted: Tensor) -> Tensor:
        """Object pointer of a painted mask ``(1, 1, size, size)``, by decoding it as a mask prompt."""
        model = self.model
        if not model.use_obj_ptrs_in_encoder:
            return torch.zeros(1, self.channels, device=self.device)
        hint = model.mask_downsample(painted)
        # upstream resizes the quarter-size mask to the size it already has; nothing to do here
        dense = model.sam_prompt_encoder.mask_downscaling(hint)
        return self._decode(features.coarse, features.fine, features.middle, self._no_points, dense, False).pointer

    def _pointer_if_present(self, pointer: Tensor, present: Tensor) -> Tensor:
        model = self.model
        if not model.pred_obj_scores:
            return pointer
        kept = present * pointer if model.fixed_no_obj_ptr else pointer
        return kept + (1 - present) * model.no_obj_ptr


class _AttentionLayer:
    """One layer of memory attention, with its projections rewritten for real-valued rotary encoding.

    The new weights are made from `exact` (float32) and kept in `dtype`; `module` is the same layer as it runs.
    """

    def __init__(self, exact: nn.Module, module: nn.Module, grid: int, dtype: torch.dtype) -> None:
        self.module = module
        own, cross = exact.self_attn, exact.cross_attn_image
        width = own.internal_dim
        # complex pairs (0, 1), (2, 3), ... become two halves, so that rotation needs no complex numbers
        order = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)]).to(own.q_proj.weight.device)
        scale = width**-0.5
        self.self_query, self.self_key = _rows(own.q_proj, order, dtype, scale), _rows(own.k_proj, order, dtype)
        self.cross_query, self.cross_key = _rows(cross.q_proj, order, dtype, scale), _rows(cross.k_proj, order, dtype)
        output, value = cross.out_proj, cross.v_proj
        self.cross_output = (output.weight @ value.weight).to(dtype), (output.weight @ value.bias + output.bias).to(dtype)
        turns = own.compute_cis(end_x=grid, end_y=grid).to(order.device)
        self.cosine, self.sine = turns.real.to(dtype), turns.imag.to(dtype)

    def rotate(self, x: Tensor) -> Tensor:
        """Rotary encoding of ``(B, r * T, C)``, repeated for each of r memories."""
        batch, count, width = x.shape
        pairs = x.view(batch, -1, len(self.cosine), 2, width // 2)
        real, imaginary = pairs.unbind(-2)
        turned = torch.empty_like(pairs)
        torch.mul(real, self.cosine, out=turned[..., 0, :]).addcmul_(imaginary, self.sine, value=-1)
        torch.mul(real, self.sine, out=turned[..., 1, :]).addcmul_(imaginary, self.cosine)
        return turned.view(batch, count, width)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Single-head attention ``(B, N, C), (B, M, C), (B, M, c) -> (B, N, c)``; the query is already scaled."""
    if value.shape[-1] == query.shape[-1] or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
    # The CPU's fused kernel takes only values as wide as the keys, so the blocks are made here.
    result = torch.empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    for number in range(len(query)):
        for start in range(0, query.shape[1], QUERIES_AT_ONCE):
            block = slice(start, start + QUERIES_AT_ONCE)
            weights = torch.softmax(F.linear(query[number, block], key[number]), -1, dtype=torch.float32)
            result[number, block] = weights.to(value.dtype) @ value[number]
    return result


def resized(model: SAM2Base, size: int) -> SAM2Base:
    """`model` for another input size: the same weights, shared, with the few attributes that state the size changed."""
    if size == model.image_size:
        return model
    if size % 32:
        raise CheckpointError(f"input size {size}: expected a multiple of 32.")
    grid = size // model.backbone_stride
    encoder = _shallow(model.sam_prompt_encoder)
    encoder.input_image_size, encoder.image_embedding_size = (size, size), (grid, grid)
    encoder.mask_input_size = (4 * grid, 4 * grid)
    other = _shallow(model)
    other.image_size, other.sam_image_embedding_size = size, grid
    other.sam_prompt_encoder = encoder
    return other


def _with_constant_position(model: SAM2Base, size: int) -> SAM2Base:
    """`model` with the position embedding of its trunk, a bicubic enlargement, computed once."""
    other = _shallow(model)
    other.image_encoder = _shallow(model.image_encoder)
    trunk = other.image_encoder.trunk = _shallow(model.image_encoder.trunk)
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


def _tokens(maps: Tensor) -> Tensor:
    """``(B, C, H, W) -> (B, H * W, C)``."""
    return maps.flatten(2).transpose(1, 2)


def _rows(linear: nn.Linear, order: Tensor, dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return (linear.weight[order] * scale).to(dtype), (linear.bias[order] * scale).to(dtype)


def _fold_neck(model: SAM2Base, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]] | None:
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


def _check_supported(model: SAM2Base) -> None:
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
