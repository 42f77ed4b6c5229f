"""Volumes and diameters of shapes that are known, on grids of all kinds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.image.extent import Cutout
from SAMSegmenterLib.measuring.measures import measure
from support.geometry import AXES

SIDE = 40
K, J, I = np.mgrid[:SIDE, :SIDE, :SIDE]  # noqa: E741  # the axes are called so


def rotation(degrees, axis):
    """A turn in the plane across one of three axes, ``(3, 3)``."""
    turn, (one, other) = np.eye(3), [n for n in range(3) if n != axis]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[one, one], turn[one, other], turn[other, one], turn[other, other] = cos, -sin, sin, cos
    return turn


SHEAR = np.array([[1, 0.3, 0.2], [0, 1, 0.25], [0, 0, 1.0]])
GRIDS = {
    "one millimetre": np.eye(3),
    "thick slices": np.diag([0.7, 0.9, 2.5]),
    "tilted": rotation(20, 0) @ rotation(-35, 2) @ np.diag([1.1, 0.8, 1.5]),
    "sheared": SHEAR @ np.diag([0.9, 0.9, 1.2]),
    "left-handed": np.diag([-0.8, 0.8, 1.3]),
}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS)
def grid(request):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = request.param, [-70, 20, 300]
    return matrix


def places_mm(grid):
    """Where the voxels lie, seen from the one in the middle: ``(k, j, i, 3)``."""
    return (np.stack([I, J, K], -1) - SIDE // 2) @ grid[:3, :3].T


def measured(mask, grid=None):
    return measure(Cutout.of(mask), np.eye(4) if grid is None else grid)


def diagonal(grid):
    """The longest way through one voxel in mm, which is how exact a diameter can be."""
    return max(np.linalg.norm(grid[:3, :3] @ [i, j, k]) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1))


def test_a_ball_is_as_wide_everywhere_as_it_is(grid):
    radius = 9.0
    found = measured(np.linalg.norm(places_mm(grid), axis=-1) <= radius, grid)
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.04)
    assert abs(found.slice - SIDE // 2) <= 1
    for diameter in (found.longest, found.perpendicular, found.largest_3d):
        assert diameter.length_mm == pytest.approx(2 * radius, abs=diagonal(grid))


def test_an_ellipse_has_two_diameters_on_its_slice(grid):
    """It lies in the slice's plane, turned by 30 degrees there, and is a slice thick."""
    plane = np.linalg.qr(grid[:3, :2])[0]
    along, across = plane @ rotation(30, 2)[:2, :2].T[0], plane @ rotation(30, 2)[:2, :2].T[1]
    mm = places_mm(grid)
    inside = (mm @ along / 11) ** 2 + (mm @ across / 5) ** 2 <= 1
    found = measured(inside & (K == SIDE // 2), grid)
    assert found.slice == SIDE // 2
    assert found.longest.length_mm == pytest.approx(22, abs=diagonal(grid))
    assert found.perpendicular.length_mm == pytest.approx(10, abs=diagonal(grid))


def test_an_ellipsoid_has_its_longest_diameter_in_space(grid):
    axes = rotation(40, 0) @ rotation(25, 1)
    inside = ((places_mm(grid) @ axes / [5, 6, 12]) ** 2).sum(-1) <= 1
    found = measured(inside, grid)
    assert found.largest_3d.length_mm == pytest.approx(24, abs=diagonal(grid))
    one, other = np.array(found.largest_3d.ends) @ grid[:3, :3].T
    assert abs((other - one) @ axes[:, 2]) / 24 == pytest.approx(1, abs=0.1)
    assert found.perpendicular.length_mm <= found.longest.length_mm < found.largest_3d.length_mm


def test_a_box_is_measured_from_corner_to_corner():
    mask = np.zeros((SIDE,) * 3, bool)
    mask[5:17, 10:13, 20:24] = True
    found = measured(mask)
    assert found.volume_ml == pytest.approx(12 * 3 * 4 / 1000)
    assert found.longest.length_mm == pytest.approx(5)
    assert found.perpendicular.length_mm == pytest.approx(15 / 4)  # from one corner to the opposite side
    assert found.largest_3d.length_mm == pytest.approx(13)
    assert sorted(found.largest_3d.ends)[0][0] == 19.5
    assert {end[2] for end in found.largest_3d.ends} == {4.5, 16.5}


def test_a_single_voxel_has_diameters():
    found = measured((K == 7) & (J == 8) & (I == 9), np.diag([3.0, 4, 12, 1]))
    assert (found.volume_ml, found.slice) == (pytest.approx(0.144), 7)
    assert (found.longest.length_mm, found.perpendicular.length_mm) == (pytest.approx(5), pytest.approx(15 / 4))
    assert found.largest_3d.length_mm == pytest.approx(13)
    assert {end[2] for end in (*found.longest.ends, *found.perpendicular.ends)} == {7}


def test_the_perpendicular_lies_on_the_slice_of_the_longest_diameter():
    long, wide = (K == 3) & (J == 20) & (I >= 5) & (I < 25), (K == 9) & (J > 5) & (J < 20) & (I > 10) & (I < 18)
    found = measured(long | wide)
    assert found.slice == 3
    assert found.longest.length_mm == pytest.approx(np.hypot(20, 1))
    assert found.perpendicular.length_mm < 1.1


def test_a_perpendicular_is_a_chord_not_the_sum_of_bulges_on_either_side():
    """Two triangles lean on a line from different sides and at different places: no chord is as wide as both together."""
    mask = (J == 20) & (I >= 2) & (I < 38)
    mask |= (I > 5) & (I < 12) & (J > 20) & (J < 29)
    mask |= (I > 28) & (I < 35) & (J < 20) & (J > 11)
    found = measured(mask & (K == 4))
    one, other = np.array(found.perpendicular.ends)
    first, last = np.array(found.longest.ends)
    assert (other - one) @ (last - first) == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(other - one) == pytest.approx(found.perpendicular.length_mm)
    assert found.perpendicular.length_mm < 17


MASKS = st.builds(
    lambda seed, density, shape: np.random.default_rng(seed).random(shape) < density,
    st.integers(0, 9999),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.tuples(*[st.integers(1, 9)] * 3),
).filter(np.any)
MATRICES = st.sampled_from([np.block([[matrix, np.ones((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]) for matrix in GRIDS.values()])


@given(mask=MASKS, matrix=MATRICES)
@settings(max_examples=100, deadline=None)
def test_no_two_corners_of_voxels_are_farther_apart(mask, matrix):
    k, j, i = np.nonzero(mask)
    corners = np.unique(np.concatenate([np.c_[i + di, j + dj, k + dk] for di in (0, 1) for dj in (0, 1) for dk in (0, 1)]), axis=0)
    apart = np.linalg.norm((corners[:, None] - corners) @ matrix[:3, :3].T, axis=-1)
    found = measured(mask, matrix)
    assert found.largest_3d.length_mm == pytest.approx(apart.max())
    on_slices = [apart[np.ix_(on, on)].max() for on in (in_layer(corners, mask, number) for number in np.unique(k))]
    assert found.longest.length_mm == pytest.approx(max(on_slices))


def in_layer(corners, mask, number):
    """Which corners, seen along k, are those of voxels of slice `number`: a bool array, at the height where the slice begins."""
    j, i = np.nonzero(mask[number])
    own = {(x + di, y + dj) for x, y in zip(i, j, strict=True) for di in (0, 1) for dj in (0, 1)}
    return np.array([k == number and (x, y) in own for x, y, k in corners.tolist()])


@given(mask=MASKS, matrix=MATRICES, axis=AXES)
@settings(max_examples=100, deadline=None)
def test_a_volume_that_is_stored_the_other_way_round_has_the_same_measures(mask, matrix, axis):
    number = "ijk".index(axis)
    flip = np.eye(4)
    flip[number, number], flip[number, 3] = -1, mask.shape[2 - number] - 1
    one, other = measured(mask, matrix), measured(np.flip(mask, 2 - number), matrix @ flip)
    assert one.volume_ml == pytest.approx(other.volume_ml)
    for name in ("longest", "perpendicular", "largest_3d"):
        assert getattr(one, name).length_mm == pytest.approx(getattr(other, name).length_mm)


@given(mask=MASKS, matrix=MATRICES)
@settings(max_examples=50, deadline=None)
def test_ends_lie_as_far_apart_as_is_said(mask, matrix):
    found = measured(np.pad(mask, [(2, 0), (3, 1), (4, 0)]), matrix)
    for diameter in (found.longest, found.perpendicular, found.largest_3d):
        one, other = np.array(diameter.ends)
        assert np.linalg.norm(matrix[:3, :3] @ (other - one)) == pytest.approx(diameter.length_mm)
        assert (np.minimum(one, other) > np.array([3.5, 2.5, 1.5]) - 1e-9).all()
    assert {end[2] for end in (*found.longest.ends, *found.perpendicular.ends)} == {found.slice}
