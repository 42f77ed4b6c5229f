import json
import os
import shutil
from collections import namedtuple
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from SAMSegmenterLib.errors import CheckpointError, InputError, OutputError
from SAMSegmenterLib.models import catalog, loading
from SAMSegmenterLib.models.loading import load_model, load_proposer, load_slice_model
from SAMSegmenterLib.models.storage import hashes, store
from SAMSegmenterLib.models.storage.importing import files_in, import_file
from support import layouts
from support.networks import weights_of_their_own

PICO = store.SHIPPED / "samsegmenter_pico.safetensors"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def with_models_folder(models_folder):
    """No test here looks at the user's own folder."""


@pytest.fixture
def own(tmp_path):
    """Weights of the user's own, in the layout of the smallest network."""
    return weights_of_their_own(tmp_path / "My Liver (3).safetensors")


@pytest.fixture(scope="module")
def medsam2(tmp_path_factory):
    """Random weights in the layout and under the name of MedSAM2."""
    path = tmp_path_factory.mktemp("downloads") / "MedSAM2_latest.pt"
    torch.save({"model": layouts.filled(layouts.sam2_shapes())}, path)
    return path


@pytest.fixture
def known_by_size(monkeypatch):
    """Have the catalog know of MedSAM2 no more than that its file has so many bytes."""

    def know(size):
        entries = [replace(entry, bytes=size, sha256=None) if entry.id == "medsam2-latest" else entry for entry in catalog.entries()]
        monkeypatch.setattr(catalog, "entries", lambda: tuple(entries))

    return know


@pytest.fixture
def published(monkeypatch):
    """Two more models in the catalog that have the layout of the smallest network: one with a published hash, one without."""
    like = replace(catalog.entry("samsegmenter-pico"), shipped=False, url="https://example.org/x")
    unhashed = replace(like, id="unhashed", file="unhashed.safetensors", sha256=None)
    hashed = replace(like, id="hashed-model", file="hashed-model.safetensors", sha256="0" * 64)
    entries = (*catalog.entries(), unhashed, hashed)
    monkeypatch.setattr(catalog, "entries", lambda: entries)


@pytest.fixture(scope="module")
def mobile_sam(tmp_path_factory):
    path = tmp_path_factory.mktemp("downloads") / "mine.pt"
    torch.save(layouts.filled(layouts.mobile_sam_shapes()), path)
    return path


def left_in(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


# Own weights


def test_own_weights_become_a_model_that_is_chosen_by_name(own, models_folder):
    entry = import_file(own)
    assert (entry.id, entry.file, entry.family) == ("my-liver-3", "my-liver-3.safetensors", "sam2")
    own.unlink()
    model = load_model("my-liver-3")
    assert (model.id, model.path, model.native_size) == ("my-liver-3", models_folder / entry.file, 128)
    assert "SAMSegmenter pico layout" in model.title


def test_own_weights_can_be_given_a_name(own):
    assert import_file(own, id="liver").id == "liver"
    assert load_model("liver").id == "liver"


def test_own_weights_are_checked_when_they_are_used(own, models_folder):
    entry = import_file(own, id="liver")
    shutil.copyfile(PICO, models_folder / entry.file)
    with pytest.raises(CheckpointError, match="not the file that was first used here as liver"):
        load_model("liver")


def test_own_weights_are_removed_with_their_name(own, models_folder):
    store.remove(import_file(own))
    assert store.entries() == catalog.entries()
    assert not {name for name in left_in(models_folder) if not name.endswith(".json")}
    with pytest.raises(CheckpointError, match="no model of that name"):
        load_model("my-liver-3")


def test_importing_twice_changes_nothing(own):
    assert import_file(own) == import_file(own)


def test_a_name_that_is_taken_is_refused(own, tmp_path):
    import_file(own, id="liver")
    other = tmp_path / "other.safetensors"
    save_file({name: value + 0.5 for name, value in load_file(own).items()}, other)
    with pytest.raises(InputError, match=r"a model 'liver' of yours already.*--as"):
        import_file(other, id="liver")


@pytest.mark.parametrize("name", ["../liver", "a/b", "", ".hidden", "liver\n"])
def test_names_that_would_leave_the_folder_are_refused(name, own):
    if name:
        with pytest.raises(InputError, match="cannot be the name of a model"):
            import_file(own, id=name)
    else:
        assert import_file(own, id=name).id == "my-liver-3"


def test_a_file_that_was_there_before_is_not_replaced(own, models_folder):
    by_hand = models_folder / "liver.safetensors"
    by_hand.write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"liver\.safetensors: is another file and was not replaced.*--as"):
        import_file(own, id="liver")
    assert by_hand.read_bytes() == b"other weights"
    assert store.entries() == catalog.entries()


