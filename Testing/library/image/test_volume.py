"""The one place that converts between voxel indices, RAS and LPS, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.extent import box_around
from SAMSegmenterLib.image.volume import Source, Volume
from support.geometry import affines, volumes

PLACES = st.lists(st.tuples(*[st.floats(-500, 500)] * 3), min_size=1, max_size=5).map(np.array)


@given(affines(), PLACES)
def test_voxel_indices_survive_a_trip_to_ras_and_back(matrix, ijk):
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    assert volume.to_ijk(volume.to_ras(ijk)) == pytest.approx(ijk, abs=1e-6)


@given(affines(), PLACES)
def test_lps_is_ras_with_left_and_posterior_turned_round(matrix, ijk):
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    lps = ijk @ volume.ijk_to_lps[:3, :3].T + volume.ijk_to_lps[:3, 3]
    assert lps == pytest.approx(volume.to_ras(ijk) * [-1, -1, 1])


@given(affines(), PLACES)
def test_voxel_indices_survive_a_trip_to_lps_and_back(matrix, ijk):
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    lps = ijk @ volume.ijk_to_lps[:3, :3].T + volume.ijk_to_lps[:3, 3]
    assert volume.to_ijk(lps * [-1, -1, 1]) == pytest.approx(ijk, abs=1e-6)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (np.diag([1, 2, 3]), ("R", "A", "S")),
        (np.diag([-1, -2, -3]), ("L", "P", "I")),
        ([[0, 0, -1], [2, 0.1, 0], [0, 3, 0]], ("A", "S", "L")),
    ],
)
def test_each_axis_is_named_by_the_direction_it_runs_nearest_to(columns, named):
    matrix = np.eye(4)
    matrix[:3, :3] = columns
    assert Volume(np.zeros((2, 3, 4)), matrix).axis_directions == named


@given(affines(), st.sampled_from([(), (1,), (2, 3)]))
def test_positions_keep_their_leading_axes(matrix, leading):
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    ras = volume.to_ras(np.ones((*leading, 3)))
    assert ras.shape == volume.to_ijk(ras).shape == (*leading, 3)


@given(affines())
def test_spacing_is_the_distance_between_neighbouring_voxels(matrix):
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    steps = volume.to_ras(np.eye(3)) - volume.to_ras(np.zeros(3))
    assert volume.spacing_mm == pytest.approx(np.linalg.norm(steps, axis=1))
    assert volume.shape_ijk == (4, 3, 2)


@given(volumes(), st.floats(1e-5, 100))
def test_a_volume_shares_the_grid_of_others_at_the_same_place_whatever_its_scale(volume, scale):
    small = volume.ijk_to_ras * [scale, scale, scale, 1]
    nudged = small.copy()
    nudged[:3, 3] += small[:3, 0] * 0.08
    assert Volume(volume.voxels, small).same_grid(Volume(np.zeros(volume.voxels.shape), nudged))


@given(volumes(), st.integers(0, 2), st.floats(1e-5, 100))
def test_a_shifted_turned_or_cut_volume_has_another_grid(volume, axis, scale):
    small = volume.ijk_to_ras * [scale, scale, scale, 1]
    shifted, flipped = small.copy(), small.copy()
    shifted[:3, 3] += small[:3, axis] * 0.15
    flipped[:3, axis] *= -1
    others = [Volume(volume.voxels, shifted), Volume(volume.voxels, flipped), Volume(volume.voxels[:-1], small)]
    assert not any(Volume(volume.voxels, small).same_grid(other) for other in others)


def test_one_place_in_common_suffices_where_programs_disagree():
    voxels, sform, qform = np.zeros((2, 3, 4)), np.diag([-1.0, 1, 1, 1]), np.eye(4)
    image = Volume(voxels, qform, source=Source(elsewhere=(sform,)))
    assert image.same_grid(Volume(voxels, sform))
    assert Volume(voxels, sform).same_grid(image)
    assert not image.same_grid(Volume(voxels, np.diag([1.0, -1, 1, 1])))


def test_the_geometry_given_is_copied():
    matrix = np.eye(4)
    volume = Volume(np.zeros((2, 3, 4)), matrix)
    matrix[0, 0] = 5
    assert volume.spacing_mm.tolist() == [1, 1, 1]


def test_rgb_volumes_are_told_from_scalar_ones():
    assert Volume(np.zeros((2, 3, 4, 3), np.uint8)).is_rgb
    assert not Volume(np.zeros((2, 3, 3))).is_rgb


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int32, np.uint64, np.float16, np.float64])
def test_every_type_of_number_is_taken_as_it_is(dtype):
    assert Volume(np.zeros((2, 3, 4), dtype)).voxels.dtype == dtype


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.zeros((3, 4)), "2-D images cannot be propagated"),
        (np.zeros((2, 3, 4, 5)), "one time point or component of 4-D"),
        (np.zeros((2, 3, 4, 3)), "RGB volume must have 8-bit"),
        (np.zeros((2, 0, 4)), "empty"),
        (np.zeros((2, 3, 4), complex), "complex128"),
        (np.full((2, 3, 4), "a"), "not numbers"),
        (np.array([[[0, np.nan, np.inf]]]), "2 voxels are NaN or infinite"),
    ],
)
def test_voxels_that_are_no_image_are_refused_by_name(voxels, message):
    with pytest.raises(InputError, match=message) as error:
        Volume(voxels, name="knee.nrrd")
    assert "knee.nrrd" in str(error.value)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "4x4 and finite"),
        (np.diag([1, 1, np.nan, 1]), "4x4 and finite"),
        (np.diag([1, 1, 0, 1]), "spacing is 1 x 1 x 0 mm"),
        (np.diag([1, 5000, 1, 1]), "at most 1000 mm"),
        (np.diag([1, 5e-11, 1, 1]), "spacing is 1 x 5e-11 x 1 mm; expected at least 1e-10"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "not independent"),
    ],
)
def test_geometries_that_place_nothing_are_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        Volume(np.zeros((2, 3, 4)), matrix)


def test_the_box_around_a_mask_holds_it_and_no_more():
    mask = np.zeros((5, 6, 7), bool)
    assert box_around(mask) is None
    mask[1, 2, 6] = mask[3, 4, 0] = True
    assert box_around(mask) == (slice(1, 4), slice(2, 5), slice(0, 7))
