"""The network that ships: it loads without a word, and segments what a box surrounds."""

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.models.storage import store
from SAMSegmenterLib.models.storage.hashes import file_sha256
from support.checkpoints import PICO, written


@pytest.fixture(scope="module")
def pico():
    return load_model()


def test_the_default_loads_and_is_the_file_of_the_catalog():
    model = load_model()
    entry = catalog.entry(catalog.default_id())
    assert (model.id, model.title, model.path) == ("samsegmenter-pico", entry.title, PICO)
    assert model.sha256 == file_sha256(PICO) == entry.sha256
    assert (model.native_size, model.sizes) == (128, (128, 192, 256))
    assert model.network.image_size == 128
    assert sum(p.numel() for p in model.network.parameters()) == pytest.approx(3.36e6, rel=0.01)


def test_the_model_card_names_the_hash_of_the_file():
    assert file_sha256(PICO) in PICO.with_suffix(".md").read_text(encoding="utf-8")


def test_a_network_is_ready_for_inference(pico):
    network = pico.network
    assert not any(module.training for module in network.modules())
    assert {(p.dtype, p.device.type, p.requires_grad) for p in network.parameters()} == {(torch.float32, "cpu", False)}


def test_loaded_weights_are_those_of_the_file(pico, pico_state):
    loaded = pico.network.state_dict()
    assert loaded.keys() == pico_state.keys()
    assert all(torch.equal(loaded[name], value.float()) for name, value in pico_state.items())


@pytest.mark.parametrize("size", [128, 192, 256])
def test_the_default_runs_at_all_its_sizes(size, pico):
    network = pico.network
    frame = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    features = network.forward_image(frame)["backbone_fpn"]
    assert [tuple(f.shape[-2:]) for f in features] == [(size // stride,) * 2 for stride in (4, 8, 16)]
    assert all(f.isfinite().all() and f.std() > 0 for f in features)


def test_the_default_segments_what_a_box_surrounds(pico):
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    disc = (rows - 60) ** 2 + (columns - 68) ** 2 < 35**2
    grey = 0.2 + 0.6 * disc
    frame = (grey.expand(1, 3, 128, 128) - torch.tensor(pico.mean)[:, None, None]) / torch.tensor(pico.std)[:, None, None]
    network = pico.network
    levels = network.forward_image(frame)["backbone_fpn"]
    corners = torch.tensor([[[33.0, 25.0], [103.0, 95.0]]])
    *_, logits, _, score = network._forward_sam_heads(
        backbone_features=levels[2] + network.no_mem_embed.reshape(1, -1, 1, 1),
        point_inputs={"point_coords": corners, "point_labels": torch.tensor([[2, 3]], dtype=torch.int32)},
        high_res_features=levels[:2],
    )
    mask = logits[0, 0] > 0
    assert score.item() > 0
    assert 2 * (mask & disc).sum() / (mask.sum() + disc.sum()) > 0.8


def test_loading_prints_nothing_and_leaves_hydra_alone(capfd, recwarn):
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    load_model()
    assert GlobalHydra.instance().hydra is before
    assert tuple(capfd.readouterr()) == ("", "")
    assert not recwarn.list


def test_one_wrong_bit_in_a_published_file_is_noticed(tmp_path, monkeypatch):
    content = bytearray(PICO.read_bytes())
    content[-100] ^= 1
    written(tmp_path / PICO.name, content)
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match=r"is not the file published as samsegmenter-pico.*Install SAMSegmenter again"):
        load_model()


def test_a_missing_shipped_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match=r"samsegmenter_pico\.safetensors.*Install SAMSegmenter again"):
        load_model()
