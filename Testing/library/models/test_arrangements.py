"""Weights are found in any of the usual arrangements; what is missing or changed in others is named."""

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.models.weights.checkpoint import read_checkpoint
from support.checkpoints import saved


def test_a_file_given_as_text_and_in_half_precision_loads(pico_state, tmp_path):
    path = saved({name: value.bfloat16() for name, value in pico_state.items()}, tmp_path / "copy.pt")
    model = load_model(str(path))
    assert model.id == "copy.pt"
    assert next(model.network.parameters()).dtype == torch.float32


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


@pytest.mark.parametrize("name", ["PosixPath", "WindowsPath"])
def test_paths_that_python_3_13_has_written_are_passed_over(name, pico_state, tmp_path, monkeypatch):
    module = types.ModuleType("pathlib._local")
    setattr(module, name, type(name, (), {"__module__": module.__name__}))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        path = saved({"model": pico_state, "log": getattr(module, name)()}, tmp_path / "trained.pth")
    assert read_checkpoint(path).beside == {"log"}


def test_files_are_told_by_what_is_in_them_whatever_they_are_called(pico_state, tmp_path):
    zipped = saved(pico_state, tmp_path / "weights.pt").rename(tmp_path / "renamed.safetensors")
    plain = saved(pico_state, tmp_path / "weights.safetensors").rename(tmp_path / "renamed.pth")
    for path in (zipped, plain):
        assert read_checkpoint(path).weights.keys() == pico_state.keys()


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
