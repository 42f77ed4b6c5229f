"""DICOM series are read as they lie in the patient, with the values they stand for."""

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings

from SAMSegmenterLib.image.volume import RAS_TO_LPS
from SAMSegmenterLib.imageio import read_volume
from support.dicom_slices import axial, colour, slice_at
from support.geometry import affines


def test_the_real_dicom_series_lies_where_its_labels_lie(data):
    scan, labels = read_volume(data / "ct_abdomen_dicom"), read_volume(data / "ct_abdomen_dicom_labels.nii.gz")
    assert scan.shape_ijk == labels.shape_ijk == (512, 512, 20)
    assert scan.ijk_to_ras == pytest.approx(labels.ijk_to_ras, abs=1e-9)
    assert (scan.modality, scan.name, scan.voxels.dtype) == ("CT", "ct_abdomen_dicom", np.int16)
    assert 50 < np.median(scan.voxels[labels.voxels == 5]) < 150


def test_slices_are_sorted_by_position(folder_of):
    volume = read_volume(folder_of(*(axial()[n] for n in (3, 0, 4, 1, 2))))
    assert volume.voxels[:, 0, 0].tolist() == [round(abs(70 + n * 2.5)) - 1000 for n in range(5)]
    assert volume.ijk_to_lps.tolist() == [[0.5, 0, 0, -10], [0, 0.75, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1]]
    assert volume.shape_ijk == (8, 6, 5)


@given(affines(oblique=True))
@settings(max_examples=10, deadline=None)
def test_oblique_series_are_placed_exactly(tmp_path_factory, matrix):
    lps = RAS_TO_LPS @ matrix
    if np.linalg.det(lps[:3, :3]) < 0:
        lps[:3, 2] *= -1  # slices are stacked along the normal of their plane
    rounded = np.round(lps, 9)
    orientation = np.round((lps[:3, :2] / np.linalg.norm(lps[:3, :2], axis=0)).T.ravel(), 9)
    spacing = [float(f"{value:.9g}") for value in np.linalg.norm(lps[:3, :2], axis=0)[::-1]]
    folder = tmp_path_factory.mktemp("oblique")
    for n in range(4):
        position = [float(f"{value:.9g}") for value in rounded[:3, 3] + n * rounded[:3, 2]]
        slice_at(position, orientation.tolist(), PixelSpacing=spacing).save_as(folder / f"{n}.dcm", enforce_file_format=True)
    assert read_volume(folder).ijk_to_lps == pytest.approx(lps, abs=1e-5)


def test_a_tilted_gantry_keeps_its_slanted_axis(folder_of):
    volume = read_volume(folder_of(*(slice_at((0, 0.4 * n, 2.0 * n)) for n in range(4))))
    assert volume.ijk_to_lps[:3, 2] == pytest.approx([0, 0.4, 2])


def test_a_series_in_colour_is_read_as_rgb(folder_of):
    volume = read_volume(folder_of(*(colour(image) for image in axial(3))))
    assert volume.is_rgb
    assert volume.voxels[1, 0, 1].tolist() == [3, 4, 5]


def test_the_slices_that_tests_make_are_real_dicom(folder_of):
    folder = folder_of(*axial(2))
    assert pydicom.dcmread(folder / "000.dcm").pixel_array.shape == (6, 8)
