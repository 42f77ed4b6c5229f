"""Files that are missing, damaged or cut are refused by name, never filled up."""

import numpy as np
import pytest
import SimpleITK as sitk

from images import VOLUME_FORMATS, noise
from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume

pytest_plugins = ["imageio_fixtures"]


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
