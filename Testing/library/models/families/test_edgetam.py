"""EdgeTAM gives the masks of the transformers package, in which it has other names, on one slice and from slice to slice."""

import re
import sys

import numpy as np
import pytest
import torch
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    EdgeTamVideoConfig,
    EdgeTamVideoInferenceSession,
    EdgeTamVideoModel,
    EdgeTamVisionConfig,
    TimmWrapperConfig,
)

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.families import edgetam
from SAMSegmenterLib.models.families.normalisers import published
from SAMSegmenterLib.network.memory import MemoryBank
from SAMSegmenterLib.network.network import Network
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe
from SAMSegmenterLib.propagation.engine import Engine
from support.layouts import edgetam_shapes, filled
from support.phantoms import as_model, cells

SIZE = 256

# Published names to those of transformers; the first and last layers of small networks are called proj_in and proj_out there.
RENAMED = (
    (r"^image_encoder\.trunk\.body\.", "vision_encoder.backbone.timm_model."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"mlp\.layers\.0\.", "mlp.proj_in."),
    (r"mlp\.layers\.1\.", "mlp.proj_out."),
    (r"(mlps\.\d|_head|_proj)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|_head|_proj)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|_head|_proj)\.layers\.2\.", r"\1.proj_out."),
    (r"attn_(\w+)\.out_proj\.", r"attn_\1.o_proj."),
    (r"self_attn\.out_proj\.", "self_attn.o_proj."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.gamma$", ".scale"),
    (r"^(memory_attention\.layers\.\d)\.linear1\.", r"\1.mlp.up_proj."),
    (r"^(memory_attention\.layers\.\d)\.linear2\.", r"\1.mlp.down_proj."),
    (r"mask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
    (r"mask_downsampler\.encoder\.(0|3|6|9)\.", lambda found: f"mask_downsampler.layers.{int(found[1]) // 3}.conv."),
    (r"mask_downsampler\.encoder\.(1|4|7|10)\.", lambda found: f"mask_downsampler.layers.{int(found[1]) // 3}.layer_norm."),
    (r"^spatial_perceiver\.latents$", "spatial_perceiver.latents_1d"),
    (r"\.attn\.norm_latents\.", ".layer_norm_latents."),
    (r"\.attn\.norm_x\.", ".layer_norm_input."),
    (r"\.self_attn\.norm\.", ".layer_norm_self."),
    (r"\.attn\.to_", ".cross_attention.to_"),
    (r"\.self_attn\.to_", ".self_attention.to_"),
    (r"\.to_(q|kv)\.", r".\1_proj."),
    (r"\.to_out\.", ".o_proj."),
    (r"\.(self_)?ff\.0\.", lambda found: f".{found[1] or ''}mlp.layer_norm."),
    (r"\.(self_)?ff\.1\.", lambda found: f".{found[1] or ''}mlp.up_proj."),
    (r"\.(self_)?ff\.3\.", lambda found: f".{found[1] or ''}mlp.down_proj."),
    (r"\.norm(\d|_final_attn)?\.", lambda found: f".layer_norm{found[1] or ''}."),
)


def as_in_transformers(state):
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if ".kv_proj." in name:
            renamed[name.replace("kv_proj", "k_proj")], renamed[name.replace("kv_proj", "v_proj")] = value.chunk(2)
        else:
            renamed[name] = value
    points = [renamed.pop(f"prompt_encoder.point_embeddings.{kind}.weight") for kind in range(4)]
    shared = renamed["prompt_encoder.shared_embedding.positional_embedding"]
    return {**renamed, "prompt_encoder.point_embed.weight": torch.cat(points), "shared_image_embedding.positional_embedding": shared}


@pytest.fixture(scope="module")
@torch.inference_mode()
def state():
    weights = filled(edgetam_shapes())
    trunk = edgetam.build("edgetam", SIZE, weights, "a test").image_encoder.trunk
    noise = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    for number, level in enumerate(reversed(trunk(noise))):
        weights[f"image_encoder.neck.convs.{number}.conv.weight"] /= level.std()  # what random blocks find grows beside all memories
    weights["sam_mask_decoder.pred_obj_score_head.layers.2.bias"] += 5  # the object is there, so that there are masks to compare
    return weights


@pytest.fixture(scope="module")
def network(state):
    return edgetam.build("edgetam", SIZE, edgetam.clean(state), "a test")


@pytest.fixture(scope="module")
def vision():
    trunk = TimmWrapperConfig(architecture="repvit_m1", model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]})
    return EdgeTamVisionConfig(backbone_config=trunk, backbone_feature_sizes=[[SIZE // stride] * 2 for stride in (4, 8, 16)])


@pytest.fixture(scope="module")
def theirs(state, vision):
    model = EdgeTamModel(EdgeTamConfig(vision_config=vision, prompt_encoder_config={"image_size": SIZE}, mask_decoder_config={}))
    known = model.state_dict().keys()
    model.load_state_dict({name: value for name, value in as_in_transformers(state).items() if name in known})
    return model.eval()


@pytest.fixture(scope="module")
def their_video(state, vision):
    config = EdgeTamVideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": SIZE},
        image_size=SIZE,
        memory_attention_rope_feat_sizes=[SIZE // 16] * 2,
        enable_temporal_pos_encoding_for_object_pointers=False,
        enable_occlusion_spatial_embedding=False,
    )
    model = EdgeTamVideoModel(config)
    model.load_state_dict(as_in_transformers(state))
    return model.eval()


@torch.inference_mode()
@pytest.mark.parametrize("points", [[[70.0, 40.0]], [[70.0, 40.0], [10.0, 80.0]]], ids=["a point", "points"])
def test_masks_are_those_of_transformers(network, theirs, points):
    picture = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    model, labels = edgetam.slice_model(network, SIZE), [1, 0][: len(points)]
    ours = model.masks(model.embed(picture), np.array(points), labels)
    wanted = theirs(
        pixel_values=published("sam2", SIZE).image(picture),
        input_points=torch.tensor([[points]]),
        input_labels=torch.tensor([[labels]]),
        multimask_output=len(points) == 1,
    )
    np.testing.assert_allclose(ours.low, wanted.pred_masks[0, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(ours.qualities, wanted.iou_scores[0, 0].numpy(), atol=1e-5)
    assert ours.low.std() > 0.05


@torch.inference_mode()
@pytest.mark.parametrize("reverse", [False, True], ids=["upwards", "downwards"])
def test_propagation_is_that_of_transformers(network, their_video, reverse):
    """From a click on one slice, through more slices than are remembered."""
    slices = np.random.default_rng(2).integers(0, 256, (9, SIZE, SIZE), dtype=np.uint8)
    slices = np.cumsum(slices, 0).astype(np.uint8)
    start = 8 if reverse else 0
    order = range(8, -1, -1) if reverse else range(9)
    ours = Network(network, SIZE)
    features = ours.encode(slices)
    decoded = [ours.prompt(features[start], np.array([[70.0, 40.0]]), np.array([1]))]
    bank = MemoryBank(start, ours.remember([features[start]], decoded[0], prompted=True)[0], ours.memories, ours.max_pointers, 6)
    for index in order[1:]:
        decoded.append(ours.track([features[index]], [bank.recall(index, 9)], 9))
        bank.add(index, ours.remember([features[index]], decoded[-1], prompted=False)[0])
    for found, wanted in zip(decoded, propagated(their_video, slices, start, reverse), strict=True):
        torch.testing.assert_close(found.logits, wanted, atol=5e-3, rtol=0)  # their memories are not of bfloat16
    assert decoded[-1].logits.std() > 0.05


def propagated(model, slices, start, reverse):
    """Logits ``(1, 1, SIZE / 4, SIZE / 4)`` of each slice, from a click at (70, 40) on slice `start`."""
    video = torch.cat([published("sam2", SIZE).image(each) for each in slices])
    session = EdgeTamVideoInferenceSession(video=video, video_height=SIZE, video_width=SIZE, dtype=torch.float32)
    click = {"point_coords": torch.tensor([[[[70.0, 40.0]]]]), "point_labels": torch.tensor([[[1]]], dtype=torch.int32)}
    number = session.obj_id_to_idx(1)
    session.add_point_inputs(number, start, click)
    session.obj_with_new_inputs = [1]
    model(session, frame_idx=start)
    for output in model.propagate_in_video_iterator(session, start, reverse=reverse):
        yield output.pred_masks


def test_memories_that_move_are_summed_up_anew(network):
    ours = Network(network, SIZE)
    feature = torch.randn(1, 64, SIZE // 16, SIZE // 16, generator=torch.Generator().manual_seed(3))
    pointer = torch.zeros(1, 256)
    there, moved = ours.memory(feature, pointer), ours.memory(feature.roll(3, -1), pointer)
    assert there.tokens.shape == (1, 512, 64)
    assert not torch.allclose(there.tokens[:, 256:].float(), moved.tokens[:, 256:].float(), atol=0.1)


def test_the_engine_carries_it_along_with_a_region_that_moves(network):
    """Only whether it runs: what random weights find wanders all over the slices."""
    options = Options(precision="float32", early_stop=False, refine=False, compact_cache=False)
    engine = Engine(as_model(network), cells(8), options, torch.device("cpu"))
    track = engine.track(engine.seed(Keyframe(0, box=Box(20, 20, 44, 40))), 1, 7)
    while not track.finished:
        list(engine.advance([track]))
    assert len({result.view for result in track.results}) > 1, "the region never moved, so this shows nothing"
    assert all(np.isfinite(result.stored).all() for result in track.results)


def test_sizes_that_do_not_divide_into_windows_are_refused(network):
    with pytest.raises(CheckpointError, match="multiple of 256"):
        Network(network, 384)


def test_without_timm_it_says_what_to_install(state, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CheckpointError, match="pip install timm"):
        edgetam.build("edgetam", SIZE, edgetam.clean(state), "there.pt")
