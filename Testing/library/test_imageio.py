"""Images in, segmentations out: every format there and back, and every file that cannot be read or written."""

import errno
import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from geometry import affines
from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.imageio import (
    SegmentInfo,
    Series,
    check_output,
    default_color,
    list_series,
    read_labelmap,
    read_volume,
    write_segmentation,
    write_volume,
)
from SAMSegmenterLib.volume import RAS_TO_LPS, Volume

VOLUME_FORMATS = ["a.nrrd", "a.nhdr", "a.nii", "a.nii.gz", "a.mha", "a.mhd"]
EXACT_FORMATS = ["a.seg.nrrd", "a.nrrd", "a.mha"]
SEGMENTATION_FORMATS = [*EXACT_FORMATS, "a.nii", "a.nii.gz"]
LIVER_AND_CYST = [SegmentInfo("liver", (0.9, 0.4, 0.3)), SegmentInfo("cyst, größte \\ 2\n")]


def oblique(seed=0):
    """An IJK-to-RAS matrix with oblique, partly negative directions and uneven numbers."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * [0.7123456789, 0.9, 10 / 3]
    matrix[:3, 3] = -123.456789012, 77.7, 1000 / 3
    return matrix


def noise(dtype=np.int16, shape=(5, 6, 7)):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def image_of(voxels, matrix=None):
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    if voxels.ndim == 2:
        return image
    lps = RAS_TO_LPS @ (np.eye(4) if matrix is None else matrix)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


@pytest.fixture
def stored(tmp_path):
    """A function that stores voxels with SimpleITK and gives the file's path."""

    def store(name, voxels, matrix=None):
        image = image_of(voxels, matrix) if isinstance(voxels, np.ndarray) else voxels
        sitk.WriteImage(image, str(tmp_path / name))
        return tmp_path / name

    return store


# ---------------------------------------------------------------- volumes


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


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.mha"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_read_without_their_alpha(stored, name, channels):
    rgb = read_volume(stored(name, noise(np.uint8, (5, 6, 7, channels))))
    assert rgb.is_rgb
    assert np.array_equal(rgb.voxels, noise(np.uint8, (5, 6, 7, channels))[..., :3])


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
        ("a.png", noise(np.uint8)[0], r"2-D image \(7 x 6\)"),
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


# ---------------------------------------------------------------- damaged files


