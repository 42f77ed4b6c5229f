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

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.families.normalisers import IMAGENET_MEAN, IMAGENET_STD
from ..models.sam2_package import NO_OBJ_SCORE, SAM2Base, get_1d_sine_pe
from .attention import MemoryAttention, PlainAttention
from .memory import Memory, Recall
from .rewrites import check_supported, fold_neck, in_precision, resampler_of, resized, with_constant_position


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one view of one slice, for every segment and pass.

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
        """Return the memory of the features in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors())

    def to(self, dtype: torch.dtype) -> Features:
        """Return the features in another precision."""
        return Features(*(tensor.to(dtype) for tensor in self.tensors()))

    def tensors(self) -> list[Tensor]:
        """Return the four tensors, in their order."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Masks as the network decodes them, one for each object of a batch.

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

    @classmethod
    def joined(cls, parts: Sequence[Decoded]) -> Decoded:
        """Return one `Decoded` of the batches of all `parts`."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def split(self) -> list[Decoded]:
        """Return one `Decoded` of batch 1 for each object of the batch."""
        parts = zip(*(getattr(self, field.name).split(1) for field in fields(self)), strict=True)
        return [Decoded(*part) for part in parts]


class Network:
    """A network that runs at `size` x `size` input pixels on `device`.

    Args:
        module: any SAM 2 network; it is shared, not changed.
        size: input side in pixels, a multiple of 32.
        device: where it runs.
        dtype: float32, or bfloat16/float16 for the matrix products (everything else stays float32).
        mean, std: of the three colour channels, from 0 to 1.
        running: `module` as it is to run, see `Execution.prepared`, to be shared with other sizes; made of `module` if not given.

    Raises:
        CheckpointError: the network is configured in a way that SAM 2 never was.
    """

    def __init__(
        self,
        module: SAM2Base,
        size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        running: SAM2Base | None = None,
    ) -> None:
        check_supported(module)
        self.size, self.device, self.dtype = size, torch.device(device), dtype
        self.grid = size // module.backbone_stride
        self.module = resized(module, size)
        self.channels, self.memory_channels = module.hidden_dim, module.mem_dim
        self.memories = module.num_maskmem
        self.max_pointers = module.max_obj_ptrs_in_encoder
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1)
        self._pointer_positions: dict[tuple[int, int], Tensor] = {}
        with torch.inference_mode():
            self._prepare_constants(running)

    # ------------------------------------------------------------------ for the engine

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> list[Features]:
        """Return the features of uint8 views ``(B, size, size)`` or ``(B, size, size, 3)``, one for each view."""
        images = torch.from_numpy(np.array(pixels)).to(self.device).float().div_(255)
        images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images[:, None].expand(-1, 3, -1, -1)
        with self._precision(), self._attention_style():
            fine, middle, coarse = self._pyramid((images - self._mean) / self._std)
            start = coarse.flatten(2).transpose(1, 2).float() + self._image_position
            tokens = self._attention.begin(start)
        parts = zip(fine.split(1), middle.split(1), coarse.split(1), tokens.split(1), strict=True)
        return [Features(*(tensor.contiguous() for tensor in part)) for part in parts]

    @torch.inference_mode()
    def prompt(self, features: Features, points: np.ndarray, labels: np.ndarray, prior: Tensor | None = None) -> Decoded:
        """Return the mask that prompts on a slice mean by themselves, without memory.

        Args:
            features: of the prompted view.
            points: ``(n, 2)`` input pixels, centres at integers.
            labels: ``(n,)`` 1 inside, 0 outside, 2 and 3 the top left and bottom right corner of a box.
            prior: ``(size, size)`` float32, the mask that the points correct: 1 inside, -1 outside, 0 where it is in doubt.
        """
        coarse = features.coarse + self.module.no_mem_embed.view(1, -1, 1, 1)
        coords, kinds = self._placed(points, labels)
        sparse, dense = self._prompt_encoder(coords, kinds)
        several = prior is None and self.module._use_multimask(True, {"point_labels": kinds})
        with self._precision():
            if prior is not None:
                dense = self.module.sam_prompt_encoder.mask_downscaling(_as_logits(prior.to(self.device)))
            return self._decode(coarse, features.fine, features.middle, sparse, dense, several)

    @torch.inference_mode()
    def candidates(self, features: Features, asked: Sequence[tuple[np.ndarray, np.ndarray]]) -> Decoded:
        """Return all masks that prompts may mean.

        Args:
            features: of the prompted view.
            asked: points and labels as `prompt` takes them, of one or several prompts with equally many points.

        Returns:
            Four masks for each prompt, one after the other: the decoder's answer to a clear prompt, then those to an ambiguous one.
            They are kept even if the object score is negative.
        """
        placed = [self._placed(*each) for each in asked]
        sparse, dense = self._prompt_encoder(*(torch.cat(each) for each in zip(*placed, strict=True)))
        coarse = features.coarse + self.module.no_mem_embed.view(1, -1, 1, 1)
        decoder = self.module.sam_mask_decoder
        with self._precision():
            logits, quality, tokens, score = decoder.predict_masks(
                image_embeddings=coarse.expand(len(asked), -1, -1, -1),
                image_pe=self._dense_position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                repeat_image=False,
                high_res_features=[features.fine, features.middle],
            )
            tokens = tokens if decoder.use_multimask_token_for_obj_ptr else tokens[:, :1].expand_as(tokens)
            pointers = self.module.obj_ptr_proj(tokens.flatten(0, 1))
        scores = score[:, None].expand(-1, logits.shape[1], -1).flatten(0, 1)
        return Decoded(logits.flatten(0, 1)[:, None].float(), pointers.float(), scores.float(), quality.flatten().float())

    @torch.inference_mode()
    def prompt_mask(self, features: Features, mask: Tensor) -> Decoded:
        """Return a painted mask, bool ``(size, size)``, as the answer on its slice; it need not be decoded."""
        painted = mask.to(self.device).float()[None, None]
        logits = _as_logits(mask.to(self.device).float() * 2 - 1)
        present = painted.any().view(1, 1)
        with self._precision():
            pointer = self._mask_pointer(features, painted)
        pointer = self._pointer_if_present(pointer, present.float())
        quality = torch.ones(1, device=self.device)
        return Decoded(logits, pointer, present.float() * 20 - 10, quality)

    @torch.inference_mode()
    def track(self, features: Sequence[Features], recalls: Sequence[Recall], slices: int) -> Decoded:
        """Return the masks of objects on the next slice, found from what is remembered of them.

        Args:
            features: of the slice on which each of B objects is searched for.
            recalls: what each of them remembers; all of the same `Recall.structure`.
            slices: number of slices of the stack, which scales the time encoding of pointers.
        """
        coarse = self._attend(features, recalls, slices)
        fine = torch.cat([each.fine for each in features])
        middle = torch.cat([each.middle for each in features])
        sparse = self._no_points.expand(len(features), -1, -1)
        dense = self._no_mask.expand(len(features), -1, -1, -1)
        with self._precision():
            return self._decode(coarse, fine, middle, sparse, dense, self.module._use_multimask(False, None))

    @torch.inference_mode()
    def remember(self, features: Sequence[Features], decoded: Decoded, prompted: bool) -> list[Memory]:
        """Return memories of slices and of the masks found on them.

        Args:
            features: of each slice.
            decoded: the masks, one for each slice.
            prompted: whether the masks come from prompts; they are then encoded as hard-edged as they are shown.
        """
        module = self.module
        mask = F.interpolate(decoded.logits, size=(self.size, self.size), mode="bilinear", align_corners=False)
        hard = prompted and module.binarize_mask_from_pts_for_mem_enc
        mask = (mask > 0).float() if hard else torch.sigmoid(mask)
        mask = mask * module.sigmoid_scale_for_mem_enc + module.sigmoid_bias_for_mem_enc
        coarse = torch.cat([each.coarse for each in features])
        with self._precision():
            encoded = module.memory_encoder(coarse, mask, skip_mask_sigmoid=True)["vision_features"]
        if module.no_obj_embed_spatial is not None:
            absent = 1 - (decoded.score > 0).float()
            encoded = encoded + (absent * module.no_obj_embed_spatial)[..., None, None]
        return [self.memory(*each) for each in zip(encoded.split(1), decoded.pointer.split(1), strict=True)]

    @torch.inference_mode()
    def memory(self, features: Tensor, pointer: Tensor) -> Memory:
        """Return a memory of encoded features ``(1, c, grid, grid)``, which may have been moved, and an object pointer ``(1, C)``."""
        kept = features.to(torch.bfloat16)
        if self._resampler is None:
            return Memory(kept, _tokens(kept), pointer)
        with self._precision():
            tokens = self._resampler(features.float(), self._map_position)
        return Memory(kept, tokens.to(torch.bfloat16), pointer)

    # ------------------------------------------------------------------ constants and rewritten weights

    def _prepare_constants(self, running: SAM2Base | None) -> None:
        module, grid = self.module, self.grid
        coarse = torch.zeros(1, self.channels, grid, grid, device=self.device)
        position = module.image_encoder.neck.position_encoding(coarse)
        self._image_position = 0.1 * _tokens(position) if module.memory_attention.pos_enc_at_input else 0.0
        small = torch.zeros(1, self.memory_channels, grid, grid, device=self.device)
        self._map_position = _tokens(module.memory_encoder.position_encoding(small))
        resampler: Any = resampler_of(module)
        memory_position = resampler.positions() if resampler else self._map_position
        self._memory_positions = memory_position + module.maskmem_tpos_enc.flatten(1).flip(0)[:, None]
        self._dense_position = module.sam_prompt_encoder.get_dense_pe()
        blank = torch.zeros(1, 1, 2, device=self.device), -torch.ones(1, 1, dtype=torch.int32, device=self.device)
        self._no_points, self._no_mask = module.sam_prompt_encoder(points=blank, boxes=None, masks=None)
        if running is None:
            running = module if self.dtype == torch.float32 else in_precision(module, self.dtype)
        running = with_constant_position(resized(running, self.size), self.size)
        self._attention = MemoryAttention(module, running, grid, self.dtype)
        self._folded = fold_neck(module, self.dtype)
        self._resampler = resampler_of(running)
        self.module = running

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _attention_style(self) -> PlainAttention | nullcontext:
        plain = self.device.type == "cpu" and self.dtype != torch.float32
        return PlainAttention() if plain else nullcontext()

    # ------------------------------------------------------------------ image encoder

    def _pyramid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return fine, middle and coarse features ``(B, ...)``."""
        module = self.module
        if self._folded is None:
            fine, middle, coarse = module.forward_image(images)["backbone_fpn"]
            return fine, middle, coarse
        levels = module.image_encoder.trunk(images)
        neck = module.image_encoder.neck.convs
        coarse = neck[1](levels[2]) + F.interpolate(neck[0](levels[3]).float(), scale_factor=2.0, mode="nearest")
        return F.conv2d(levels[0], *self._folded[0]), F.conv2d(levels[1], *self._folded[1]), coarse

    # ------------------------------------------------------------------ memory attention

    def _attend(self, features: Sequence[Features], recalls: Sequence[Recall], slices: int) -> Tensor:
        """Return image embeddings conditioned on memories, ``(B, C, grid, grid)``."""
        with self._precision():
            memory, position, pointers = self._gather(recalls, slices)
            memory, keyed = memory.to(self.dtype), (memory + position).to(self.dtype)
            x = torch.cat([each.tokens for each in features]).float()
            x = self._attention.finish(x, memory, keyed, pointers)
        return x.transpose(1, 2).reshape(len(features), self.channels, self.grid, self.grid)

    def _gather(self, recalls: Sequence[Recall], slices: int) -> tuple[Tensor, Tensor, int]:
        """Return the memories ``(B, M, c)`` of all objects, their positions ``(1, M, c)``, and how many of them are pointers."""
        spatial = [torch.cat([recall.spatial[n][1].to(self.device) for recall in recalls]) for n in range(len(recalls[0].spatial))]
        positions = [self._memory_positions[age][None] for age, _ in recalls[0].spatial]
        pointers, pointer_positions = self._pointer_tokens(recalls, slices)
        memory = torch.cat([*(each.float() for each in spatial), *pointers], 1)
        return memory, torch.cat([*positions, *pointer_positions], 1), sum(each.shape[1] for each in pointers)

    def _pointer_tokens(self, recalls: Sequence[Recall], slices: int) -> tuple[list[Tensor], list[Tensor]]:
        if not self.module.use_obj_ptrs_in_encoder or not recalls[0].pointers:
            return [], []
        stacked = torch.stack([torch.cat([pointer.to(self.device) for _, pointer in recall.pointers]) for recall in recalls])
        per_pointer = self.channels // self.memory_channels
        tokens = stacked.float().reshape(len(recalls), -1, self.memory_channels)
        furthest = min(slices, self.max_pointers) - 1
        positions = [self._pointer_position(distance, furthest) for distance, _ in recalls[0].pointers]
        return [tokens], [torch.cat(positions).repeat_interleave(per_pointer, dim=0)[None]]

    def _pointer_position(self, distance: int, furthest: int) -> Tensor:
        """Return the time encoding ``(1, c)`` of a pointer `distance` slices back."""
        known = self._pointer_positions.get((distance, furthest))
        if known is None:
            known = self._pointer_positions[distance, furthest] = self._encode_distance(distance, furthest)
        return known

    def _encode_distance(self, distance: int, furthest: int) -> Tensor:
        module = self.module
        if not module.add_tpos_enc_to_obj_ptrs:
            return torch.zeros(1, self.memory_channels, device=self.device)
        width = self.channels if module.proj_tpos_enc_in_obj_ptrs else self.memory_channels
        encoding = get_1d_sine_pe(torch.tensor([distance], device=self.device) / furthest, dim=width)
        return module.obj_ptr_tpos_proj(encoding).float()

    # ------------------------------------------------------------------ prompt encoder and mask decoder

    def _placed(self, points: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return points ``(1, n, 2)`` and their kinds ``(1, n)`` on the network's device."""
        coords = torch.as_tensor(points, dtype=torch.float32, device=self.device)[None]
        return coords, torch.as_tensor(labels, dtype=torch.int32, device=self.device)[None]

    def _prompt_encoder(self, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        # Outside autocast on purpose: 8 bits of a coordinate would move a click by whole pixels.
        with torch.autocast(self.device.type, enabled=False):
            return self.module.sam_prompt_encoder(points=(points, labels), boxes=None, masks=None)

    def _decode(self, coarse: Tensor, fine: Tensor, middle: Tensor, sparse: Tensor, dense: Tensor, several: bool) -> Decoded:
        module, batch = self.module, len(coarse)
        logits, quality, tokens, score = module.sam_mask_decoder(
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
        pointer = module.obj_ptr_proj(token)
        if module.pred_obj_scores:
            present = score > 0
            logits = torch.where(present[..., None, None], logits, NO_OBJ_SCORE)
            pointer = self._pointer_if_present(pointer, score.sigmoid() if module.soft_no_obj_ptr else present.float())
        return Decoded(logits, pointer.float(), score.float(), quality[every, best].float())

    def _mask_pointer(self, features: Features, painted: Tensor) -> Tensor:
        """Return the object pointer of a painted mask ``(1, 1, size, size)``, by decoding it as a mask prompt."""
        module = self.module
        if not module.use_obj_ptrs_in_encoder:
            return torch.zeros(1, self.channels, device=self.device)
        hint = module.mask_downsample(painted)
        # upstream resizes the quarter-size mask to the size that it already has, which changes nothing
        dense = module.sam_prompt_encoder.mask_downscaling(hint)
        return self._decode(features.coarse, features.fine, features.middle, self._no_points, dense, False).pointer

    def _pointer_if_present(self, pointer: Tensor, present: Tensor) -> Tensor:
        module = self.module
        if not module.pred_obj_scores:
            return pointer
        kept = present * pointer if module.fixed_no_obj_ptr else pointer
        return kept + (1 - present) * module.no_obj_ptr


def _as_logits(mask: Tensor) -> Tensor:
    """Return a mask ``(size, size)`` from -1 to 1 as the decoder would answer it.

    It becomes logits ``(1, 1, size/4, size/4)`` from -10 to 10.
    """
    return F.interpolate(10 * mask[None, None], scale_factor=0.25, mode="bilinear", align_corners=False, antialias=True)


def _tokens(maps: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` as ``(B, H * W, C)``."""
    return maps.flatten(2).transpose(1, 2)
