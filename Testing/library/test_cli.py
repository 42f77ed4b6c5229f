"""The command line: its contract, its exit codes, and that nothing is lost or half-written."""

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from safetensors.torch import load_file, save_file

import SAMSegmenterLib
from networks import random_network, weights_of_their_own
from phantoms import ball
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.models import catalog, loading, store
from SAMSegmenterLib.session import Session
from SAMSegmenterLib.volume import Volume

LIBRARY = Path(SAMSegmenterLib.__file__).parents[1]
SLICES, SIDE, MIDDLE = 20, 48, 10
BOX = [15, 15, 33, 33]
INVERSE = np.array([[-0.8, 0, 0, 12], [0, -0.8, 0, -7], [0, 0, 2.5, 100], [0, 0, 0, 1]])  # the scanner's usual directions, in RAS


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A file with a bright ball, in the middle of 20 slices with uneven spacing."""
    path = tmp_path_factory.mktemp("scan") / "ball.nrrd"
    write_volume(path, Volume(ball(SLICES, SIDE, 9)[0].voxels, INVERSE))
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.nii.gz"


@pytest.fixture
def marked(tmp_path):
    """Write a prompt file for some segments."""

    def write(*segments, **fields):
        path = tmp_path / "prompts.json"
        path.write_text(json.dumps({"version": 1, "axis": "k", "space": "ijk", "segments": segments, **fields}), encoding="utf-8")
        return path

    return write


def segment(name="ball", index=MIDDLE, **prompts):
    return {"name": name, "keyframes": [{"slice": index, **(prompts or {"box": BOX})}]}


@pytest.fixture
def propagate(samsegmenter, scan, marked, out):
    """Segment the ball, with whatever is given changed."""

    def run(*options, volume=scan, prompts=None, output=out):
        return samsegmenter("propagate", volume, "--prompts", prompts or marked(segment()), "--output", output, *options)

    return run


def labels_in(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def assert_refused(outcome, *words, code=1):
    """One clear message, no traceback. ITK may have printed a line of its own before it."""
    assert outcome.code == code, outcome
    assert [line.startswith("samsegmenter: error: ") for line in outcome.err.splitlines()].count(True) == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def leftovers(folder, *expected):
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)


# ---------------------------------------------------------------- help


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["propagate", "demo", "models", "info", "--version"]),
        (["propagate"], ["VOLUME", "--prompts", "--output", "--model", "--device", "--mode", "--range", "--stats", "--overlap"]),
        (["propagate"], ["--propose", "--on", "--keyframes-by", "--each-slice"]),
        (["demo"], ["--output", "--volume", "--prompts"]),
        (["models"], ["List"]),
        (["info"], ["VOLUME", "--series"]),
    ],
)
def test_help_names_every_option(samsegmenter, monkeypatch, command, words):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = samsegmenter(*command, "--help")
    assert outcome.code == 0
    for word in words:
        assert word in outcome.out


def test_version(samsegmenter):
    assert samsegmenter("--version").out.split() == ["samsegmenter", SAMSegmenterLib.__version__]


def test_help_comes_without_heavy_imports():
    code = (
        "import sys\nfrom SAMSegmenterLib.cli import main\n"
        "try: main(['propagate', '--help'])\n"
        "except SystemExit: sys.exit(bool({'torch', 'sam2', 'SimpleITK'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=LIBRARY, stdout=subprocess.DEVNULL)


# ---------------------------------------------------------------- results


def test_the_ball_is_found_and_lies_where_the_image_lies(propagate, scan, out):
    outcome = propagate()
    assert outcome.code == 0, outcome
    found, image = sitk.ReadImage(str(out)), sitk.ReadImage(str(scan))
    assert found.GetSize() == image.GetSize()
    for read in (sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection):
        np.testing.assert_allclose(read(found), read(image), atol=1e-4)
    truth, mask = ball(SLICES, SIDE, 9)[1], sitk.GetArrayFromImage(found) == 1
    assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.6


def test_a_pipe_hears_nothing_when_all_is_well(propagate):
    outcome = propagate()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.strip().count("\n") == 0


def test_labels_are_numbered_in_the_order_of_the_segments(propagate, marked, out):
    painted = np.zeros((SIDE, SIDE), bool)
    painted[2:8, 2:8] = True
    corner = {"shape": [SIDE, SIDE], "runs": runs(painted)}
    prompts = marked(segment("second in the alphabet"), segment("another", mask=corner))
    assert propagate("--range", "9:11", prompts=prompts).code == 0
    labels = labels_in(out)
    assert labels[MIDDLE, 24, 24] == 1
    assert (labels[MIDDLE][painted] == 2).all()
    assert set(np.unique(labels)) == {0, 1, 2}


def runs(mask):
    flat = mask.reshape(-1)
    bounds = [0, *np.flatnonzero(np.diff(flat, prepend=False)), flat.size]
    return [int(b - a) for a, b in itertools.pairwise(bounds)]


def test_a_seg_nrrd_knows_the_names(propagate, marked, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    prompts = marked({**segment("left kidney"), "color": [0.25, 0.5, 1]}, segment("cyst"))
    assert propagate("--range", "9:11", prompts=prompts, output=output).code == 0
    image = sitk.ReadImage(str(output))
    assert [image.GetMetaData(f"Segment{n}_Name") for n in range(2)] == ["left kidney", "cyst"]
    assert image.GetMetaData("Segment0_Color") == "0.25 0.5 1"


def test_overlapping_segments_are_kept_when_asked_for(propagate, marked, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    prompts = marked(segment("one"), segment("other"))
    assert propagate("--range", "9:11", "--overlap", prompts=prompts, output=output).code == 0
    image = sitk.ReadImage(str(output))
    assert image.GetNumberOfComponentsPerPixel() == 2
    layers = sitk.GetArrayFromImage(image)
    assert layers[MIDDLE, 24, 24].tolist() == [1, 2]


def test_overlap_is_refused_where_the_format_has_no_layers(propagate, out):
    outcome = propagate("--overlap")
    assert outcome.code == 2
    assert ".seg.nrrd" in outcome.err
    assert not out.exists()


def test_prompts_in_patient_coordinates_give_the_same_result(propagate, marked, tmp_path):
    def ras(x, y):
        return (INVERSE @ [x, y, MIDDLE, 1])[:3].tolist()

    one, other = tmp_path / "ijk.nii.gz", tmp_path / "ras.nii.gz"
    assert propagate("--range", "8:12", prompts=marked(segment(box=BOX, points=[[24, 24, 1]])), output=one).code == 0
    keyframe = {"box": ras(15, 15) + ras(33, 33), "points": [[*ras(24, 24), 1]]}
    in_ras = marked({"name": "ball", "keyframes": [keyframe]}, space="ras")
    assert propagate("--range", "8:12", prompts=in_ras, output=other).code == 0
    assert labels_in(one).any()
    np.testing.assert_array_equal(labels_in(one), labels_in(other))


def test_a_mask_file_is_found_beside_the_prompts(propagate, marked, scan, tmp_path, out):
    truth = ball(SLICES, SIDE, 9)[1]
    write_volume(tmp_path / "m.nii.gz", Volume(truth.astype(np.uint8) * 5, INVERSE))
    assert propagate("--range", "9:11", prompts=marked(segment(mask={"file": "m.nii.gz", "value": 5}))).code == 0
    np.testing.assert_array_equal(labels_in(out)[MIDDLE], truth[MIDDLE])


def test_nothing_is_computed_outside_the_range(propagate, out):
    assert propagate("--range", "8:11").code == 0
    labels = labels_in(out)
    assert labels[8:12].any(axis=(1, 2)).all()
    assert not labels[:8].any()
    assert not labels[12:].any()


@pytest.mark.parametrize("axis", "ij")
def test_other_axes(propagate, marked, out, axis):
    prompts = marked({"name": "ball", "keyframes": [{"slice": 24, "box": [15, 6, 33, 14]}]}, axis=axis)
    assert propagate("--range", "23:25", prompts=prompts).code == 0
    labels = np.moveaxis(labels_in(out), 2 - "ijk".index(axis), 0)
    assert labels[24].any()
    assert not labels[:23].any()


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_every_mode_runs(propagate, tmp_path, out, mode):
    assert propagate("--mode", mode, "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    stats = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert stats["mode"] == mode
    assert labels_in(out)[MIDDLE, 24, 24] == 1
    if mode == "strict":
        assert stats["precision"] == "float32"


def test_a_window_can_be_given(propagate, tmp_path):
    assert propagate("--window", "50,300", "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["window"] == [-100, 200]


def test_the_window_suits_what_is_marked(samsegmenter, marked, tmp_path):
    voxels = np.full((8, 32, 32), -1000, np.int16)
    voxels[:, 4:28, 4:28] = 40
    voxels[:, 10:22, 10:22] = -800
    write_volume(tmp_path / "chest.nrrd", Volume(voxels))
    common = ["propagate", tmp_path / "chest.nrrd", "--output", tmp_path / "o.nii.gz", "--range", "3:4", "--stats", tmp_path / "s.json"]
    windows = []
    for box in ([10, 10, 21, 21], [4, 4, 9, 27]):
        assert samsegmenter(*common, "--prompts", marked(segment(index=4, box=box))).code == 0
        windows.append(json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["window"])
    assert windows == [[-1350, 150], [-160, 240]]


# ---------------------------------------------------------------- statistics


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


# ---------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["propagate"],
        ["propagate", "v.nrrd"],
        ["propagate", "v.nrrd", "--prompts", "p.json"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--device", "abacus"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--mode", "sloppy"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--no-such-option"],
        ["demo", "--volume", "v.nrrd"],
        ["demo", "--prompts", "p.json"],
        ["info"],
    ],
)
def test_wrong_calls_exit_with_2(samsegmenter, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    outcome = samsegmenter(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("text", ["3", "3-5", "a:b", ":5", "3:", "3:4:5", "1.5:3", "\N{SUPERSCRIPT TWO}:3"])
def test_a_malformed_range_is_a_wrong_call(propagate, out, text):
    outcome = propagate("--range", text)
    assert outcome.code == 2
    assert "FIRST:LAST" in outcome.err
    assert not out.exists()


@pytest.mark.parametrize("text", ["40", "a,b", "40,0", "40,-5", "40,nan"])
def test_a_malformed_window_is_a_wrong_call(propagate, out, text):
    outcome = propagate("--window", text)
    assert outcome.code == 2
    assert "LEVEL,WIDTH" in outcome.err
    assert not out.exists()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(("text", "words"), [("5:20", "no slice 20"), ("0:5", "outside 0 to 5")])
def test_a_range_that_does_not_fit_is_refused(propagate, out, text, words):
    assert_refused(propagate("--range", text), words)
    assert not out.exists()


def image(voxels, path, spacing=None):
    made = sitk.GetImageFromArray(voxels)
    if spacing:
        made.SetSpacing(spacing)
    sitk.WriteImage(made, str(path))


def four_dimensional(path):
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(np.zeros((4, 8, 8), np.int16))] * 2), str(path))


NAN = np.where(np.arange(4 * 8 * 8).reshape(4, 8, 8) == 7, np.nan, 0).astype(np.float32)
BAD_VOLUMES = {
    "missing": ("v.nrrd", lambda path: None, "no such file"),
    "empty": ("v.nrrd", lambda path: path.write_bytes(b""), "empty"),
    "not an image": ("v.nrrd", lambda path: path.write_text("Dear diary"), "not an image"),
    "empty folder": ("folder", lambda path: path.mkdir(), "no DICOM images"),
    "2-D": ("v.nrrd", lambda path: image(np.zeros((8, 8), np.int16), path), "2-D"),
    "one slice": ("v.nrrd", lambda path: image(np.eye(8, dtype=np.int16)[None], path), "only one slice"),
    "4-D": ("v.nii.gz", four_dimensional, "4-D"),
    "NaN": ("v.nrrd", lambda path: image(NAN, path), "NaN"),
    "infinite": ("v.nrrd", lambda path: image(np.nan_to_num(NAN, nan=np.inf, posinf=np.inf), path), "infinite"),
    "constant": ("v.nrrd", lambda path: image(np.full((4, 8, 8), 7, np.int16), path), "same value"),
    "huge spacing": ("v.nrrd", lambda path: image(np.arange(256, dtype=np.int16).reshape(4, 8, 8), path, (1, 1, 5000)), "spacing"),
}


@pytest.mark.parametrize("kind", BAD_VOLUMES)
@pytest.mark.parametrize("command", ["propagate", "info"])
def test_unusable_volumes_are_refused(samsegmenter, marked, tmp_path, out, kind, command):
    name, make, words = BAD_VOLUMES[kind]
    if command == "info" and kind in ("one slice", "constant"):
        words = None  # it can be looked at, though not propagated through
    path = tmp_path / name
    make(path)
    options = ["--prompts", marked(segment(index=0)), "--output", out] if command == "propagate" else []
    outcome = samsegmenter(command, path, *options)
    if words:
        assert_refused(outcome, name, words)
    else:
        assert outcome.code == 0
    assert not leftovers(tmp_path, name, "prompts.json")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".nii.gz", ".mha"])
def test_truncated_volumes_are_refused(propagate, tmp_path, out, suffix):
    path = tmp_path / f"cut{suffix}"
    write_volume(path, ball(SLICES, SIDE, 9)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(propagate(volume=path), path.name)
    assert not out.exists()


BAD_SEGMENTS = {
    "outside the slice": ([segment(points=[[400, 3, 1]])], "outside the slice"),
    "on a missing slice": ([segment(index=SLICES)], f"no slice {SLICES}"),
    "contradictory": ([segment(points=[[20, 20, 1], [20, 20, 0]])], "contradict"),
    "outside their box": ([segment(points=[[3, 3, 1]], box=BOX)], "contradict"),
    "only negative": ([segment(points=[[20, 20, 0]])], "negative"),
    "without prompts": ([{"name": "ball", "keyframes": [{"slice": 3}]}], "no prompts"),
    "without keyframes": ([{"name": "ball", "keyframes": []}], "keyframes"),
    "no segments": ([], "segments"),
    "two of one name": ([segment(), segment()], "same name"),
    "a flat box": ([segment(box=[5, 5, 5, 9])], "box"),
    "an unknown field": ([segment(circle=[5, 5, 2])], "circle"),
    "words for numbers": ([segment(points=[["a", 2, 1]])], "points[0]"),
    "a mask file that is not there": ([segment(mask={"file": "none.nii.gz", "value": 1})], "none.nii.gz"),
}


@pytest.mark.parametrize("kind", BAD_SEGMENTS)
def test_unusable_prompts_are_refused(propagate, marked, out, kind):
    segments, words = BAD_SEGMENTS[kind]
    assert_refused(propagate(prompts=marked(*segments)), "prompts.json", words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON"),
        (b'{"version": 1,', "line 1"),
        (b"[1, 2]", "object"),
        (b'{"version": 2, "segments": []}', "version"),
        (b'{"version": 1, "axis": "z", "segments": []}', "axis"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "JSON"),
    ],
    ids=["empty", "cut", "a list", "another version", "another axis", "binary", "deep"],
)
def test_malformed_prompt_files_are_refused(propagate, tmp_path, out, content, words):
    path = tmp_path / "marks.json"
    path.write_bytes(content)
    assert_refused(propagate(prompts=path), "marks.json", words)
    assert not out.exists()


def test_a_missing_prompt_file_is_refused(propagate, tmp_path, out):
    assert_refused(propagate(prompts=tmp_path / "none.json"), "none.json")
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has a CUDA device")
def test_a_device_that_is_not_there_is_refused(propagate, out):
    assert_refused(propagate("--device", "cuda"), "cuda")
    assert not out.exists()


# ---------------------------------------------------------------- models


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


# ---------------------------------------------------------------- output


@pytest.mark.parametrize("name", ["out.jpg", "out", "nowhere/out.nii.gz", "folder.nii.gz"])
def test_unusable_outputs_are_refused_before_anything_is_read(propagate, tmp_path, name):
    (tmp_path / "folder.nii.gz").mkdir()
    assert_refused(propagate(volume=tmp_path / "no-such-volume.nrrd", output=tmp_path / name), name.split("/")[0])
    assert not leftovers(tmp_path, "folder.nii.gz", "prompts.json")


def test_statistics_that_cannot_be_written_are_refused_before_the_work(propagate, tmp_path, out):
    assert_refused(propagate("--stats", tmp_path / "nowhere" / "s.json"), "nowhere")
    assert not out.exists()


def test_a_failed_write_leaves_the_older_output_as_it_was(propagate, tmp_path, out, monkeypatch):
    out.write_bytes(b"older")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert_refused(propagate("--range", "9:11"), "out.nii.gz", "No space left")
    assert out.read_bytes() == b"older"
    assert not leftovers(tmp_path, "out.nii.gz", "prompts.json")


def test_bad_input_leaves_the_older_output_as_it_was(propagate, marked, tmp_path, out):
    out.write_bytes(b"older")
    assert_refused(propagate(prompts=marked(segment(index=99))))
    assert out.read_bytes() == b"older"


# ---------------------------------------------------------------- Ctrl-C


@pytest.fixture
def pressing(monkeypatch):
    """Press Ctrl-C once so many masks have come out of the session."""

    def after(count, times=1):
        original = Session.propagate

        def interrupted(self, *arguments, **named):
            for number, found in enumerate(original(self, *arguments, **named)):
                if number >= count:
                    for _ in range(times):
                        signal.raise_signal(signal.SIGINT)
                yield found

        monkeypatch.setattr(Session, "propagate", interrupted)

    return after


def test_ctrl_c_keeps_what_is_finished_and_says_so(propagate, pressing, tmp_path, out):
    pressing(4)
    outcome = propagate("--stats", tmp_path / "s.json")
    assert outcome.code == 130
    assert "interrupted" in outcome.err
    assert out.name in outcome.err
    labels = labels_in(out)
    assert labels[MIDDLE].any()
    assert not labels[0].any()
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["cancelled"] is True


def test_a_second_ctrl_c_ends_at_once(propagate, pressing, tmp_path, out):
    pressing(4, times=2)
    assert propagate().code == 130
    assert not leftovers(tmp_path, "prompts.json")


def test_ctrl_c_before_anything_is_finished_leaves_no_output(propagate, monkeypatch, tmp_path):
    def nothing_yet(self, *arguments, cancel, **named):
        signal.raise_signal(signal.SIGINT)
        assert cancel()
        return iter(())

    monkeypatch.setattr(Session, "propagate", nothing_yet)
    outcome = propagate()
    assert outcome.code == 130
    assert "nothing was written" in outcome.err
    assert not leftovers(tmp_path, "prompts.json")


def test_ctrl_c_while_loading_leaves_no_output(propagate, monkeypatch, tmp_path):
    monkeypatch.setattr("SAMSegmenterLib.models.loading.load_model", lambda name: signal.raise_signal(signal.SIGINT))
    assert propagate().code == 130
    assert not leftovers(tmp_path, "prompts.json")


def test_ctrl_c_while_writing_loses_nothing_that_is_finished(propagate, monkeypatch, out):
    from SAMSegmenterLib import imageio

    original = imageio.write_segmentation

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(imageio, "write_segmentation", interrupted)
    assert propagate("--range", "9:11").code in (0, 130)
    assert labels_in(out)[MIDDLE].any()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals and SIGINT from outside on Windows")
def test_a_terminal_shows_progress_and_a_real_ctrl_c_stops_it(tmp_path, marked):
    import pty

    write_volume(tmp_path / "long.nrrd", ball(400, 96, 45)[0])
    prompts = marked(segment(index=200, box=[4, 4, 92, 92]))
    program = [sys.executable, "-c", "from SAMSegmenterLib.cli import main; main()"]
    command = [*program, "propagate", "long.nrrd", "--prompts", prompts, "--output", "out.nii.gz", "--mode", "strict"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    shown = read_until(ours, "slices/s")
    process.send_signal(signal.SIGINT)
    shown += read_until(ours, None)
    os.close(ours)
    assert process.wait(timeout=60) == 130
    assert "slices/s" in shown
    assert "interrupted" in shown
    labels = labels_in(tmp_path / "out.nii.gz")
    assert labels[200].any()
    assert not labels[0].any()


def read_until(terminal, words, seconds=60):
    """What a terminal shows until certain words come, or until its program ends."""
    shown, end = "", time.monotonic() + seconds
    while time.monotonic() < end and not (words and words in shown):
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: nobody writes any more
            break
        if not part:
            break
        shown += part.decode(errors="replace")
    return shown


# ---------------------------------------------------------------- the other commands


def test_demo_leaves_everything_to_look_at(samsegmenter, tmp_path):
    outcome = samsegmenter("demo", "--output", tmp_path / "new" / "demo")
    assert outcome.code == 0, outcome
    folder = tmp_path / "new" / "demo"
    assert leftovers(folder) == ["overlay.png", "phantom.nrrd", "prompts.json", "segmentation.seg.nrrd", "stats.json"]
    assert "slices/s" in outcome.out
    assert outcome.out.count("Dice") == 2
    assert str(folder / "segmentation.seg.nrrd") in outcome.out
    dice = [float(line.split("Dice ")[1].split()[0]) for line in outcome.out.splitlines() if "Dice" in line]
    assert min(dice) > 0.7
    assert sitk.ReadImage(str(folder / "phantom.nrrd")).GetSize() == sitk.ReadImage(str(folder / "segmentation.seg.nrrd")).GetSize()


def test_the_files_of_the_demo_can_be_propagated_again(samsegmenter, propagate, tmp_path, out):
    samsegmenter("demo", "--output", tmp_path)
    assert propagate(volume=tmp_path / "phantom.nrrd", prompts=tmp_path / "prompts.json", output=tmp_path / "again.seg.nrrd").code == 0
    np.testing.assert_array_equal(labels_in(tmp_path / "again.seg.nrrd"), labels_in(tmp_path / "segmentation.seg.nrrd"))


def test_demo_takes_a_volume(samsegmenter, scan, marked, tmp_path):
    outcome = samsegmenter("demo", "--volume", scan, "--prompts", marked(segment()), "--output", tmp_path / "demo")
    assert outcome.code == 0, outcome
    assert leftovers(tmp_path / "demo") == ["overlay.png", "segmentation.seg.nrrd", "stats.json"]
    assert "Dice" not in outcome.out


def test_demo_into_a_file_is_refused(samsegmenter, tmp_path):
    (tmp_path / "demo").write_text("mine")
    assert_refused(samsegmenter("demo", "--output", tmp_path / "demo"), "demo")
    assert (tmp_path / "demo").read_text() == "mine"


def test_models_lists_every_model_and_where_it_is(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    found = catalog.entries()[1]
    (tmp_path / found.file).write_bytes(b"weights")
    outcome = samsegmenter("models")
    assert outcome.code == 0
    for entry in catalog.entries():
        assert entry.id in outcome.out
        assert entry.licence in outcome.out
    assert str(tmp_path / found.file) in outcome.out


def test_info_tells_what_an_image_is(samsegmenter, scan):
    outcome = samsegmenter("info", scan)
    assert outcome.code == 0
    for words in ("ball.nrrd", "48 x 48 x 20", "0.8 x 0.8 x 2.5 mm", "L, P, S", "level", "width"):
        assert words in outcome.out


def test_info_of_a_dicom_folder(samsegmenter, data):
    outcome = samsegmenter("info", data / "ct_abdomen_dicom")
    assert outcome.code == 0
    for words in ("512 x 512 x 20", "CT", "level 40, width 400"):
        assert words in outcome.out


# ---------------------------------------------------------------- networks of single slices


def test_a_network_of_single_slices_makes_the_keyframes(samsegmenter, scan, marked, tmp_path):
    output = tmp_path / "out.nii.gz"
    outcome = samsegmenter("propagate", scan, "--prompts", marked(segment()), "--output", output, "--keyframes-by", "samsegmenter-pico")
    assert outcome.code == 0, outcome
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(output))).any((1, 2)).sum() > 3


def test_each_slice_of_the_range_can_be_asked_the_same(samsegmenter, scan, marked, tmp_path):
    output = tmp_path / "out.nii.gz"
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", output, "--each-slice"
    outcome = samsegmenter(*asked, "--keyframes-by", "samsegmenter-pico", "--range", f"{MIDDLE - 1}:{MIDDLE + 1}")
    assert outcome.code == 0, outcome
    labelled = sitk.GetArrayFromImage(sitk.ReadImage(str(output))).any((1, 2))
    assert np.flatnonzero(labelled).tolist() == [MIDDLE - 1, MIDDLE, MIDDLE + 1]
    for too_little in ((), ("--keyframes-by", "samsegmenter-pico"), ("--range", "3:5")):
        assert samsegmenter(*asked, *too_little).code == 2


def test_what_is_of_propagation_is_refused_where_nothing_is_propagated(samsegmenter, scan, marked, tmp_path):
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", tmp_path / "out.seg.nrrd", "--each-slice"
    asked += "--keyframes-by", "samsegmenter-pico", "--range", "3:5"
    for options in (["--stats", tmp_path / "stats.json"], ["--overlap"], ["--model", "samsegmenter-pico"], ["--mode", "fast"]):
        outcome = samsegmenter(*asked, *options)
        assert outcome.code == 2
        assert options[0] in outcome.err
    assert not leftovers(tmp_path, "prompts.json")


@pytest.mark.parametrize(("text", "words"), [("0:9999", "no slice 9999"), ("12:8", "lies behind the last")])
def test_each_slice_of_a_range_that_does_not_fit_is_refused(samsegmenter, scan, marked, tmp_path, text, words):
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", tmp_path / "out.nii.gz", "--each-slice"
    assert_refused(samsegmenter(*asked, "--keyframes-by", "samsegmenter-pico", "--range", text), words)
    assert not leftovers(tmp_path, "prompts.json")


# ---------------------------------------------------------------- networks that need no prompts


class Bright:
    """Proposes what is bright."""

    why = ""

    def propose(self, pixels):
        return pixels.astype(np.float32) - 127


@pytest.fixture
def a_proposer(monkeypatch):
    """Loaded in place of any that is asked for; the names and devices asked for."""
    asked = []
    monkeypatch.setattr(loading, "load_proposer", lambda model, device: asked.append((model, device)) or Bright())
    return asked


def test_what_is_proposed_on_a_slice_is_carried_on(samsegmenter, scan, tmp_path, a_proposer):
    output, stats = tmp_path / "out.seg.nrrd", tmp_path / "stats.json"
    asked = "propagate", scan, "--output", output, "--stats", stats, "--propose", "sam2-unet", "--on", MIDDLE, "--device", "cpu"
    outcome = samsegmenter(*asked, "--on", MIDDLE + 2)
    assert outcome.code == 0, outcome
    assert a_proposer == [("sam2-unet", "cpu")]
    (told,) = json.loads(stats.read_text())["segments"]
    assert told["name"] == "sam2-unet"
    assert told["keyframes"] == [MIDDLE, MIDDLE + 2]
    found, truth = labels_in(output) > 0, ball(SLICES, SIDE, 9)[1]
    assert (found & truth).sum() > 0.85 * truth.sum()


def test_what_files_of_models_were_taken_for_is_told(propagate, tmp_path):
    path = weights_of_their_own(tmp_path / "mine.safetensors")
    outcome = propagate("--range", f"{MIDDLE}:{MIDDLE + 1}", "--model", path, "--keyframes-by", path)
    assert outcome.code == 0, outcome
    assert outcome.err.count("mine.safetensors: Its weights have the names and shapes of SAMSegmenter pico.") == 2


def test_a_file_gives_the_segment_its_name(samsegmenter, scan, tmp_path, a_proposer):
    (tmp_path / "ball.v2.pth").write_bytes(b"weights")
    stats = tmp_path / "stats.json"
    outcome = samsegmenter(
        *("propagate", scan, "--output", tmp_path / "out.nii.gz", "--stats", stats, "--range", f"{MIDDLE}:{MIDDLE + 1}"),
        *("--propose", tmp_path / "ball.v2.pth", "--on", MIDDLE),
    )
    assert outcome.code == 0, outcome
    assert json.loads(stats.read_text())["segments"][0]["name"] == "ball.v2"


@pytest.mark.parametrize(("index", "words"), [(0, "finds nothing on slice 0"), (SLICES, f"no slice {SLICES}")])
def test_a_slice_without_a_proposal_is_told(samsegmenter, scan, tmp_path, a_proposer, index, words):
    outcome = samsegmenter("propagate", scan, "--output", tmp_path / "out.nii.gz", "--propose", "sam2-unet", "--on", index)
    assert_refused(outcome, words)
    assert not leftovers(tmp_path)


def test_a_model_that_needs_prompts_proposes_nothing(samsegmenter, scan, tmp_path):
    asked = "propagate", scan, "--output", tmp_path / "out.nii.gz", "--on", MIDDLE
    assert_refused(samsegmenter(*asked, "--propose", "samsegmenter-pico"), "a model is wanted that proposes masks")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--prompts, a file of what is marked, or --propose"),
        (["--prompts", "p.json", "--propose", "sam2-unet", "--on", "3"], "either --prompts"),
        (["--propose", "sam2-unet"], "--propose and --on belong together"),
        (["--prompts", "p.json", "--on", "3"], "--propose and --on belong together"),
        (["--propose", "sam2-unet", "--on", "3", "--keyframes-by", "sam-vit-b"], "leave one of them out"),
    ],
)
def test_one_thing_is_said_of_what_to_begin_from(samsegmenter, tmp_path, monkeypatch, options, words):
    monkeypatch.setenv("COLUMNS", "300")
    outcome = samsegmenter("propagate", "v.nrrd", "--output", tmp_path / "o.nii.gz", *options)
    assert outcome.code == 2
    assert words in outcome.err
