"""Segments in layers: what is gathered slice by slice along any axis comes out along k, apart where they overlap."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image import layers as module
from SAMSegmenterLib.image.extent import Cutout
from SAMSegmenterLib.image.layers import ArrayLayers, SegmentLayers
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.imageio.sparse_gzip import CHUNK, SparseGzip
from support.geometry import AXES

SHAPE = (5, 6, 7)


def gathered(masks, axis):
    """Bool masks ``(count, k, j, i)`` given slice by slice along an axis, empty ones now and then left out."""
    stack = FrameStack(Volume(np.zeros(SHAPE)), axis, Window(0, 1))
    layers = SegmentLayers(stack, len(masks))
    for index in range(len(stack)):
        on_slice = {label: stack.place(mask, index) for label, mask in enumerate(masks, 1)}
        if index % 2 or any(mask.any() for mask in on_slice.values()):
            layers.add(index, {label: mask for label, mask in on_slice.items() if mask.any()})
    return layers


@given(axis=AXES, seed=st.integers(0, 999), density=st.floats(0, 0.5), slab=st.sampled_from([1, 100, 2**20]))
@settings(max_examples=60, deadline=None)
def test_every_segment_comes_back_whole_whatever_it_overlaps(axis, seed, density, slab):
    masks = np.random.default_rng(seed).random((4, *SHAPE)) < density
    layers = gathered(masks, axis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLAB_BYTES", slab)
        voxels = np.stack([slice_.copy() for slice_ in layers])
    assert voxels.shape == (*SHAPE, len(layers.labels))
    assert sorted(label for labels in layers.labels for label in labels) == [1, 2, 3, 4]
    for number, labels in enumerate(layers.labels):
        assert set(np.unique(voxels[..., number])) <= {0, *labels}
        for label in labels:
            np.testing.assert_array_equal(voxels[..., number] == label, masks[label - 1])
    np.testing.assert_array_equal(layers.voxels, masks.sum((1, 2, 3)))


def test_segments_that_do_not_overlap_share_a_layer():
    masks = np.zeros((3, *SHAPE), bool)
    masks[0, :, :3], masks[1, :, 3:], masks[2, 2, 2:4] = True, True, True
    assert gathered(masks, "k").labels == ((1, 2), (3,))
    assert gathered(masks[:2], "i").labels == ((1, 2),)


def test_labels_of_a_slice_can_be_given_at_once_and_read_again():
    stack = FrameStack(Volume(np.zeros(SHAPE)), "j", Window(0, 1))
    labels = np.random.default_rng(0).integers(0, 4, stack.shape).astype(np.uint16)
    layers = SegmentLayers(stack, 3)
    layers.add_labels(4, labels)
    np.testing.assert_array_equal(layers.slice(4), labels)
    assert not layers.slice(3).any()
    np.testing.assert_array_equal(layers.array()[:, 4], labels)
    assert layers.array().sum() == labels.sum()


def test_many_segments_get_more_than_a_byte():
    layers = SegmentLayers(FrameStack(Volume(np.zeros(SHAPE)), window=Window(0, 1)), 300)
    mask = np.ones(SHAPE[1:], bool)
    layers.add(2, {300: mask})
    assert layers.array().dtype == np.uint16
    assert layers.array()[2].min() == 300


def test_overlapping_segments_are_no_labelmap():
    masks = np.ones((2, *SHAPE), bool)
    with pytest.raises(InputError, match="overlap, in 2 layers"):
        gathered(masks, "k").array()


def test_arrays_know_their_labels():
    one, other = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint16)
    one[0], other[1:3] = 2, 700
    layers = ArrayLayers([one, other])
    assert (layers.labels, layers.dtype) == (((2,), (700,)), np.uint16)
    np.testing.assert_array_equal(np.stack(list(layers)), np.stack([one, other], -1))


@given(parts=st.lists(st.tuples(st.integers(0, 3 * CHUNK), st.booleans()), max_size=6), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_what_is_packed_is_read_back_by_gzip_itself(parts, seed):
    """Python's gzip compares length and CRC-32."""
    random = np.random.default_rng(seed)
    arrays = [random.integers(0, 3, size).astype(np.uint8) * filled for size, filled in parts]
    file = io.BytesIO()
    stream = SparseGzip(file)
    for array in arrays:
        stream.write(array)
    stream.close()
    assert gzip.decompress(file.getvalue()) == b"".join(array.tobytes() for array in arrays)


def test_empty_space_takes_a_thousandth():
    file = io.BytesIO()
    stream = SparseGzip(file)
    for _ in range(20):
        stream.write(np.zeros((512, 512, 4), np.uint16))
    stream.close()
    assert len(file.getvalue()) < 20 * 512 * 512 * 4 * 2 / 500


@given(axis=AXES, seed=st.integers(0, 999), density=st.sampled_from([0, 0.02, 0.4]))
@settings(max_examples=60, deadline=None)
def test_objects_are_cut_out_and_gathered_again(axis, seed, density):
    masks = np.random.default_rng(seed).random((4, *SHAPE)) < density
    layers = gathered(masks, axis)
    cutouts = list(layers.cutouts())
    for mask, cutout in zip(masks, cutouts, strict=True):
        expected = Cutout.of(mask)
        assert (cutout is None) == (expected is None)
        if cutout:
            assert cutout.first == expected.first
            np.testing.assert_array_equal(cutout.voxels, expected.voxels)
    again = SegmentLayers.of_cutouts(FrameStack(Volume(np.zeros(SHAPE)), axis, Window(0, 1)), cutouts)
    assert again.labels == layers.labels
    np.testing.assert_array_equal(again.voxels, layers.voxels)
    np.testing.assert_array_equal(np.stack(list(again)), np.stack(list(layers)))
