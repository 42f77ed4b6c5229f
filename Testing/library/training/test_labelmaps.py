"""Real label maps lend their shapes to training."""

import json

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import InputError, OutOfMemory
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.training import labelmaps
from SAMSegmenterLib.training.labelmaps import Labelmap, Labelmaps, middles, numbered, read_labelmaps
from SAMSegmenterLib.training.rendering import Renderer
from SAMSegmenterLib.training.sequences import look_through
from SAMSegmenterLib.training.squares import Slices, whole
from SAMSegmenterLib.training.tissues import GAS, UNKNOWN, tissue_of
from support.training_steps import CPU, failing

pytestmark = pytest.mark.usefixtures("seeded")


def slices_of(count, frames=1):
    return Slices(count, frames, CPU)


def test_scenes_show_the_structures_of_label_maps():
    volume = np.zeros((20, 30, 40), np.int16)
    volume[5:15, 5:25, 10:30] = 17
    volume[8:12, 10:20, 15:25] = 400
    maps = Labelmaps([Labelmap(Volume(volume))], CPU)
    assert maps.labels == 3  # two, and one for fat
    slices = slices_of(8, 3)
    seen = maps.scenes(slices).look(slices.positions(whole(slices), 32))
    assert seen.labels.unique().tolist() == [0, 1, 2]
    assert not seen.rims[seen.labels == 0].any()
    sequences = look_through(slices, maps.scenes(slices), 2, 64, 32, 32)
    assert sequences.images.shape == (8, 3, 64, 64)
    assert sequences.usable.any()
    assert (sequences.width_mm > 0).all()


def test_what_is_chosen_lies_in_the_middle_of_the_first_slice():
    volume = np.zeros((40, 40, 40), np.uint8)
    volume[3:9, 30:37, 4:12] = 1
    maps = Labelmaps([Labelmap(Volume(volume, np.diag([0.5, 0.5, 5, 1])))], CPU)
    slices = slices_of(20)
    assert maps.scenes(slices).look(slices.focus[:, None]).labels.float().mean() > 0.5  # warps may shift it a little


def test_thick_slices_keep_their_proportions():
    labels = np.ones((2, 20, 40), np.uint8)
    stock = Labelmaps([Labelmap(Volume(labels, np.diag([0.5, 1, 10, 1])))], CPU).stock
    assert float(stock.half_mm) == pytest.approx(10)
    places_mm = torch.tensor([[[0.1, 0.1, 0.1], [19.9, 19.9, 19.9], [20.1, 1, 1], [-0.1, 1, 1]]])
    assert stock.nearest(torch.tensor([0]), places_mm)[0].tolist() == [[1, 1, 0, 0]]


def test_small_structures_are_shown_as_often_as_large_ones():
    voxels = np.zeros((30, 30, 30), np.int16)
    voxels[2:28, 2:28, 2:20] = 1
    voxels[3:5, 3:5, 25:28] = 2
    i, j, k = (middles(voxels).T - 0.5).long()
    shown = voxels[k, j, i]
    assert 0.4 < (shown == 2).mean() < 0.6


def test_groups_of_maps_are_shown_less_than_as_many_single_ones():
    part = Volume(np.ones((2, 2, 2), np.uint8))
    weights = Labelmaps([Labelmap(part, group=group) for group in "aaaab"], CPU).weights
    assert weights[:4].sum() == pytest.approx(2 * float(weights[4]))


def test_many_labels_and_negative_ones_are_told_apart():
    values, labels = numbered(np.arange(-200, 700, dtype=np.int16).reshape(9, 10, 10), "map")
    assert len(values) == 899
    assert np.unique(labels).tolist() == list(range(900))
    assert numbered(np.full((4, 4, 4), -1, np.int8), "map")[1].max() == 1  # 0 would be outside


def test_label_maps_that_number_their_voxels_are_refused():
    with pytest.raises(InputError, match="map: the label map has 40000 different labels"):
        numbered(np.arange(40_001).reshape(1, 1, -1), "map")


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("right gluteus maximus [FJ1421]", "psoas"),
        ("VH_M_right_fifth_rib", "Lumbar3"),
        ("left pulmonary artery", "inferior vena cava"),
        ("gas 6 (component)", "trachea"),
    ],
)
def test_structures_of_one_tissue_are_told_by_their_names(name, like):
    assert tissue_of(name) == tissue_of(like) != UNKNOWN


def test_names_that_tell_no_tissue_are_unknown():
    assert tissue_of("unnamed part [FJ1575]") == tissue_of("") == UNKNOWN
    assert tissue_of("left gastric artery") != GAS
    assert tissue_of("air") == GAS


def test_structures_of_one_tissue_look_alike_in_many_scenes():
    count = 60
    tissues = torch.tensor([UNKNOWN, 5, 5, 6, GAS, UNKNOWN]).expand(count, -1)
    greys = Renderer(count, 5, None, CPU, tissues)._grey
    near = ((greys[:, 1] - greys[:, 2]).abs() < 0.1).float().mean()
    far = ((greys[:, 1] - greys[:, 3]).abs() < 0.1).float().mean()
    assert near > far + 0.2
    assert (greys[:, 4] < 0.1).float().mean() > 0.6


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


def test_names_and_groups_of_label_maps_come_from_files(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("man_arm", "man_leg", "more/frog"):
        write_volume(tmp_path / f"{name}.nii.gz", Volume(np.ones((4, 4, 4), np.uint8)))
    (tmp_path / "man_leg.json").write_text(json.dumps({"1": "femur"}))
    maps = read_labelmaps(tmp_path, CPU)
    assert maps.tissues[:, 1].tolist() == [UNKNOWN, tissue_of("femur"), UNKNOWN]
    assert maps.weights.tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 1])


def test_label_maps_that_memory_does_not_hold_are_told_so(tmp_path, monkeypatch):
    write_volume(tmp_path / "a.nrrd", Volume(labelled()))
    monkeypatch.setattr(labelmaps, "numbered", failing(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")))
    with pytest.raises(OutOfMemory, match=r"too little free memory\. Use fewer label maps"):
        read_labelmaps(tmp_path, CPU)
