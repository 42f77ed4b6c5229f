"""The voxels of NRRD files, within them or in files beside them: all there, or refused before a decoder is called."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import holds_voxels_of, read_volume
from support.headers import CONTENT, NRRD, VOXELS, nrrd_file, slices


@pytest.fixture
def not_decoded(monkeypatch):
    """ITK is not asked for voxels."""
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", lambda self: pytest.fail("a decoder was called"))


@pytest.mark.parametrize(
    ("encoding", "content", "changed"),
    [
        ("raw", CONTENT, {}),
        ("RAW", b"x" * 9 + CONTENT, {"byte skip": 9}),
        ("raw", b"x" * 9 + CONTENT, {"byte skip": -1}),
        ("raw", b"a\nb\nc" + CONTENT, {"line skip": 2, "byte skip": 1}),
        ("gzip", gzip.compress(CONTENT), {}),
        ("gz", gzip.compress(b"x" * 9 + CONTENT), {"byte skip": 9}),
        ("gzip", b"a\n" + gzip.compress(CONTENT), {"line skip": 1}),
        ("gzip", gzip.compress(CONTENT[:50]) + gzip.compress(CONTENT[50:]), {}),
        ("ascii", " ".join(map(str, VOXELS.ravel())).encode(), {}),
        ("text", "\n".join(map(str, VOXELS.ravel())).encode(), {}),
        ("hex", CONTENT.hex().encode(), {}),
    ],
)
def test_encodings_and_skipped_parts_are_read_as_they_are(tmp_path, encoding, content, changed):
    volume = read_volume(nrrd_file(tmp_path / "a.nrrd", content, encoding=encoding, **changed))
    assert np.array_equal(volume.voxels, VOXELS)
    (tmp_path / "a.bin").write_bytes(content)
    assert np.array_equal(read_volume(nrrd_file(tmp_path / "a.nhdr", b"", encoding=encoding, data_file="a.bin", **changed)).voxels, VOXELS)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize(("name", "code"), [("short", "i2"), ("uint16_t", "u2"), ("unsigned int", "u4"), ("int64", "i8"), ("float", "f4")])
def test_numbers_are_read_in_either_byte_order(tmp_path, name, code, endian):
    voxels = (VOXELS * np.int64(100)).astype(("<" if endian == "little" else ">") + code)
    assert np.array_equal(read_volume(nrrd_file(tmp_path / "a.nrrd", voxels.tobytes(), type=name, endian=endian)).voxels, voxels)


@pytest.mark.parametrize(
    ("encoding", "content", "changed"),
    [
        ("raw", CONTENT[:-1], {}),
        ("raw", CONTENT, {"byte skip": 1}),
        ("raw", CONTENT[:-1], {"byte skip": -1}),
        ("raw", CONTENT, {"line skip": 1}),
        ("raw", CONTENT, {"sizes": "100000 100000 100000"}),
        ("raw", CONTENT, {"sizes": "999999999999999999 999999999999999999 999999999999999999"}),
        ("gzip", gzip.compress(CONTENT[:-1]), {}),
        ("gzip", gzip.compress(CONTENT)[:-9], {}),
        ("gzip", gzip.compress(CONTENT), {"sizes": "100000 100000 100000"}),
        ("ascii", b"1 2 3", {}),
        ("hex", CONTENT.hex().encode()[:-1], {}),
    ],
)
def test_too_few_bytes_are_refused_before_a_decoder_is_called(tmp_path, not_decoded, encoding, content, changed):
    with pytest.raises(InputError, match=r"a\.nrrd: the file is truncated.*bytes|a\.nrrd: .*truncated or damaged"):
        read_volume(nrrd_file(tmp_path / "a.nrrd", content, encoding=encoding, **changed))
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bin: the file is truncated"):
        read_volume(nrrd_file(tmp_path / "a.nhdr", b"", encoding=encoding, data_file="a.bin", **changed))


def test_other_compression_is_named(tmp_path, not_decoded):
    for encoding, content in (("bzip2", bz2.compress(CONTENT)), ("zrl", CONTENT)):
        with pytest.raises(InputError, match=f"compressed in a way that cannot be read here .'{encoding}'.. Save it with gzip"):
            read_volume(nrrd_file(tmp_path / "a.nrrd", content, encoding=encoding))


def test_bytes_beyond_the_voxels_are_told(tmp_path):
    volume = read_volume(nrrd_file(tmp_path / "a.nrrd", CONTENT + b"x" * 12))
    assert any("12 bytes more than its header says" in warning for warning in volume.source.warnings)


@pytest.mark.parametrize(
    "data_file",
    ["s%03d.raw 1 5 1", "s%03d.raw 1 5 1 2", *("\n".join([first, *(f"s{n:03}.raw" for n in range(1, 6))]) for first in ("LIST", "LIST 2"))],
)
def test_a_file_for_each_slice_is_read_and_known_as_part_of_the_image(tmp_path, data_file):
    slices(tmp_path, [f"s{n:03}.raw" for n in range(1, 6)])
    header = nrrd_file(tmp_path / "a.nhdr", b"", data_file=data_file)
    assert np.array_equal(read_volume(header).voxels, VOXELS)
    assert holds_voxels_of(header, tmp_path / "s003.raw")
    assert not holds_voxels_of(header, tmp_path / "s006.raw")


def test_names_that_count_down_turn_the_slices_round(tmp_path):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    assert np.array_equal(read_volume(nrrd_file(tmp_path / "a.nhdr", b"", data_file="s%d.raw 4 0 -1")).voxels, VOXELS[::-1])


@pytest.mark.parametrize(
    ("data_file", "message"),
    [
        ("LIST\ns1.raw\ns2.raw\ns3.raw", "names 3 data files, and its sizes need 5"),
        ("LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns4.raw\ns4.raw", "names 6 data files, and its sizes need 5"),
        ("LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns5.raw", r"data file beside it is missing \(.*s5.raw"),
        ("LIST", "names 0 data files"),
        ("LIST 0\ns0.raw", "pieces of 0 dimensions"),
        ("LIST 4\ns0.raw", "pieces of 4 dimensions"),
        ("s%d.raw 0 3 1", "names 4 data files, and its sizes need 5"),
        ("s%d.raw 0 9 1", "names 10 data files, and its sizes need 5"),
        ("s%d.raw zero 4 1", "are not understood"),
        ("s%s%n.raw 0 4 1", "are not understood"),
        ("s%99999999d.raw 0 4 1", "are not understood"),
        ("a.nhdr", "names itself as its data file"),
        (".", "is a folder"),
        ("gone.raw", "data file beside it is missing"),
    ],
)
def test_data_files_that_do_not_fit_are_refused_before_a_decoder_is_called(tmp_path, not_decoded, data_file, message):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    with pytest.raises(InputError, match=message) as error:
        read_volume(nrrd_file(tmp_path / "a.nhdr", b"", data_file=data_file))
    assert "a.nhdr" in str(error.value)


def test_a_short_slice_is_named(tmp_path, not_decoded):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    (tmp_path / "s3.raw").write_bytes(b"x" * 41)
    with pytest.raises(InputError, match=r"s3\.raw: the file is truncated \(41 of 42 bytes\)"):
        read_volume(nrrd_file(tmp_path / "a.nhdr", b"", data_file="s%d.raw 0 4 1"))


def test_a_header_of_unknown_version_or_without_order_is_refused(tmp_path, not_decoded):
    path = nrrd_file(tmp_path / "a.nrrd")
    for version in (b"NRRD0006", b"NRRD00xx"):
        path.write_bytes(path.read_bytes().replace(path.read_bytes()[:8], version))
        with pytest.raises(InputError, match="version that is not known"):
            read_volume(path)
    path.write_bytes(b"NRRD0004\n" + bytes(range(256)) * 40)
    with pytest.raises(InputError, match=r"a\.nrrd: its header is damaged"):
        read_volume(path)
    path = nrrd_file(tmp_path / "a.nhdr", b"", data_file="LIST\ns0\0.raw")
    for call in (read_volume, lambda header: holds_voxels_of(header, tmp_path)):
        with pytest.raises(InputError, match="its header is damaged"):
            call(path)
    path.write_bytes(
        "\r\n".join(["NRRD0004", "# said", *(f"{name}: {value}" for name, value in NRRD.items()), "", ""]).encode() + CONTENT[:9]
    )
    with pytest.raises(InputError, match=r"truncated \(9 of 210 bytes\)"):
        read_volume(path)


def test_a_list_whose_last_line_has_no_end_is_refused_as_its_slice_would_be_noise(tmp_path, not_decoded):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    path = nrrd_file(tmp_path / "a.nhdr", b"", data_file="LIST\n" + "\n".join(f"s{n}.raw" for n in range(5)))
    for end in (b"", b"\r"):
        path.write_bytes(path.read_bytes().rstrip() + end)
        with pytest.raises(InputError, match="does not end with a line break"):
            read_volume(path)
