"""The network in training: unmodified `sam2` modules, called so that gradients flow and every candidate mask is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.families import layouts
from ..models.families.sam2 import build
from ..models.sam2_package import SAM2Base
from .simulated_prompts import Prompt

CONFIG = "samsegmenter_pico"
STRIDE = 16  # input pixels for one of the image embedding


@dataclass(frozen=True)
class Answer:
    """Four masks for each of B objects; the first one is meant for prompts without ambiguity.

    Attributes:
        masks: logits ``(B, 4, size/4, size/4)``.
        quality: ``(B, 4)`` expected intersection over union.
        token: ``(B, C)`` the first mask's output token.
        score: ``(B,)`` object score logits.
    """

    masks: Tensor
    quality: Tensor
    token: Tensor
    score: Tensor


@dataclass(frozen=True)
class FrameFeatures:
    """Features of V * T frames, as `SAM2Base` passes them around: ``(pixels, V * T, channels)``, fine to coarse."""

    levels: list[Tensor]
    positions: list[Tensor]
    sizes: list[tuple[int, int]]

    def of(self, indices: Tensor) -> FrameFeatures:
        """Return the features of the frames with these indices ``(B,)``."""
        return FrameFeatures([each[:, indices] for each in self.levels], [each[:, indices] for each in self.positions], self.sizes)

    def maps(self, level: int) -> Tensor:
        """Return the features of one level as ``(B, channels, rows, columns)``."""
        tokens = self.levels[level]
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], tokens.shape[2], *self.sizes[level])


class Trainee:
    """A `SAM2Base` in training, at one input size.

    Args:
        network: with gradients; shared with others that run at other sizes.
    """

    def __init__(self, network: SAM2Base) -> None:
        self.network, self.size = network, network.image_size

    def look(self, images: Tensor) -> FrameFeatures:
        """Encode normalised images ``(N, 3, size, size)``."""
        _, levels, positions, sizes = self.network._prepare_backbone_features(self.network.forward_image(images))
        return FrameFeatures(levels, positions, sizes)

    def prompted(self, frames: FrameFeatures, prompt: Prompt, previous: Tensor | None = None) -> Answer:
        """Answer clicks and boxes on a frame for each; `previous` logits ``(B, 1, size/4, size/4)`` are to be corrected."""
        return self._decode(frames, self._without_memory(frames), prompt, previous)

    def painted(self, frames: FrameFeatures, masks: Tensor) -> Answer:
        """Answer masks ``(B, 1, size, size)`` that were painted; the answer's pointer is what will be remembered of them."""
        return self._decode(frames, self._without_memory(frames), None, self.network.mask_downsample(masks))

    def tracked(self, frames: FrameFeatures, memories: dict, index: int, count: int) -> Answer:
        """Find objects on frame `index` of `count` from `memories`, as `SAM2Base` keeps them."""
        conditioned = self.network._prepare_memory_conditioned_features(
            frame_idx=index,
            is_init_cond_frame=False,
            current_vision_feats=frames.levels[-1:],
            current_vision_pos_embeds=frames.positions[-1:],
            feat_sizes=frames.sizes[-1:],
            output_dict=memories,
            num_frames=count,
        )
        return self._decode(frames, conditioned, None, None)

    def remembered(self, frames: FrameFeatures, masks: Tensor, token: Tensor, score: Tensor) -> dict[str, Tensor | list[Tensor]]:
        """Return a memory of logits ``(B, 1, size, size)`` on `frames`; absent objects have a score below 0."""
        features, positions = self.network._encode_new_memory(frames.levels, frames.sizes, masks, score[:, None], False)
        present = (score > 0).float()[:, None]
        pointer = present * self.network.obj_ptr_proj(token) + (1 - present) * self.network.no_obj_ptr
        return {"maskmem_features": features, "maskmem_pos_enc": positions, "obj_ptr": pointer}

    def _without_memory(self, frames: FrameFeatures) -> Tensor:
        return frames.maps(-1) + self.network.no_mem_embed.view(1, -1, 1, 1)

    def _decode(self, frames: FrameFeatures, coarse: Tensor, prompt: Prompt | None, mask: Tensor | None) -> Answer:
        network, count = self.network, len(coarse)
        if prompt is None:
            blank = torch.zeros(count, 1, 2, device=coarse.device), -torch.ones(count, 1, dtype=torch.int32, device=coarse.device)
        else:
            blank = prompt.xy, prompt.labels
        if mask is not None and mask.shape[-2:] != tuple(network.sam_prompt_encoder.mask_input_size):
            mask = F.interpolate(mask.float(), network.sam_prompt_encoder.mask_input_size, mode="bilinear", antialias=True)
        sparse, dense = network.sam_prompt_encoder(points=blank, boxes=None, masks=mask)
        masks, quality, tokens, score = network.sam_mask_decoder.predict_masks(
            image_embeddings=coarse,
            image_pe=network.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[frames.maps(0), frames.maps(1)],
        )
        return Answer(masks.float(), quality.float(), tokens[:, 0].float(), score[:, 0].float())


