"""What loading a model tells, and what it leaves behind."""

import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.loading import find, load_model, load_slice_model
from SAMSegmenterLib.models.storage import hashes, store
from support.networks import weights_of_their_own

PICO = store.SHIPPED / "samsegmenter_pico.safetensors"


@pytest.fixture
def unhashed(monkeypatch):
    """A model of the catalog whose authors publish no SHA-256, in the layout of the smallest network."""
    like = replace(catalog.entry("samsegmenter-pico"), shipped=False, url="https://example.org/unhashed.safetensors")
    entry = replace(like, id="unhashed", file="unhashed.safetensors", sha256=None)
    entries = (*catalog.entries(), entry)
    monkeypatch.setattr(catalog, "entries", lambda: entries)
    return entry


# What is told


def test_what_a_file_was_recognised_by_is_told(tmp_path):
    path = weights_of_their_own(tmp_path / "mine.safetensors")
    assert load_model(path).why == "Its weights have the names and shapes of SAMSegmenter pico."
    assert load_slice_model(path).why == load_model(path).why
    copy = shutil.copyfile(PICO, tmp_path / "copy.safetensors")
    assert load_model(copy).why == "Its SHA-256 is that of SAMSegmenter pico."


def test_of_a_model_that_is_chosen_by_its_name_there_is_nothing_to_tell():
    assert load_model().why == load_slice_model("samsegmenter-pico").why == ""


@pytest.mark.parametrize("path", ["~nobody-of-this-name/mine.pt", "~/there is no such file.pt"])
def test_a_file_that_is_not_there_is_called_as_the_user_called_it(path):
    with pytest.raises(CheckpointError, match=f"^{path}: there is no such model file"):
        find(path)


# What is left behind


def test_the_first_file_that_is_a_network_is_the_models_from_then_on(models_folder, unhashed):
    weights_of_their_own(models_folder / unhashed.file)
    model = load_model("unhashed")
    assert hashes.expected(unhashed) == model.sha256
    shutil.copyfile(PICO, models_folder / unhashed.file)
    with pytest.raises(CheckpointError):
        load_model("unhashed")


def test_a_file_that_is_no_such_network_is_not_taken_for_the_models(models_folder, unhashed):
    state = load_file(PICO)
    del state["no_mem_embed"]
    save_file(state, models_folder / unhashed.file)
    with pytest.raises(CheckpointError, match=r"1 missing \(no_mem_embed\)"):
        load_model("unhashed")
    assert hashes.expected(unhashed) is None
