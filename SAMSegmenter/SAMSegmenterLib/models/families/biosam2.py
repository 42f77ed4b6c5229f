"""BioSAM2: the parts of SAM 2.0 that see one picture, trained as MedSAM was.

Published by DLYuanGod as code and layout (Apache-2.0), derived from MedSAM and `sam2`; no paper or weights were found. It
differs from SAM 2 in its decoder, which leaves out the fine image features, in how it takes a box, and in its normaliser,
MedSAM's. Compared with those computations written out on the modules of the `sam2` package.

The layout lacks one thing that the training took from the official SAM 2.0 weights and kept: `no_mem_embed`, 256
numbers added to the embedding. A file that has them as well is read with them, otherwise they are taken as zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import layouts
from .fitting import State, fitted, without_prefix
from .normalisers import published
from .promptable import Asked, Promptable
from .sam2 import ImageParts, Sam2Slices

RENAMED = {"mask_decoder.": "sam_mask_decoder.", "prompt_encoder.": "sam_prompt_encoder."}
UNUSED = ("sam_mask_decoder.conv_s0.", "sam_mask_decoder.conv_s1.")  # they would add the fine features


def build(config: str, image_size: int, state: State, source: str) -> ImageParts:
    """Return the network of the layout `config` with the weights `state`; see `fitting.fitted`."""
    settings = layouts.layout(config, image_size) | {"use_high_res_features_in_sam": False}
    state = {"no_mem_embed": torch.zeros(1, 1, settings["image_encoder"]["neck"]["d_model"]), **state}
    return fitted(lambda: ImageParts(layouts.built(settings)), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    state = without_prefix(without_prefix(state), "model.")
    renamed = {_renamed(name): value for name, value in state.items()}
    return {name: value for name, value in renamed.items() if not name.startswith(UNUSED)}


def slice_model(network: ImageParts, image_size: int, normaliser: str = "medsam") -> Promptable:
    """Return a `SliceModel` that takes boxes only."""
    return BioSam2Slices(network, published(normaliser, image_size), frozenset({"box"}), "never")


class BioSam2Slices(Sam2Slices):
    """A `SliceModel` of `ImageParts` that embeds a box as a box, and not as a pair of points as SAM 2 does."""

    def _prompted(self, asked: Asked) -> tuple[Tensor, Tensor]:
        return self.network.sam_prompt_encoder(points=asked.clicks, boxes=asked.corners, masks=asked.prior)


def _renamed(name: str) -> str:
    return next((new + name.removeprefix(old) for old, new in RENAMED.items() if name.startswith(old)), name)
