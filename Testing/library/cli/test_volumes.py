"""Volumes that cannot be used are refused with one clear message."""

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import read_labelmap, read_volume, write_volume
from support.cli_steps import SIDE, SLICES, assert_refused, leftovers, segment
from support.phantoms import ball


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


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz", ".mha"])
def test_a_volume_of_a_nanometre_a_voxel_is_segmented_like_any_other(propagate, tmp_path, suffix):
    volume, inside = ball(SLICES, SIDE, 9)
    write_volume(tmp_path / "tiny.nrrd", Volume(volume.voxels, np.diag([-1e-6, -1e-6, 2e-6, 1])))
    assert propagate(volume=tmp_path / "tiny.nrrd", output=tmp_path / f"out{suffix}").code == 0
    found = read_labelmap(tmp_path / f"out{suffix}")
    assert found.same_grid(read_volume(tmp_path / "tiny.nrrd"))
    assert 2 * (inside & (found.voxels == 1)).sum() > 0.8 * (inside.sum() + (found.voxels == 1).sum())


@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".nii.gz", ".mha"])
def test_truncated_volumes_are_refused(propagate, tmp_path, out, suffix):
    path = tmp_path / f"cut{suffix}"
    write_volume(path, ball(SLICES, SIDE, 9)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(propagate(volume=path), path.name)
    assert not out.exists()
