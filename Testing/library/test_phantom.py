"""The torso made by code: the same every time, fast, and like a CT."""

import time

import numpy as np
import pytest

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import looks_like_ct
from SAMSegmenterLib.phantom import NOISE_HU, make_phantom, phantom_prompts

SMALL = (64, 64, 32)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


def grown(inside, steps):
    for _ in range(steps):
        padded = np.pad(inside, 1)
        inside = inside.copy()
        for axis in range(3):
            inside |= np.roll(padded, 1, axis)[1:-1, 1:-1, 1:-1] | np.roll(padded, -1, axis)[1:-1, 1:-1, 1:-1]
    return inside


def test_a_phantom_is_made_in_less_than_two_seconds():
    start = time.process_time()
    make_phantom()
    assert time.process_time() - start < 2


def test_a_phantom_is_a_ct_in_its_place(phantom):
    volume, labels, names = phantom
    assert volume.voxels.dtype == np.int16
    assert labels.dtype == np.uint8
    assert volume.voxels.shape == labels.shape == (80, 160, 160)
    assert volume.spacing_mm.tolist() == [1.5, 1.5, 3]
    assert volume.to_ras((np.array(volume.shape_ijk) - 1) / 2) == pytest.approx(np.zeros(3))
    assert looks_like_ct(volume)
    assert looks_like_ct(Volume(volume.voxels))
    assert np.unique(labels).tolist() == list(range(len(names) + 1))


def test_the_same_seed_gives_the_same_phantom_and_another_one_another():
    one, again, other = (make_phantom(seed, SMALL) for seed in (3, 3, 4))
    assert np.array_equal(one[0].voxels, again[0].voxels)
    assert np.array_equal(one[1], again[1])
    assert not np.array_equal(one[1], other[1])


@pytest.mark.parametrize("organ", ["liver", "spleen", "kidney_right", "kidney_left"])
def test_organs_stand_out_as_in_a_patient(phantom, organ):
    volume, labels, names = phantom
    inside = labels == names.index(organ) + 1
    around = grown(inside, 5) & ~grown(inside, 2) & ~np.isin(labels, [names.index(n) + 1 for n in ("spine", "lungs")])
    assert 40 <= np.median(volume.voxels[inside]) - np.median(volume.voxels[around]) <= 120


@pytest.mark.parametrize(
    ("organ", "low_hu", "high_hu"), [("lungs", -900, -700), ("aorta", 130, 180), ("spine", 200, 300), ("liver", 90, 130)]
)
def test_hounsfield_units_are_those_of_a_patient(phantom, organ, low_hu, high_hu):
    volume, labels, names = phantom
    assert low_hu < np.median(volume.voxels[labels == names.index(organ) + 1]) < high_hu
    assert volume.voxels.min() >= -1024
    assert volume.voxels[0, 0, 0] == pytest.approx(-1000, abs=60)


def test_the_noise_is_that_of_a_ct(phantom):
    volume, labels, names = phantom
    deep = ~grown(labels != names.index("liver") + 1, 4)
    assert volume.voxels[deep].std() == pytest.approx(NOISE_HU, abs=2)


def test_edges_are_smooth(phantom):
    volume, labels, names = phantom
    steps = np.abs(np.diff(volume.voxels.astype(int), axis=2))
    assert steps.max() < 950  # air to skin is 900 HU, shared by several voxels in most places
    liver = labels == names.index("liver") + 1
    edge = liver & ~np.roll(liver, 1, 2)
    inner, outer = np.roll(edge, 3, 2), np.roll(edge, -3, 2)
    assert np.median(volume.voxels[outer]) < np.median(volume.voxels[edge]) < np.median(volume.voxels[inner])


def test_the_aorta_wanders_from_slice_to_slice_and_the_spine_is_bright(phantom):
    volume, labels, names = phantom
    centres = [np.nonzero(labels[k] == names.index("aorta") + 1)[1].mean() for k in range(80)]
    assert np.ptp(centres) > 5
    assert np.abs(np.diff(centres)).max() < 2
    assert np.median(volume.voxels[labels == names.index("spine") + 1]) > 200


def test_lungs_lie_above_the_kidneys_and_the_liver_on_the_right(phantom):
    volume, labels, names = phantom
    centre = {name: volume.to_ras(np.argwhere(labels == n)[:, ::-1].mean(0)) for n, name in enumerate(names, 1)}
    assert centre["lungs"][2] > centre["liver"][2] > centre["kidney_right"][2]
    assert centre["liver"][0] > 0 > centre["spleen"][0]
    assert centre["kidney_right"][0] > centre["kidney_left"][0]
    assert centre["spine"][1] < centre["liver"][1]


@pytest.mark.parametrize("shape", [(160, 160, 80), SMALL, (50, 70, 20)])
def test_its_prompts_are_boxes_around_the_organs(shape):
    volume, labels, names = make_phantom(1, shape)
    prompts = phantom_prompts(labels, names)
    prompts.check(FrameStack(volume))
    assert [segment.name for segment in prompts.segments] == ["liver", "kidney_right"]
    for segment in prompts.segments:
        (keyframe,) = segment.keyframes
        inside = labels == names.index(segment.name) + 1
        y, x = np.nonzero(inside[keyframe.slice])
        assert (keyframe.box.x0, keyframe.box.y0) == (x.min() - 0.5, y.min() - 0.5)
        assert (keyframe.box.x1, keyframe.box.y1) == (x.max() + 0.5, y.max() + 0.5)
        assert np.flatnonzero(inside.any(axis=(1, 2))).mean() == pytest.approx(keyframe.slice, abs=1)
