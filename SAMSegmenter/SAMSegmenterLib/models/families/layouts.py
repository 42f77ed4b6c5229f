"""The layouts of the networks of the `sam2` package, as data.

They state what the package's YAML files do, without the packages that read these; a test compares both. A layout is the name of a
class of `sam2_package` under `CLASS`, beside the arguments to make it from, some of which are layouts themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .. import sam2_package

CLASS = "class"
Layout = dict[str, Any]

# The package's files describe training; these are what upstream's build_sam2_video_predictor adds for tracking.
TRACKING = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}


def layout(config: str, image_size: int) -> Layout:
    """Return the layout `config` of a `SAM2Base` for tracking on square frames of `image_size` pixels.

    `config` is a key of `LAYOUTS`: the path of a file in the `sam2` package, or a name of our own.
    """
    settings = copy.deepcopy(LAYOUTS[config])
    extra = TRACKING | settings.get("sam_mask_decoder_extra_args", {})
    added = {"binarize_mask_from_pts_for_mem_enc": True, "sam_mask_decoder_extra_args": extra, "image_size": image_size}
    return settings | added


def built(settings: Any) -> Any:
    """Return the module of a layout, with the modules of the layouts in it; anything else unchanged."""
    if not isinstance(settings, Mapping) or CLASS not in settings:
        return settings
    arguments = {name: built(value) for name, value in settings.items() if name != CLASS}
    return getattr(sam2_package, settings[CLASS])(**arguments)


def _hiera(width: int, heads: int, stages: list[int], attends_to_all: list[int], **more: Any) -> Layout:
    return {CLASS: "Hiera", "embed_dim": width, "num_heads": heads, "stages": stages, "global_att_blocks": attends_to_all, **more}


def _position(channels: int) -> Layout:
    return {CLASS: "PositionEmbeddingSine", "num_pos_feats": channels, "normalize": True, "scale": None, "temperature": 10000}


def _image_encoder(finest: int, width: int, **trunk: Layout) -> Layout:
    """Return an encoder whose trunk has `finest` channels at its finest stage, and twice as many at each coarser one."""
    neck = {
        CLASS: "FpnNeck",
        "position_encoding": _position(width),
        "d_model": width,
        "backbone_channel_list": [8 * finest, 4 * finest, 2 * finest, finest],
        "fpn_top_down_levels": [2, 3],
        "fpn_interp_model": "nearest",
    }
    return {CLASS: "ImageEncoder", "scalp": 1, **trunk, "neck": neck}


def _memory_attention(width: int, memory: int, blocks: int, hidden: int = 2048, dropout: float = 0.1, **rope: Any) -> Layout:
    """Return attention to memories of `memory` channels; `rope` is what differs in its rotary position encoding."""
    rotary = {"rope_theta": 10000.0, "feat_sizes": [64, 64], **rope}
    attention = {CLASS: "RoPEAttention", **rotary, "embedding_dim": width, "num_heads": 1, "downsample_rate": 1, "dropout": dropout}
    layer = {
        CLASS: "MemoryAttentionLayer",
        "activation": "relu",
        "dim_feedforward": hidden,
        "dropout": dropout,
        "pos_enc_at_attn": False,
        "self_attention": attention,
        "d_model": width,
        "pos_enc_at_cross_attn_keys": True,
        "pos_enc_at_cross_attn_queries": False,
        "cross_attention": attention | {"rope_k_repeat": True, "kv_in_dim": memory},
    }
    return {CLASS: "MemoryAttention", "d_model": width, "pos_enc_at_input": True, "layer": layer, "num_layers": blocks}


def _memory_encoder(width: int, memory: int, blocks: int, layer_scale: float = 1e-6) -> Layout:
    block = {CLASS: "CXBlock", "dim": width, "kernel_size": 7, "padding": 3, "layer_scale_init_value": layer_scale, "use_dwconv": True}
    return {
        CLASS: "MemoryEncoder",
        "out_dim": memory,
        "position_encoding": _position(memory),
        "mask_downsampler": {CLASS: "MaskDownSampler", "kernel_size": 3, "stride": 2, "padding": 1},
        "fuser": {CLASS: "Fuser", "layer": block, "num_layers": blocks},
    }


def _sam2(trunk: Layout) -> Layout:
    """Return the layout of SAM 2.0."""
    return {
        CLASS: "SAM2Base",
        "image_encoder": _image_encoder(trunk["embed_dim"], 256, trunk=trunk),
        "memory_attention": _memory_attention(256, 64, blocks=4),
        "memory_encoder": _memory_encoder(256, 64, blocks=2),
        "num_maskmem": 7,
        "image_size": 1024,
        "sigmoid_scale_for_mem_enc": 20.0,
        "sigmoid_bias_for_mem_enc": -10.0,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "add_tpos_enc_to_obj_ptrs": False,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
        "multimask_output_for_tracking": True,
        "use_multimask_token_for_obj_ptr": True,
        "multimask_min_pt_num": 0,
        "multimask_max_pt_num": 1,
        "use_mlp_for_obj_ptr_proj": True,
        "compile_image_encoder": False,
    }


def _sam2_1(trunk: Layout) -> Layout:
    """Return the layout of SAM 2.1, which encodes absence and the age of object pointers."""
    new = ("no_obj_embed_spatial", "add_tpos_enc_to_obj_ptrs", "proj_tpos_enc_in_obj_ptrs", "use_signed_tpos_enc_to_obj_ptrs")
    return _sam2(trunk) | dict.fromkeys(new, True)


def _edgetam() -> Layout:
    """Return the layout of EdgeTAM without its image encoder's trunk and its resampler of memories, which `edgetam` adds."""
    encoder = _image_encoder(48, 256)
    return _sam2(HIERA_TINY) | {"image_encoder": encoder, "memory_attention": _memory_attention(256, 64, blocks=2)}


