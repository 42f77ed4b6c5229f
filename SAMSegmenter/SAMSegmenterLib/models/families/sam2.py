"""SAM 2.0 and 2.1, MedSAM2, Medical-SAM-2 and Biomedical-SAM-2: networks of the unmodified `sam2` package.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; Ma et al., "MedSAM2", 2025 (arXiv 2504.03600), which is
SAM 2.1 tiny at 512 pixels; Yan et al., "Biomedical SAM 2", 2024 (arXiv 2408.03286), which is SAM 2.0 small without ImageNet's
mean and deviation. The code is Apache-2.0, and so are SAM 2's weights; MedSAM2's are for research and education. The networks
are laid out by `layouts`. Propagation is compared with the package's `SAM2VideoPredictor`, the slice model with its
`SAM2ImagePredictor`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..sam2_package import SAM2Base
from . import layouts
from .fitting import State, fitted, without_prefix
from .normalisers import IMAGENET_MEAN, IMAGENET_STD, published
from .promptable import Asked, Promptable

MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
CERTAIN = 32.0  # upstream's bound of the logits of a mask to be corrected


def build(config: str, image_size: int, state: State, source: str) -> SAM2Base:
    """Return the network of the layout `config` with the weights `state`; see `fitting.fitted`.

    Raises:
        CheckpointError: weights are missing, unexpected or of another shape; names the first few.
    """
    return fitted(lambda: layouts.built(layouts.layout(config, image_size)), state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: SAM2Base, image_size: int, normaliser: str = "sam2") -> Promptable:
    """Return a `SliceModel` that answers as upstream's `SAM2ImagePredictor` does."""
    return Sam2Slices(network, published(normaliser, image_size))


class ImageParts(nn.Module):
    """The parts of a SAM 2 network that need no memory, under the same names."""

    def __init__(self, whole: SAM2Base) -> None:
        super().__init__()
        self.image_encoder = whole.image_encoder
        self.sam_prompt_encoder = whole.sam_prompt_encoder
        self.sam_mask_decoder = whole.sam_mask_decoder
        self.no_mem_embed = whole.no_mem_embed


class Sam2Slices(Promptable):
    """A `SliceModel` of a `SAM2Base` or of `ImageParts`."""

    def _dense_position(self) -> Tensor:
        return self.network.sam_prompt_encoder.get_dense_pe()

    def _encode(self, image: Tensor) -> tuple[Tensor, ...]:
        network, decoder = self.network, self.network.sam_mask_decoder
        fine, middle, coarse = network.image_encoder(image)["backbone_fpn"]
        coarse = coarse + network.no_mem_embed.view(1, -1, 1, 1)
        return (coarse, decoder.conv_s0(fine), decoder.conv_s1(middle)) if decoder.use_high_res_features else (coarse,)

    def _decode(self, features: tuple[Tensor, ...], asked: Asked) -> tuple[Tensor, Tensor]:
        coarse, *finer = features
        sparse, dense = self._prompted(asked)
        low, qualities, _, _ = self.network.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=self._position.to(self.device),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=asked.several,
            repeat_image=False,
            high_res_features=finer or None,
        )
        return low, qualities

    def _prompted(self, asked: Asked) -> tuple[Tensor, Tensor]:
        """Return embedded prompts, sparse and dense; a box is embedded as a pair of points."""
        prior = None if asked.prior is None else asked.prior.clamp(-CERTAIN, CERTAIN)
        return self.network.sam_prompt_encoder(points=_as_points(asked.clicks, asked.corners), boxes=None, masks=prior)


def _as_points(clicks: tuple[Tensor, Tensor] | None, corners: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Return clicks and the corners of a box as points; the corners come first and are of kinds 2 and 3."""
    if corners is None:
        return clicks
    kinds = torch.tensor([[2, 3]], dtype=torch.int32, device=corners.device)
    if clicks is None:
        return corners, kinds
    return torch.cat([corners, clicks[0]], 1), torch.cat([kinds, clicks[1]], 1)
