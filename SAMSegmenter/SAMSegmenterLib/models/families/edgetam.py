"""EdgeTAM as a slice model: SAM 2's decoder behind a small image encoder, RepViT-M1.

Zhou et al., "EdgeTAM: On-Device Track Anything Model", CVPR 2025 (arXiv 2501.07256); code and weights Apache-2.0. The encoder's
trunk is that of the `timm` package, everything behind it of `sam2`, under the published names; `transformers` has the
network too, under names of its own, and serves as the reference to compare with.

Its propagation is not supported: memories are resampled to 512 latents that lie nowhere on the slice, while
propagation here moves memories along with the region it looks at. The weights of that part are left out.
"""

from __future__ import annotations

from hydra.utils import instantiate
from sam2.modeling.backbones.image_encoder import ImageEncoder
from torch import Tensor, nn

from ...errors import CheckpointError
from .fitting import State, fitted, without_prefix
from .normalisers import published
from .sam2 import ImageParts, Sam2Slices, network_config

DECODER = "configs/sam2.1/sam2.1_hiera_t.yaml"  # of which EdgeTAM has the prompt encoder, the decoder and the neck
PARTS = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")


class Trunk(nn.Module):
    """RepViT-M1: input ``(B, 3, n, n)`` to four maps, the finest first, of `channel_list` channels in reverse."""

    channel_list = (384, 192, 96, 48)

    def __init__(self) -> None:
        super().__init__()
        try:
            from timm import create_model
        except ImportError as error:
            raise CheckpointError("EdgeTAM needs the package timm; install it with: pip install timm") from error
        self.body = create_model("repvit_m1", pretrained=False, features_only=True, out_indices=(0, 1, 2, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.body(x)


def build(config: str, image_size: int, state: State, source: str) -> ImageParts:
    """The network with the weights `state`; see `fitting.fitted`. There is one layout, called "repvit_m1".

    Raises:
        CheckpointError: also if the package timm is missing.
    """
    settings = network_config(DECODER, image_size)
    network = ImageParts(instantiate(settings))
    neck = instantiate(settings.image_encoder.neck, backbone_channel_list=Trunk.channel_list)
    network.image_encoder = ImageEncoder(Trunk(), neck, settings.image_encoder.scalp)
    return fitted(network, state, source)


def clean(state: State) -> dict[str, Tensor]:
    """The weights of a published file that a slice model needs, under the network's names."""
    return {name: value for name, value in without_prefix(state).items() if name.startswith(PARTS)}


def slice_model(network: ImageParts, image_size: int, normaliser: str = "sam2") -> Sam2Slices:
    """A `SliceModel`."""
    return Sam2Slices(network, published(normaliser, image_size))
