"""EdgeTAM gives the masks of the transformers package, in which it has other names."""

import re
import sys

import numpy as np
import pytest
import torch
from transformers import EdgeTamConfig, EdgeTamModel, EdgeTamVisionConfig, TimmWrapperConfig

from layouts import edgetam_shapes, filled
from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.families import edgetam
from SAMSegmenterLib.models.families.normalisers import published

SIZE = 256

# Published names to those of transformers; the first and last layers of small networks are called proj_in and proj_out there.
RENAMED = (
    (r"^image_encoder\.trunk\.body\.", "vision_encoder.backbone.timm_model."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^no_mem_embed$", "no_memory_embedding"),
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
    (r"(mlps\.\d|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|_head)\.layers\.2\.", r"\1.proj_out."),
    (r"attn_(\w+)\.out_proj\.", r"attn_\1.o_proj."),
    (r"self_attn\.out_proj\.", "self_attn.o_proj."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
)


def as_in_transformers(state):
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    points = [renamed.pop(f"prompt_encoder.point_embeddings.{kind}.weight") for kind in range(4)]
    shared = renamed["prompt_encoder.shared_embedding.positional_embedding"]
    return {**renamed, "prompt_encoder.point_embed.weight": torch.cat(points), "shared_image_embedding.positional_embedding": shared}


@pytest.fixture(scope="module")
def state():
    return filled(edgetam_shapes())


@pytest.fixture(scope="module")
def network(state):
    return edgetam.build("repvit_m1", SIZE, edgetam.clean(state), "a test")


@pytest.fixture(scope="module")
def theirs(state):
    trunk = TimmWrapperConfig(architecture="repvit_m1", model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]})
    sizes = [[SIZE // stride, SIZE // stride] for stride in (4, 8, 16)]
    vision = EdgeTamVisionConfig(backbone_config=trunk, backbone_feature_sizes=sizes)
    model = EdgeTamModel(EdgeTamConfig(vision_config=vision, prompt_encoder_config={"image_size": SIZE}, mask_decoder_config={}))
    model.load_state_dict(as_in_transformers(edgetam.clean(state)))
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
    np.testing.assert_allclose(ours.scores, wanted.iou_scores[0, 0].numpy(), atol=1e-5)
    assert ours.low.std() > 0.05


def test_the_weights_of_its_memory_are_left_out(network, state):
    taken = edgetam.clean({"module." + name: value for name, value in state.items()})
    assert taken.keys() == network.state_dict().keys()
    left_out = {name.partition(".")[0] for name in state.keys() - taken.keys()}
    assert {"spatial_perceiver", "memory_attention", "memory_encoder", "maskmem_tpos_enc"} <= left_out


def test_without_timm_it_says_what_to_install(state, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CheckpointError, match="pip install timm"):
        edgetam.build("repvit_m1", SIZE, edgetam.clean(state), "there.pt")
