"""Slices lie on the even grid that fits their positions best, or are refused, or resampled on request."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from SAMSegmenterLib.imageio.dicom_grid import interpolated
from support.dicom_slices import slice_at, with_pixels


def along_z(heights_mm, decimals=6, scale=1.0, **tags):
    """Slices at these heights; what the pixels hold is the height in hundredths, from the first slice on."""
    images = []
    for z in heights_mm:
        image = slice_at((0, 0, 0), **tags)
        image.ImagePositionPatient = [f"{-10 * scale:.6g}", f"{-20 * scale:.6g}", f"{z * scale:.{decimals}f}"]
        image.PixelSpacing = [f"{0.75 * scale:.6g}", f"{0.5 * scale:.6g}"]
        image.RescaleIntercept = 0
        images.append(with_pixels(image, np.full((6, 8), round(100 * (z - heights_mm[0])), np.int16)))
    return images


DRIFT = np.concatenate([np.arange(60) * 0.96, 60 * 0.96 + np.arange(60) * 1.04])


@pytest.mark.parametrize("gap_mm", [0.5, 0.625, 0.75, 1.25, 3.27])
@pytest.mark.parametrize("count", [5, 18, 60])
def test_positions_rounded_to_a_decimal_are_even(folder_of, gap_mm, count):
    volume = read_volume(folder_of(*along_z(-100 + np.arange(count) * gap_mm, decimals=1)))
    assert volume.spacing_mm[2] == pytest.approx(gap_mm, rel=0.01 if count > 5 else 0.03)
    ends = volume.ijk_to_lps[2, 3] + np.array([0, count - 1]) * volume.ijk_to_lps[2, 2]
    assert ends == pytest.approx([-100, -100 + (count - 1) * gap_mm], abs=0.06)


def test_what_is_not_quite_even_is_told(folder_of):
    (told,) = read_volume(folder_of(*along_z([0, 2.5, 5, 7.9, 10, 12.5]))).source.warnings
    assert "003.dcm lies 0.3" in told


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_drift_that_adds_up_is_refused_with_the_largest_deviation(folder_of, scale):
    message = rf"not evenly spaced: 060\.dcm lies {1.2 * scale:g} mm \(1\.2 of the {0.9995 * scale:g} mm between slices\).*--resample"
    with pytest.raises(InputError, match=message):
        read_volume(folder_of(*along_z(DRIFT, scale=scale, decimals=9)))


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_drift_is_resampled_on_request_and_that_is_told(folder_of, scale):
    volume = read_volume(folder_of(*along_z(DRIFT, scale=scale, decimals=9)), resample=True)
    heights_mm = (volume.ijk_to_lps[2, 3] + np.arange(len(volume.voxels)) * volume.ijk_to_lps[2, 2]) / scale
    assert heights_mm[[0, -1]] == pytest.approx(DRIFT[[0, -1]])
    assert volume.voxels[:, 0, 0] == pytest.approx(100 * heights_mm, abs=1)
    assert "resampled linearly" in volume.source.warnings[0]
    assert "a mask lies on these" in volume.source.warnings[0]


def test_slices_that_are_even_are_not_resampled(folder_of):
    folder = folder_of(*along_z(np.arange(9) * 0.625, decimals=1))
    even, asked = read_volume(folder), read_volume(folder, resample=True)
    assert even.same_grid(asked)
    assert np.array_equal(even.voxels, asked.voxels)
    assert even.source.warnings == asked.source.warnings


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_interpolated_slices_lie_between_their_neighbours(dtype):
    voxels = np.array([0, 100, 201], dtype)[:, None, None] * np.ones((2, 2), dtype)
    expected = [0, 50, 100, 125.25 if dtype is np.float32 else 125, 201]
    result = interpolated(voxels, np.array([0, 0.5, 1, 1.25, 2]))
    assert result[:, 1, 0].tolist() == expected
    assert result.dtype == dtype


def test_colours_are_interpolated_too():
    voxels = np.array([[0, 10, 255], [100, 20, 0]], np.uint8)[:, None, None, :]
    assert interpolated(voxels, np.array([0.5]))[0, 0, 0].tolist() == [50, 15, 128]


@pytest.mark.parametrize("count", [2, 3, 9, 200])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_gap_in_which_a_slice_is_missing_is_named(folder_of, count, scale):
    heights = [n for n in range(count + 2) if n != count]
    message = rf"{count - 1:03}\.dcm and {count:03}\.dcm are {2 * scale:g} mm apart, most slices {scale:g} mm"
    with pytest.raises(InputError, match=message):
        read_volume(folder_of(*along_z(heights, scale=scale, decimals=9)))


def test_a_slice_that_is_missing_is_bridged_on_request_but_not_half_a_body(folder_of, tmp_path):
    folder = folder_of(*along_z([0, 1, 2, 4, 5]))
    volume = read_volume(folder, resample=True)
    assert volume.voxels[:, 0, 0].tolist() == [0, 100, 200, 300, 400, 500]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(InputError, match="are 50 mm apart, most slices 1 mm"):
        read_volume(folder_of(*along_z([0, 1, 2, 52, 53])), resample=True)


@pytest.mark.parametrize("apart_mm", [0, 1e-4])
def test_slices_at_the_same_place_are_refused_also_at_the_scale_of_micrometres(folder_of, apart_mm):
    with pytest.raises(InputError, match="lie at the same place"):
        read_volume(folder_of(*along_z([0, 1, 2, 2 + apart_mm, 3], scale=1e-3, decimals=9)))


def test_slices_of_micrometres_are_read(folder_of):
    volume = read_volume(folder_of(*along_z(np.arange(5), scale=1e-3, decimals=9)))
    assert volume.spacing_mm == pytest.approx([0.5e-3, 0.75e-3, 1e-3])


def test_pixel_spacings_are_compared_by_their_size(folder_of):
    images = along_z(np.arange(5), scale=1e-3, decimals=9)
    images[3].PixelSpacing = [1e-3, 1e-3]
    with pytest.raises(InputError, match=r"mixes pixel spacings: 4 0\.0005 x 0\.00075 mm, 1 0\.001 x 0\.001 mm"):
        read_volume(folder_of(*images))


@pytest.mark.parametrize(("shift_mm", "refused"), [(0.5, True), (0.2, True), (0.1, False)])
def test_slices_shifted_sideways_are_refused_or_told_by_how_much(folder_of, shift_mm, refused):
    images = [slice_at((shift_mm * (n % 2), 0, 3.5 * n), PixelSpacing=[0.5, 0.3]) for n in range(8)]
    if refused:
        with pytest.raises(InputError, match=r"shifted sideways against each other: 00\d\.dcm lies 0\.\d+ mm beside"):
            read_volume(folder_of(*images))
    else:
        (told,) = read_volume(folder_of(*images)).source.warnings
        assert "shifted sideways against each other by up to 0.1" in told


def test_slices_rotated_in_their_plane_are_refused_by_how_many_degrees(folder_of):
    turns = [(np.cos(a), np.sin(a), 0, -np.sin(a), np.cos(a), 0) for a in 0.005 * np.arange(18)]
    images = [slice_at((0, 0, 3 * n), [f"{value:.6f}" for value in turn]) for n, turn in enumerate(turns)]
    with pytest.raises(InputError, match=r"rotated against each other within their plane: 017\.dcm by 4\.87 degrees") as error:
        read_volume(folder_of(*images))
    assert len(str(error.value)) < 300


def test_a_mixture_of_many_orientations_is_told_in_a_few_words(folder_of):
    images = [slice_at((0, 0, 3 * n), [1, 0, 0, 0, f"{np.cos(0.1 * n):.6f}", f"{np.sin(0.1 * n):.6f}"]) for n in range(12)]
    with pytest.raises(InputError, match="and 8 other kinds"):
        read_volume(folder_of(*images))


@pytest.mark.parametrize("digits", [2, 3, 6])
def test_rounded_direction_cosines_change_no_spacing_and_bend_no_axes(folder_of, digits):
    a, b = np.radians([25, 40])
    row = np.array([np.cos(b), np.sin(b), 0])
    column = np.array([-np.sin(b) * np.cos(a), np.cos(b) * np.cos(a), np.sin(a)])
    normal = np.cross(row, column)
    cosines = [f"{value:.{digits}f}" for value in (*row, *column)]
    positions = [[f"{value:.4f}" for value in 3.5 * n * normal + (5, 6, 7)] for n in range(12)]
    volume = read_volume(folder_of(*(slice_at((0, 0, 0), cosines, ImagePositionPatient=place) for place in positions)))
    assert volume.spacing_mm == pytest.approx([0.5, 0.75, 3.5], abs=1e-4)
    assert volume.spacing_mm[:2] == pytest.approx([0.5, 0.75], abs=1e-9)
    axes = volume.ijk_to_lps[:3, :3] / volume.spacing_mm
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-4)
    assert np.abs(axes - np.c_[row, column, normal]).max() < 10.0**-digits


def test_a_tilt_is_kept_and_told_also_where_cosines_are_rounded(folder_of):
    row, column = (1, 0, 0), (0, 0.985, -0.174)
    volume = read_volume(folder_of(*(slice_at((0, 0, 2.0 * n), (*row, *column)) for n in range(6))))
    assert volume.ijk_to_lps[:3, 2] == pytest.approx([0, 0, 2])
    assert volume.source.geometry == "positions of 6 slices, which are slanted by 10 degrees (as with a tilted gantry)"


def test_directions_that_are_none_are_refused(folder_of):
    images = [slice_at((0, 0, n)) for n in range(4)]
    images[2].ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    images[3].ImageOrientationPatient = [0, 0, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"2 of its 4 images \(002\.dcm, \.\.\.\) have no orientation"):
        read_volume(folder_of(*images))
