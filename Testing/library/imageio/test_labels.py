"""Labels come back as the whole numbers that they were; images are not taken for labels."""

import nibabel as nib
import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_labelmap
from support.images import noise, oblique
from support.nifti_files import header_of, store

SHAPE = (12, 40, 50)


def blocks(most):
    """Labels from 0 to `most`, each in a box of its own, as segmentations are."""
    numbers = np.random.default_rng(0).integers(0, most + 1, (4, 8, 10))
    numbers.flat[:2] = 0, most
    return numbers.repeat(3, 0).repeat(5, 1).repeat(5, 2)


@pytest.mark.parametrize("most", [1, 13, 100, 255, 3000])
@pytest.mark.parametrize("stored", [np.uint8, np.int16, np.uint16])
def test_labels_that_nibabel_scaled_as_floats_come_back_or_are_refused(tmp_path, most, stored):
    labels, path = blocks(most), tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(labels.T.astype(np.float64), oblique())
    image.set_data_dtype(stored)
    nib.save(image, path)
    if most > 255 and stored == np.uint8:  # too coarse: some labels share a number
        with pytest.raises(InputError, match="whole numbers, got fractions"):
            read_labelmap(path)
    else:
        assert np.array_equal(read_labelmap(path).voxels, labels)


@pytest.mark.parametrize("slope", [0.3, 0.5, 0.9, 1.7, 300])
def test_images_that_are_scaled_are_no_labels(tmp_path, slope):
    path = store(tmp_path / "a.nii", header_of(scl_slope=slope, scl_inter=0.25), noise())
    with pytest.raises(InputError, match="whole numbers, got fractions"):
        read_labelmap(path)


def test_labels_keep_where_they_lie_elsewhere(tmp_path):
    path = store(tmp_path / "a.nii", header_of(dtype=np.float32))
    assert len(read_labelmap(path).source.elsewhere) == 2


def test_rounding_errors_of_float32_are_no_fractions(tmp_path):
    labels = blocks(90).astype(np.float32)
    path = store(tmp_path / "a.nii", header_of(dtype=np.float32, shape_ijk=SHAPE[::-1]), np.nextafter(labels, np.float32(1000)))
    assert np.array_equal(read_labelmap(path).voxels, labels)
    store(path, header_of(dtype=np.float32, shape_ijk=SHAPE[::-1]), labels * np.float32(0.9999))
    with pytest.raises(InputError, match="whole numbers, got fractions"):
        read_labelmap(path)


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.random.default_rng(0).integers(-1024, 2000, SHAPE), "expected labels from 0 on, got -10"),
        (np.random.default_rng(0).integers(0, 4000, SHAPE), "this is an image, not a labelmap: it has more than 1000 values"),
    ],
    ids=["CT", "MR"],
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_an_image_is_not_taken_for_a_labelmap(tmp_path, voxels, message, dtype):
    path = store(tmp_path / "a.nii", header_of(dtype=dtype, shape_ijk=SHAPE[::-1]), voxels)
    with pytest.raises(InputError, match=rf"a\.nii: {message}"):
        read_labelmap(path)


def test_thousands_of_labels_are_labels(tmp_path):
    labels = np.arange(12 * 20 * 25).reshape(12, 20, 25).repeat(2, 1).repeat(2, 2)
    path = store(tmp_path / "a.nii", header_of(shape_ijk=SHAPE[::-1]), labels)
    assert np.array_equal(read_labelmap(path).voxels, labels)
