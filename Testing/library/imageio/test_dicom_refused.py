"""DICOM series that are mixed, incomplete or damaged are refused, and no slice is left out in silence."""

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, MPEG2MPML, JPEG2000Lossless

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from support.dicom_slices import axial, colour, enhanced, slice_at

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
        (slice_at((-10, -20, 112.5), ImagePositionPatient=None), r"1 of its 6 images \(005\.dcm\) have no position"),
        (slice_at((-10, -20, 112.5), NumberOfFrames=4), "several multi-frame images"),
    ],
)
def test_a_mixed_series_is_refused_by_what_is_mixed(folder_of, intruder, message):
    folder = folder_of(*axial(), intruder)
    with pytest.raises(InputError, match=message) as error:
        read_volume(folder)
    assert "scan, series 1.2.3: " in str(error.value)


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


@pytest.mark.parametrize(
    ("coding", "message"),
    [
        (HTJ2K, r"compressed in a way that cannot be read here \(High-Throughput JPEG 2000 .*\)\. Export the series again"),
        (MPEG2MPML, r"compressed in a way that cannot be read here \(MPEG2"),
        (JPEG2000Lossless, "truncated or damaged"),
    ],
)
@pytest.mark.parametrize("images", [axial, lambda: [enhanced([(0, 0, n) for n in range(4)])]], ids=["slices", "frames"])
def test_a_compression_that_cannot_be_read_is_not_called_damage(folder_of, images, coding, message):
    compressed = images()
    for image in compressed:
        image.file_meta.TransferSyntaxUID = coding
        image.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(200)] * int(image.get("NumberOfFrames", 1)))
        image["PixelData"].VR = "OB"
    with pytest.raises(InputError, match=message) as error:
        read_volume(folder_of(*compressed))
    assert "000.dcm: " in str(error.value)
