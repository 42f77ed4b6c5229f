from functools import partial

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.detect import Ambiguous, detect, layout, looks_like
from support import layouts


def shaped(shapes):
    """Weights that have names and shapes, but no numbers."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def hiera(channels, blocks, more=()):
    names = {f"image_encoder.trunk.blocks.{n}.norm1.weight": (channels,) for n in range(blocks)}
    return shaped({"image_encoder.trunk.patch_embed.proj.weight": (channels, 3, 7, 7), **names, **dict.fromkeys(more, (1,))})


def sam2(channels, blocks, is_2_1=True):
    return hiera(channels, blocks, ["sam_mask_decoder.iou_token.weight", *(["no_obj_embed_spatial"] if is_2_1 else [])])


def vit(channels=768, blocks=12, size=1024, more=()):
    names = {f"image_encoder.blocks.{n}.norm1.weight": (channels,) for n in range(blocks)}
    grid = size // 16
    fixed = {"image_encoder.patch_embed.proj.weight": (channels, 3, 16, 16), "image_encoder.pos_embed": (1, grid, grid, channels)}
    return shaped({**fixed, **names, **dict.fromkeys(more, (1,))})


# Those that nothing else shares; the others are in ASKED.
LAYOUTS = {
    "samsegmenter-pico": sam2(32, 8),
    "sam2.1-hiera-small": sam2(96, 16),
    "sam2.1-hiera-base-plus": sam2(112, 24),
    "sam2.1-hiera-large": sam2(144, 48),
    "sam2-hiera-tiny": sam2(96, 12, False),
    "sam2-hiera-small": sam2(96, 16, False),
    "sam2-hiera-base-plus": sam2(112, 24, False),
    "sam2-hiera-large": sam2(144, 48, False),
    "edgetam": shaped({"image_encoder.trunk.body.x": (1,), "spatial_perceiver.latents": (1,), "sam_mask_decoder.x": (1,)}),
    "biosam2-hiera-tiny": hiera(96, 12, ["mask_decoder.iou_token.weight"]),
    "sam-vit-l": vit(1024, 24),
    "sam-vit-h": vit(1280, 32),
    "sam-med2d": vit(size=256, more=["image_encoder.blocks.0.Adapter.channel.0.weight"]),
    "med-sa": vit(more=["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"]),
    "db-sam": vit(more=["image_encoder.adapter.spatial_prior_module.lcb1.weight"]),
    "mobile-sam": shaped({"image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3), "image_encoder.layers.0.x": (1,)}),
    "sam2-unet": shaped({"encoder.blocks.0.prompt_learn.0.weight": (32, 144), "rfb1.conv.weight": (1,)}),
}
ASKED = ["sam-vit-b", "medsam-vit-b", "sam2.1-hiera-tiny", "medsam2-latest", "biomedical-sam-2"]


@pytest.mark.parametrize("id", LAYOUTS)
def test_each_layout_is_recognised_and_the_reason_is_told(id):
    found = detect(LAYOUTS[id], "weights.pt")
    entry = catalog.entry(id)
    assert (found.like, found.family, found.native_size) == (id, entry.family, entry.native_size)
    assert found.why.startswith("Its weights ")
    assert entry.title in found.why


PUBLISHED = {
    "sam2-hiera-tiny": partial(layouts.sam2_shapes, layouts.SAM2_TINY),
    "biosam2-hiera-tiny": layouts.biosam2_shapes,
    "edgetam": layouts.edgetam_shapes,
    "sam-med2d": layouts.sam_med2d_shapes,
    "med-sa": layouts.med_sa_shapes,
    "db-sam": layouts.db_sam_shapes,
    "mobile-sam": layouts.mobile_sam_shapes,
    "sam2-unet": layouts.sam2_unet_shapes,
    "sam-vit-l": partial(layouts.sam_shapes, "vit_l"),
    "sam-vit-h": partial(layouts.sam_shapes, "vit_h"),
}


@pytest.mark.parametrize("id", PUBLISHED)
def test_all_names_and_shapes_of_a_published_file_are_recognised(id):
    assert detect(shaped(PUBLISHED[id]()), "weights.pt").like == id


def test_the_layouts_of_these_tests_are_all_of_the_catalog():
    layouts = {(entry.family, entry.config, entry.normaliser, entry.native_size) for entry in catalog.entries()}
    known = {id: catalog.entry(id) for id in [*LAYOUTS, *ASKED]}
    assert {(entry.family, entry.config, entry.normaliser, entry.native_size) for entry in known.values()} == layouts


def test_the_size_is_read_off_the_weights():
    assert detect(vit(size=512, more=["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"])).native_size == 512


@pytest.mark.parametrize("positions", [(1, 20000, 1, 1), (1, 64, 32, 768), (1, 64, 64, 3), (1, 4000, 4000, 768), (64, 64)])
def test_positions_that_no_network_has_tell_no_size(positions):
    weights = vit() | shaped({"image_encoder.pos_embed": positions})
    assert detect(weights, "sam_vit_b.pth").native_size == 1024


# SAM and MedSAM, which differ in nothing but numbers


@pytest.mark.parametrize("name", ["weights.pth", "sam_best.pth", "sample.pth"])
def test_sam_and_medsam_must_be_told_apart_by_the_user(name):
    with pytest.raises(Ambiguous, match=rf"{name}: fits sam-vit-b and medsam-vit-b.*models import {name} --family") as question:
        detect(vit(), name)
    assert question.value.candidates == ("sam-vit-b", "medsam-vit-b")
    assert "other grey levels, and" in str(question.value)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("medsam_vit_b.pth", "medsam-vit-b"),
        ("MedSAM-fine-tuned.pt", "medsam-vit-b"),
        ("a folder/medsam_vit_b (1).pth", "medsam-vit-b"),
        ("sam_vit_b_01ec64.pth", "sam-vit-b"),
        ("sam-vit-b.safetensors", "sam-vit-b"),
    ],
)
def test_sam_and_medsam_are_told_apart_by_the_files_name(name, id):
    found = detect(vit(), name)
    assert found.like == id
    assert "its name says" in found.why


@pytest.mark.parametrize(("said", "id"), [("medsam", "medsam-vit-b"), ("sam", "sam-vit-b"), ("medsam-vit-b", "medsam-vit-b")])
def test_the_user_can_say_which(said, id):
    assert detect(vit(), "weights.pth", said).like == id
    assert detect(vit(), "sam_vit_b_01ec64.pth", said).like == id


def test_the_user_cannot_say_what_does_not_fit():
    with pytest.raises(CheckpointError, match=r"weights\.pth: is not medsam2; it looks like SAM or MedSAM.*sam-vit-b, medsam-vit-b"):
        detect(vit(), "weights.pth", "medsam2")


# SAM 2 and its tuned versions


@pytest.mark.parametrize(
    ("name", "id", "size"),
    [
        ("MedSAM2_latest.pt", "medsam2-latest", 512),
        ("MedSAM2_CTLesion.pt", "medsam2-ct-lesion", 512),
        ("my sam2.1 tuned.pt", "sam2.1-hiera-tiny", 1024),
    ],
)
def test_medsam2_is_told_from_sam_2_1_by_the_files_name(name, id, size):
    found = detect(sam2(96, 12), name)
    assert (found.like, found.native_size) == (id, size)


def test_medsam2_and_sam_2_1_tiny_must_be_told_apart_by_the_user():
    weights = shaped(layouts.sam2_shapes())
    with pytest.raises(Ambiguous, match=r"heart_v3\.pt: fits sam2\.1-hiera-tiny and medsam2-latest.* other input sizes, and") as question:
        detect(weights, "heart_v3.pt", container="model")
    assert [detect(weights, "heart_v3.pt", each).native_size for each in question.value.candidates] == [1024, 512]


def test_the_layout_is_known_where_the_input_is_not():
    assert layout(sam2(96, 12), "best.pt") == catalog.entry("medsam2-latest").config == catalog.entry("sam2.1-hiera-tiny").config
    assert layout(vit()) == "vit_b"
    with pytest.raises(CheckpointError, match=r"resnet\.pt: this network is not supported"):
        layout(shaped({"conv1.weight": (1,)}), "resnet.pt")


def test_biomedical_sam_2_is_told_by_what_its_training_writes():
    weights = sam2(96, 16, False)
    assert detect(weights, "best.pth", container="model").like == "sam2-hiera-small"
    assert detect(weights, "best.pth", container="state_dict", beside={"epoch", "best_dice"}).like == "biomedical-sam-2"
    with pytest.raises(Ambiguous) as question:
        detect(weights, "best.pth", container="state_dict")
    assert question.value.candidates == ("sam2-hiera-small", "biomedical-sam-2")


# What is not supported


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["recent_memory_attention.x", "image_encoder.trunk.x"], "SLM-SAM2"),
        (["UNet.in_conv.x", "VNet.block_one.x", "Discriminator.x"], "KnowSAM"),
        (["conv1.weight", "fc.bias"], r"an unknown network \(its weights are called conv1\.weight, fc\.bias"),
    ],
)
def test_other_networks_are_called_by_their_name(names, kind):
    with pytest.raises(CheckpointError, match=rf"theirs\.pt.*looks like {kind}.*Supported are SAMSegmenter pico, .*SAM 2\.1"):
        detect(shaped(dict.fromkeys(names, (1,))), "theirs.pt")


EFFICIENT_TAM = ["image_encoder.trunk.pos_embed", "image_encoder.neck.convs.0.conv_1x1.weight", "sam_mask_decoder.iou_token.weight"]


def test_efficient_tam_is_called_by_its_name_though_most_of_it_is_sam_2s():
    weights = hiera(384, 12, EFFICIENT_TAM)
    with pytest.raises(CheckpointError, match=r"eff_medsam2_small\.pt: this network is not supported; it looks like EfficientTAM"):
        detect(weights, "eff_medsam2_small.pt")


@pytest.mark.parametrize("weights", [sam2(48, 12), sam2(96, 17), sam2(32, 9)])
def test_a_sam_2_of_another_size_is_described(weights):
    with pytest.raises(CheckpointError, match=r"a SAM 2 network of another size \(\d+ channels, \d+ blocks\)"):
        detect(weights)


def test_a_vit_of_another_size_is_not_taken_for_a_sam():
    with pytest.raises(CheckpointError, match=r"not supported; it looks like SAM or MedSAM.* of another size \(384 channels, 12 blocks\)"):
        detect(vit(384, 12))


# Parts of networks, which building them then tells


def but(weights, *left_out):
    return {name: value for name, value in weights.items() if not name.startswith(left_out)}


PATCHES = "image_encoder.patch_embed."


@pytest.mark.parametrize(
    ("weights", "like"),
    [
        (vit(blocks=6), "sam-vit-b"),
        (vit(1024, 20), "sam-vit-l"),
        (but(vit(blocks=8), PATCHES, "image_encoder.blocks.0."), "sam-vit-b"),
        (sam2(96, 11), "sam2.1-hiera-tiny"),
        (sam2(96, 15, False), "sam2-hiera-small"),
        (sam2(32, 7), "samsegmenter-pico"),
        (shaped({"mask_decoder.transformer.x": (1,)}), "sam-vit-b"),
        (shaped({"sam_mask_decoder.transformer.x": (1,)}), "sam2.1-hiera-tiny"),
        (but(shaped(layouts.mobile_sam_shapes()), PATCHES), "mobile-sam"),
    ],
)
def test_a_part_of_a_network_is_taken_for_the_likeliest(weights, like):
    found = detect(weights, "part.pt")
    assert found.like == like
    assert found.why == f"Its weights are at most a part of those of {catalog.entry(like).title}."


def test_a_part_of_a_network_is_taken_for_what_the_user_or_its_name_says():
    decoder = shaped({"mask_decoder.transformer.x": (1,)})
    assert detect(decoder, "mobile_sam.pt").like == "mobile-sam"
    assert detect(decoder, "part.pt", "medsam").like == "medsam-vit-b"
    assert detect(sam2(96, 11), "MedSAM2_latest.pt").like == "medsam2-latest"
    assert detect(but(vit(), PATCHES), "medsam_vit_b.pth").like == "medsam-vit-b"
    with pytest.raises(CheckpointError, match=r"is not edgetam; it looks like a part of a SAM, which may be: sam-vit-b"):
        detect(decoder, "part.pt", "edgetam")


def test_nothing_looks_like_nothing():
    assert looks_like([]).startswith("an unknown network")
