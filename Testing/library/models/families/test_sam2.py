"""SAM 2 slice by slice gives the masks of the package's image predictor; its medical layouts load, and run, as published."""

from pathlib import Path

import numpy as np
import pytest
import sam2 as package
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from sam2.sam2_image_predictor import SAM2ImagePredictor

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models.families import biosam2, sam2
from SAMSegmenterLib.models.families.normalisers import CHANNEL_STATISTICS
from SAMSegmenterLib.network.network import Network
from support.layouts import SAM2_1_TINY, SAM2_TINY, biosam2_shapes, filled, sam2_shapes, shapes_only, without

SIZE = 256
SAM2_SMALL = "configs/sam2/sam2_hiera_s.yaml"
POINT, BOX = np.array([[70.0, 40.0]]), np.array([20.0, 15.0, 100.0, 80.0])
AS_BUILD_SAM2 = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
PROMPTS = {
    "a point": ((POINT, np.array([1]), None), True),
    "points": ((np.array([[70.0, 40.0], [10.0, 80.0]]), np.array([1, 0]), None), False),
    "a box": ((None, None, BOX), False),
    "a box and a point": ((POINT, np.array([0]), BOX), False),
}


@pytest.fixture(scope="module")
def state():
    return filled(sam2_shapes(SAM2_1_TINY))


@pytest.fixture(scope="module")
def network(state):
    return sam2.build(SAM2_1_TINY, SIZE, sam2.clean(state), "a test")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(network):
    return sam2.slice_model(network, SIZE)