@pytest.mark.parametrize("name", VOLUME_FORMATS)
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match=f"{name}: there is no such file"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", [*VOLUME_FORMATS, "a.dcm", "a.txt"])
@pytest.mark.parametrize(("content", "message"), [(b"", "the file is empty"), (b"not an image\n" * 40, "not an image|damaged")])
def test_an_empty_file_or_a_text_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_volume(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.97])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz", "a.mha"])
def test_a_truncated_file_is_refused_and_not_filled_with_zeros(stored, name, share):
    path = stored(name, np.random.default_rng(0).integers(0, 1000, (20, 30, 40)).astype(np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="truncated") as error:
        read_volume(path)
    assert name in str(error.value)


def test_a_corrupted_archive_is_refused(stored):
    path = stored("a.nii.gz", np.random.default_rng(0).integers(0, 1000, (20, 30, 40)).astype(np.int16))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_volume(path)


@pytest.mark.parametrize(("header", "data_file"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw")])
def test_a_header_without_its_data_file_is_refused(stored, tmp_path, header, data_file):
    path = stored(header, noise())
    for beside in tmp_path.iterdir():
        if beside != path:
            beside.unlink()
    with pytest.raises(InputError, match="the data file beside it is missing"):
        read_volume(path)


def test_warnings_are_off_for_our_calls_only(stored, capfd):
    path = stored("a.nii", np.zeros((20, 30, 40), np.int16))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError):
        read_volume(path)
    assert "WARNING" not in capfd.readouterr().err
    assert sitk.ProcessObject.GetGlobalWarningDisplay()


# ---------------------------------------------------------------- labelmaps


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


# ---------------------------------------------------------------- DICOM


def slice_at(position, orientation=(1, 0, 0, 0, 1, 0), size=(8, 6), series="1.2.3", description="CT Body", **tags):
    """One CT image of 8 columns and 6 rows with its position in LPS mm."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.Modality, image.SeriesInstanceUID, image.SeriesDescription, image.StudyInstanceUID = "CT", series, description, "1.9"
    image.Columns, image.Rows = size
    image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing = list(position), list(orientation), [0.75, 0.5]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = 1, -1000
    image.PixelData = np.full(size[::-1], round(abs(sum(position))), np.uint16).tobytes()
    for name, value in tags.items():
        setattr(image, name, value)
    return image


@pytest.fixture
def folder_of(tmp_path):
    """A function that writes DICOM images to a folder in the order given."""

    def write(*images):
        folder = tmp_path / "scan"
        folder.mkdir()
        for number, image in enumerate(images):
            image.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        return folder

    return write


def axial(count=5, gap_mm=2.5, **tags):
    return [slice_at((-10, -20, 100 + n * gap_mm), **tags) for n in range(count)]


def test_the_real_dicom_series_lies_where_its_labels_lie(data):
    scan, labels = read_volume(data / "ct_abdomen_dicom"), read_volume(data / "ct_abdomen_dicom_labels.nii.gz")
    assert scan.shape_ijk == labels.shape_ijk == (512, 512, 20)
    assert scan.ijk_to_ras == pytest.approx(labels.ijk_to_ras, abs=1e-9)
    assert (scan.modality, scan.name, scan.voxels.dtype) == ("CT", "ct_abdomen_dicom", np.int16)
    assert 50 < np.median(scan.voxels[labels.voxels == 5]) < 150


def test_one_real_dicom_image_stands_for_its_series(data):
    scan = read_volume(data / "ct_abdomen_dicom")
    volume = read_volume(sorted((data / "ct_abdomen_dicom").glob("*.dcm"))[7])
    assert np.array_equal(volume.voxels, scan.voxels)
    assert volume.same_grid(scan)


def test_the_real_dicom_series_is_listed(data):
    (series,) = list_series(data / "ct_abdomen_dicom")
    assert (series.description, series.modality, series.slices, len(series.files)) == ("CT Body 3.0", "CT", 20, 20)


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


def test_one_dicom_image_stands_for_its_series(folder_of):
    folder = folder_of(*axial(), *axial(3, series="1.2.4"))
    assert read_volume(folder / "002.dcm").shape_ijk == (8, 6, 5)
    assert read_volume(folder / "006.dcm").shape_ijk == (8, 6, 3)
    assert read_volume(folder / "006.dcm", "1.2.3").shape_ijk == (8, 6, 5)


def test_one_of_several_series_must_be_chosen(folder_of):
    folder = folder_of(*axial(), *axial(3, series="1.2.4", description="Lung", Modality="MR"))
    with pytest.raises(InputError, match="2 series; choose one by its UID, the beginning of its UID, or its description") as error:
        read_volume(folder)
    assert "1.2.3  CT Body  CT  5 slices" in str(error.value)
    assert "1.2.4  Lung  MR  3 slices" in str(error.value)


@pytest.mark.parametrize("name", ["1.2.4", "lung", "1.9.7.5", "1.9"])
def test_a_series_is_chosen_by_uid_beginning_or_description(folder_of, name):
    uid = name if name == "1.2.4" else "1.9.7.5"
    folder = folder_of(*axial(), *axial(3, series=uid, description="Lung"))
    assert read_volume(folder, name).shape_ijk == (8, 6, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [("1.2", "2 series are called '1.2'"), ("CT body", "2 series are called"), ("liver", "no series 'liver'"), ("", "no series")],
)
def test_a_series_that_is_not_one_is_refused(folder_of, name, message):
    with pytest.raises(InputError, match=message):
        read_volume(folder_of(*axial(), *axial(3, series="1.2.4")), name)


def test_series_are_listed_without_what_is_no_picture(folder_of):
    structures = slice_at((0, 0, 0), series="1.2.9", Modality="RTSTRUCT")
    for tag in ("Rows", "Columns", "PixelData"):
        del structures[tag]
    structures.SOPClassUID = structures.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    masks = slice_at((0, 0, 0), series="1.2.8", Modality="SEG")
    folder = folder_of(*axial(), structures, masks)
    (folder / "notes.txt").write_text("scanned on Monday")
    (folder / "._000.dcm").write_bytes(b"a shadow that macOS left behind")
    assert list_series(folder) == [Series("1.2.3", "CT Body", "CT", 5, tuple(folder / f"{n:03}.dcm" for n in range(5)))]
    assert read_volume(folder).shape_ijk == (8, 6, 5)
    with pytest.raises(InputError, match="holds no image"):
        read_volume(folder / "005.dcm")
    with pytest.raises(InputError, match="holds SEG, not an image"):
        read_volume(folder / "006.dcm")


def test_slopes_that_change_from_slice_to_slice_are_not_rounded(folder_of):
    images = [slice_at((0, 0, 10.0 + n), RescaleSlope=slope, RescaleIntercept=0) for n, slope in enumerate((1, 0.5, 0.25))]
    volume = read_volume(folder_of(*images))
    assert volume.voxels.dtype == np.float32
    assert volume.voxels[:, 0, 0].tolist() == [10, 5.5, 3]


def colour(image):
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(range(image.Rows * image.Columns * 3))
    del image.RescaleSlope, image.RescaleIntercept
    return image


def test_a_series_in_colour_is_read_as_rgb(folder_of):
    volume = read_volume(folder_of(*(colour(image) for image in axial(3))))
    assert volume.is_rgb
    assert volume.voxels[1, 0, 1].tolist() == [3, 4, 5]


SAGITTAL = (0, 1, 0, 0, 0, -1)


@pytest.mark.parametrize(
    ("intruder", "message"),
    [
        (slice_at((-10, -20, 112.5), SAGITTAL), r"mixes orientations: 5 axial \(normal .*\), 1 sagittal"),
        (slice_at((-10, -20, 112.5), size=(4, 4)), "mixes sizes: 5 8 x 6, 1 4 x 4"),
        (slice_at((-10, -20, 112.5), PixelSpacing=[0.9, 0.9]), "mixes pixel spacings: 5 0.5 x 0.75 mm, 1 0.9 x 0.9 mm"),
        (colour(slice_at((-10, -20, 112.5))), "mixes grey and colour images: 5 with 1 colours, 1 with 3 colours"),
        (slice_at((-10, -20, 105)), r"00[25]\.dcm and 00[25]\.dcm lie at the same place"),
        (slice_at((-10, -20, 115)), r"not evenly spaced.*004\.dcm and 005\.dcm are 5 mm apart, most slices 2\.5 mm"),
        (slice_at((-10, -20, 112.7)), "not evenly spaced"),
        (slice_at((-10, -19, 112.5)), "not evenly spaced"),
        (slice_at((-10, -20, 112.5), ImagePositionPatient=None), r"1 of its 6 images \(005\.dcm, \.\.\.\) have no position"),
        (slice_at((-10, -20, 112.5), NumberOfFrames=4), "several multi-frame images"),
    ],
)
def test_a_mixed_series_is_refused_by_what_is_mixed(folder_of, intruder, message):
    folder = folder_of(*axial(), intruder)
    with pytest.raises(InputError, match=message) as error:
        read_volume(folder)
    assert "scan, series 1.2.3: " in str(error.value)


def test_gaps_within_a_few_percent_are_even(folder_of):
    assert read_volume(folder_of(*axial(), slice_at((-10, -20, 112.6)))).spacing_mm[2] == pytest.approx(2.52)


def test_a_missing_slice_is_noticed(folder_of):
    images = axial(8)
    with pytest.raises(InputError, match="are 5 mm apart"):
        read_volume(folder_of(*images[:3], *images[4:]))


def test_a_single_slice_is_no_volume(folder_of):
    with pytest.raises(InputError, match="only one slice"):
        read_volume(folder_of(*axial(1)))


@pytest.mark.parametrize("length", [0, 140, 250, 600, -50])
def test_a_truncated_slice_is_named_and_not_left_out(folder_of, length):
    folder = folder_of(*axial())
    damaged = folder / "004.dcm"
    damaged.write_bytes(damaged.read_bytes()[:length])
    with pytest.raises(InputError, match=r"004\.dcm"):
        read_volume(folder)


def test_a_slice_that_ends_anywhere_in_its_header_is_never_left_out(folder_of):
    folder = folder_of(*axial())
    damaged = folder / "004.dcm"
    content = damaged.read_bytes()
    for length in range(132, content.index(b"\xe0\x7f\x10\x00"), 3):  # up to the tag of the pixels
        damaged.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_volume(folder)


def test_a_damaged_real_slice_is_named(data, tmp_path):
    for path in sorted((data / "ct_abdomen_dicom").iterdir())[:4]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    last = tmp_path / path.name
    last.write_bytes(last.read_bytes()[:-5000])
    with pytest.raises(InputError, match=last.name):
        read_volume(tmp_path)


def test_a_folder_without_dicom_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    for read in (read_volume, list_series):
        with pytest.raises(InputError, match="no DICOM images in this folder"):
            read(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_series(tmp_path / "elsewhere")


def test_a_series_can_be_chosen_in_dicom_only(stored):
    with pytest.raises(InputError, match="not a DICOM folder"):
        read_volume(stored("a.nrrd", noise()), "1.2.3")


def test_a_multi_frame_image_is_a_series_of_its_own(folder_of):
    image = slice_at((0, 0, 0), NumberOfFrames=3)
    image.PixelData *= 3
    folder = folder_of(image)
    assert list_series(folder)[0].slices == 3
    assert read_volume(folder).shape_ijk == read_volume(folder / "000.dcm").shape_ijk == (8, 6, 3)


# ---------------------------------------------------------------- segmentations


def painted(dtype=np.uint8):
    labels = np.zeros((5, 6, 7), dtype)
    labels[1:4, 1:3, 2:5] = 1
    labels[2:5, 4:6, 1:6] = 2
    return labels


@pytest.fixture
def volume():
    return Volume(noise(), oblique(), "knee.nrrd")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", SEGMENTATION_FORMATS)
def test_every_output_reads_back_the_same(tmp_path, volume, name, dtype):
    write_segmentation(tmp_path / name, painted(dtype), volume, LIVER_AND_CYST)
    labelmap = read_labelmap(tmp_path / name)
    assert np.array_equal(labelmap.voxels, painted(dtype))
    assert labelmap.voxels.dtype == dtype
    assert labelmap.same_grid(volume, 1e-3)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@given(matrix=affines(), name=st.sampled_from(EXACT_FORMATS))
@settings(max_examples=30, deadline=None)
def test_the_geometry_of_an_output_is_exact(tmp_path_factory, matrix, name):
    path = tmp_path_factory.mktemp("exact") / name
    write_segmentation(path, painted(), Volume(noise(), matrix), LIVER_AND_CYST)
    assert read_labelmap(path).ijk_to_ras == pytest.approx(matrix, abs=1e-6)


@given(matrix=affines())
@settings(max_examples=20, deadline=None)
def test_the_geometry_of_a_nifti_output_is_as_exact_as_its_numbers(tmp_path_factory, matrix):
    path = tmp_path_factory.mktemp("nifti") / "a.nii.gz"
    write_segmentation(path, painted(), Volume(noise(), matrix), LIVER_AND_CYST)
    assert read_labelmap(path).same_grid(Volume(noise(), matrix), 1e-3)


def test_a_segmentation_for_slicer_says_what_its_labels_are(tmp_path, volume):
    write_segmentation(tmp_path / "a.seg.nrrd", painted(), volume, LIVER_AND_CYST)
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    second = {key.removeprefix("Segment1_"): image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment1_")}
    assert second == {
        "ID": "Segment_2",
        "Name": "cyst, größte \\ 2",
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{value:.6g}" for value in default_color(1)),
        "ColorAutoGenerated": "0",
        "Extent": "0 6 0 5 0 4",
        "LabelValue": "2",
        "Layer": "0",
        "Tags": "",
    }
    assert image.GetMetaData("Segment0_Color") == "0.9 0.4 0.3"
    assert image.GetMetaData("Segmentation_ContainedRepresentationNames") == "Binary labelmap|"
    assert image.GetMetaData("Segmentation_MasterRepresentation") == "Binary labelmap"
    assert image.GetMetaData("Segmentation_SourceRepresentation") == "Binary labelmap"
    assert image.GetMetaData("Segmentation_ReferenceImageExtentOffset") == "0 0 0"
    assert "encoding: gzip" in (tmp_path / "a.seg.nrrd").read_bytes()[:900].decode(errors="replace")


def test_overlapping_segments_lie_in_layers(tmp_path, volume):
    first, second = np.where(painted() == 1, 1, 0).astype(np.uint8), np.zeros((5, 6, 7), np.uint16)
    second[1:4, 1:5, 2:5] = 2
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, [first, second], volume, [*LIVER_AND_CYST, SegmentInfo("nothing")])
    image = sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(image), np.stack([first, second], axis=-1))
    assert [image.GetMetaData(f"Segment{n}_Layer") for n in range(3)] == ["0", "1", "0"]
    assert image.GetOrigin() == pytest.approx(volume.ijk_to_lps[:3, 3])
    with pytest.raises(InputError, match="its segments overlap, in 2 layers"):
        read_labelmap(path)


def test_slanted_axes_are_kept_or_refused_but_never_straightened(tmp_path, volume):
    slanted = volume.ijk_to_ras.copy()
    slanted[:3, 2] += 0.3 * slanted[:3, 0]
    for name in EXACT_FORMATS:
        write_segmentation(tmp_path / name, painted(), Volume(noise(), slanted), LIVER_AND_CYST)
        assert read_labelmap(tmp_path / name).ijk_to_ras == pytest.approx(slanted, abs=1e-6)
    for check in (check_output, lambda path, volume: write_segmentation(path, painted(), volume, LIVER_AND_CYST)):
        with pytest.raises(InputError, match="NIfTI cannot hold axes that are not at right angles"):
            check(tmp_path / "a.nii.gz", Volume(noise(), slanted))


@pytest.mark.parametrize("name", SEGMENTATION_FORMATS)
def test_endings_may_be_in_capitals(tmp_path, volume, name):
    write_segmentation(tmp_path / name.upper(), painted(), volume, LIVER_AND_CYST)
    assert [path.name for path in tmp_path.iterdir()] == [name.upper()]
    assert np.array_equal(read_labelmap(tmp_path / name.upper()).voxels, painted())


@pytest.mark.parametrize(("name", "stored_as"), [("a\x00b", "a b"), ("\ud800 cyst", "cyst"), ("x:=y | #z", "x:=y | #z"), ("囊肿", "囊肿")])
def test_any_name_of_a_segment_can_be_written(tmp_path, volume, name, stored_as):
    write_segmentation(tmp_path / "a.seg.nrrd", painted(), volume, [SegmentInfo(name), SegmentInfo("other")])
    assert sitk.ReadImage(str(tmp_path / "a.seg.nrrd")).GetMetaData("Segment0_Name") == stored_as


def test_default_colours_differ():
    colors = [default_color(n) for n in range(40)]
    assert len(set(colors)) == 40
    assert all(0 <= value <= 1 for color in colors for value in color)


@pytest.mark.parametrize(
    ("labels", "name", "message"),
    [
        (painted()[:-1], "a.nrrd", r"expected uint8 or uint16 \(5, 6, 7\), got uint8 \(4, 6, 7\)"),
        (painted().astype(np.int32), "a.nrrd", "got int32"),
        (painted() * 3, "a.nrrd", "the label 6 occurs, but there are only 2 segments"),
        ([painted(), painted()], "a.nii.gz", r"overlapping segments \(2 layers\) can be written as .seg.nrrd only"),
        ([painted(), painted()], "a.seg.nrrd", "'liver' lies in 2 layers"),
        (painted(), "a.stl", r"written as .seg.nrrd, .nii.gz, .nii, .nrrd, .mha"),
        (painted(), "a", "written as .seg.nrrd"),
        ([], "a.seg.nrrd", "at least one layer"),
    ],
)
def test_labels_that_cannot_be_written_are_refused(tmp_path, volume, labels, name, message):
    with pytest.raises(InputError, match=message):
        write_segmentation(tmp_path / name, labels, volume, LIVER_AND_CYST)
    assert not list(tmp_path.iterdir())


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


def test_an_image_is_not_written_as_a_segmentation(tmp_path, volume):
    with pytest.raises(InputError, match=r"a\.seg\.nrrd: 3D Slicer takes \.seg\.nrrd for a segmentation"):
        write_volume(tmp_path / "a.seg.nrrd", volume)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- nothing half-written


def raising(error):
    def fail(*arguments, **named):
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")


def full_disk_of_itk(image, path, **named):
    """What SimpleITK does on a full disk: half a file, and an error that is no OSError."""
    Path(path).write_bytes(b"half")
    raise RuntimeError("ITK ERROR: MetaImageIO: File cannot be written\nReason: No space left on device")


def full_disk_of_nifti(image, path, **named):
    """What ITK does with NIfTI on a full disk: half a file, and no error."""
    with gzip.open(path, "wb") as file:
        file.write(b"half" * 200)


@pytest.mark.parametrize("before", [None, b"an older result"])
@pytest.mark.parametrize(
    ("name", "target", "failure", "message"),
    [
        ("a.seg.nrrd", "gzip.GzipFile.write", raising(FULL), r"No space left on device"),
        ("a.seg.nrrd", "os.fsync", raising(FULL), "No space left on device"),
        ("a.nrrd", "os.replace", raising(PermissionError(errno.EACCES, "Permission denied")), "Permission denied"),
        ("a.nrrd", "tempfile.TemporaryDirectory", raising(PermissionError(errno.EACCES, "Permission denied")), "Permission denied"),
        ("a.mha", "SimpleITK.WriteImage", full_disk_of_itk, "the disk may be full"),
        ("a.nii.gz", "SimpleITK.WriteImage", full_disk_of_nifti, "the disk may be full"),
        ("a.nii", "SimpleITK.WriteImage", lambda image, path, **named: None, "the disk may be full"),
    ],
)
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, volume, monkeypatch, before, name, target, failure, message):
    path = tmp_path / name
    if before:
        path.write_bytes(before)
    monkeypatch.setattr(target, failure)
    with pytest.raises(OutputError, match=message) as error:
        write_segmentation(path, painted(), volume, LIVER_AND_CYST)
    assert str(path) in str(error.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({name: before} if before else {})


def test_a_volume_that_cannot_be_written_leaves_the_older_one(tmp_path, volume, monkeypatch):
    (tmp_path / "a.nii.gz").write_bytes(b"an older image")
    monkeypatch.setattr("SimpleITK.WriteImage", full_disk_of_itk)
    with pytest.raises(OutputError, match="the disk may be full"):
        write_volume(tmp_path / "a.nii.gz", volume)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.nii.gz": b"an older image"}


def test_what_itk_wrote_is_compared_with_what_was_meant(tmp_path, volume, monkeypatch):
    write = sitk.WriteImage
    monkeypatch.setattr(sitk, "WriteImage", lambda image, path, **named: write(image * 0, path, **named))
    with pytest.raises(OutputError, match="differs"):
        write_segmentation(tmp_path / "a.nii.gz", painted(), volume, LIVER_AND_CYST)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_everything_as_it_was(tmp_path, volume, monkeypatch):
    (tmp_path / "a.seg.nrrd").write_bytes(b"an older result")
    monkeypatch.setattr("gzip.GzipFile.write", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_segmentation(tmp_path / "a.seg.nrrd", painted(), volume, LIVER_AND_CYST)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.seg.nrrd": b"an older result"}


def test_a_good_output_is_known_before_the_work_starts(tmp_path, volume):
    for name in SEGMENTATION_FORMATS:
        check_output(tmp_path / name)
        check_output(tmp_path / name, volume)
    assert not list(tmp_path.iterdir())


def test_an_output_without_a_folder_is_refused_before_the_work_starts(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "a.nrrd").mkdir()
    for path in (tmp_path / "missing" / "a.nrrd", tmp_path / "file" / "a.nrrd"):
        with pytest.raises(OutputError, match="no such folder"):
            check_output(path)
    with pytest.raises(OutputError, match="this is a folder"):
        check_output(tmp_path / "a.nrrd")
    with pytest.raises(InputError, match="segmentations are written as"):
        check_output(tmp_path / "a.png")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", raising(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(OutputError, match=r"cannot write to this folder \(Read-only file system\)"):
        check_output(tmp_path / "a.nrrd")


def test_a_protected_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "a.nrrd").write_bytes(b"an older result")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match="write-protected"):
        check_output(tmp_path / "a.nrrd")


def test_a_disk_that_is_too_full_is_noticed_before_the_work_starts(tmp_path, volume, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100))
    check_output(tmp_path / "a.nii")
    with pytest.raises(OutputError, match="the disk is full"):
        check_output(tmp_path / "a.nii", volume)


def test_series_can_be_compared_and_changed_by_copy():
    series = Series("1.2", "Lung", "CT", 3, ())
    assert replace(series, slices=4) != series
    assert str(series) == "1.2  Lung  CT  3 slices"
    assert str(Series("", "", "CT", 3, ())) == "(no UID)  (no description)  CT  3 slices"


def test_the_slices_that_tests_make_are_real_dicom(folder_of):
    folder = folder_of(*axial(2))
    assert pydicom.dcmread(folder / "000.dcm").pixel_array.shape == (6, 8)
