"""Real label maps lend their shapes to training."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError, OutOfMemory
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.training import labelmaps
from SAMSegmenterLib.training.labelmaps import SIDE, Labelmaps, read_labelmaps
from SAMSegmenterLib.training.sequences import look_through
from SAMSegmenterLib.training.squares import Slices
from support.training_steps import CPU, failing

pytestmark = pytest.mark.usefixtures("seeded")


def test_label_maps_keep_their_shapes():
    volume = np.zeros((20, 30, 40), np.int16)
    volume[5:15, 5:25, 10:30] = 17
    volume[8:12, 10:20, 15:25] = 400
    maps = Labelmaps([Volume(volume)], CPU)
    assert maps.cubes.shape == (1, SIDE, SIDE, SIDE)
    assert maps.cubes.unique().tolist() == [0, 1, 2]
    assert (maps.cubes == 2).sum() / (maps.cubes > 0).sum() == pytest.approx(4 * 10 * 10 / (10 * 20 * 20), rel=0.05)
    slices = Slices(2, 3, CPU)
    sequences = look_through(slices, maps.scenes(2), 2, 64, 32, 32)
    assert sequences.images.shape == (2, 3, 64, 64)


def test_label_maps_of_thick_slices_keep_their_proportions():
    labels = np.zeros((10, 60, 60), np.uint8)
    labels[2:8, 10:50, 20:40] = 1
    (cube,) = Labelmaps([Volume(labels, np.diag([0.5, 0.5, 5, 1]))], CPU).cubes
    lengths = [int(cube.any(1).any(1).sum()), int(cube.any(0).any(1).sum()), int(cube.any(0).any(0).sum())]
    assert lengths == pytest.approx([128, 128 * 20 / 30, 128 * 10 / 30], abs=1)


def test_many_labels_and_negative_ones_are_told_apart():
    volume = np.arange(-200, 700, dtype=np.int16).reshape(9, 10, 10)
    maps = Labelmaps([Volume(volume)], CPU)
    assert maps.cubes.unique().tolist() == list(range(900))
    assert maps.labels == 900
    alone = Labelmaps([Volume(np.full((4, 4, 4), -1, np.int8))], CPU)
    assert alone.cubes.unique().tolist() == [1]  # 0 would be outside


def test_label_maps_that_number_their_voxels_are_refused():
    with pytest.raises(InputError, match="40000 different labels"):
        Labelmaps([Volume(np.arange(40_001).reshape(1, 1, -1))], CPU)


NOISE = np.random.default_rng(0)
IMAGES = {
    "CT": (NOISE.normal(-500, 400, (6, 20, 20)).astype(np.int16), "expected labels from 0 on"),
    "MR": (NOISE.gamma(2, 80, (6, 20, 20)).astype(np.uint16), "change from a voxel to the next"),
    "8 bits": (NOISE.integers(0, 256, (6, 20, 20)).astype(np.uint8), "change from a voxel to the next"),
    "16 bits": (np.arange(2400, dtype=np.uint16).repeat(4).reshape(6, 40, 40), "2400 different values"),
    "fractions": (NOISE.normal(0, 1, (6, 20, 20)).astype(np.float32), "got fractions"),
}


def labelled(slices=6, side=40, labels=400):
    """A map of many labels, as an atlas of the brain has them."""
    return np.arange(labels, dtype=np.uint16).repeat(slices * side * side // labels).reshape(slices, side, side)


@pytest.mark.parametrize(("voxels", "why"), IMAGES.values(), ids=IMAGES)
def test_images_among_label_maps_are_refused_by_their_names(voxels, why, tmp_path):
    write_volume(tmp_path / "a.nrrd", Volume(labelled()))
    write_volume(tmp_path / "b.nrrd", Volume(voxels))
    with pytest.raises(InputError, match=rf"b\.nrrd: .*{why}"):
        read_labelmaps(tmp_path, CPU)


def test_maps_of_many_labels_and_of_thin_ones_are_read(tmp_path):
    thin = np.zeros((6, 20, 20), np.uint8)
    thin[:, ::4, ::3] = 1
    for name, voxels in (("a", labelled()), ("b", thin), ("c", labelled().astype(np.float64)), ("d", np.zeros((4, 4, 4), np.uint8))):
        write_volume(tmp_path / f"{name}.nrrd", Volume(voxels))
    assert read_labelmaps(tmp_path, CPU).labels == 400


def test_label_maps_that_memory_does_not_hold_are_told_so(tmp_path, monkeypatch):
    write_volume(tmp_path / "a.nrrd", Volume(labelled()))
    monkeypatch.setattr(labelmaps, "_cube", failing(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")))
    with pytest.raises(OutOfMemory, match=r"too little free memory\. Use fewer label maps"):
        read_labelmaps(tmp_path, CPU)
