"""The statistics that `--stats` writes."""

import json

import numpy as np
import pytest

from cli_steps import MIDDLE, SLICES, labels_in
from SAMSegmenterLib.models import catalog

pytest_plugins = ["cli_fixtures"]


def test_statistics_tell_what_was_done(propagate, tmp_path, out):
    path = tmp_path / "s.json"
    assert propagate("--stats", path).code == 0
    stats = json.loads(path.read_text(encoding="utf-8"))
    assert stats["version"] == 1
    assert stats["volume"] == "ball.nrrd"
    assert stats["model"] == {"id": catalog.default_id(), "sha256": catalog.entry(catalog.default_id()).sha256}
    assert (stats["cancelled"], stats["mode"], stats["warnings"]) == (False, "auto", [])
    assert stats["device"].startswith(("cpu", "cuda", "mps"))
    assert stats["precision"] in ("float32", "bfloat16", "float16")
    assert stats["peak_memory_mb"] > 100
    assert 0 < stats["slices"] <= 2 * SLICES
    assert stats["slices_per_second"] > 0
    assert stats["seconds"]["total"] >= max(stats["seconds"].values())
    assert {"encode", "track", "write"} <= stats["seconds"].keys()


def test_statistics_describe_every_segment(propagate, tmp_path, out):
    path = tmp_path / "s.json"
    assert propagate("--stats", path).code == 0
    (found,) = json.loads(path.read_text(encoding="utf-8"))["segments"]
    assert (found["name"], found["keyframes"]) == ("ball", [MIDDLE])
    assert {(each["start"], each["direction"]) for each in found["passes"]} == {(MIDDLE, -1), (MIDDLE, 1)}
    assert all(each["reason"] and 0 <= each["reached"] < SLICES for each in found["passes"])
    assert all(0 <= value <= 1 for value in found["trust"].values())
    assert {int(index) for index in found["trust"]} == set(np.flatnonzero(labels_in(out).any(axis=(1, 2))).tolist())
    assert set(found["review"]) <= {int(index) for index in found["trust"]}


def test_statistics_measure_every_segment(propagate, tmp_path, out):
    path = tmp_path / "s.json"
    assert propagate("--stats", path).code == 0
    (found,) = json.loads(path.read_text(encoding="utf-8"))["segments"]
    voxels = int((labels_in(out) == 1).sum())
    assert (found["label"], found["voxels"]) == (1, voxels)
    assert found["volume_ml"] == pytest.approx(voxels * 0.8 * 0.8 * 2.5 / 1000, rel=1e-3)


def test_slices_are_counted_once(propagate, tmp_path):
    path = tmp_path / "s.json"
    assert propagate("--range", "8:13", "--mode", "strict", "--stats", path).code == 0  # strict never stops early
    assert json.loads(path.read_text(encoding="utf-8"))["slices"] in (5, 6)  # without or with the prompted one