def make_network(size: int, state: Mapping[str, Tensor] | None = None) -> SAM2Base:
    """Return the included network, for input of `size` pixels, with the weights `state`, or with weights to start from.

    Raises:
        CheckpointError: `state` is of another network.
    """
    if state is not None:
        return build(CONFIG, size, state, "the weights to start from").requires_grad_(True).train()
    network = layouts.built(layouts.layout(CONFIG, size))
    start(network)
    return network.train()


# All below sets weights to start from. With the usual random ones this network stays at chance for hours.
SAME_PLACE = 3.0  # makes memory attention start as "look where you are"
TIED = 0.17  # spread of projections shared by queries and keys, so that prompts attend to their own place
EMBEDDINGS = 0.3  # of their usual size, lest they drown the positions
DECIDED = 5.0  # makes masks start further from 0
PRESENT = 1.5  # objects are there unless there is a sign that they are not


@torch.no_grad()
def start(network: SAM2Base) -> None:
    """Set weights from which training gets going: prompts act at their place, memories at theirs."""
    for layer in network.memory_attention.layers:
        for projection in (layer.cross_attn_image.q_proj, layer.cross_attn_image.k_proj):
            projection.bias.zero_()
            projection.bias[0::2] = SAME_PLACE  # rotary encoding turns what q and k share into a bump at distance 0
    decoder = network.sam_mask_decoder
    _tie_attention(decoder.transformer)
    prompts = network.sam_prompt_encoder
    for each in (*prompts.point_embeddings, prompts.not_a_point_embed, prompts.no_mask_embed):
        each.weight.mul_(EMBEDDINGS)
    for each in (decoder.iou_token, decoder.mask_tokens, decoder.obj_score_token):
        each.weight.mul_(0.8)
    network.mask_downsample.weight.fill_(20 / 16)  # the mean of a painted mask, as logits of +-10
    network.mask_downsample.bias.fill_(-10)
    for head in decoder.output_hypernetworks_mlps:
        head.layers[-1].weight.mul_(DECIDED)
    decoder.pred_obj_score_head.layers[-1].bias.fill_(PRESENT)
    for positions in (network.image_encoder.trunk.pos_embed, network.image_encoder.trunk.pos_embed_window):
        torch.nn.init.trunc_normal_(positions, std=0.02)


def _tie_attention(transformer: Any) -> None:
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in attentions:
        shared = TIED * (96 / attention.embedding_dim) ** 0.5 * torch.randn_like(attention.q_proj.weight)
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.copy_(shared)
            projection.bias.zero_()
    # the first self-attention replaces its input: started as the identity, lest all tokens become the same average
    first = transformer.layers[0].self_attn
    same = torch.eye(first.embedding_dim)
    for projection, scale in ((first.q_proj, 2.2), (first.k_proj, 2.2), (first.v_proj, 1.0), (first.out_proj, 1.0)):
        projection.weight.copy_(scale * same)
