"""Models given as files: what runs, what is told of them, and what is refused unharmed."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import store
from support.cli_steps import MIDDLE, assert_refused
from support.networks import random_network, weights_of_their_own


class Trap:
    """Its pickle makes a file when it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def shipped():
    return store.locate(catalog.entry(catalog.default_id()))


def without_a_key(path):
    state = load_file(shipped())
    state.pop(sorted(state)[0])
    save_file(state, path)


BAD_MODELS = {
    "missing": ("m.safetensors", lambda path: None),
    "empty": ("m.safetensors", lambda path: path.write_bytes(b"")),
    "truncated": ("m.safetensors", lambda path: path.write_bytes(shipped().read_bytes()[:100_000])),
    "missing keys": ("m.safetensors", without_a_key),
    "another architecture": ("m.pt", lambda path: torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(10)}, path)),
    "a web page": ("m.pt", lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>")),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_unusable_checkpoints_are_refused(propagate, tmp_path, out, kind):
    name, make = BAD_MODELS[kind]
    make(tmp_path / name)
    assert_refused(propagate("--model", tmp_path / name), name)
    assert not out.exists()


@pytest.mark.parametrize("write", [lambda trap, path: torch.save(trap, path), lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_a_checkpoint_that_carries_code_does_not_run_it(propagate, tmp_path, out, write):
    write({"model": Trap(tmp_path / "sprung")}, tmp_path / "m.pt")
    assert_refused(propagate("--model", tmp_path / "m.pt"), "m.pt")
    assert not (tmp_path / "sprung").exists()
    assert not out.exists()


def test_a_checkpoint_can_be_given_as_a_file(propagate, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(shipped().read_bytes())
    assert propagate("--model", path, "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["model"]["id"] == catalog.default_id()


def test_an_official_checkpoint_runs_as_a_file(propagate, tmp_path):
    """Random weights in the form that SAM 2.1 tiny is published in."""
    torch.save({"model": random_network("t", 1024).state_dict()}, tmp_path / "sam2.1_hiera_tiny.pt")
    assert propagate("--model", tmp_path / "sam2.1_hiera_tiny.pt", "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    assert json.loads((tmp_path / "s.json").read_text())["model"]["id"] == "sam2.1_hiera_tiny.pt"


def test_what_files_of_models_were_taken_for_is_told(propagate, tmp_path):
    path = weights_of_their_own(tmp_path / "mine.safetensors")
    outcome = propagate("--range", f"{MIDDLE}:{MIDDLE + 1}", "--model", path, "--keyframes-by", path)
    assert outcome.code == 0, outcome
    assert outcome.err.count("mine.safetensors: Its weights have the names and shapes of SAMSegmenter pico.") == 2
