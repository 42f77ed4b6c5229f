"""The metrics, against numbers worked out by hand and against distances computed pair by pair."""

import math

import numpy as np
import pytest

from SAMSegmenterLib.evaluation.metrics import SurfaceDistances, jaccard, over_propagation, over_segmentation, retention
from SAMSegmenterLib.image.extent import dice

SPACING = 5.0, 2.0, 1.0  # mm between slices, rows and columns


def volume(*voxels, shape=(8, 10, 12)):
    mask = np.zeros(shape, bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


def block(slices, rows, columns, shape=(8, 10, 12)):
    mask = np.zeros(shape, bool)
    mask[slice(*slices), slice(*rows), slice(*columns)] = True
    return mask


NOTHING = volume()


def test_overlap_of_two_blocks():
    one, other = block((2, 4), (2, 6), (2, 6)), block((2, 4), (2, 6), (4, 8))  # 32 voxels each, 16 shared
    assert dice(one, other) == 0.5
    assert jaccard(one, other) == pytest.approx(1 / 3)


def test_overlap_with_empty_masks():
    assert dice(NOTHING, block((2, 4), (2, 6), (2, 6))) == 0
    assert dice(NOTHING, NOTHING) == jaccard(NOTHING, NOTHING) == 1


@pytest.mark.parametrize(("voxel", "distance_mm"), [((3, 2, 2), 5.0), ((2, 3, 2), 2.0), ((2, 2, 3), 1.0), ((4, 3, 2), math.hypot(10, 2))])
def test_distance_of_two_voxels_is_in_mm_along_each_axis(voxel, distance_mm):
    distances = SurfaceDistances.between(volume((2, 2, 2)), volume(voxel), SPACING)
    assert distances.hd95_mm() == pytest.approx(distance_mm)
    assert distances.surface_dice(distance_mm) == 1
    assert distances.surface_dice(distance_mm - 0.1) == 0


def test_surface_distances_of_shifted_blocks():
    # shifted by 2 columns of 1 mm: all but the two outer columns of faces lie within 1 mm of each other
    one, other = block((2, 4), (2, 5), (2, 8)), block((2, 4), (2, 5), (4, 10))
    distances = SurfaceDistances.between(one, other, SPACING)
    assert len(distances.of_found) == len(distances.of_truth) == 2 * 3 * 6  # two slices thick: all voxels are surface
    assert distances.surface_dice(0) == pytest.approx(2 * 24 / 72)
    assert distances.surface_dice(1) == pytest.approx(2 * 30 / 72)
    assert distances.hd95_mm() == pytest.approx(2)


def test_hd95_is_the_worse_direction():
    one = block((2, 3), (2, 3), (0, 12))
    other = block((2, 3), (2, 3), (0, 2))
    distances = SurfaceDistances.between(one, other, SPACING)
    assert distances.of_truth.max() == 0
    assert distances.hd95_mm() == pytest.approx(np.percentile([0, 0, *range(1, 11)], 95))


def test_interior_voxels_are_not_surface_and_the_edge_of_the_volume_is_outside():
    cube = np.ones((5, 5, 5), bool)
    assert len(SurfaceDistances.between(cube, cube, SPACING).of_found) == 5**3 - 3**3


def test_distances_equal_those_computed_pair_by_pair():
    random = np.random.default_rng(0)
    for _ in range(5):
        one, other = random.random((2, 6, 9, 8)) < 0.1
        found = SurfaceDistances.between(one, other, SPACING)  # so sparse that nearly every voxel is surface
        places = [np.argwhere(mask) * SPACING for mask in (one, other)]
        between = np.linalg.norm(places[0][:, None] - places[1][None], axis=2)
        np.testing.assert_allclose(found.of_found, between.min(1), atol=1e-4)
        np.testing.assert_allclose(found.of_truth, between.min(0), atol=1e-4)


def test_slices_left_out_open_no_surface():
    truth, found = block((1, 6), (2, 8), (2, 8)), block((1, 6), (2, 8), (2, 9))
    scored = np.array([True, True, True, False, True, True, True, True])
    distances = SurfaceDistances.between(found, truth, SPACING, scored)
    complete = SurfaceDistances.between(found, truth, SPACING)
    assert len(distances.of_truth) == len(complete.of_truth) - 20  # the rim of the middle slice, whose inside is no surface
    assert distances.of_truth.max() == 1


def test_surfaces_of_empty_masks():
    some = block((2, 4), (2, 6), (2, 6))
    assert SurfaceDistances.between(NOTHING, some, SPACING).hd95_mm() == math.inf
    assert SurfaceDistances.between(some, NOTHING, SPACING).surface_dice(1000) == 0
    assert math.isnan(SurfaceDistances.between(NOTHING, NOTHING, SPACING).hd95_mm())
    assert math.isnan(SurfaceDistances.between(NOTHING, NOTHING, SPACING).surface_dice())


def test_over_propagation_counts_only_beyond_the_ends():
    truth = block((2, 6), (2, 7), (2, 7))  # 100 voxels
    found = block((1, 8), (2, 7), (2, 4))  # 10 on each slice, on slices 1, 6 and 7 beyond the ends
    assert over_propagation(found, truth) == pytest.approx(0.3)
    assert over_propagation(truth | block((2, 6), (0, 10), (0, 12)), truth) == 0
    assert math.isnan(over_propagation(found, NOTHING))


def test_over_segmentation_of_the_prompted_slice():
    truth, found = block((2, 6), (2, 7), (2, 7)), block((2, 6), (2, 7), (2, 9))
    assert over_segmentation(found, truth, [3]) == pytest.approx(10 / 25)
    assert math.isnan(over_segmentation(found, truth, []))


def test_retention_is_the_mean_of_both_sides():
    truth = block((1, 6), (2, 6), (2, 6))
    found = truth.copy()
    found[4, :, 4:] = False  # half of it, one slice above the prompt: Dice 2/3
    found[1] = False
    assert retention(found, truth, [3]) == pytest.approx((5 / 6, 0.5))


def test_retention_counts_from_the_nearest_prompt_and_skips_gaps():
    truth = block((1, 3), (2, 6), (2, 6)) | block((6, 7), (2, 6), (2, 6))
    values = retention(truth, truth, [1])
    assert values[0] == values[4] == 1
    assert all(math.isnan(value) for value in values[1:4])
    assert retention(truth, truth, [1, 2, 6]) == ()
