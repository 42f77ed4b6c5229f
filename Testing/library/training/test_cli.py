"""`samsegmenter train-default`: what it writes and says, and its exit codes."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.training.curve import read_log
from SAMSegmenterLib.training.trainer import LOG, STATE, WEIGHTS
from support.cli_steps import assert_refused, assert_wrong_call


@pytest.fixture
def run(tmp_path):
    """The folder that is trained in."""
    return tmp_path / "run"


@pytest.fixture
def maps(tmp_path):
    """A folder for label maps."""
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


@pytest.fixture
def train(samsegmenter, run):
    """Train for a moment, with whatever is given changed."""

    def train(*options, output=run):
        moment = "--minutes", "0.02", "--size", "64", "--frames", "3", "--workers", "1"
        return samsegmenter("train-default", "--output", output, *moment, *options)

    return train


def test_a_short_training_is_told_and_logged(train, run):
    outcome = train()
    assert outcome.code == 0, outcome.err
    (entry,) = read_log(run / LOG)
    assert f"step {entry['step']:.0f}, loss {entry['loss']:.3f}" in outcome.err
    assert (run / "curve.png").exists()


def test_command_trains_from_label_maps_and_draws_the_curve(train, run, maps, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.training.trainer.LOG_EVERY", 0)
    brain = np.zeros((24, 24, 24), np.uint8)
    brain[4:20, 4:20, 4:20] = 1
    sitk.WriteImage(sitk.GetImageFromArray(brain), str(maps / "one.nii.gz"))
    outcome = train("--from", "samsegmenter-pico", "--labelmaps", maps)
    assert outcome.code == 0, outcome.err
    assert {path.name for path in run.iterdir()} == {STATE, LOG, WEIGHTS, "curve.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "100"], "multiple of 32"),
        (["--rate", "nan"], "--rate"),
        (["--rate", "-1"], "--rate"),
        (["--seed", "99999999999999999999"], "--seed"),
    ],
)
def test_wrong_calls(train, run, options, message):
    assert_wrong_call(train(*options), message)
    assert not run.exists()


def test_what_cannot_be_trained_on_ends_with_one_message(train, run, maps):
    assert_refused(train("--labelmaps", maps), "no label maps")
    assert_refused(train("--labelmaps", "nowhere"), "nowhere: there is no such folder")
    assert_refused(train("--from", "nowhere.pt"), "no such model file")
    assert not run.exists()


def test_folders_that_may_not_be_read_are_no_wrong_call(train, maps, run, monkeypatch):
    run.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert_refused(train("--labelmaps", maps), "maps: Permission denied. Change who may use it")


def refuse(folder):
    raise PermissionError(13, "Permission denied", str(folder))


def test_weights_to_begin_from_are_not_replaced(train, run):
    assert train().code == 0
    (run / STATE).unlink()
    before = (run / WEIGHTS).read_bytes()
    assert_refused(train("--from", run / WEIGHTS), "this file is read, too")
    assert (run / WEIGHTS).read_bytes() == before


def test_weights_to_begin_from_are_not_passed_over_in_silence(train, run):
    first, again = (train("--from", "samsegmenter-pico") for _ in range(2))
    assert first.code == again.code == 0
    assert "training goes on from" not in first.err
    assert f"training goes on from {run / STATE}; to begin from samsegmenter-pico" in again.err
