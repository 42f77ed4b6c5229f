"""Published networks: their layouts, their settings, and the files that bear their names."""

import functools

import pytest
import torch
from sam2.build_sam import build_sam2_video_predictor

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.detect import detect
from SAMSegmenterLib.models.families.layouts import built, layout
from SAMSegmenterLib.models.families.sam2 import build
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.models.storage.hashes import file_sha256
from support.checkpoints import OFFICIAL, PICO, saved, written


@pytest.fixture(scope="module")
def tiny_states():
    """Random weights of SAM 2.0 and 2.1 tiny, by catalog id."""
    ids = "sam2-hiera-tiny", "sam2.1-hiera-tiny"
    return {id: built(layout(catalog.entry(id).config, 1024)).state_dict() for id in ids}


@pytest.fixture
def shapes_only(monkeypatch):
    """Networks built within have weights with shapes but no memory; only the constants that `Hiera` reads are real."""
    monkeypatch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        yield


@pytest.mark.parametrize("entry", OFFICIAL, ids=lambda entry: entry.id)
def test_official_layouts_are_recognised(entry, shapes_only):
    network = built(layout(entry.config, entry.native_size))
    assert network.image_size == 1024
    found = detect(network.state_dict(), entry.file)  # SAM 2.1 tiny has the layout of MedSAM2
    assert (found.family, found.like, found.native_size) == ("sam2", entry.id, 1024)


def test_networks_have_the_settings_of_upstreams_builder(tiny_states):
    ours = build("configs/sam2.1/sam2.1_hiera_t.yaml", 1024, tiny_states["sam2.1-hiera-tiny"], "tiny")
    upstream = build_sam2_video_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
    plain = {name: value for name, value in vars(ours).items() if not name.startswith("_")}
    assert len(plain) > 30
    assert plain == {name: vars(upstream)[name] for name in plain}
    for name in ("dynamic_multimask_via_stability", "dynamic_multimask_stability_delta", "dynamic_multimask_stability_thresh"):
        assert getattr(ours.sam_mask_decoder, name) == getattr(upstream.sam_mask_decoder, name)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("id", ["sam2-hiera-tiny", "sam2.1-hiera-tiny"])
def test_tiny_loads_from_a_file(id, suffix, tiny_states, tmp_path):
    state = tiny_states[id]
    path = saved({"model": state} if suffix == ".pt" else state, tmp_path / f"fine_tuned{suffix}")
    model = load_model(path, family=id)
    assert (model.id, model.path, model.sha256) == (path.name, path, file_sha256(path))
    assert catalog.entry(id).title in model.title
    assert (model.native_size, model.sizes) == (1024, (256, 448, 512, 672, 896, 1024))
    assert (model.mean, model.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    name = "image_encoder.trunk.pos_embed"
    assert torch.equal(model.network.state_dict()[name], state[name])


def test_a_published_file_is_known_by_its_hash(tmp_path):
    copy = written(tmp_path / "renamed.safetensors", PICO.read_bytes())
    model = load_model(copy)
    assert (model.id, model.path) == ("samsegmenter-pico", copy)


def test_a_model_that_is_not_here_says_where_to_get_it(models_folder):
    with pytest.raises(CheckpointError, match=r"models get sam2\.1-hiera-tiny"):
        load_model("sam2.1-hiera-tiny")


def test_another_file_under_a_published_name_is_refused(models_folder, tiny_states):
    path = saved({"model": tiny_states["sam2.1-hiera-tiny"]}, models_folder / "sam2.1_hiera_tiny.pt")
    with pytest.raises(CheckpointError, match=r"is not the file published as sam2\.1-hiera-tiny.*Download"):
        load_model("sam2.1-hiera-tiny")
    assert load_model(path).native_size == 1024