def test_a_file_by_hand_of_a_model_without_a_published_hash_is_not_replaced(own, published, models_folder):
    by_hand = models_folder / "unhashed.safetensors"
    by_hand.write_bytes(b"other weights")
    with pytest.raises(InputError, match="is another file and was not replaced"):
        import_file(own, id="unhashed")
    assert left_in(models_folder) == {by_hand.name}


@pytest.mark.parametrize("name", ["licences.json", "own.json", "weights.bin", "weights"])
def test_weights_get_a_name_that_says_so_whatever_the_file_was_called(name, own, models_folder):
    entry = import_file(own.rename(own.with_name(name)))
    assert entry.file == name.partition(".")[0] + ".safetensors"
    assert left_in(models_folder) == {entry.file, hashes.HASHES, store.OWN}


def test_a_zip_archive_of_weights_gets_the_suffix_of_one(mobile_sam, tmp_path):
    copy = shutil.copyfile(mobile_sam, tmp_path / "mobile.json")
    assert import_file(copy).file == "mobile.pt"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
def test_all_who_share_the_folder_can_read_what_was_imported(own, models_folder):
    models_folder.chmod(0o2775)
    before = os.umask(0o077)
    try:
        entry = import_file(own)
    finally:
        os.umask(before)
    assert (models_folder / entry.file).stat().st_mode & 0o777 == 0o664


def test_a_slice_model_of_the_users_own_segments_slices(mobile_sam):
    entry = import_file(mobile_sam)
    assert (entry.id, entry.kind) == ("mine", "slice")
    assert load_slice_model("mine").size == 1024
    with pytest.raises(CheckpointError, match=r"segments single slices.*a model is wanted that carries masks through a volume"):
        load_model("mine")
    with pytest.raises(CheckpointError, match="a model is wanted that proposes masks"):
        load_proposer("mine")


# Published files


def test_a_published_file_is_known_by_its_hash_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    copy = tmp_path / "renamed.bin"
    shutil.copyfile(PICO, copy)
    assert loading.read(copy).entry.id == "samsegmenter-pico"
    with pytest.raises(CheckpointError, match=r"is the published samsegmenter-pico, not sam2-unet"):
        import_file(copy, id="sam2-unet")


def test_a_published_file_without_a_hash_is_known_by_its_name_and_its_hash_recorded(medsam2, known_by_size, models_folder):
    known_by_size(medsam2.stat().st_size)
    entry = import_file(medsam2)
    assert entry == catalog.entry("medsam2-latest")
    assert store.status(entry) == models_folder / "MedSAM2_latest.pt"
    assert hashes.expected(entry) == hashes.file_sha256(medsam2)
    model = load_model("medsam2-latest")
    assert (model.native_size, model.network.image_size, model.sizes) == (512, 512, (512,))


