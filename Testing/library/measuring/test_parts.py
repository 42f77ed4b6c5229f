"""Parts of an object that do not touch."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.image.extent import Cutout
from SAMSegmenterLib.measuring.parts import parts


def test_parts_come_largest_first_and_where_they_lie():
    mask = np.zeros((9, 9, 9), bool)
    mask[1, 1, 1:3], mask[5:8, 5:8, 5:8], mask[1, 8, 8] = True, True, True
    found = list(parts(Cutout.of(mask)))
    assert [int(part.voxels.sum()) for part in found] == [27, 2, 1]
    assert [part.first for part in found] == [(5, 5, 5), (1, 1, 1), (1, 8, 8)]


def test_voxels_that_share_a_corner_touch():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = True
    assert len(list(parts(Cutout.of(mask)))) == 1
    mask[1, 1, 1] = False
    assert len(list(parts(Cutout.of(mask)))) == 2


@given(seed=st.integers(0, 9999), density=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=40, deadline=None)
def test_no_voxel_is_lost_or_counted_twice(seed, density):
    mask = np.random.default_rng(seed).random((7, 8, 9)) < density
    cutout = Cutout.of(mask)
    counts = np.zeros(mask.shape, int)
    for part in parts(cutout) if cutout else ():
        box = tuple(slice(begin, begin + size) for begin, size in zip(part.first, part.voxels.shape, strict=True))
        counts[box] += part.voxels
    np.testing.assert_array_equal(counts, mask)
