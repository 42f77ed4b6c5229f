"""Runs of training: alone or by several processes, repeated, interrupted and resumed."""

import json
import multiprocessing
import random

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError, SAMSegmenterError
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.training.curve import draw_curve, read_log
from SAMSegmenterLib.training.recipe import LENGTHS, Recipe
from SAMSegmenterLib.training.trainee import Trainee
from SAMSegmenterLib.training.trainer import LOG, STATE, WEIGHTS, Trainer
from SAMSegmenterLib.training.workers import train
from support.training_steps import CPU, SMALL


def test_recipe_warms_up_and_ends_slowly():
    recipe = Recipe(rate=1e-3, rise=10, last=0.02)
    assert recipe.rate_at(0, 0) == pytest.approx(1e-4)
    assert recipe.rate_at(100, 0) == pytest.approx(1e-3)
    assert recipe.rate_at(100, 1) == pytest.approx(2e-5)
    assert {Recipe(scratch=True).length_at(0.0, random.Random(n)) for n in range(50)} == {1}
    assert Recipe().objects_of(1) > Recipe().objects_of(3)
    assert {Recipe().length_at(0.5, random.Random(n)) for n in range(200)} == {1, *LENGTHS}


def test_run_writes_weights_that_load_and_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.training.trainer.LOG_EVERY", 0)
    told = []
    train(SMALL, tmp_path, CPU, 1, report=told.append)
    model = load_model(tmp_path / WEIGHTS)
    assert (tmp_path / WEIGHTS).stat().st_size < 12e6
    assert all(torch.isfinite(value).all() for value in model.network.state_dict().values())
    assert [entry["step"] for entry in told] == list(range(1, len(told) + 1))
    resumed = Trainer(Recipe(**{**vars(SMALL), "minutes": told[-1]["minutes"] + 0.05}), tmp_path, CPU)
    assert resumed.step == len(told)
    resumed.run()
    assert resumed.step > len(told)
    assert len((tmp_path / LOG).read_text().splitlines()) == resumed.step
    draw_curve(tmp_path / LOG, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_line_of_the_log_that_was_broken_off_is_passed_over(tmp_path):
    (tmp_path / LOG).write_text('{"minutes": 1, "box": 0.5}\n{"minutes": 2, "bo{"minutes": 3, "box": 0.6}\n{"minutes": 4}\n')
    assert [entry["minutes"] for entry in read_log(tmp_path / LOG)] == [1, 4]
    assert read_log(tmp_path / "missing") == []


def test_interrupted_run_keeps_its_state(tmp_path, monkeypatch):
    trainer = Trainer(SMALL, tmp_path, CPU)
    steps = iter([{"loss": 1.0}])

    def step(*_):
        trainer.step += 1
        try:
            return next(steps)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(trainer, "_train", step)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (tmp_path / STATE).exists()
    assert Trainer(SMALL, tmp_path, CPU).step == trainer.step


def test_same_seed_gives_the_same_run(tmp_path):
    values = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        trainer = Trainer(SMALL, tmp_path / name, CPU)
        values.append(trainer._train(Trainee(trainer.network), 0.5))
    assert values[0] == values[1]


def test_workers_train_together_until_they_are_stopped(tmp_path):
    told = []
    train(Recipe(minutes=0.03, size=64, frames=1, objects=2), tmp_path, CPU, 2, report=told.append)
    recipe = json.loads(_header(tmp_path / WEIGHTS)["__metadata__"]["recipe"])
    trained = torch.load(tmp_path / STATE, weights_only=True)["step"]
    assert recipe["size"] == 64
    assert trained > 0
    assert [entry["step"] for entry in told] == [trained]
    train(Recipe(minutes=60, size=64, frames=1, objects=2), tmp_path, CPU, 2, stopped=lambda: True)
    assert torch.load(tmp_path / STATE, weights_only=True)["step"] >= trained


def test_a_workers_error_arrives_as_it_was(tmp_path):
    (tmp_path / STATE).write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be resumed") as refusal:
        train(SMALL, tmp_path, CPU, 2)
    assert "Traceback" not in str(refusal.value)


def test_a_worker_that_is_killed_is_told(tmp_path):
    with pytest.raises(SAMSegmenterError, match=r"training has ended: process [01] terminated"):
        train(SMALL, tmp_path, CPU, 2, stopped=_kill_a_child)


def _kill_a_child():
    multiprocessing.active_children()[0].kill()
    return False


def _header(path):
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))
