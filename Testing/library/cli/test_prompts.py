"""Prompt files: the ways to mark the same thing, and what is refused of them."""

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.cli_steps import BOX, INVERSE, LIBRARY, MIDDLE, SIDE, SLICES, assert_refused, labels_in, segment
from support.phantoms import ball

BAD_SEGMENTS = {
    "outside the slice": ([segment(points=[[400, 3, 1]])], "outside the slice"),
    "on a missing slice": ([segment(index=SLICES)], f"no slice {SLICES}"),
    "contradictory": ([segment(points=[[20, 20, 1], [20, 20, 0]])], "contradict"),
    "outside their box": ([segment(points=[[3, 3, 1]], box=BOX)], "contradict"),
    "only negative": ([segment(points=[[20, 20, 0]])], "negative"),
    "without prompts": ([{"name": "ball", "keyframes": [{"slice": 3}]}], "no prompts"),
    "without keyframes": ([{"name": "ball", "keyframes": []}], "Mark the segment on at least one slice."),
    "no segments": ([], "segments"),
    "two of one name": ([segment(), segment()], "same name"),
    "a flat box": ([segment(box=[5, 5, 5, 9])], "box"),
    "an unknown field": ([segment(boxx=BOX)], "prompts.json: segments[0].keyframes[0]: unknown field 'boxx'; did you mean box?"),
    "words for numbers": ([segment(points=[["a", 2, 1]])], "points[0]"),
    "a mask file that is not there": ([segment(mask={"file": "none.nii.gz", "value": 1})], "none.nii.gz"),
}


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
        (b"\xff\xfe\x00", "UTF-8. Give the prompts as JSON, see docs/command-line.md."),
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


def test_one_corner_outside_is_told_and_refuses_nothing(propagate, marked, out, tmp_path):
    segments = [segment(f"ball {n}", box=BOX) for n in range(3)] + [segment("cut", box=[-0.9, 15, 33, 33])]
    outcome = propagate("--range", "9:11", "--stats", tmp_path / "s.json", prompts=marked(*segments))
    assert outcome.code == 0
    (told,) = outcome.err.splitlines()
    assert told.startswith("samsegmenter: warning: prompts.json: segments[3].keyframes[0].box: the box from (-0.9, 15) to (33, 33) leaves")
    (kept,) = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["warnings"]
    assert told == f"samsegmenter: warning: {kept}"


@pytest.mark.skipif(sys.platform == "win32", reason="uses bash")
@pytest.mark.parametrize("given", ["--prompts /dev/stdin <prompts.json", "--prompts <(cat prompts.json)"])
def test_prompts_may_come_through_a_pipe(scan, marked, tmp_path, given):
    """Their masks lie in the working folder then."""
    truth = ball(SLICES, SIDE, 9)[1]
    write_volume(tmp_path / "m.nrrd", Volume(truth.astype(np.uint8), INVERSE))
    marked(segment(mask={"file": "m.nrrd"}))
    program = f"{shlex.quote(sys.executable)} -c 'from SAMSegmenterLib.cli.main import main; main()'"
    line = f"{program} propagate {shlex.quote(str(scan))} {given} --output out.nrrd --range 9:11"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done
    np.testing.assert_array_equal(labels_in(tmp_path / "out.nrrd")[MIDDLE], truth[MIDDLE])


def test_a_mask_file_of_many_keyframes_is_read_once(propagate, marked, out, tmp_path, monkeypatch):
    from SAMSegmenterLib import imageio

    write_volume(tmp_path / "m.nrrd", Volume(ball(SLICES, SIDE, 9)[1].astype(np.uint8), INVERSE))
    read, original = [], imageio.read_labelmap
    monkeypatch.setattr(imageio, "read_labelmap", lambda path: read.append(path) or original(path))
    keyframes = [{"slice": index, "mask": {"file": "m.nrrd"}} for index in range(4, 17)]
    assert propagate(prompts=marked({"name": "a", "keyframes": keyframes}, {"name": "b", "keyframes": keyframes[:2]})).code == 0
    assert read == [tmp_path / "m.nrrd"]
