"""What is kept lies in pages of its own, and comes back as it was."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.network.cache import FeatureCache
from SAMSegmenterLib.network.network import Features
from SAMSegmenterLib.network.pages import BLOCK, Shelf

VIEW = View(0, 0, 8, 8, 64)


def features(seed):
    torch.manual_seed(seed)
    return Features(torch.randn(1, 4, 16, 16), torch.randn(1, 8, 8, 8), torch.randn(1, 32, 4, 4), torch.randn(1, 16, 32))


@pytest.mark.parametrize(("kept_in", "tolerance"), [(None, 0), (torch.bfloat16, 0.02)])
def test_cached_features_come_back_as_float32(kept_in, tolerance):
    cache = FeatureCache(10**9, kept_in)
    for index in range(3):
        cache.put((index, VIEW), features(index))
    for index in range(3):
        for found, given in zip(cache.get((index, VIEW)).tensors(), features(index).tensors(), strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, given, rtol=tolerance, atol=tolerance)


def test_cache_does_not_change_with_what_it_was_given():
    cache, given = FeatureCache(10**9), features(0)
    cache.put((0, VIEW), given)
    given.coarse.zero_()
    assert torch.equal(cache.get((0, VIEW)).coarse, features(0).coarse)


def test_features_in_use_outlive_their_place_in_the_cache():
    cache = FeatureCache(1)
    used = cache.put((0, VIEW), features(0))
    cache.put((1, VIEW), features(1))
    assert (0, VIEW) not in cache
    assert torch.equal(used.tokens, features(0).tokens)


def test_cache_counts_the_bytes_it_keeps():
    cache = FeatureCache(10**9, torch.bfloat16)
    cache.put((0, VIEW), features(0))
    cache.put((0, VIEW), features(1))
    assert cache.nbytes == sum(tensor.numel() for tensor in features(0).tensors()) * 2


def test_shelf_keeps_arrays_apart():
    shelf, arrays = Shelf(), [np.full((50, 61), number % 100, dtype) for number, dtype in enumerate([np.int8, np.float32, np.int8] * 200)]
    kept = [shelf.keep(array) for array in arrays]
    assert all(np.array_equal(found, array) and found.dtype == array.dtype for found, array in zip(kept, arrays, strict=True))
    large = np.arange(2 * BLOCK, dtype=np.int32)
    assert np.array_equal(shelf.keep(large), large)
