"""SAM gives the masks of the segment-anything package, MedSAM those of its published script."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models.families import sam
from SAMSegmenterLib.models.families.decoding import decode
from support.layouts import filled, sam_shapes, shapes_only, without

SIZE = 256
POINT, BOX = np.array([[70.0, 40.0]]), np.array([20.0, 15.0, 100.0, 80.0])


def reference(size=SIZE):
    """The package's classes, put together as its registry does for 1024 pixels."""
    grid = size // 16
    attention = {"num_heads": 12, "use_rel_pos": True, "global_attn_indexes": (2, 5, 8, 11), "window_size": 14}
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    encoder = ImageEncoderViT(depth=12, embed_dim=768, img_size=size, out_chans=256, norm_layer=norm, **attention)
    prompts = PromptEncoder(embed_dim=256, image_embedding_size=(grid, grid), input_image_size=(size, size), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3)
    return Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]).eval()


@pytest.fixture(scope="module")
def state():
    return filled(sam_shapes("vit_b", SIZE))


@pytest.fixture(scope="module")
def theirs(state):
    network = reference()
    network.load_state_dict(state)
    return network


@pytest.fixture(scope="module")
def network(state):
    return sam.build("vit_b", SIZE, sam.clean(state), "a test")


@pytest.fixture(scope="module")
def model(network):
    return sam.slice_model(network, SIZE, "sam")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(theirs, picture):
    predictor = SamPredictor(theirs)
    predictor.set_image(picture)
    return predictor


@pytest.fixture(scope="module")
def seen(model, picture):
    return model.embed(picture)


@pytest.mark.parametrize(
    ("prompts", "several"),
    [
        ((POINT, np.array([1]), None), True),
        ((np.array([[70.0, 40.0], [10.0, 80.0]]), np.array([1, 0]), None), False),
        ((None, None, BOX), False),
        ((POINT, np.array([0]), BOX), False),
    ],
    ids=["a point", "points", "a box", "a box and a point"],
)
def test_masks_are_those_of_the_packages_predictor(model, seen, predictor, prompts, several):
    ours = model.masks(seen, *prompts)
    logits, scores, low = predictor.predict(*prompts, multimask_output=several, return_logits=True)
    assert ours.logits.shape == (3 if several else 1, 90, 130)
    np.testing.assert_allclose(ours.logits, logits, atol=2e-5)
    np.testing.assert_allclose(ours.qualities, scores, atol=1e-5)
    np.testing.assert_allclose(ours.low, low, atol=2e-5)
    assert 0.02 < (logits > 0).mean() < 0.98, "otherwise the masks tell nothing"


def test_a_mask_to_be_corrected_is_taken_as_the_package_takes_it(model, seen, predictor):
    first = model.masks(seen, box=BOX)
    ours = model.masks(seen, POINT, [1], BOX, first.low[0])
    logits, *_ = predictor.predict(POINT, np.array([1]), BOX, first.low, multimask_output=False, return_logits=True)
    np.testing.assert_allclose(ours.logits, logits, atol=2e-5)
    assert np.abs(ours.logits - first.logits).max() > 0.01, "the mask makes a difference"


@torch.inference_mode()
@pytest.mark.parametrize("several", [True, False])
def test_the_decoder_in_fewer_operations_gives_the_same_numbers(theirs, several):
    torch.manual_seed(0)
    image, dense, sparse = torch.randn(1, 256, 16, 16), torch.randn(1, 256, 16, 16), torch.randn(1, 5, 256)
    position = theirs.prompt_encoder.get_dense_pe()
    wanted = theirs.mask_decoder(image, position, sparse, dense, several)
    ours = decode(theirs.mask_decoder, image, position, sparse, dense, several)
    for got, want in zip(ours, wanted, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_medsams_mask_is_that_of_its_script(network, theirs, picture):
    """MedSAM_Inference.py, step by step: resize, minimum to maximum, box, decoder, probabilities, threshold."""
    resized = np.array(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(float)
    scaled = (resized - resized.min()) / (resized.max() - resized.min())
    embedding = theirs.image_encoder(torch.tensor(scaled).float().permute(2, 0, 1)[None])
    box = torch.tensor(BOX / [130, 90, 130, 90] * SIZE).float()[None, None]
    sparse, dense = theirs.prompt_encoder(points=None, boxes=box, masks=None)
    low, _ = theirs.mask_decoder(embedding, theirs.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False)
    wanted = F.interpolate(torch.sigmoid(low), size=(90, 130), mode="bilinear", align_corners=False)[0, 0].numpy()

    model = sam.slice_model(network, SIZE, "medsam")
    ours = model.masks(model.embed(picture), box=BOX)
    np.testing.assert_allclose(1 / (1 + np.exp(-ours.logits[0])), wanted, atol=1e-5)
    assert np.array_equal(ours.logits[0] > 0, wanted > 0.5)


def test_medsam_refuses_points(network, picture):
    model = sam.slice_model(network, SIZE, "medsam")
    with pytest.raises(InputError, match="not trained with a point; give a box instead"):
        model.masks(model.embed(picture), POINT, [1])


def test_no_prompts_are_refused(model, seen):
    with pytest.raises(InputError, match="no prompts; this model takes a box or mask or point"):
        model.masks(seen)


@pytest.mark.parametrize("config", ["vit_b", "vit_l", "vit_h"])
def test_networks_have_the_published_names_and_shapes(config):
    shapes = sam_shapes(config)
    with shapes_only():
        network = sam.build(config, 1024, {name: torch.empty(shape) for name, shape in shapes.items()}, "a test")
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == shapes


def test_names_of_training_on_several_gpus_are_known(state):
    assert sam.clean({"module." + name: value for name, value in state.items()}).keys() == state.keys()


def test_weights_that_do_not_fit_are_named(state):
    wrong = {**without(state, "mask_decoder.iou_token.weight"), "extra": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"there\.pth: .*1 missing \(mask_decoder\.iou_token\.weight\); 1 unexpected \(extra\)"):
        sam.build("vit_b", SIZE, wrong, "there.pth")
    with pytest.raises(CheckpointError, match=r"pos_embed is \(1, 16, 16, 768\) instead of \(1, 32, 32, 768\)"):
        sam.build("vit_b", 512, state, "there.pth")
