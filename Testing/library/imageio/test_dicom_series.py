"""The DICOM series of a folder are listed, and one of them is chosen."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import Series, list_series, read_volume
from support.dicom_slices import axial, bare, slice_at
from support.images import noise


def test_the_real_dicom_series_is_listed(data):
    (series,) = list_series(data / "ct_abdomen_dicom")
    assert (series.description, series.modality, series.slices, len(series.files)) == ("CT Body 3.0", "CT", 20, 20)


def test_one_real_dicom_image_stands_for_its_series(data):
    scan = read_volume(data / "ct_abdomen_dicom")
    volume = read_volume(sorted((data / "ct_abdomen_dicom").glob("*.dcm"))[7])
    assert np.array_equal(volume.voxels, scan.voxels)
    assert volume.same_grid(scan)


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


def test_series_can_be_compared_and_changed_by_copy():
    series = Series("1.2", "Lung", "CT", 3, ())
    assert replace(series, slices=4) != series
    assert str(series) == "1.2  Lung  CT  3 slices"
    assert str(Series("", "", "CT", 3, ())) == "(no UID)  (no description)  CT  3 slices"


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
@pytest.mark.parametrize("name", ["bare.dcm", "IM0001"])
def test_files_without_a_meta_header_are_read(folder_of, syntax, name):
    images = axial()
    for image in images:
        image.file_meta.TransferSyntaxUID = syntax or image.file_meta.TransferSyntaxUID
    folder = folder_of(*images)
    sound = read_volume(folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        bare(path)
        path.rename(folder / f"{number}{name}")
    for path in (folder, folder / f"2{name}"):
        assert np.array_equal(read_volume(path).voxels, sound.voxels)
        assert read_volume(path).same_grid(sound)


def test_a_file_without_a_meta_header_spoils_no_other_series(folder_of):
    folder = folder_of(*axial(), *axial(1, series="1.7"))
    bare(folder / "005.dcm")
    assert read_volume(folder, "1.2.3").shape_ijk == (8, 6, 5)


def test_files_that_are_no_dicom_are_ignored_whatever_they_begin_with(folder_of):
    folder = folder_of(*axial())
    for number, content in enumerate((b"", b"\x08", b"\x08\x00\x05\x00\x01\x80\x00\x00ABCDEFGH", b"NRRD0005\n", bytes(500), b"\x02\0\0\0")):
        (folder / f"other{number}").write_bytes(content)
    assert read_volume(folder).shape_ijk == (8, 6, 5)


@pytest.mark.filterwarnings("ignore:Failed to encode value", "ignore:With tag")  # of pydicom, which writes the odd header all the same
def test_what_a_header_says_cannot_steer_a_terminal(folder_of):
    odd = "a\x1b[2J\u202eb\r\nc"
    folder = folder_of(*axial(description=odd), *axial(3, series="1.7", description="other"))
    for read in (lambda: read_volume(folder), lambda: read_volume(folder, odd[:3])):
        with pytest.raises(InputError) as error:
            read()
        assert all(letter.isprintable() or letter == "\n" for letter in str(error.value))
    assert list_series(folder)[0].description.startswith("a?[2J")
    for name in (odd, list_series(folder)[0].description):
        assert read_volume(folder, name).shape_ijk == (8, 6, 5)
