"""Files that are missing, damaged or cut are refused by name, never filled up."""

import bz2
import re

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from support.images import VOLUME_FORMATS, noise, nrrd_header


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


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
def test_no_damage_to_compressed_voxels_is_overlooked(tmp_path, name):
    voxels = np.random.default_rng(0).integers(0, 1000, (8, 30, 40)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / name), useCompression=True)
    file = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    for at in np.random.default_rng(1).integers(len(content) // 10, len(content), 30):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        with pytest.raises(InputError, match=f"{file.name}: .*damaged"):
            read_volume(tmp_path / name)
    for length in (len(content) - 3, len(content) * 2 // 3):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="truncated"):
            read_volume(tmp_path / name)
    file.write_bytes(content)
    assert np.array_equal(read_volume(tmp_path / name).voxels, voxels)


@pytest.mark.parametrize(
    ("field", "changed"),
    [(b"DimSize = .*", b"DimSize = 7 6 9"), (b"CompressedDataSize = .*", b"CompressedDataSize = 99"), (b"CompressedDataSize.*\n", b"")],
)
def test_a_header_that_does_not_fit_its_compressed_voxels_is_refused(tmp_path, field, changed):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(noise()), str(path), useCompression=True)
    path.write_bytes(re.sub(field, changed, path.read_bytes()))
    assert changed in path.read_bytes()
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


def test_reasons_other_than_damage_are_given_by_name(tmp_path):
    packed = tmp_path / "a.nrrd"
    packed.write_bytes(nrrd_header("bzip2") + bz2.compress(noise().tobytes()))
    with pytest.raises(InputError, match=r"a\.nrrd: it is compressed in a way that cannot be read here .*bzip2.* Save it with gzip"):
        read_volume(packed)


@pytest.mark.parametrize(("header", "data_file"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.hdr", "a.img")])
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
