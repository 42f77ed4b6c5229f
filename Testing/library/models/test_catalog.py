"""The catalog knows its entries, and a faulty one names the field."""

import json
from importlib import import_module

import pytest

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.families.normalisers import PUBLISHED
from SAMSegmenterLib.models.loading import load_model
from support.checkpoints import OFFICIAL, written


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


@pytest.mark.parametrize(("id", "meant"), [("sam2.1-hiera-tinny", r"Did you mean sam2\.1-hiera-tiny\? "), ("nowhere", "")])
def test_of_unknown_ids_the_one_that_may_be_meant_is_named(id, meant):
    advice = rf"\. {meant}'samsegmenter models list' shows all\.$"
    with pytest.raises(InputError, match=f"There is no model '{id}'{advice}"):
        catalog.entry(id)
    with pytest.raises(CheckpointError, match=f"{id}: .* no model of that name{advice}"):
        load_model(id)


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
