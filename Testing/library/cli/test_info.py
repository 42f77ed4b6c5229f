"""What the commands that only look tell: `samsegmenter info` of an image, `samsegmenter models` of the models."""

import json
from dataclasses import replace

import numpy as np

from SAMSegmenterLib.image.volume import Source, Volume
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import store
from SAMSegmenterLib.phantom import make_phantom
from support.cli_steps import INVERSE, SIDE, SLICES
from support.dicom_slices import axial, slice_at
from support.phantoms import ball


def test_models_lists_every_model_and_where_it_is(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    found = catalog.entry("sam2.1-hiera-tiny")
    (tmp_path / found.file).write_bytes(b"weights")
    outcome = samsegmenter("models")
    assert outcome.code == 0
    for entry in catalog.entries():
        assert entry.id in outcome.out
        assert entry.licence in outcome.out
    assert str(tmp_path / found.file) in outcome.out


def test_a_terminal_shows_the_folder_of_models_as_it_is(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "[red]mine[/b]"))
    outcome = samsegmenter("models")
    assert outcome.code == 0, outcome
    assert "[red]mine[/b]" in outcome.out


def test_info_tells_what_an_image_is(samsegmenter, scan):
    outcome = samsegmenter("info", scan)
    assert outcome.code == 0
    for words in ("ball.nrrd", "48 x 48 x 20", "0.8 x 0.8 x 2.5 mm", "L, P, S", "level", "width"):
        assert words in outcome.out


def test_info_tells_which_voxels_only_pad(samsegmenter, tmp_path):
    image = make_phantom(shape_ijk=(40, 40, 20))[0]
    voxels = image.voxels.copy()
    voxels[:, :, :4] = -2000
    write_volume(tmp_path / "ct.nrrd", replace(image, voxels=voxels))
    assert "-2000 (10.0% of the voxels), which does not count" in samsegmenter("info", tmp_path / "ct.nrrd").out
    told = json.loads(samsegmenter("info", "--json", tmp_path / "ct.nrrd").out)
    assert told["padding"] == {"values": [-2000], "voxels": 40 * 20 * 4}


def test_info_of_a_dicom_folder(samsegmenter, data):
    outcome = samsegmenter("info", data / "ct_abdomen_dicom")
    assert outcome.code == 0
    for words in ("512 x 512 x 20", "CT", "level 40, width 400"):
        assert words in outcome.out


def test_info_of_slices_that_are_not_even_needs_resampling(samsegmenter, tmp_path):
    for number, z in enumerate((0, 1, 2, 3, 5, 6)):
        slice_at((0, 0, z)).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    refused, resampled = samsegmenter("info", tmp_path), samsegmenter("info", tmp_path, "--resample")
    assert refused.code == 1
    assert "are 2 mm apart" in refused.err
    assert "8 x 6 x 7" in resampled.out


def test_info_tells_where_the_geometry_comes_from_and_what_was_assumed(samsegmenter, scan, monkeypatch):
    from SAMSegmenterLib import imageio

    image = replace(imageio.read_volume(scan), source=Source("sform (code 1)", ("ball.nrrd: 1 mm is assumed.",)))
    monkeypatch.setattr(imageio, "read_volume", lambda *arguments: image)
    outcome = samsegmenter("info", scan)
    assert (outcome.code, outcome.err) == (0, "")
    assert "geometry   sform (code 1)" in outcome.out.splitlines()
    assert "warning    ball.nrrd: 1 mm is assumed." in outcome.out.splitlines()
    known = json.loads(samsegmenter("info", scan, "--json").out)
    assert (known["geometry"], known["warnings"]) == ("sform (code 1)", ["ball.nrrd: 1 mm is assumed."])


def test_info_as_json_keeps_every_digit(samsegmenter, tmp_path):
    matrix = INVERSE + np.array([[0, 1e-7 / 3, 0, 1 / 3], [0] * 4, [0] * 4, [0] * 4])
    volume = Volume(ball(SLICES, SIDE, 9)[0].voxels, matrix)
    write_volume(tmp_path / "a.nrrd", volume)
    outcome = samsegmenter("info", tmp_path / "a.nrrd", "--json")
    known = json.loads(outcome.out)
    assert known["ijk_to_ras"] == matrix.tolist()
    assert known["spacing_mm"] == volume.spacing_mm.tolist()
    assert (known["lowest"], known["highest"]) == (float(volume.voxels.min()), float(volume.voxels.max()))
    assert (known["name"], known["voxels"], known["type"], known["orientation"]) == ("a.nrrd", [SIDE, SIDE, SLICES], "float32", "LPS")
    assert known["window"]["level"] == (known["window"]["low"] + known["window"]["high"]) / 2
    assert known["series"] == []


def test_info_lists_the_series_of_a_folder_also_as_json(samsegmenter, tmp_path):
    for series in (1, 2):
        for number, image in enumerate(axial(3, series=f"1.2.3.{series}", description=f"kind {series}")):
            image.save_as(tmp_path / f"{series}-{number}", enforce_file_format=True)
    listed = [{"uid": f"1.2.3.{n}", "description": f"kind {n}", "modality": "CT", "slices": 3} for n in (1, 2)]
    undecided = samsegmenter("info", tmp_path, "--json")
    assert (undecided.code, json.loads(undecided.out)["series"]) == (1, listed)
    assert "there are 2 series" in undecided.err
    chosen = samsegmenter("info", tmp_path, "--json", "--series", "kind 2")
    assert (chosen.code, json.loads(chosen.out)["series"]) == (0, listed)
    assert "series     1.2.3.1  kind 1  CT  3 slices" in samsegmenter("info", tmp_path).out.splitlines()


def test_info_says_so_where_memory_runs_out(samsegmenter, scan, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("Failed to allocate memory for image.")

    monkeypatch.setattr("SAMSegmenterLib.imageio.read_by_header", fail)
    outcome = samsegmenter("info", scan)
    assert outcome.code == 1
    assert outcome.err == f"samsegmenter: error: {scan}: there is too little free memory. Close other programs, or crop the image.\n"
