"""What `samsegmenter propagate` writes: labels, names and layers, whole or not at all."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.session.run import Run
from support.cli_steps import LIBRARY, MIDDLE, SIDE, assert_refused, assert_wrong_call, labels_in, leftovers, segment


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


@pytest.mark.parametrize("name", ["out.seg.nrrd", "OUT.SEG.NRRD"])
def test_overlapping_segments_are_kept_when_asked_for(propagate, marked, tmp_path, name):
    output = tmp_path / name
    prompts = marked(segment("one"), segment("other"))
    assert propagate("--range", "9:11", "--overlap", prompts=prompts, output=output).code == 0
    image = sitk.ReadImage(str(output))
    assert image.GetNumberOfComponentsPerPixel() == 2
    layers = sitk.GetArrayFromImage(image)
    assert layers[MIDDLE, 24, 24].tolist() == [1, 2]


def test_overlap_is_refused_where_the_format_has_no_layers(propagate, out):
    assert_wrong_call(propagate("--overlap"), ".seg.nrrd")
    assert not out.exists()


def test_a_terminal_shows_names_as_they_are(propagate, marked, tmp_path, monkeypatch):
    """Rich would take [left] for a style, [/b] for the end of one, and :heart: for a picture."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    names = "tumour [left]", "x[/b]", "of :heart:"
    outcome = propagate("--range", "9:11", prompts=marked(*map(segment, names)), output=tmp_path / "[b]out.nii.gz")
    assert outcome.code == 0, outcome
    for name in (*(f"{name}: from slice" for name in names), "[b]out.nii.gz: "):
        assert name in outcome.err


@pytest.mark.parametrize("name", ["out.jpg", "out", "nowhere/out.nii.gz", "folder.nii.gz"])
def test_unusable_outputs_are_refused_before_anything_is_read(propagate, tmp_path, name):
    (tmp_path / "folder.nii.gz").mkdir()
    assert_refused(propagate(volume=tmp_path / "no-such-volume.nrrd", output=tmp_path / name), name.split("/")[0])
    assert not leftovers(tmp_path, "folder.nii.gz", "prompts.json")


def test_a_failed_write_leaves_the_older_output_as_it_was(propagate, tmp_path, out, monkeypatch):
    out.write_bytes(b"older")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert_refused(propagate("--range", "9:11"), "out.nii.gz", "No space left")
    assert out.read_bytes() == b"older"
    assert not leftovers(tmp_path, "out.nii.gz", "prompts.json")


def test_what_cannot_be_written_where_it_should_is_kept_elsewhere(propagate, tmp_path, out, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    enough = shutil.disk_usage(elsewhere)

    def usage(folder):  # full by the time that the run is over
        return enough if Path(folder) != out.parent or not propagated else enough._replace(free=0)

    propagated = []
    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(Run, "labels", lambda run, overlap, labels=Run.labels: propagated.append(True) or labels(run, overlap))
    assert_refused(propagate("--range", "9:11"), "out.nii.gz: the disk is full", "The result was saved as")
    assert not out.exists()
    (rescued,) = elsewhere.glob("samsegmenter-*/out.nii.gz")
    assert labels_in(rescued)[MIDDLE, 24, 24] == 1


def test_bad_input_leaves_the_older_output_as_it_was(propagate, marked, tmp_path, out):
    out.write_bytes(b"older")
    assert_refused(propagate(prompts=marked(segment(index=99))))
    assert out.read_bytes() == b"older"


NO_MEMORY = {
    "numpy": MemoryError("Unable to allocate 8.00 EiB for an array"),
    "ITK": RuntimeError("Failed to allocate memory for image."),
    "PyTorch": RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B."),
    "CUDA": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
}


@pytest.mark.parametrize("error", NO_MEMORY.values(), ids=NO_MEMORY)
@pytest.mark.parametrize(
    "where",
    [
        "SAMSegmenterLib.imageio.read_by_header",
        "SAMSegmenterLib.imageio.read_labelmap",
        "SAMSegmenterLib.models.loading.load_model",
        "SAMSegmenterLib.session.run.windowed",
        "SAMSegmenterLib.session.session.Session.layers",
    ],
)
def test_memory_that_runs_out_is_called_so_and_nothing_is_left(propagate, marked, tmp_path, monkeypatch, where, error):
    def fail(*arguments, **named):
        raise error

    mask = {"shape": [SIDE, SIDE], "runs": [SIDE, 9, SIDE * (SIDE - 1) - 9]}
    prompts = marked(segment(mask={"file": "m.nrrd"} if where.endswith("labelmap") else mask))
    monkeypatch.setattr(where, fail)
    assert_refused(propagate("--range", "9:11", prompts=prompts), "too little free memory", "Close other programs")
    assert not leftovers(tmp_path, "prompts.json")


def test_a_result_that_memory_does_not_hold_as_nifti_is_kept_as_seg_nrrd(propagate, tmp_path, out, monkeypatch):
    def fail(*arguments, **named):
        raise NO_MEMORY["numpy"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr("SAMSegmenterLib.image.layers.Layers.array", fail)
    assert_refused(propagate("--range", "9:11"), "out.nii.gz: there is too little free memory", "The result was saved as")
    assert not out.exists()
    (rescued,) = elsewhere.glob("samsegmenter-*/out.seg.nrrd")
    assert labels_in(rescued)[MIDDLE, 24, 24] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_a_volume_that_memory_really_does_not_hold_is_refused_in_words(scan, marked, tmp_path):
    """The header says 4 GB, and the file is as long, mostly a hole."""
    header = "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 1024 1024 2048\nencoding: raw\nendian: little\n"
    header += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    with (tmp_path / "large.nrrd").open("wb") as file:
        file.write(header.encode())
        file.truncate(len(header) + 2 * 1024 * 1024 * 2048)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))"
    program = limited + "; from SAMSegmenterLib.cli.main import main; main()"
    command = [sys.executable, "-c", program, "info", str(tmp_path / "large.nrrd")]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert "large.nrrd: there is too little free memory. Close other programs, or crop the image." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_that_is_damaged_is_an_error(propagate, monkeypatch, out):
    damaged = CheckpointError("pico: its answer is NaN.")
    monkeypatch.setattr("SAMSegmenterLib.session.session.Session.propagate", lambda *a, **b: raise_(damaged))
    assert_refused(propagate(), "pico: its answer is NaN.")
    assert not out.exists()


def raise_(error):
    raise error
