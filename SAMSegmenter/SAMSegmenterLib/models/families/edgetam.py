"""EdgeTAM: SAM 2 for phones, behind a small image encoder, RepViT-M1, and with memories summed up in few tokens.

Zhou et al., "EdgeTAM: On-Device Track Anything Model", CVPR 2025 (arXiv 2501.07256); code and weights Apache-2.0. The encoder's
trunk is that of the `timm` package, its resampler of memories is in `perceiver`, all else are `sam2`'s modules, under the
published names. `transformers` has the network too, under names of its own; it serves as the reference to compare with.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...errors import CheckpointError
from ..sam2_package import SAM2Base
from . import layouts
from .fitting import NEEDS_TIMM, State, fitted, without_prefix
from .normalisers import published
from .perceiver import Perceiver
from .sam2 import Sam2Slices


class Trunk(nn.Module):
    """RepViT-M1, from an image ``(B, 3, n, n)`` to four maps, the finest first, of `channel_list` channels in reverse."""

    def __init__(self) -> None:
        super().__init__()
        self.channel_list = [384, 192, 96, 48]
        try:
            from timm import create_model
        except ImportError as error:
            raise CheckpointError(NEEDS_TIMM.format(name="EdgeTAM")) from error
        self.body = create_model("repvit_m1", pretrained=False, features_only=True, out_indices=(0, 1, 2, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the four maps of an image ``(B, 3, n, n)``."""
        return self.body(x)


def build(config: str, image_size: int, state: State, source: str) -> SAM2Base:
    """Return the network of the layout `config` with the weights `state`; see `fitting.fitted`.

    Raises:
        CheckpointError: also if the package timm is missing.
    """

    def network() -> SAM2Base:
        """Return it with the weights that it begins with."""
        settings = layouts.layout(config, image_size)
        settings["image_encoder"]["trunk"] = Trunk()
        made = layouts.built(settings)
        made.spatial_perceiver = Perceiver()
        return made

    return fitted(network, state, source)


def clean(state: State) -> dict[str, Tensor]:
    """Return the weights of a published file under the network's names."""
    return without_prefix(state)


def slice_model(network: SAM2Base, image_size: int, normaliser: str = "sam2") -> Sam2Slices:
    """Return a `SliceModel` of the network."""
    return Sam2Slices(network, published(normaliser, image_size))
