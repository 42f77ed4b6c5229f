"""NaN that pads is padding; other NaN, and infinite values, are refused with their number."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from SAMSegmenterLib.imageio.values import without_padding_nan
from support.images import noise
from support.nifti_files import header_of, store


def with_nan(*indices):
    voxels = noise(np.float32, (9, 20, 20)) + 5
    for index in indices:
        voxels[index] = np.nan
    return voxels


def outside_of_a_circle():
    j, i = np.mgrid[:20, :20] - 9.5
    return slice(None), j**2 + i**2 > 100


def outside_of_a_tilted_frame():
    k, j, i = np.mgrid[:9, :20, :20]
    return (i + 2 * k < 8) | (j - k < -3)


def a_way_out_over_other_slices():
    """A hole in slice 4 that opens, through slices 3 and 2, to the rim of slice 2."""
    hole = np.zeros((9, 20, 20), bool)
    hole[2:5, 10, 10] = hole[2, 10, 10:] = True
    return hole


PADDED = {
    "circle": [outside_of_a_circle()],
    "tilted frame": [outside_of_a_tilted_frame()],
    "first and last slices": [slice(0, 2), slice(7, 9)],
    "slices between": [slice(4, 6)],
    "a side": [(slice(None), slice(None), 0)],
    "a way out": [a_way_out_over_other_slices()],
}


@pytest.mark.parametrize("kind", PADDED)
def test_nan_that_pads_becomes_the_lowest_value_and_is_told(tmp_path, kind):
    voxels = with_nan(*PADDED[kind])
    lowest, missing = np.nanmin(voxels), np.isnan(voxels)
    volume = read_volume(store(tmp_path / "a.nii", header_of(dtype=np.float32, shape_ijk=(20, 20, 9), sform=(np.eye(4), 1)), voxels))
    assert np.array_equal(volume.voxels, np.where(missing, lowest, voxels))
    told = [words for words in volume.source.warnings if "NaN" in words]
    assert told == [f"a.nii: {missing.sum()} voxels outside of what was scanned are NaN; they count as {lowest:g}, the lowest value."]


@pytest.mark.parametrize(
    ("indices", "bad"),
    [
        ([(4, 10, 10)], 1),
        ([outside_of_a_circle(), (4, slice(8, 10), 10)], 2),
        ([(slice(3, 6), slice(8, 11), slice(8, 11))], 27),
        ([(0, 0, 0)], 1),
        ([slice(None)], 9 * 20 * 20),
    ],
)
def test_other_nan_is_refused_with_its_number(indices, bad):
    with pytest.raises(InputError, match=f"^pet: {bad} voxels are NaN or infinite"):
        without_padding_nan(with_nan(*indices), "pet")


def test_infinite_voxels_are_refused_even_outside():
    voxels = with_nan(outside_of_a_circle())
    voxels[0, 0, :3] = np.inf, -np.inf, np.inf
    with pytest.raises(InputError, match=r"^pet: 3 voxels are NaN or infinite"):
        without_padding_nan(voxels, "pet")


@pytest.mark.parametrize("voxels", [noise(), noise(np.float32), noise(np.uint8, (5, 6, 7, 3))])
def test_finite_voxels_are_not_touched(voxels):
    kept, told = without_padding_nan(voxels, "ct")
    assert kept is voxels
    assert told == ()
