import argparse
import contextlib
import functools
import io
import json
import pickle
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from sam2.build_sam import build_sam2_video_predictor

from networks import IDS, random_network
from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models import catalog, checkpoint, store
from SAMSegmenterLib.models.checkpoint import read_checkpoint
from SAMSegmenterLib.models.detect import detect
from SAMSegmenterLib.models.families.normalisers import PUBLISHED
from SAMSegmenterLib.models.families.sam2 import build, network_config
from SAMSegmenterLib.models.hashes import file_sha256
from SAMSegmenterLib.models.loading import load_model

PICO = store.SHIPPED / "samsegmenter_pico.safetensors"
OFFICIAL = [entry for entry in catalog.entries() if entry.id.startswith(("sam2.1-", "sam2-hiera"))]


class Bomb:
    """Unpickling this creates the file `trace`."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "code_was_run"


@pytest.fixture
def pico_state():
    return load_file(PICO)


@pytest.fixture(scope="module")
def pico():
    return load_model()


@pytest.fixture(scope="module")
def tiny_states():
    """Random weights of SAM 2.0 and 2.1 tiny, by catalog id."""
    ids = "sam2-hiera-tiny", "sam2.1-hiera-tiny"
    return {id: instantiate(network_config(catalog.entry(id).config, 1024)).state_dict() for id in ids}


@pytest.fixture
def shapes_only(monkeypatch):
    """Networks built within have weights with shapes but no memory; only the constants that `Hiera` reads are real."""
    monkeypatch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        yield


def saved(state, path):
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def written(path, content):
    path.write_bytes(content)
    return path


# The network that ships


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


# Official layouts


@pytest.mark.parametrize("entry", OFFICIAL, ids=lambda entry: entry.id)
def test_official_layouts_are_recognised(entry, shapes_only):
    network = instantiate(network_config(entry.config, entry.native_size))
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


def test_a_file_given_as_text_and_in_half_precision_loads(pico_state, tmp_path):
    path = saved({name: value.bfloat16() for name, value in pico_state.items()}, tmp_path / "copy.pt")
    model = load_model(str(path))
    assert model.id == "copy.pt"
    assert next(model.network.parameters()).dtype == torch.float32


def test_a_published_file_is_known_by_its_hash(tmp_path):
    copy = written(tmp_path / "renamed.safetensors", PICO.read_bytes())
    model = load_model(copy)
    assert (model.id, model.path) == ("samsegmenter-pico", copy)


# Files that are no usable checkpoint


def test_pickles_that_run_code_are_refused_and_not_run(tmp_path, trace, pico_state):
    in_zip = saved({"model": pico_state, "extra": Bomb(trace)}, tmp_path / "zip.pt")
    plain = written(tmp_path / "plain.pt", pickle.dumps(Bomb(trace)))
    legacy = tmp_path / "legacy.pth"
    torch.save({"model": Bomb(trace)}, legacy, _use_new_zipfile_serialization=False)
    for path in (in_zip, plain, legacy):
        with pytest.raises(CheckpointError, match=r"can run code") as refusal:
            load_model(path)
        assert path.name in str(refusal.value)
    assert not trace.exists()


def test_the_bomb_of_these_tests_is_armed(trace):
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()


def test_old_formats_are_refused_unread(tmp_path, trace, pico_state):
    archive = tmp_path / "old.tar"
    with tarfile.open(archive, "w") as tar:
        payload = pickle.dumps(Bomb(trace))
        member = tarfile.TarInfo("storages")
        member.size = len(payload)
        tar.addfile(member, io.BytesIO(payload))
    before_zip = tmp_path / "before_zip.pt"
    torch.save(pico_state, before_zip, _use_new_zipfile_serialization=False)
    for path in (archive, before_zip):
        with pytest.raises(CheckpointError, match=r"since PyTorch 1\.6.*was not opened"):
            read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(suffix, kept, tmp_path, pico_state):
    path = saved(pico_state, tmp_path / f"part{suffix}")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=rf"part{suffix}.*truncated.*Get the file again"):
        load_model(path)


def test_a_damaged_file_is_named(tmp_path, pico_state):
    path = saved(pico_state, tmp_path / "damaged.pt")
    content = path.read_bytes()
    start = content.index(b"image_encoder")
    with pytest.raises(CheckpointError, match=r"damaged\.pt"):
        load_model(written(path, content[:start] + bytes(5000) + content[start + 5000 :]))


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


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"P6 this is a picture", "not a "),
    ],
)
def test_files_that_are_not_weights_are_named(suffix, content, message, tmp_path):
    path = written(tmp_path / f"model{suffix}", content)
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_model(path)
    assert str(path) in str(refusal.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        load_model(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    missing = tmp_path / "sam2.1_hiera_tiny.pt"
    for read in (load_model, read_checkpoint):
        with pytest.raises(CheckpointError, match="no such model file") as refusal:
            read(missing)
        assert str(missing) in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds nothing"),
        ([torch.zeros(2)], "holds a list"),
        (torch.zeros(2), "holds a Tensor"),
        ({"model": {"a": torch.zeros(2), "b": 3}}, r"found 'b' \(int\)"),
        ({"epoch": 3, "weights": {"blocks.0.Space_Adapter.D_fc1.weight": torch.zeros(2)}}, "looks like Med-SA"),
        ({"ema": {"image_encoder.trunk.pos_embed": torch.zeros(2)}}, "looks like a SAM 2 network"),
    ],
)
def test_weights_in_another_arrangement_are_described(content, message, tmp_path):
    path = saved(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize("container", ["", "model", "state_dict", "net", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_weights_are_found_where_training_puts_them(container, prefix, tmp_path):
    weights = {prefix + "a": torch.ones(2), prefix + "b.model.c": torch.zeros(1)}
    content = {container: weights, "epoch": 3, "best_dice": 0.9} if container else weights
    found = read_checkpoint(saved(content, tmp_path / "trained.pth"))
    assert found.weights.keys() == {"a", "b.model.c"}
    assert found.container == container
    assert found.beside == ({"epoch", "best_dice"} if container else set())


def test_a_file_with_its_optimizer_and_settings_is_read_without_them(pico_state, tmp_path):
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    optimizer.zero_grad()
    layer(torch.ones(2)).sum().backward()
    optimizer.step()
    rest = {"optimizer": optimizer, "args": argparse.Namespace(lr=1e-4), "best": np.float64(0.9), "log": Path("runs")}
    path = saved({"model": pico_state, **rest}, tmp_path / "sam-med2d-like.pth")
    assert load_model(path).id == path.name
    assert read_checkpoint(path).beside == rest.keys()


def test_stand_ins_do_not_run_what_a_file_hides_in_them(tmp_path, trace):
    namespace = argparse.Namespace(bomb=Bomb(trace))
    with pytest.raises(CheckpointError, match="can run code"):
        read_checkpoint(saved({"model": {"a": torch.zeros(1)}, "args": namespace}, tmp_path / "args.pt"))
    assert not trace.exists()


def test_files_are_told_by_what_is_in_them_whatever_they_are_called(pico_state, tmp_path):
    zipped = saved(pico_state, tmp_path / "weights.pt").rename(tmp_path / "renamed.safetensors")
    plain = saved(pico_state, tmp_path / "weights.safetensors").rename(tmp_path / "renamed.pth")
    for path in (zipped, plain):
        assert read_checkpoint(path).weights.keys() == pico_state.keys()


def test_an_archive_that_unpacks_to_more_than_it_is_is_not_opened(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"bomb\.pt: unpacks to .* and was not opened"):
        read_checkpoint(path)


@pytest.mark.parametrize("module", ["builtins", "__builtin__"])
def test_memory_that_is_not_in_the_file_is_not_asked_for(module, tmp_path):
    path = saved({"a": torch.zeros(1)}, tmp_path / "greedy.pt")
    greedy = f"\x80\x02c{module}\nbytearray\nJ\x00\x00\x00\x02\x85R.".encode("latin1")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, greedy if name.endswith("data.pkl") else value)
    with pytest.raises(CheckpointError, match=r"greedy\.pt: was refused.*bytearray"):
        read_checkpoint(path)


def test_a_wrong_bit_anywhere_in_an_archives_directory_is_noticed_or_harmless(tmp_path):
    path = saved({"a": torch.ones(2)}, tmp_path / "flipped.pt")
    content = path.read_bytes()
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        flipped = written(path, content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        with contextlib.suppress(CheckpointError):
            assert torch.equal(read_checkpoint(flipped).weights["a"], torch.ones(2))


def test_weights_that_are_larger_than_their_file_are_refused(tmp_path):
    path = saved({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "expanded.pt")
    with pytest.raises(CheckpointError, match=r"would fill 4398\.0 GB, which are not in the file"):
        read_checkpoint(path)


@pytest.mark.parametrize("odd", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")])
def test_weights_that_are_no_plain_numbers_are_refused(odd, tmp_path):
    with pytest.raises(CheckpointError, match=r"odd\.pt: 1 of 2 weights are not stored as plain numbers \(odd\)"):
        read_checkpoint(saved({"plain": torch.zeros(2), "odd": odd}, tmp_path / "odd.pt"))


@pytest.mark.parametrize(("kind", "bits"), [("F4", 4), ("C64", 64), ("F8_E4M3", 8)])
def test_numbers_that_no_network_is_built_from_are_refused(kind, bits, tmp_path):
    header = json.dumps({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, bits]}}).encode()
    path = written(tmp_path / "odd.safetensors", len(header).to_bytes(8, "little") + header + bytes(bits))
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: 1 of 1 weights are not stored as plain numbers \(a\)"):
        read_checkpoint(path)


def test_files_that_are_far_too_large_are_not_opened(tmp_path, monkeypatch):
    path = saved({"a": torch.zeros(1000)}, tmp_path / "video.pt")
    monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"video\.pt: has 0 GB.*not opened"):
        read_checkpoint(path)


def test_a_download_that_has_not_ended_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"has not ended.*models get"):
        load_model(written(tmp_path / "sam2.1_hiera_tiny.pt.part", b"PK\x03\x04 and more"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused(value, pico_state, tmp_path):
    pico_state["no_mem_embed"][0, 0, 3] = value
    path = saved(pico_state, tmp_path / "diverged.safetensors")
    with pytest.raises(CheckpointError, match=r"diverged\.safetensors: 1 of 362 weights are NaN or infinite \(no_mem_embed\)"):
        load_model(path)


# Networks that were changed


def test_missing_and_unexpected_weights_are_named(pico_state, tmp_path):
    del pico_state["memory_encoder.out_proj.bias"]
    pico_state["adapter.weight"] = torch.zeros(3)
    path = saved(pico_state, tmp_path / "changed.safetensors")
    with pytest.raises(CheckpointError, match=r"changed.*1 missing \(memory_encoder\.out_proj\.bias\); 1 unexpected \(adapter\.weight\)"):
        load_model(path)


def test_only_the_first_missing_weights_are_listed(pico_state, tmp_path):
    state = {name: value for name, value in pico_state.items() if not name.startswith("memory_attention.")}
    with pytest.raises(CheckpointError, match=r"\d\d missing \((memory_attention\.[\w.]+, ){3}\.\.\.\)"):
        load_model(saved(state, tmp_path / "partial.safetensors"))


def test_weights_of_another_shape_are_named(pico_state, tmp_path):
    pico_state["no_mem_embed"] = torch.zeros(1, 1, 64)
    path = saved(pico_state, tmp_path / "narrow.pt")
    with pytest.raises(CheckpointError, match=r"1 of another shape \(no_mem_embed is \(1, 1, 64\) instead of \(1, 1, 96\)\)"):
        load_model(path)


# The catalog


def test_the_catalog_knows_its_entries():
    ids = [entry.id for entry in catalog.entries()]
    assert ids[0] == catalog.default_id() == "samsegmenter-pico"
    assert [entry.file for entry in OFFICIAL][:2] == ["sam2.1_hiera_tiny.pt", "sam2.1_hiera_small.pt"]
    assert len(OFFICIAL) == 8
    assert all(entry.sha256 and entry.bytes for entry in OFFICIAL)
    assert catalog.entry("sam2-hiera-large").sizes == (256, 512, 768, 1024)
    assert {entry.kind for entry in catalog.entries()} == set(catalog.KINDS)


def test_addresses_end_in_the_files_name():
    assert all(entry.url.endswith("/" + entry.file) for entry in catalog.entries() if entry.url)


def test_what_may_not_be_used_commercially_is_said():
    limited = {entry.id for entry in catalog.entries() if not entry.commercial_use}
    medsam2 = {entry.id for entry in catalog.entries() if entry.id.startswith("medsam2-")}
    assert limited == {"db-sam", "biomedical-sam-2", "biosam2-hiera-tiny"} | medsam2


def test_each_normaliser_of_the_catalog_is_that_of_a_family():
    assert set(catalog.NORMALISERS) == PUBLISHED.keys()


def test_each_family_of_the_catalog_can_be_built():
    for entry in catalog.entries():
        family = import_module(f"SAMSegmenterLib.models.families.{entry.family}")
        offered = {"propagation": ("build", "clean", "slice_model"), "slice": ("build", "clean", "slice_model")}
        assert all(callable(getattr(family, name)) for name in offered.get(entry.kind, ("build", "clean", "proposer")))


def test_unknown_ids_list_the_known_ones():
    with pytest.raises(InputError, match=r"'sam3'.*samsegmenter-pico, sam2\.1-hiera-tiny"):
        catalog.entry("sam3")
    with pytest.raises(CheckpointError, match=r"sam3.*samsegmenter-pico, sam2\.1-hiera-tiny"):
        load_model("sam3")


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("sizes", [256, 128], r"models\[0\]\.sizes"),
        ("sizes", [100, 128], r"models\[0\]\.sizes"),
        ("native_size", 1024, r"models\[0\]\.native_size"),
        ("sha256", "abc", r"models\[0\]\.sha256"),
        ("url", "http://somewhere", r"models\[0\]\.url"),
        ("file", "../x.pt", r"models\[0\]\.file"),
        ("title", "", r"models\[0\]\.title"),
        ("shipped", 1, r"models\[0\]\.shipped"),
        ("shipped", False, r"models\[0\]\.url: expected exactly one of"),
        ("obtain", "Ask.", r"models\[0\]\.url: expected exactly one of"),
        ("sha256", None, r"models\[0\]\.sha256"),
        ("bytes", 0, r"models\[0\]\.bytes"),
        ("licence_url", "http://open", r"models\[0\]\.licence_url"),
        ("commercial_use", "yes", r"models\[0\]\.commercial_use"),
        ("family", "../sam2", r"models\[0\]\.family"),
        ("kind", "magic", r"models\[0\]\.kind"),
        ("normaliser", "magic", r"models\[0\]\.normaliser"),
        ("prompts", ["text"], r"models\[0\]\.prompts"),
        ("prompts", [], r"models\[0\]\.prompts"),
        ("colour", "red", r"models\[0\]\.colour"),
        ("licence", ..., r"models\[0\]\.licence"),
        ("id", "sam2-hiera-tiny", "models: expected ids that differ"),
        ("file", "sam2_hiera_tiny.pt", "models: expected files that differ"),
        ("id", "renamed", "default"),
    ],
)
def test_a_faulty_catalog_names_the_field(field, value, where, tmp_path):
    data = json.loads(catalog.CATALOG.read_text(encoding="utf-8"))
    data["models"][0][field] = value
    if value is ...:
        del data["models"][0][field]
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InputError, match=rf"catalog\.json: {where}"):
        catalog.read_catalog(path)


def test_a_catalog_that_is_not_json_is_named(tmp_path):
    with pytest.raises(InputError, match=r"catalog\.json: is not valid JSON"):
        catalog.read_catalog(written(tmp_path / "catalog.json", b"{"))


def test_a_model_that_is_not_here_says_where_to_get_it(models_folder):
    with pytest.raises(CheckpointError, match=r"models get sam2\.1-hiera-tiny"):
        load_model("sam2.1-hiera-tiny")


def test_another_file_under_a_published_name_is_refused(models_folder, tiny_states):
    path = saved({"model": tiny_states["sam2.1-hiera-tiny"]}, models_folder / "sam2.1_hiera_tiny.pt")
    with pytest.raises(CheckpointError, match=r"is not the file published as sam2\.1-hiera-tiny.*Download"):
        load_model("sam2.1-hiera-tiny")
    assert load_model(path).native_size == 1024


# Random networks


@pytest.mark.parametrize("config", ["pico", "t"])
def test_random_networks_are_repeatable_and_lively(config):
    before = torch.random.get_rng_state()
    first, second, other = (random_network(config, 128, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = first.state_dict()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in weights.items())
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in weights.items())
    assert (first.image_size, first.fill_hole_area, first.training) == (128, 0, False)
    features = first.forward_image(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))["backbone_fpn"]
    *_, logits, _, score = first._forward_sam_heads(features[2], None, None, features[:2])
    assert 0.2 < logits.std() < 5
    assert score.item() > 0


def test_random_networks_exist_for_every_size():
    assert set(IDS.values()) <= {entry.id for entry in catalog.entries()}
