"""The statistics that `--stats` writes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.image.volume import Source, Volume
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.session.session import Session
from support.cli_steps import INVERSE, MIDDLE, SIDE, SLICES, labels_in, segment
from support.phantoms import ball


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


def test_volumes_keep_their_digits(propagate, tmp_path):
    """Of voxels of 3 micrometres; rounded to a millionth of a litre, they would be nothing."""
    matrix = np.diag([0.003, 0.003, 0.003, 1])
    write_volume(tmp_path / "cell.nrrd", Volume(ball(SLICES, SIDE, 9)[0].voxels, matrix))
    assert propagate("--range", "9:11", "--stats", tmp_path / "s.json", volume=tmp_path / "cell.nrrd").code == 0
    (found,) = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["segments"]
    assert found["volume_ml"] == pytest.approx(found["voxels"] * 0.003**3 / 1000, rel=1e-5)
    assert found["volume_ml"] > 0


@pytest.mark.parametrize("options", [(), ("--overlap",)])
def test_voxels_are_those_of_the_file(propagate, marked, tmp_path, options):
    out = tmp_path / "out.seg.nrrd"
    prompts = marked(segment("one"), segment("other"))
    assert propagate("--range", "9:11", "--stats", tmp_path / "s.json", *options, prompts=prompts, output=out).code == 0
    counts = [each["voxels"] for each in json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["segments"]]
    assert counts == [int((labels_in(out) == label).sum()) for label in (1, 2)]


def test_what_reading_warns_of_is_told_once_and_kept(propagate, marked, scan, tmp_path, monkeypatch):
    from SAMSegmenterLib import imageio

    original = imageio.read_volume
    source = Source("spacing of nobody", ("ball.nrrd: 1 mm is assumed.", "ball.nrrd: \033[31mred."))
    monkeypatch.setattr(imageio, "read_volume", lambda *arguments: replace(original(*arguments), source=source))
    monkeypatch.setattr(imageio, "read_labelmap", lambda path: replace(original(path), source=source))
    write_volume(tmp_path / "m.nrrd", Volume(ball(SLICES, SIDE, 9)[1].astype(np.uint8), INVERSE))
    prompts = marked(segment(mask={"file": "m.nrrd"}), segment("other", 9, mask={"file": "m.nrrd"}))
    outcome = propagate("--range", "9:11", "--stats", tmp_path / "s.json", prompts=prompts)
    assert outcome.code == 0
    told = "ball.nrrd: 1 mm is assumed.", "ball.nrrd: ?[31mred."
    assert outcome.err.splitlines() == [f"samsegmenter: warning: {each}" for each in told]
    stats = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert (stats["geometry"], stats["warnings"]) == (source.geometry, list(source.warnings))


def test_statistics_and_the_picture_compose_nothing_again(samsegmenter, tmp_path, monkeypatch):
    composed, original = [], Session.layers
    monkeypatch.setattr(Session, "layers", lambda self, overlap=False: composed.append(overlap) or original(self, overlap))
    monkeypatch.setattr(Session, "labelmap", None)
    monkeypatch.setattr(Session, "trust", None)
    assert samsegmenter("demo", "--output", tmp_path / "demo").code == 0
    assert composed == [False]
    assert json.loads((tmp_path / "demo" / "stats.json").read_text(encoding="utf-8"))["segments"][0]["trust"]
