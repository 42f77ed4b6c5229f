"""Files as each family's training writes them are recognised, built and run."""

from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog, loading
from SAMSegmenterLib.models.detect import detect
from SAMSegmenterLib.models.families.fitting import Undrawn, fitted
from SAMSegmenterLib.models.storage import store
from SAMSegmenterLib.models.storage.importing import import_file
from SAMSegmenterLib.models.weights import checkpoint
from support import layouts
from support.layouts import contained, filled, shapes_only

pytestmark = pytest.mark.filterwarnings("ignore:.*which is a no-op")  # weights put into networks without memory
SMALL = "configs/sam2/sam2_hiera_s.yaml"

# By catalog id: the file's name as published, the family whose training writes it, and what it holds.
FILES = {
    "sam-vit-b": ("sam_vit_b_01ec64.pth", "sam", layouts.sam_shapes("vit_b")),
    "sam-vit-l": ("sam_vit_l_0b3195.pth", "sam", layouts.sam_shapes("vit_l")),
    "sam-vit-h": ("sam_vit_h_4b8939.pth", "sam", layouts.sam_shapes("vit_h")),
    "medsam-vit-b": ("medsam_vit_b.pth", "sam", layouts.sam_shapes("vit_b")),
    "sam-med2d": ("sam-med2d_b.pth", "sam_med2d", layouts.sam_med2d_shapes()),
    "mobile-sam": ("mobile_sam.pt", "mobile_sam", layouts.mobile_sam_shapes()),
    "med-sa": ("best.pth", "med_sa", layouts.med_sa_shapes()),
    "db-sam": ("best.pth", "db_sam", layouts.db_sam_shapes()),
    "sam2.1-hiera-tiny": ("sam2.1_hiera_tiny.pt", "sam2", layouts.sam2_shapes(layouts.SAM2_1_TINY)),
    "sam2-hiera-tiny": ("sam2_hiera_tiny.pt", "sam2", layouts.sam2_shapes(layouts.SAM2_TINY)),
    "medsam2-latest": ("MedSAM2_latest.pt", "sam2", layouts.sam2_shapes(layouts.SAM2_1_TINY)),
    "biomedical-sam-2": ("best.pth", "biomedical_sam2", layouts.sam2_shapes(SMALL)),
    "biosam2-hiera-tiny": ("best.pth", "biosam2", layouts.biosam2_shapes()),
    "edgetam": ("edgetam.pt", "edgetam", layouts.edgetam_shapes()),
    "sam2-unet": ("SAM2-UNet-Polyp.pth", "sam2_unet", layouts.sam2_unet_shapes()),
}


def saved(path, family, state):
    torch.save(contained(family, state), path)
    return path


