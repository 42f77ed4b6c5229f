"""A NIfTI result of a NIfTI image has its forms, codes, units and version; other images get both forms, or are refused."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import check_output, read_volume, write_segmentation, write_volume
from SAMSegmenterLib.imageio.nifti import open_nifti
from SAMSegmenterLib.imageio.nifti_writing import TAKEN_OVER
from support.images import LIVER_AND_CYST, noise, oblique, painted
from support.nifti_files import header_of, store

SHEAR = np.eye(4) + np.diag([0, 0.3, 0], 1)
OTHER = np.diag([1, -1, -1, 1]) @ oblique()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "fields",
    [
        {"sform": (oblique(), 4), "qform": (OTHER, 2), "xyzt_units": 10},
        {"sform": (oblique() @ SHEAR, 2)},
        {"sform": (oblique() @ SHEAR, 2), "qform": (OTHER, 1), "pixdim": [-1, 2, 3, 4, 5, 6, 7, 8]},
        {"sform": (oblique() / [[1000], [1000], [1000], [1]], 1), "xyzt_units": 1},
        {"qform": (OTHER, 3), "pixdim": [0, 2, 3, 4, 1, 1, 1, 1]},
        {},
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "A.NII.GZ"])
def test_what_places_a_nifti_image_stands_in_its_results(tmp_path, version, order, fields, name):
    header = header_of(version, shape_ijk=(7, 6, 5, 1), scl_slope=2, scl_inter=7, **fields).as_byteswapped(order)
    image = read_volume(store(tmp_path / "image.nii", header))
    check_output(tmp_path / name, image)
    write_segmentation(tmp_path / name, painted(), image, LIVER_AND_CYST)
    written = nib.load(tmp_path / name)
    assert isinstance(written, {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version])
    stored = open_nifti(tmp_path / name).header
    for field in TAKEN_OVER:
        assert np.array_equal(stored[field], header[field]), field
    assert written.header.get_data_dtype() == np.uint8
    assert stored.get_slope_inter() == (1, 0)
    assert np.array_equal(np.asarray(written.dataobj).T, painted())


def test_a_volume_that_was_moved_gets_forms_of_its_own(tmp_path):
    image = read_volume(store(tmp_path / "image.nii", header_of(sform=(oblique(), 4), qform=(OTHER, 2))))
    moved = replace(image, ijk_to_ras=np.diag([1.0, 2, 3, 1]))
    cut = replace(image, voxels=image.voxels[1:])
    for volume in (moved, cut):
        write_volume(tmp_path / "a.nii", volume)
        header = nib.load(tmp_path / "a.nii").header
        assert header.get_sform() == pytest.approx(volume.ijk_to_ras, abs=1e-4)
        assert header.get_qform() == pytest.approx(volume.ijk_to_ras, abs=1e-4)


def test_other_images_get_both_forms_in_mm(tmp_path, knee):
    write_segmentation(tmp_path / "a.nii.gz", painted(), knee, LIVER_AND_CYST)
    header = nib.load(tmp_path / "a.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"]), header.get_xyzt_units()[0]) == (1, 1, "mm")
    for form in (header.get_sform(), header.get_qform()):
        assert form == pytest.approx(knee.ijk_to_ras, abs=5e-5)


def test_axes_too_long_for_nifti_1_are_written_as_nifti_2(tmp_path):
    voxels = np.arange(40_000, dtype=np.uint16).reshape(1, 1, -1)
    write_volume(tmp_path / "a.nii", Volume(voxels))
    assert isinstance(nib.load(tmp_path / "a.nii"), nib.Nifti2Image)
    assert np.array_equal(read_volume(tmp_path / "a.nii").voxels, voxels)


@pytest.mark.parametrize("shear", [0.05, 0.2, 1])
def test_other_images_with_shear_are_refused_before_the_run(tmp_path, shear):
    matrix = oblique()
    matrix[:3, 2] += shear * matrix[:3, 0]
    volume = Volume(np.zeros((30, 40, 50), np.uint8), matrix, "tilted.nrrd")
    for write in (check_output, write_volume):
        with pytest.raises(InputError, match=r"a\.nii\.gz: NIfTI cannot hold axes that are not at right angles, as tilted\.nrrd has"):
            write(tmp_path / "a.nii.gz", volume)
    assert not list(tmp_path.iterdir())


def test_cosines_rounded_to_three_digits_are_no_shear(tmp_path):
    rounded = np.round(oblique()[:3, :3] / [0.7123456789, 0.9, 10 / 3], 3)
    matrix = oblique()
    matrix[:3, :3] = rounded * [0.7, 0.9, 3]
    check_output(tmp_path / "a.nii.gz", Volume(np.zeros((40, 256, 256), np.uint8), matrix))


def test_a_place_too_exact_for_nifti_is_refused(tmp_path):
    matrix = np.diag([1e-5, 1e-5, 1e-5, 1])
    matrix[:3, 3] = 123.456789
    with pytest.raises(InputError, match="NIfTI cannot hold a place as exact, as volume has"):
        check_output(tmp_path / "a.nii", Volume(noise(), matrix))
