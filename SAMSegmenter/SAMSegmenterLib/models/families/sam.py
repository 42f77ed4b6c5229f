"""SAM ViT-B, L and H, and MedSAM, a ViT-B with weights and a normaliser of its own.

Kirillov et al., "Segment Anything", 2023; code and weights Apache-2.0. Ma et al., "Segment anything in medical images",
2024; code Apache-2.0, weights CC BY 4.0. The networks are those of the unmodified `segment-anything` package, and with the same
weights give the masks of its `SamPredictor`; MedSAM's answer is compared with its published script, written out anew.
"""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
from torch import Tensor, nn

from .decoding import decode
from .fitting import State, fitted, without_prefix
from .normalisers import SAM_MEAN, SAM_STD, published
from .promptable import Asked, Promptable

# Channels, heads, blocks, and which of the blocks see the whole picture.
LAYOUTS = {"vit_b": (768, 12, 12, (2, 5, 8, 11)), "vit_l": (1024, 16, 24, (5, 11, 17, 23)), "vit_h": (1280, 16, 32, (7, 15, 23, 31))}
CHANNELS = 256  # of the image embedding
PATCH = 16
WINDOW = 14


def build(config: str, image_size: int, state: State, source: str) -> Sam:
    """Return the network `config`, one of `LAYOUTS`, with the weights `state`; see `fitting.fitted`."""
    return fitted(lambda: around(vit(config, image_size), image_size), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: Sam, image_size: int, normaliser: str) -> Promptable:
    """Return a `SliceModel` of SAM ("sam") or of MedSAM ("medsam"), which takes boxes only."""
    if normaliser == "medsam":
        return SamSlices(network, published(normaliser, image_size), frozenset({"box"}), "never")
    return SamSlices(network, published(normaliser, image_size))


def vit(config: str, image_size: int, block: type[Block] = Block, encoder: type[ImageEncoderViT] = ImageEncoderViT) -> ImageEncoderViT:
    """Return SAM's image encoder, with other blocks or as another class if given."""
    width, heads, depth, whole = LAYOUTS[config]
    norm = partial(nn.LayerNorm, eps=1e-6)
    made = encoder(img_size=image_size, patch_size=PATCH, embed_dim=width, depth=0, out_chans=CHANNELS, norm_layer=norm)
    grid = image_size // PATCH
    for number in range(depth):
        window = 0 if number in whole else WINDOW
        made.blocks.append(
            block(dim=width, num_heads=heads, norm_layer=norm, use_rel_pos=True, window_size=window, input_size=(grid, grid))
        )
    return made


def around(image_encoder: nn.Module, image_size: int) -> Sam:
    """Return a SAM of an image encoder, with the prompt encoder and the mask decoder that all SAMs share."""
    grid = image_size // PATCH
    prompt_encoder = PromptEncoder(CHANNELS, (grid, grid), (image_size, image_size), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048)
    decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer)
    return Sam(image_encoder, prompt_encoder, decoder, SAM_MEAN, SAM_STD)


def attended(block: Block, x: Tensor) -> Tensor:
    """Return what a block's attention adds to its input ``(B, H, W, C)``; for blocks with more parts than SAM's."""
    normed = block.norm1(x)
    if not block.window_size:
        return block.attn(normed)
    windows, padded = window_partition(normed, block.window_size)
    return window_unpartition(block.attn(windows), block.window_size, padded, x.shape[1:3])


class SamSlices(Promptable):
    """A `SliceModel` of any `Sam`."""

    network: Sam

    def _dense_position(self) -> Tensor:
        return self.network.prompt_encoder.get_dense_pe().contiguous(memory_format=torch.channels_last)

    def _encode(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.network.image_encoder(image).contiguous(memory_format=torch.channels_last),)

    def _decode(self, features: tuple[Tensor, ...], asked: Asked) -> tuple[Tensor, Tensor]:
        sparse, dense = self.network.prompt_encoder(points=asked.clicks, boxes=asked.corners, masks=asked.prior)
        return decode(self.network.mask_decoder, features[0], self._position.to(self.device), sparse, dense, asked.several)
