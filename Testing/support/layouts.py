"""Seeded random checkpoints in the layouts in which networks are published: the same names and shapes, no download.

Names come from reference implementations where a package has them, else from lists written down here; never from the
families under test.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from segment_anything import sam_model_registry
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]
VIT_B_BLOCKS, VIT_B = 12, 768
SAM2_TINY, SAM2_1_TINY = "configs/sam2/sam2_hiera_t.yaml", "configs/sam2.1/sam2.1_hiera_t.yaml"


def filled(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random weights of these names and shapes with which activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _value(name, shape, generator) for name, shape in shapes.items()}


def _value(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    noise = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return 1 + 0.1 * noise.abs()
    if len(shape) == 1:  # biases, and the factors of norms
        return 0.05 * noise + (1.0 if name.endswith("weight") else 0.0)
    if name.endswith("gaussian_matrix"):
        return noise
    return noise / math.sqrt(math.prod(shape[1:]))


def without(state: dict[str, Any], name: str) -> dict[str, Any]:
    """All of `state` but one."""
    return {other: value for other, value in state.items() if other != name}


def contained(family: str, state: dict[str, Tensor]) -> dict[str, Any]:
    """Weights inside what the training script of a family saves beside them."""
    medical_sam = {"epoch": 3, "model": "sam", "state_dict": state, "optimizer": {}, "best_tol": 0.1, "path_helper": {}}
    containers = {
        "sam_med2d": {"model": state, "optimizer": {}},
        "med_sa": medical_sam,
        "biomedical_sam2": {**medical_sam, "model": "sam2", "best_dice": 0.9},
        "biosam2": {"model": state, "optimizer": {}, "epoch": 3},
        "db_sam": {"net": state},
        "sam2": {"model": state},
        "edgetam": {"model": state},
    }
    return containers.get(family, state)


def shapes_of(network: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def shallow(shapes: Shapes, blocks: int) -> Shapes:
    """Those of a network with only the first blocks of the image encoder."""
    start = "image_encoder.blocks."
    return {name: shape for name, shape in shapes.items() if not name.startswith(start) or int(name.split(".")[2]) < blocks}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Networks built within have weights with shapes but no memory; only the constants that `Hiera` reads are real."""
    with patch.object(torch, "linspace", functools.partial(torch.linspace, device="cpu")), torch.device("meta"):
        yield


def sam_shapes(config: str, size: int = 1024) -> Shapes:
    """SAM and MedSAM: `config` one of vit_b, vit_l and vit_h."""
    with shapes_only():
        shapes = shapes_of(sam_model_registry[config]())
    return {name: _at_size(name, shape, size) for name, shape in shapes.items()}