@pytest.fixture
def without_numbers(monkeypatch):
    """Files may hold one number for a whole weight, and networks are built without memory: all but the numbers, in little space."""
    build = loading.build

    def build_shapes(found):
        with shapes_only():
            return build(found)

    monkeypatch.setattr(checkpoint, "_check_stored", lambda weights, path: None)
    monkeypatch.setattr(loading, "build", build_shapes)
    return lambda shapes: {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(("id", "file"), FILES.items(), ids=FILES)
def test_each_layout_is_recognised_and_fits_its_network(id, file):
    name, family, shapes = file
    content = contained(family, {key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    container = next((key for key in ("model", "state_dict", "net") if isinstance(content.get(key), dict)), "")
    weights = content[container] if container else content
    entry = catalog.entry(detect(weights, name, container=container, beside=content.keys() - {container}).like)
    assert entry == catalog.entry(id)
    builder = import_module(f"SAMSegmenterLib.models.families.{entry.family}")
    with shapes_only():
        network = builder.build(entry.config, entry.native_size, builder.clean(weights), name)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    if entry.kind == "slice":
        assert builder.slice_model(network, entry.native_size, entry.normaliser).prompts == set(entry.prompts)


@pytest.mark.parametrize("id", FILES)
def test_each_layout_can_be_imported_and_is_a_model_from_then_on(id, without_numbers, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    name, family, shapes = FILES[id]
    entry = import_file(saved(tmp_path / name, family, without_numbers(shapes)), id="mine")
    like = catalog.entry(id)
    assert (entry.family, entry.kind, entry.config, entry.normaliser) == (like.family, like.kind, like.config, like.normaliser)
    assert (entry.native_size, entry.sizes) == (like.native_size, like.sizes)
    found = loading.find("mine")
    assert (found.entry, found.path) == (entry, tmp_path / "models" / f"mine{found.path.suffix}")
    assert not loading.build(found).training


@pytest.mark.parametrize("id", ["mobile-sam", "edgetam"])
def test_a_file_becomes_a_slice_model_that_runs(id, tmp_path):
    name, family, shapes = FILES[id]
    model = loading.load_slice_model(saved(tmp_path / name, family, filled(shapes)))
    seen = model.embed(np.random.default_rng(0).integers(0, 256, (90, 130), dtype=np.uint8))
    found = model.masks(seen, box=np.array([20.0, 15.0, 100.0, 80.0]))
    assert found.logits.shape == (1, 90, 130)
    assert np.isfinite(found.logits).all()
    assert model.prompts == set(catalog.entry(id).prompts)
    assert "its name says that it is" in model.why, "what a file was taken for is told"


def test_a_proposer_is_built_on_the_device_that_is_asked_for(without_numbers, tmp_path):
    name, family, shapes = FILES["sam2-unet"]
    proposer = loading.load_proposer(saved(tmp_path / name, family, without_numbers(shapes)), device="meta")
    assert {value.device.type for value in proposer.network.state_dict().values()} == {"meta"}
    assert "SAM2-UNet" in proposer.why


def test_a_file_of_training_on_several_gpus_is_the_same(tmp_path):
    name, family, shapes = FILES["mobile-sam"]
    state = {"module." + key: value for key, value in filled(shapes).items()}
    found = loading.read(saved(tmp_path / name, family, state))
    assert found.entry.id == "mobile-sam"
    assert not loading.build(found).training


def without_start(shapes, *starts):
    return {name: shape for name, shape in shapes.items() if not name.startswith(starts)}


SAM, SAM_2, MOBILE = (FILES[id][2] for id in ("sam-vit-b", "sam2.1-hiera-tiny", "mobile-sam"))
PATCHES, BLOCK = "image_encoder.patch_embed.", "image_encoder.trunk.blocks.3."
ONE_COLUMN = {"image_encoder.pos_embed": (1, 20000, 1, 1)}


@pytest.mark.parametrize(
    ("name", "shapes", "faults"),
    [
        ("mobile_sam.pt", without_start(MOBILE, "mask_decoder.iou_token."), r"1 missing \(mask_decoder\.iou_token\.weight\)"),
        ("sam_vit_b.pth", without_start(SAM, PATCHES), r"2 missing \(image_encoder\.patch_embed\.proj\.weight, image_encoder\.patch_embed"),
        ("half.pth", layouts.shallow(SAM, 6), r"half\.pth, as SAM ViT-B: .*84 missing \(image_encoder\.blocks\.6\."),
        ("decoder.pth", without_start(SAM, "image_encoder."), r"decoder\.pth, as SAM ViT-B: .*177 missing \(image_encoder\.pos_embed"),
        ("heart.pt", without_start(SAM_2, BLOCK), r"as SAM 2\.1 Hiera tiny: .*\d\d missing \(image_encoder\.trunk\.blocks\.3\."),
        ("heart.pt", without_start(SAM_2, "image_encoder."), r"as SAM 2\.1 Hiera tiny: .*\d\d\d missing \(image_encoder\.trunk\.pos_embed"),
        ("sam_vit_b.pth", SAM | ONE_COLUMN, r"pos_embed is \(1, 20000, 1, 1\) instead of \(1, 64, 64, 768\)"),
    ],
)
def test_a_partial_file_names_what_is_missing(name, shapes, faults, without_numbers, tmp_path):
    path = saved(tmp_path / name, "", without_numbers(shapes))
    with pytest.raises(CheckpointError, match=faults):
        loading.build(loading.read(path))


def test_a_network_holds_the_weights_of_its_file_in_full_precision_for_inference():
    def make():
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    other = make()
    state = {name: values.half() if values.is_floating_point() else values + 7 for name, values in other.state_dict().items()}
    other.load_state_dict(state)
    network = fitted(make, state, "a.pt")
    assert all(torch.equal(values, other.state_dict()[name]) for name, values in network.state_dict().items())
    assert {values.dtype for values in network.parameters()} == {torch.float32}
    assert not network.training
    assert not any(values.requires_grad for values in network.parameters())


def test_parameters_that_a_file_replaces_are_not_drawn_first():
    before = torch.get_rng_state()
    with Undrawn():
        layers = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(2, 2, 3), nn.LayerNorm(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(layers[2].weight, torch.ones(4))
    with Undrawn():
        nn.init.normal_(torch.empty(4))  # no parameter
    assert not torch.equal(torch.get_rng_state(), before)
    nn.Linear(4, 4)