def test_own_weights_under_a_published_name_are_told_by_their_size(medsam2, known_by_size, models_folder):
    known_by_size(156040129)
    with pytest.raises(InputError, match=r"published model, and this file is another one.*--as"):
        import_file(medsam2)
    with pytest.raises(CheckpointError, match=r"is not the file published as medsam2-latest \(\d+ bytes, expected 156040129\)"):
        import_file(medsam2, id="medsam2-latest")
    assert left_in(models_folder) == set()


def test_a_recorded_file_is_known_by_its_hash_from_then_on(own, published):
    import_file(own.rename(own.with_name("unhashed.safetensors")))
    renamed = own.with_name("unhashed.safetensors").rename(own)
    assert loading.read(renamed).entry.id == "unhashed"


def test_the_user_can_say_which_published_model_a_file_is(own, published, models_folder):
    with pytest.raises(CheckpointError, match=r"is not sam-vit-b\. Its weights"):
        import_file(own, id="sam-vit-b")
    assert import_file(own, id="unhashed").id == "unhashed"
    assert left_in(models_folder) == {"unhashed.safetensors", "hashes.json"}


def test_other_weights_do_not_pass_for_published_ones(own, published):
    own = own.rename(own.with_name("hashed-model.safetensors"))
    with pytest.raises(InputError, match=r"published model, and this file is another one.*--as"):
        import_file(own)
    with pytest.raises(CheckpointError, match="not the file published as hashed-model"):
        import_file(own, id="hashed-model")


# What is refused leaves no trace


def test_partial_weights_are_refused_and_named(own, models_folder):
    state = load_file(own)
    del state["maskmem_tpos_enc"]
    save_file(state, own)
    with pytest.raises(CheckpointError, match=r"1 missing \(maskmem_tpos_enc\)"):
        import_file(own)
    assert left_in(models_folder) == set()


def test_unknown_weights_are_refused_and_described(tmp_path, models_folder):
    path = tmp_path / "resnet.pt"
    torch.save({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"resnet\.pt.*not supported.*conv1\.weight"):
        import_file(path)
    assert left_in(models_folder) == set()


def test_a_full_disk_is_noticed_before(own, monkeypatch, models_folder):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10))
    with pytest.raises(OutputError, match=r"7 MB are needed and 0 MB are free"):
        import_file(own)
    assert left_in(models_folder) == set()


def test_nothing_is_recorded_of_a_published_file_that_could_not_be_copied(own, published, monkeypatch, models_folder):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10))
    with pytest.raises(OutputError):
        import_file(own, id="unhashed")
    assert left_in(models_folder) == set()


def test_damaged_records_of_own_models_do_not_keep_others_from_loading(models_folder):
    (models_folder / store.OWN).write_text("{", encoding="utf-8")
    assert load_model().id == "samsegmenter-pico"
    with pytest.raises(InputError, match=r"own\.json: is damaged"):
        load_model("mine")


def test_a_copy_that_fails_leaves_nothing(own, monkeypatch, models_folder):
    def fail(source, target):
        target.write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(OutputError, match=os.strerror(28)):
        import_file(own)
    assert left_in(models_folder) == set()


# Folders


def test_a_folder_means_the_model_files_in_it(tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "deeper").mkdir()
    for name in ("b.pt", "a.SAFETENSORS", "notes.txt", "c.pth"):
        (folder / name).write_bytes(b"")
    assert [path.name for path in files_in(folder)] == ["a.SAFETENSORS", "b.pt", "c.pth"]
    assert files_in(folder / "notes.txt") == [folder / "notes.txt"]


def test_a_folder_without_model_files_is_named(models_folder):
    with pytest.raises(InputError, match=r"no model files in this folder; they end in \.ckpt, \.pt, \.pth, \.safetensors"):
        files_in(models_folder)


def test_records_are_readable_by_people(own, models_folder):
    import_file(own, id="liver")
    kept = json.loads((models_folder / store.OWN).read_text(encoding="utf-8"))
    assert kept == {"liver": {"file": "liver.safetensors", "like": "samsegmenter-pico", "native_size": 128}}