@pytest.fixture(scope="module")
def predictor(network, picture):
    predictor = SAM2ImagePredictor(network)
    predictor._bb_feat_sizes = [(SIZE // stride, SIZE // stride) for stride in (4, 8, 16)]  # upstream's are for 1024 pixels
    predictor.set_image(picture)
    return predictor


@pytest.mark.parametrize(("prompts", "several"), PROMPTS.values(), ids=PROMPTS)
def test_masks_are_those_of_the_packages_image_predictor(model, predictor, picture, prompts, several):
    ours = model.masks(model.embed(picture), *prompts)
    logits, scores, low = predictor.predict(*prompts, multimask_output=several, return_logits=True)
    np.testing.assert_allclose(ours.logits, logits, atol=1e-4)
    np.testing.assert_allclose(ours.qualities, scores, atol=1e-5)
    np.testing.assert_allclose(ours.low.clip(-32, 32), low, atol=1e-4)
    assert logits.std() > 0.05


def test_a_mask_to_be_corrected_is_taken_as_the_package_takes_it(model, predictor, picture):
    seen = model.embed(picture)
    first = model.masks(seen, box=BOX)
    ours = model.masks(seen, POINT, [1], BOX, first.low[0] * 100)
    bounded = (first.low * 100).clip(-32, 32)
    logits, *_ = predictor.predict(POINT, np.array([1]), BOX, bounded, multimask_output=False, return_logits=True)
    np.testing.assert_allclose(ours.logits, logits, atol=1e-4)


@torch.inference_mode()
def test_medsam2_at_512_pixels_attends_as_its_own_settings_say(state):
    """MedSAM2's YAML differs from SAM 2.1 tiny's by the image size and by feat_sizes of 32: rotary encodings follow the size."""
    network = sam2.build(SAM2_1_TINY, 512, sam2.clean(state), "a test")
    settings = OmegaConf.load(Path(package.__file__).parent / SAM2_1_TINY).model
    settings.image_size = 512
    for attention in ("self_attention", "cross_attention"):
        settings.memory_attention.layer[attention].feat_sizes = [32, 32]
    theirs = instantiate(settings).eval()
    theirs.load_state_dict(state)
    torch.manual_seed(0)
    seen, places = torch.randn(1024, 1, 256), torch.randn(1024, 1, 256)
    memory, memory_places = torch.randn(2 * 1024, 1, 64), torch.randn(2 * 1024, 1, 64)
    ours, wanted = (each.memory_attention(seen, memory, places, memory_places) for each in (network, theirs))
    torch.testing.assert_close(ours, wanted)
    assert Network(network, 512).encode(np.zeros((1, 512, 512), np.uint8))[0].coarse.shape == (1, 256, 32, 32)


@torch.inference_mode()
def test_biomedical_sam_2_sees_grey_levels_without_imagenets_statistics(network, picture):
    """Its transforms are Resize and ToTensor; slice by slice they are followed exactly, in propagation but for the filter."""
    resized = np.array(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    _, _, wanted = network.forward_image(torch.tensor(resized / 255).float().permute(2, 0, 1)[None])["backbone_fpn"]
    embedding = sam2.slice_model(network, SIZE, "biomedical_sam2").embed(picture)
    torch.testing.assert_close(embedding.features[0], wanted + network.no_mem_embed.view(1, -1, 1, 1), atol=1e-4, rtol=1e-4)
    mean, std = CHANNEL_STATISTICS["biomedical_sam2"]
    features = Network(network, SIZE, mean=mean, std=std).encode(resized[None])[0]
    torch.testing.assert_close(features.coarse, wanted, atol=1e-4, rtol=1e-4)


def test_biomedical_sam_2_is_a_sam_2_small():
    shapes = sam2_shapes(SAM2_SMALL)
    with shapes_only():
        sam2.build(SAM2_SMALL, 1024, sam2.clean({"module." + name: torch.empty(shape) for name, shape in shapes.items()}), "a test")
    assert len({name.split(".")[3] for name in shapes if name.startswith("image_encoder.trunk.blocks.")}) == 16


@pytest.fixture(scope="module")
def bio_state():
    return filled(biosam2_shapes(), seed=1)


@pytest.fixture(scope="module")
def bio(bio_state):
    return biosam2.build(SAM2_TINY, SIZE, biosam2.clean(bio_state), "a test")


@torch.inference_mode()
def test_biosam2s_mask_is_that_of_its_script(bio_state, picture):
    """Resized, minimum to maximum, encoded, `no_mem_embed` added, decoded without fine features, as probabilities."""
    settings = OmegaConf.load(Path(package.__file__).parent / SAM2_TINY).model
    whole = instantiate(settings, image_size=SIZE, sam_mask_decoder_extra_args=AS_BUILD_SAM2).eval()
    parts = {"image_encoder.": whole.image_encoder, "mask_decoder.": whole.sam_mask_decoder, "prompt_encoder.": whole.sam_prompt_encoder}
    for prefix, part in parts.items():
        part.load_state_dict({name.removeprefix(prefix): value for name, value in bio_state.items() if name.startswith(prefix)})
    whole.sam_mask_decoder.use_high_res_features = False
    resized = np.array(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(float)
    scaled = (resized - resized.min()) / (resized.max() - resized.min())
    embedding = whole.image_encoder(torch.tensor(scaled).float().permute(2, 0, 1)[None])["vision_features"]
    embedding = embedding + whole.no_mem_embed.view(1, 256, 1, 1)
    box = torch.tensor(BOX / [130, 90, 130, 90] * SIZE).float()[None, None]
    sparse, dense = whole.sam_prompt_encoder(points=None, boxes=box, masks=None)
    low = whole.sam_mask_decoder(embedding, whole.sam_prompt_encoder.get_dense_pe(), sparse, dense, False, False)[0]
    wanted = F.interpolate(torch.sigmoid(low), size=(90, 130), mode="bilinear", align_corners=False)[0, 0].numpy()

    with_constant = {**bio_state, "no_mem_embed": whole.no_mem_embed.detach()}
    model = biosam2.slice_model(biosam2.build(SAM2_TINY, SIZE, biosam2.clean(with_constant), "a test"), SIZE)
    ours = model.masks(model.embed(picture), box=BOX).logits[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-ours)), wanted, atol=1e-5)


def test_biosam2_without_its_constant_takes_it_as_zero(bio):
    assert (bio.no_mem_embed == 0).all()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_biosam2s_names_become_sam_2s(bio, bio_state, prefix):
    cleaned = biosam2.clean({prefix + name: value for name, value in bio_state.items()})
    assert cleaned.keys() | {"no_mem_embed"} == bio.state_dict().keys()


def test_biosam2_takes_boxes_only(bio, picture):
    model = biosam2.slice_model(bio, SIZE)
    with pytest.raises(InputError, match="give a box"):
        model.masks(model.embed(picture), POINT, [1])


def test_a_missing_weight_is_named(bio_state):
    incomplete = biosam2.clean(without(bio_state, "mask_decoder.iou_token.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing \(sam_mask_decoder\.iou_token\.weight\)"):
        biosam2.build(SAM2_TINY, SIZE, incomplete, "there.pth")
