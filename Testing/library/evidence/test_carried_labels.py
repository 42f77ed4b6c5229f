"""Carrying takes short cuts, and comes to the same bits."""

import pytest
import torch
import torch.nn.functional as F

from SAMSegmenterLib.evidence import carried_labels
from SAMSegmenterLib.evidence.carried_labels import Carrier


@pytest.mark.parametrize("shape", [(1, 5, 7), (16, 30, 20), (9, 1, 1), (3, 2, 40)])
def test_means_of_patches_are_pooling_s_to_the_bit(shape):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(carried_labels._patch_means(values), F.avg_pool2d(values, 3, 1, 1, count_include_pad=False))


def test_moved_slices_are_cut_out_as_they_lie():
    values, random = torch.arange(400.0).reshape(20, 20), torch.Generator().manual_seed(2)
    carrier = Carrier(torch.rand(20, 20, generator=random), values, 2.5)
    reach, window = carrier._reach, (slice(3, 12), slice(0, 7))
    wide = F.pad(values[None, None], (reach,) * 4, mode="replicate")[0, 0]
    moved = torch.cat(list(carrier._moved(values, window)))
    for (dy, dx), found in zip(carrier._moves.tolist(), moved, strict=True):
        assert torch.equal(found, wide[3 + reach + dy : 12 + reach + dy, reach + dx : 7 + reach + dx])
