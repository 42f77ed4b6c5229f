"""The formats that are read are known by their content; all others are refused, whatever ITK makes of them."""

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_labelmap, read_segment_names, read_volume
from support.headers import LPS, PLACED, VOXELS, meta_file, nrrd_file
from support.images import image_of, noise


@pytest.mark.parametrize("name", ["A.NRRD", "a", "a.raw", "a.nii.gz", "a.tif", "a.mha", "a.nhdr"])
def test_nrrd_is_known_under_any_name(tmp_path, name):
    volume = read_volume(nrrd_file(tmp_path / name, fields=PLACED))
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.array_equal(volume.ijk_to_lps, LPS)


@pytest.mark.parametrize("name", ["A.MHA", "a", "a.raw", "a.nii.gz", "a.tif", "a.nrrd", "a.mhd"])
def test_metaimages_are_known_under_any_name(tmp_path, name):
    path = meta_file(tmp_path / name)
    assert np.array_equal(read_volume(path).voxels, VOXELS)
    assert np.array_equal(read_labelmap(path).ijk_to_lps, LPS)
    assert read_segment_names(path) == {}


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("key", ["0008|0060", "NRRD_kinds[0]", "a b", "a:b", "DistanceUnit"])
def test_whatever_itk_adds_to_a_header_changes_nothing(stored, name, key):
    image = image_of(noise())
    image.SetMetaData(key, "x = y: z")
    volume = read_volume(stored(name, image))
    assert np.array_equal(volume.voxels, noise())
    assert volume.source.warnings == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.tif", "TIFF"),
        ("a.png", "PNG"),
        ("a.jpg", "JPEG"),
        ("a.bmp", "BMP"),
        ("a.vtk", "VTK"),
        ("a.gipl", "GIPL"),
        ("a.hdf5", "HDF5"),
        ("a.mnc", "HDF5|MINC"),
        ("a.pic", "Bio-Rad"),
        ("a.mrc", "MRC"),
        ("a.lsm", "TIFF"),
    ],
)
@pytest.mark.parametrize("renamed", [False, True])
def test_what_itk_opens_beside_the_formats_of_the_documents_is_refused(tmp_path, name, words, renamed):
    image = image_of(noise(np.uint8, (5, 8, 8)), np.diag([0.012, 0.012, 0.03, 1]))
    try:
        sitk.WriteImage(image if name[2:] not in ("png", "jpg", "bmp") else image[..., 0], str(tmp_path / name))
    except RuntimeError:
        (tmp_path / name).write_bytes(b"II*\0" + bytes(200))  # a format that this SimpleITK cannot write
    path = (tmp_path / name).rename(tmp_path / "a.nrrd") if renamed else tmp_path / name
    with pytest.raises(InputError, match=r"seems to be|not an image") as error:
        read_volume(path)
    assert str(path) in str(error.value)
    assert ".nii.gz, .mha or .mhd file, a folder of DICOM images" in str(error.value)
    if not renamed:
        with pytest.raises(InputError, match=f"({words}).*Convert it with the spacing that you know"):
            read_volume(path)
