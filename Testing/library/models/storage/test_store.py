"""The models of this machine: found, removed with all that belongs to them, and listed with one's own."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import CheckpointError, InputError, OutputError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import hashes, locks, records, store
from support.published import MEDSAM2, TINY, placed

pytestmark = pytest.mark.usefixtures("both_folders")

PICO = catalog.entry("samsegmenter-pico")


@pytest.fixture
def departments_is_read_only(departments, monkeypatch):
    original = locks.shared_mode

    def refuse(folder):
        if folder == departments:
            raise PermissionError(13, "Permission denied")
        return original(folder)

    monkeypatch.setattr(locks, "shared_mode", refuse)


def test_what_is_not_here_says_how_to_get_it(mine):
    with pytest.raises(CheckpointError) as refusal:
        store.locate(TINY)
    for words in (f"samsegmenter models get {TINY.id}", TINY.url, str(mine), TINY.file):
        assert words in str(refusal.value)
    with pytest.raises(CheckpointError, match=r"github\.com/OpenGVLab/SAM-Med2D.*models import FILE"):
        store.locate(catalog.entry("sam-med2d"))


def test_a_model_is_removed_with_all_that_belongs_to_it(mine):
    path = placed(mine, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    parts = store.transient(path)
    for part in parts:
        part.write_bytes(b"part")
    assert store.remove(MEDSAM2) == [path, *parts]
    assert not any(each.exists() for each in (path, *parts))
    assert hashes.expected(MEDSAM2) is None


def test_a_model_is_removed_from_all_folders_with_their_records(mine, departments, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(departments))
    entry = store.keep_own("mine", "mine.pt", TINY)
    path = placed(departments, entry)
    hashes.remember(entry, hashes.file_sha256(path))
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.pathsep.join([str(mine), str(departments)]))
    assert store.remove(entry) == [path]
    assert store.entries() == catalog.entries()
    assert hashes.expected(entry) is None


def test_what_cannot_be_removed_is_named_after_all_else_is_gone(mine, departments, departments_is_read_only):
    (departments / hashes.HASHES).write_text(json.dumps({MEDSAM2.id: "0" * 64}), encoding="utf-8")
    own = placed(mine, MEDSAM2)
    with pytest.raises(OutputError, match=r"department.*hashes\.json: could not be written \(Permission denied\)"):
        store.remove(MEDSAM2)
    assert not own.exists()


def test_the_hash_of_a_file_that_is_gone_can_be_forgotten(mine):
    hashes.remember(MEDSAM2, "0" * 64)
    assert store.remove(MEDSAM2) == []
    assert hashes.expected(MEDSAM2) is None


def test_a_model_that_is_being_downloaded_is_not_removed(mine):
    path = placed(mine, TINY)
    part, _ = store.transient(path)
    part.write_bytes(b"part")
    with locks.turn(path), pytest.raises(OutputError, match="is being downloaded or imported just now"):
        store.remove(TINY)
    assert path.is_file()
    assert part.is_file()


def test_models_that_ship_stay():
    with pytest.raises(InputError, match="ships with SAMSegmenter"):
        store.remove(PICO)
    assert store.status(PICO).is_file()


def test_what_is_not_installed_cannot_be_removed():
    with pytest.raises(InputError, match="not installed"):
        store.remove(TINY)


def test_a_link_is_removed_but_not_what_it_leads_to(mine, tmp_path):
    outside = tmp_path / "outside.pt"
    outside.write_bytes(b"weights")
    try:
        (mine / TINY.file).symlink_to(outside)
    except OSError:
        pytest.skip("this system does not let its users make links")
    store.remove(TINY)
    assert outside.read_bytes() == b"weights"
    assert store.status(TINY) is None


def test_a_file_that_cannot_be_deleted_is_named(mine, monkeypatch):
    path = placed(mine, TINY)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=rf"{TINY.file}: could not be deleted \(Permission denied\)"):
        store.remove(TINY)
    assert path.is_file()


def test_ones_own_models_are_listed_after_the_catalog(mine):
    like = replace(catalog.entry("med-sa"), native_size=256)
    entry = store.keep_own("my-adapter", "my-adapter.pth", like)
    assert store.entries() == (*catalog.entries(), entry)
    assert store.entry("my-adapter") == entry
    assert (entry.family, entry.kind, entry.normaliser, entry.native_size, entry.sizes) == ("med_sa", "slice", "med_sa", 256, (256,))
    assert (entry.url, entry.sha256, entry.commercial_use, entry.licence) == (None, None, False, "not known")
    path = placed(mine, entry)
    assert store.remove(entry) == [path]
    assert store.entries() == catalog.entries()


def test_of_unknown_models_the_one_that_may_be_meant_is_named():
    store.keep_own("my-liver", "mine.pt", TINY)
    with pytest.raises(InputError, match=r"There is no model 'my-livre'\. Did you mean my-liver\? 'samsegmenter models list' shows all"):
        store.entry("my-livre")
    with pytest.raises(InputError, match=r"There is no model 'yours'\. 'samsegmenter models list' shows all"):
        store.entry("yours")


@pytest.mark.parametrize(
    "kept",
    [
        {"file": "../../x.pt", "like": "med-sa", "native_size": 256},
        {"file": "x.pt", "like": "sam9", "native_size": 256},
        {"file": "x.pt", "like": "med-sa", "native_size": "large"},
        {"file": "x.pt", "like": "med-sa", "native_size": 0},
        {"file": "x.pt", "like": "med-sa", "native_size": 10**9},
        {"file": "x.pt", "like": "samsegmenter-pico", "native_size": 144},
        {"file": "", "like": "med-sa", "native_size": 256},
        {"file": "x.pt"},
        "x.pt",
    ],
)
def test_damaged_records_of_own_models_are_named(kept):
    records.note(store.OWN, "bad", kept)
    with pytest.raises(InputError, match=r"own\.json: the record of 'bad' is damaged"):
        store.entries()


def test_damaged_file_of_own_models_says_what_its_loss_costs(mine):
    (mine / store.OWN).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"own\.json: is damaged .* must be imported again"):
        store.entries()


def test_nobody_shadows_a_published_model():
    records.note(store.OWN, TINY.id, {"file": "x.pt", "like": TINY.id, "native_size": 1024})
    assert store.entry(TINY.id) == TINY
