"""Volumes and labelmaps are read in every format, and volumes read back as they were written."""

import gzip
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import read_labelmap, read_volume, write_volume
from support.images import VOLUME_FORMATS, image_of, noise, nrrd_header, oblique, painted


@pytest.mark.parametrize("name", VOLUME_FORMATS)
def test_every_format_keeps_voxels_and_geometry(stored, name):
    volume = read_volume(stored(name, noise(), oblique()))
    assert np.array_equal(volume.voxels, noise())
    assert volume.voxels.dtype == np.int16
    assert volume.ijk_to_ras == pytest.approx(oblique(), abs=5e-5 if ".nii" in name else 1e-6)  # NIfTI stores float32
    assert (volume.name, volume.modality) == (name, "")


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [*((dtype, dtype) for dtype in (np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, np.float32)), (np.float64, np.float32)],
)
@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.mha"])
def test_numbers_keep_their_type_except_the_widest(stored, name, dtype, read_as):
    volume = read_volume(stored(name, noise(dtype)))
    assert volume.voxels.dtype == read_as
    assert np.array_equal(volume.voxels, noise(dtype))


def test_the_widest_numbers_stay_where_others_would_lose_their_contrast(stored):
    volume = read_volume(stored("a.nrrd", noise(np.float64) + 2**40))
    assert np.array_equal(volume.voxels - 2**40, noise(np.float64))


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.mha"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_read_without_their_alpha(stored, name, channels):
    rgb = read_volume(stored(name, noise(np.uint8, (5, 6, 7, channels))))
    assert rgb.is_rgb
    assert np.array_equal(rgb.voxels, noise(np.uint8, (5, 6, 7, channels))[..., :3])


@pytest.mark.parametrize("name", ["a.hdr", "a.img"])
def test_either_file_of_a_nifti_pair_stands_for_both(stored, tmp_path, name):
    stored("a.img", noise(), oblique())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdr", "a.img"]
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.voxels, noise())
    assert volume.ijk_to_ras == pytest.approx(oblique(), abs=5e-5)
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.img: the file is truncated \(400 of 420 bytes\)"):
        read_volume(tmp_path / name)


def test_gzip_may_come_in_several_parts_and_in_a_metaimage(tmp_path):
    content = noise().astype("<i2").tobytes()
    (tmp_path / "a.nrrd").write_bytes(nrrd_header("gzip") + gzip.compress(content[:100]) + gzip.compress(content[100:]))
    packed = gzip.compress(content)
    header = "NDims = 3\nDimSize = 7 6 5\nElementType = MET_SHORT\nCompressedData = True\n"
    (tmp_path / "a.mha").write_bytes(f"{header}CompressedDataSize = {len(packed)}\nElementDataFile = LOCAL\n".encode() + packed)
    (tmp_path / "a.mhd").write_text(f"{header}ElementDataFile = größe.zraw\n", encoding="utf-8")
    (tmp_path / "größe.zraw").write_bytes(zlib.compress(content))
    for name in ("a.nrrd", "a.mha", "a.mhd"):
        assert np.array_equal(read_volume(tmp_path / name).voxels, noise())


def test_a_lone_time_point_counts_as_a_volume(stored, tmp_path):
    image = sitk.JoinSeries([image_of(noise(), np.diag([2.0, 3, 4, 1]))])
    for name in ("a.nrrd", "a.mha", "a.nii.gz"):
        volume = read_volume(stored(name, image))
        assert np.array_equal(volume.voxels, noise())
        assert volume.spacing_mm == pytest.approx([2, 3, 4])


def test_the_real_volume_lies_where_its_labels_lie(data):
    torso, labels = read_volume(data / "ct_torso.nii.gz"), read_labelmap(data / "ct_torso_labels.nii.gz")
    assert torso.shape_ijk == (122, 101, 112)
    assert np.sign(np.diag(torso.ijk_to_lps)[:3]).tolist() == [-1, -1, 1]
    assert torso.same_grid(labels)
    assert np.median(torso.voxels[labels.voxels == 5]) > np.median(torso.voxels)


@pytest.mark.parametrize(
    ("name", "voxels", "message"),
    [
        ("a.png", noise(np.uint8)[0], "seems to be a PNG image"),
        ("a.nrrd", noise()[0], "2-D image"),
        ("a.nrrd", sitk.JoinSeries([image_of(noise())] * 3), r"4-D images \(7 x 6 x 5 x 3\) are not supported"),
        ("a.nii.gz", sitk.JoinSeries([image_of(noise())] * 3), "4-D images"),
        ("a.nrrd", noise(np.float32, (5, 6, 7, 3)), r"vectors \(3 components\)"),
        ("a.mha", noise(np.uint8, (5, 6, 7, 2)), r"vectors \(2 components\)"),
        ("a.mha", noise(np.float32).astype(np.complex64), "complex"),
        ("a.nrrd", np.full((3, 4, 5), np.nan, np.float32), "60 voxels are NaN"),
        ("a.nrrd", np.full((3, 4, 5), 1e300), "60 voxels are NaN or infinite"),
    ],
)
def test_images_that_are_no_volume_are_refused_by_name(stored, name, voxels, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(stored(name, voxels))
    assert name in str(error.value)


def test_huge_spacing_is_refused(stored):
    with pytest.raises(InputError, match="at most 1000 mm"):
        read_volume(stored("a.nrrd", noise(), np.diag([1.0, 1, 5000, 1])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_in_floating_point_are_labels(stored, dtype):
    labelmap = read_labelmap(stored("a.nii.gz", noise(dtype)))
    assert labelmap.voxels.dtype == np.int32
    assert np.array_equal(labelmap.voxels, noise())


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (noise(np.float32) + 0.5, "whole numbers, got fractions"),
        (noise(np.float32) * 1e12, "whole numbers, got fractions"),
        (noise(np.uint8, (5, 6, 7, 3)), "got colours"),
    ],
)
def test_images_are_not_taken_for_labelmaps(stored, voxels, message):
    with pytest.raises(InputError, match=message):
        read_labelmap(stored("a.nrrd", voxels))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("voxels", [noise(), noise(np.float32), noise(np.uint8, (5, 6, 7, 3))], ids=["int16", "float32", "rgb"])
def test_a_volume_that_was_written_reads_back_the_same(tmp_path, name, voxels):
    write_volume(tmp_path / name, Volume(voxels, oblique()))
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.voxels, voxels)
    assert volume.ijk_to_ras == pytest.approx(oblique(), abs=5e-5 if ".nii" in name else 1e-6)


@pytest.mark.parametrize(("dtype", "read_as"), [(bool, np.uint8), (np.float16, np.float32), (">i2", np.int16), (np.int8, np.int8)])
def test_types_that_itk_lacks_are_written_in_the_next_larger_one(tmp_path, dtype, read_as):
    write_volume(tmp_path / "a.nrrd", Volume(painted(dtype)))
    volume = read_volume(tmp_path / "a.nrrd")
    assert volume.voxels.dtype == read_as
    assert np.array_equal(volume.voxels, painted(dtype))