def _pico() -> Layout:
    """Return the layout of samsegmenter-pico: a small SAM 2.1, trained to give candidates after a single click only."""
    rope: Layout = {"rope_theta": 100.0, "feat_sizes": [12, 12], "dropout": 0.0}
    encoder = _memory_encoder(96, 32, blocks=1, layer_scale=0.1)
    encoder["in_dim"] = encoder["mask_downsampler"]["embed_dim"] = 96
    return _sam2_1(HIERA_PICO) | {
        "image_encoder": _image_encoder(32, 96, trunk=HIERA_PICO),
        "memory_attention": _memory_attention(96, 32, blocks=2, hidden=256, **rope),
        "memory_encoder": encoder,
        "multimask_output_for_tracking": False,
        "use_multimask_token_for_obj_ptr": False,
        "multimask_min_pt_num": 1,
        "sam_mask_decoder_extra_args": {"dynamic_multimask_via_stability": False},
    }


HIERA_TINY = _hiera(96, 1, [1, 2, 7, 2], [5, 7, 9], window_pos_embed_bkg_spatial_size=[7, 7])
HIERA_SMALL = _hiera(96, 1, [1, 2, 11, 2], [7, 10, 13], window_pos_embed_bkg_spatial_size=[7, 7])
HIERA_LARGE = _hiera(144, 2, [2, 6, 36, 4], [23, 33, 43], window_pos_embed_bkg_spatial_size=[7, 7], window_spec=[8, 4, 16, 8])
HIERA_BASE_PLUS = {CLASS: "Hiera", "embed_dim": 112, "num_heads": 2}
HIERA_PICO = _hiera(32, 1, [1, 2, 4, 1], [4, 5, 6], window_pos_embed_bkg_spatial_size=[8, 8], window_spec=[8, 8, 8, 4])
LAYOUTS = {
    "samsegmenter_pico": _pico(),
    "edgetam": _edgetam(),
    "configs/sam2/sam2_hiera_t.yaml": _sam2(HIERA_TINY),
    "configs/sam2/sam2_hiera_s.yaml": _sam2(HIERA_SMALL),
    "configs/sam2/sam2_hiera_b+.yaml": _sam2(HIERA_BASE_PLUS),
    "configs/sam2/sam2_hiera_l.yaml": _sam2(HIERA_LARGE),
    "configs/sam2.1/sam2.1_hiera_t.yaml": _sam2_1(HIERA_TINY),
    "configs/sam2.1/sam2.1_hiera_s.yaml": _sam2_1(HIERA_SMALL),
    "configs/sam2.1/sam2.1_hiera_b+.yaml": _sam2_1(HIERA_BASE_PLUS),
    "configs/sam2.1/sam2.1_hiera_l.yaml": _sam2_1(HIERA_LARGE),
}
