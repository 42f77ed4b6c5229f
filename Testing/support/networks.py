"""Networks with seeded random weights, for tests and benchmarks that need no download."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import nn

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.families import layouts
from SAMSegmenterLib.models.storage import store

IDS = {
    "pico": "samsegmenter-pico",
    "t": "sam2.1-hiera-tiny",
    "s": "sam2.1-hiera-small",
    "b+": "sam2.1-hiera-base-plus",
    "l": "sam2.1-hiera-large",
}


def random_network(config: str, image_size: int, seed: int = 0, always_visible: bool = True) -> SAM2VideoPredictor:
    """Upstream's unmodified predictor, itself a `SAM2Base`, on the CPU with the same random weights for the same `seed`.

    Args:
        config: "pico", "t", "s", "b+" or "l" (the last four are SAM 2.1).
        image_size: side of the square input in pixels.
        seed: torch's global generator is left as it was.
        always_visible: force the object score positive; otherwise a network that judges the object absent gives
            the constant mask -1024, with which any two implementations agree.
    """
    settings = layouts.layout(catalog.entry(IDS[config]).config, image_size)
    settings |= {layouts.CLASS: "SAM2VideoPredictor", "fill_hole_area": 0}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = layouts.built(settings)
        _make_lively(network)
        if always_visible:
            network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(20.0)
    return network.eval().requires_grad_(False)


def weights_of_their_own(path: Path) -> Path:
    """A file of weights that nobody published, in the layout of the smallest network."""
    state = load_file(store.locate(catalog.entry(IDS["pico"])))
    state["no_mem_embed"] += 1
    save_file(state, path)
    return path


def _make_lively(network: SAM2VideoPredictor) -> None:
    # As initialised for training, blocks add next to nothing and every mask is flat: differences would go unseen.
    # Weights of variance 1/inputs keep activations, and so the mask logits, at a spread of about 1.
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight.normal_(0, 1 / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                module.bias.normal_(0, 0.05)
        if isinstance(getattr(module, "gamma", None), nn.Parameter):
            module.gamma.fill_(0.3)
    network.maskmem_tpos_enc.normal_(0, 0.5)
    network.image_encoder.trunk.pos_embed.normal_(0, 0.3)
    network.image_encoder.trunk.pos_embed_window.normal_(0, 0.3)
