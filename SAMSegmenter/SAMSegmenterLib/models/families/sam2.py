"""SAM 2.0 and 2.1: networks of the unmodified `sam2` package, laid out by its own YAML files or by one beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from sam2.modeling.sam2_base import SAM2Base

from ...errors import CheckpointError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# The package's YAML files describe training; these are what upstream's build_sam2_video_predictor adds for tracking.
TRACKING = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}


def network_config(config: str, image_size: int) -> DictConfig:
    """The settings of a `SAM2Base` for tracking on square frames of `image_size` pixels, ready for hydra's `instantiate`.

    `config` is a YAML file beside this one, or else of the `sam2` package (``"configs/sam2.1/sam2.1_hiera_t.yaml"``).
    """
    own = Path(__file__).parent / config
    path = own if own.is_file() else Path(sam2.__file__).parent / config
    # Loaded as a plain file: hydra's own search path and global state stay as they are.
    settings = OmegaConf.load(path).model
    return OmegaConf.merge(TRACKING, settings, {"image_size": image_size})


def build(config: str, image_size: int, state: Mapping[str, torch.Tensor], source: str) -> SAM2Base:
    """The network with the weights `state`: float32, on the CPU, for inference, without gradients.

    `source` is what messages call the weights.

    Raises:
        CheckpointError: weights are missing, unexpected or of another shape; names the first few.
    """
    network = instantiate(network_config(config, image_size))
    _check_fit(network.state_dict(), state, source)
    network.load_state_dict(state)
    return network.float().eval().requires_grad_(False)


def _check_fit(wanted: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], source: str) -> None:
    misshapen = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    faults = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "of another shape": misshapen,
    }
    found = [f"{len(names)} {fault} ({_first(names)})" for fault, names in faults.items() if names]
    if found:
        raise CheckpointError(
            f"{source}: the weights do not fit the network: {'; '.join(found)}. The file is incomplete or of a modified network."
        )


def _first(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