def _at_size(name: str, shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The shape that a network for another input size has; only positions know of it."""
    if name.endswith("pos_embed"):
        return 1, size // 16, size // 16, shape[-1]
    if "rel_pos" in name and shape[0] == 2 * 1024 // 16 - 1:
        return 2 * size // 16 - 1, shape[1]
    return shape


def sam_med2d_shapes() -> Shapes:
    shapes = sam_shapes("vit_b", 256)
    for block in range(VIT_B_BLOCKS):
        adapter = f"image_encoder.blocks.{block}.Adapter."
        shapes |= {adapter + "norm.weight": (VIT_B,), adapter + "norm.bias": (VIT_B,)}
        shapes |= {adapter + "channel.0.weight": (VIT_B // 4, VIT_B), adapter + "channel.2.weight": (VIT_B, VIT_B // 4)}
        shapes |= {adapter + "spatial.0.weight": (VIT_B, VIT_B, 3, 3), adapter + "spatial.2.weight": (VIT_B, VIT_B, 4, 4)}
    return shapes


def med_sa_shapes(size: int = 1024) -> Shapes:
    shapes = sam_shapes("vit_b", size)
    for block in range(VIT_B_BLOCKS):
        for kind in ("MLP_Adapter", "Space_Adapter"):
            shapes |= _linear(f"image_encoder.blocks.{block}.{kind}.D_fc1", VIT_B, VIT_B // 4)
            shapes |= _linear(f"image_encoder.blocks.{block}.{kind}.D_fc2", VIT_B // 4, VIT_B)
    return shapes


def db_sam_shapes(size: int = 1024) -> Shapes:
    """The names of the authors' parts as far as they are known; within the parts, this project's own."""
    shapes, adapter = sam_shapes("vit_b", size), "image_encoder.adapter."
    shapes[adapter + "level_embed"] = (5, VIT_B)
    prior = adapter + "spatial_prior_module."
    inputs = {f"{prior}stem.0": 3, f"{prior}stem.1": 64, f"{prior}stem.2": 64, **{f"{prior}lcb{n}": 64 for n in range(1, 5)}}
    for name, channels in inputs.items():
        shapes |= {f"{name}.0.weight": (64, channels, 3, 3), f"{name}.1.weight": (64,), f"{name}.1.bias": (64,)}
    for level in range(5):
        shapes |= _linear(f"{prior}fc.{level}", 64, VIT_B) | _linear(f"{adapter}fusion.conv_fc.{level}", VIT_B, VIT_B)
    for stage in range(4):
        shapes |= _cross_attention(f"{adapter}self_attn_blocks.{stage}.", levels=5)
        shapes |= _cross_attention(f"{adapter}self_attn_blocks1.{stage}.", levels=1)
    shapes |= _linear(adapter + "fusion.vit_fc", VIT_B, VIT_B) | _norm(adapter + "norm", VIT_B) | _norm(adapter + "fusion.ffn.0", VIT_B)
    return shapes | _linear(adapter + "fusion.ffn.1", VIT_B, VIT_B // 4) | _linear(adapter + "fusion.ffn.3", VIT_B // 4, VIT_B)


def _cross_attention(name: str, levels: int, heads: int = 12, points: int = 4) -> Shapes:
    places = heads * levels * points
    shapes = {name + "gamma": (VIT_B,), **_norm(name + "query_norm", VIT_B), **_norm(name + "value_norm", VIT_B)}
    shapes |= _linear(name + "attn.sampling_offsets", VIT_B, 2 * places) | _linear(name + "attn.attention_weights", VIT_B, places)
    return shapes | _linear(name + "attn.value_proj", VIT_B, VIT_B) | _linear(name + "attn.output_proj", VIT_B, VIT_B)


def mobile_sam_shapes() -> Shapes:
    kept = ("prompt_encoder.", "mask_decoder.")
    shapes = {name: shape for name, shape in sam_shapes("vit_b").items() if name.startswith(kept)}
    encoder, widths = "image_encoder.", (64, 128, 160, 320)
    shapes |= _conv_bn(encoder + "patch_embed.seq.0", 32, 3, 3) | _conv_bn(encoder + "patch_embed.seq.2", 64, 32, 3)
    for block in range(2):
        name = f"{encoder}layers.0.blocks.{block}."
        shapes |= _conv_bn(name + "conv1", 256, 64, 1) | _conv_bn(name + "conv2", 256, 1, 3) | _conv_bn(name + "conv3", 64, 256, 1)
    for layer in range(3):
        name, width = f"{encoder}layers.{layer}.downsample.", widths[layer + 1]
        shapes |= _conv_bn(name + "conv1", width, widths[layer], 1) | _conv_bn(name + "conv2", width, 1, 3)
        shapes |= _conv_bn(name + "conv3", width, width, 1)
    for layer, depth, heads, window in ((1, 2, 4, 7), (2, 6, 5, 14), (3, 2, 10, 7)):
        for block in range(depth):
            shapes |= _tiny_vit_block(f"{encoder}layers.{layer}.blocks.{block}.", widths[layer], heads, window)
    shapes |= _norm(encoder + "norm_head", 320) | _linear(encoder + "head", 320, 1000)
    shapes |= {encoder + "neck.0.weight": (256, 320, 1, 1), encoder + "neck.2.weight": (256, 256, 3, 3)}
    return shapes | _norm(encoder + "neck.1", 256) | _norm(encoder + "neck.3", 256)


def _tiny_vit_block(name: str, width: int, heads: int, window: int) -> Shapes:
    shapes = {name + "attn.attention_biases": (heads, window**2), **_norm(name + "attn.norm", width), **_norm(name + "mlp.norm", width)}
    shapes |= _linear(name + "attn.qkv", width, 3 * width) | _linear(name + "attn.proj", width, width)
    shapes |= _linear(name + "mlp.fc1", width, 4 * width) | _linear(name + "mlp.fc2", 4 * width, width)
    return shapes | _conv_bn(name + "local_conv", width, 1, 3)


def sam2_shapes(config: str = SAM2_1_TINY) -> Shapes:
    """SAM 2.0 and 2.1, MedSAM2 and Biomedical-SAM-2: `config` a YAML file of the sam2 package."""
    with shapes_only():
        return shapes_of(instantiate(OmegaConf.load(Path(sam2.__file__).parent / config).model))


def biosam2_shapes() -> Shapes:
    """Without anything that needs memory, and with names that are not SAM 2's."""
    renamed = {"image_encoder.": "image_encoder.", "sam_mask_decoder.": "mask_decoder.", "sam_prompt_encoder.": "prompt_encoder."}
    shapes = sam2_shapes(SAM2_TINY)
    return {new + name.removeprefix(old): shape for old, new in renamed.items() for name, shape in shapes.items() if name.startswith(old)}


def edgetam_shapes() -> Shapes:
    """SAM 2.1 tiny's with another trunk, half the memory attention, a resampler, and nothing that encodes absence or pointers' age."""
    from timm import create_model

    replaced = ["image_encoder.trunk.", "no_obj_embed_spatial", "obj_ptr_tpos_proj."]
    replaced += [f"memory_attention.layers.{number}." for number in (2, 3)]
    shapes = {name: shape for name, shape in sam2_shapes().items() if not name.startswith(tuple(replaced))}
    for level, width in enumerate((384, 192, 96, 48)):
        shapes[f"image_encoder.neck.convs.{level}.conv.weight"] = (256, width, 1, 1)
    trunk = create_model("repvit_m1", pretrained=False, features_only=True, out_indices=(0, 1, 2, 3))
    shapes |= {f"image_encoder.trunk.body.{name}": shape for name, shape in shapes_of(trunk).items()}
    shapes |= {"spatial_perceiver.latents": (256, 64), "spatial_perceiver.latents_2d": (256, 64), **_norm("spatial_perceiver.norm", 64)}
    for layer in ("spatial_perceiver.layers.0.", "spatial_perceiver.layers.1."):
        for name in ("attn.norm_latents", "attn.norm_x", "self_attn.norm", "ff.0", "self_ff.0"):
            shapes |= _norm(layer + name, 64)
        for attention in ("attn.", "self_attn."):
            shapes |= {f"{layer}{attention}{name}.weight": (width, 64) for name, width in (("to_q", 64), ("to_kv", 128), ("to_out", 64))}
        for thought in ("ff.", "self_ff."):
            shapes |= {layer + thought + "1.weight": (256, 64), layer + thought + "3.weight": (64, 256)}
    return shapes


def sam2_unet_shapes(config: str = "configs/sam2/sam2_hiera_l.yaml") -> Shapes:
    trunk = {
        name.removeprefix("image_encoder.trunk."): shape
        for name, shape in sam2_shapes(config).items()
        if name.startswith("image_encoder.trunk.")
    }
    shapes: Shapes = {}
    for name, shape in trunk.items():
        head, _, rest = name.partition(".")
        number, _, rest = rest.partition(".")
        shapes["encoder." + (f"blocks.{number}.block.{rest}" if head == "blocks" else name)] = shape
        if rest == "attn.qkv.weight":
            shapes |= _linear(f"encoder.blocks.{number}.prompt_learn.0", shape[1], 32)
            shapes |= _linear(f"encoder.blocks.{number}.prompt_learn.2", 32, shape[1])
    width = trunk["patch_embed.proj.weight"][0]
    for level in range(4):
        shapes |= _receptive_field(f"rfb{level + 1}.", width * 2**level)
        shapes |= {name: shape for part in (0, 3) for name, shape in _up_layer(f"up{level + 1}", part).items()}
    for name in ("side1", "side2", "head"):
        shapes |= {name + ".weight": (1, 64, 1, 1), name + ".bias": (1,)}
    return shapes


def _receptive_field(name: str, inputs: int) -> Shapes:
    shapes = _unet_conv(name + "conv_cat", 64, 256, 3, 3) | _unet_conv(name + "conv_res", 64, inputs, 1, 1)
    for branch, reach in enumerate((0, 3, 5, 7)):
        sides = [(1, 1)] + ([(1, reach), (reach, 1), (3, 3)] if branch else [])
        for number, kernel in enumerate(sides):
            shapes |= _unet_conv(f"{name}branch{branch}.{number}", 64, 64 if number else inputs, *kernel)
    return shapes


def _unet_conv(name: str, outputs: int, inputs: int, *kernel: int) -> Shapes:
    return {name + ".conv.weight": (outputs, inputs, *kernel), **_batch_norm(name + ".bn", outputs)}


def _up_layer(name: str, part: int) -> Shapes:
    layer = f"{name}.conv.double_conv."
    return {f"{layer}{part}.weight": (64, 64 if part else 128, 3, 3), **_batch_norm(f"{layer}{part + 1}", 64)}


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {name + ".weight": (outputs, inputs), name + ".bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {name + ".weight": (width,), name + ".bias": (width,)}


def _batch_norm(name: str, width: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {name + ".num_batches_tracked": ()}


def _conv_bn(name: str, outputs: int, inputs: int, side: int) -> Shapes:
    return {name + ".c.weight": (outputs, inputs, side, side), **_batch_norm(name + ".bn", outputs)}
