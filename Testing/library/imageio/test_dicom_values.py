"""Values are those that a DICOM file stores, rescaled as each slice says; how they are to be shown, or compressed, changes nothing."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    ParametricMapStorage,
)

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from support.dicom_slices import axial, compressed, encapsulated, enhanced, photograph, slice_at, spect, with_pixels

CODINGS = [None, "RLE", "JPEG", "JPEG2000"]
TYPES = [(np.uint8, 8), (np.uint16, 16), (np.uint16, 12), (np.int16, 16), (np.int16, 12)]


def stored_values(dtype, bits, shape=(48, 64)):
    """Values over the whole range of some bits; large enough for ITK's encoder, which spoils memory with very small images."""
    low, high = (0, 2**bits) if np.dtype(dtype).kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    values = np.random.default_rng(bits).integers(low, high, shape)
    values.flat[:2] = low, high - 1
    return values.astype(dtype)


def rescaled(image, slope, intercept):
    image.RescaleSlope, image.RescaleIntercept = slope, intercept
    return image


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("dtype", "bits"), TYPES)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, -1024), (0.25, 3)])
def test_values_are_those_that_are_stored_however_they_are_shown_or_compressed(folder_of, coding, dtype, bits, kind, slope, intercept):
    values = [stored_values(dtype, bits) // (n + 1) for n in range(3)]
    images = [
        with_pixels(rescaled(image, slope, intercept), each, bits, PhotometricInterpretation=kind)
        for image, each in zip(axial(3), values, strict=True)
    ]
    volume = read_volume(folder_of(*(compressed(image, coding) if coding else image for image in images)))
    assert np.array_equal(volume.voxels, np.array(values).astype(float) * slope + intercept)
    assert volume.voxels.dtype.kind == ("i" if intercept < 0 else "f" if slope < 1 else np.dtype(dtype).kind)
    assert ("MONOCHROME1" in " ".join(volume.source.warnings)) == (kind == "MONOCHROME1")


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "CR"])
def test_one_slice_that_is_to_be_shown_inverted_has_the_values_of_the_others(folder_of, modality):
    images = axial(Modality=modality)
    images[2].PhotometricInterpretation = "MONOCHROME1"
    assert read_volume(folder_of(*images)).voxels[:, 0, 0].tolist() == [round(abs(70 + n * 2.5)) - 1000 for n in range(5)]


def test_frames_that_are_to_be_shown_inverted_have_the_values_of_others(folder_of):
    image = enhanced([(0, 0, n) for n in range(4)], rescales=[(1, -1000), (2, 0), (3, 0), (1, 7)])
    image.PhotometricInterpretation = "MONOCHROME1"
    assert read_volume(folder_of(image)).voxels[:, 0, 0].tolist() == [-1000, 200, 600, 307]


@pytest.mark.parametrize("coding", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_frames_are_found_in_any_order(folder_of, coding):
    values = stored_values(np.int16, 16, (4, 48, 64))
    image = with_pixels(enhanced([(0, 0, z) for z in (3, 0, 2, 1)], rescales=[(1, n) for n in range(4)]), values, None)
    alone = [compressed(with_pixels(slice_at((0, 0, 0)), each), coding) for each in values]
    frames = [get_frame(each.PixelData, 0, number_of_frames=1) for each in alone]
    volume = read_volume(folder_of(encapsulated(image, frames, alone[0].file_meta.TransferSyntaxUID)))
    assert np.array_equal(volume.voxels, (values.astype(int) + np.arange(4)[:, None, None])[[1, 3, 2, 0]])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize(("dtype", "bits"), TYPES)
def test_every_way_of_storing_without_compression_is_read(folder_of, syntax, dtype, bits):
    values = [stored_values(dtype, bits) // (n + 1) for n in range(3)]
    images = [with_pixels(rescaled(image, 1, 0), each, bits) for image, each in zip(axial(3), values, strict=True)]
    for image in images:
        image.file_meta.TransferSyntaxUID = syntax
        big = syntax == ExplicitVRBigEndian and np.dtype(dtype).itemsize == 2
        image.PixelData = np.frombuffer(image.PixelData, dtype).byteswap().tobytes() if big else image.PixelData
        image["PixelData"].VR = "OB" if bits == 8 else "OW"
    assert np.array_equal(read_volume(folder_of(*images)).voxels, values)


def test_bits_that_are_not_the_pixels_own_are_left_out(folder_of):
    values = stored_values(np.uint16, 12)
    images = [with_pixels(rescaled(image, 1, 0), values | np.uint16(0xA000), 12) for image in axial(3)]
    shifted = with_pixels(rescaled(slice_at((-10, -20, 107.5)), 1, 0), values << 4, 12, HighBit=15)
    signed = stored_values(np.int16, 12)
    overlaid = with_pixels(rescaled(slice_at((-10, -20, 110)), 1, 0), (signed & 0x0FFF).astype(np.int16), 12)
    volume = read_volume(folder_of(*images, shifted, overlaid))
    assert all(np.array_equal(layer, values) for layer in volume.voxels[:4])
    assert np.array_equal(volume.voxels[4], signed)


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_pixels_of_32_bits_are_read(folder_of, dtype):
    values = np.arange(48, dtype=dtype).reshape(6, 8) * 1000
    images = [with_pixels(rescaled(image, 2, -7), values) for image in axial(2)]
    volume = read_volume(folder_of(*images))
    assert np.array_equal(volume.voxels, [values.astype(int) * 2 - 7] * 2)
    assert volume.voxels.dtype == np.int32


def test_pixels_of_one_bit_are_read(folder_of):
    values = np.random.default_rng(0).integers(0, 2, (3, 6, 8))
    image = enhanced([(0, 0, n) for n in range(3)], rescales=[(1, 0)] * 3)
    image.PixelData = np.packbits(values.ravel(), bitorder="little").tobytes()
    image.BitsAllocated, image.BitsStored, image.HighBit = 1, 1, 0
    assert np.array_equal(read_volume(folder_of(image)).voxels, values)


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
def test_fractional_pixels_are_read(folder_of, keyword, dtype):
    values = np.random.default_rng(0).normal(0, 9, (3, 6, 8)).astype(dtype)
    image = enhanced([(0, 0, n) for n in range(3)], rescales=[(1, 0)] * 3)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
    del image.PixelData, image.BitsStored, image.HighBit, image.PixelRepresentation
    setattr(image, keyword, values.tobytes())
    image.BitsAllocated = 8 * values.itemsize
    volume = read_volume(folder_of(image))
    assert np.array_equal(volume.voxels, values)
    assert volume.voxels.dtype == dtype


@pytest.mark.parametrize(
    ("rescales", "dtype"),
    [
        ([(1, 0), (0.5, 0), (0.25, 1)], np.float32),
        ([(0.5, 0), (1, 0), (2, 0)], np.float32),
        ([(1, 0), (2, 0), (3, -5)], np.int32),
        ([(1, -1000), (1, -1001), (1, -30000)], np.int32),
        ([(1, -32768)] * 3, np.int16),
        ([(1, 0), (1, 2), (1, 5)], np.uint16),
        ([("1.0e0", "-1.00"), (1, -1), (1, -1)], np.int32),
        ([(70000, 0), (1, 0), (1, 0)], np.float64),
    ],
)
def test_every_slice_is_rescaled_by_its_own_numbers(folder_of, rescales, dtype):
    values = np.array([0, 1, 60000, 32768] * 12, np.uint16).reshape(6, 8)
    images = [with_pixels(rescaled(image, *rescale), values) for image, rescale in zip(axial(3), rescales, strict=True)]
    volume = read_volume(folder_of(*images))
    assert volume.voxels.dtype == dtype
    assert np.array_equal(volume.voxels, [values.astype(float) * float(slope) + float(intercept) for slope, intercept in rescales])


def test_a_slope_of_zero_is_told(folder_of):
    volume = read_volume(folder_of(*(rescaled(image, 0, -5) for image in axial(3))))
    assert volume.voxels[0, 0, 0] == 65
    assert "rescale slope is 0" in volume.source.warnings[0]


@pytest.mark.parametrize("number", [b"-1000.x", b"nan    ", b"1e999  ", rb"1\2    "])
def test_numbers_that_are_none_are_refused(folder_of, number):
    folder = folder_of(*axial(3))
    path = folder / "001.dcm"
    path.write_bytes(path.read_bytes().replace(b"-1000.0", number))
    with pytest.raises(InputError, match=r"001\.dcm: .*damaged"):
        read_volume(folder)


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_compressed_colours_are_read_as_rgb(folder_of, kind):
    values = np.zeros((16, 24, 3), np.uint8)
    values[..., 0], values[..., 1], values[:8, :, 2] = 200, np.arange(24) * 5, 90
    volume = read_volume(folder_of(*(photograph(image, values, kind) for image in axial(2))))
    assert np.abs(volume.voxels[1].astype(int) - values).max() <= (3 if kind == "JPEG" else 0)


def test_colours_stored_plane_by_plane_are_read(folder_of):
    values = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    images = axial(2)
    for image in images:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 1
        image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        image.PixelData = np.ascontiguousarray(np.moveaxis(values, 2, 0)).tobytes()
    assert np.array_equal(read_volume(folder_of(*images)).voxels[1], values)


def test_colours_stored_as_luminance_are_read_as_rgb(folder_of):
    images = [photograph(image, np.zeros((4, 4, 3), np.uint8)) for image in axial(2)]
    for image in images:
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        image.PixelData = bytes([100, 128, 128] * 16)
    assert (read_volume(folder_of(*images)).voxels == 100).all()


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PixelData": bytes(94)}, "its pixels are cut off: 94 bytes, where its header says 96"),
        ({"PixelData": None}, "its pixels are cut off: 0 bytes"),
        ({"Rows": 600, "Columns": 800}, "96 bytes, where its header says 960000"),
        ({"Rows": 65535, "Columns": 65535}, "96 bytes, where its header says 8589672450"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "96 bytes, where its header says 192"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "its colours are stored as PALETTE COLOR in 1 samples, which is not read here"),
        ({"PhotometricInterpretation": "RGB"}, "its colours are stored as RGB in 1 samples"),
        ({"PhotometricInterpretation": "HSV", "SamplesPerPixel": 3}, "its colours are stored as HSV in 3 samples"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "its pixels have 16 bits, which is not read here.*colours with 8"),
        ({"SamplesPerPixel": 2}, "its colours are stored as MONOCHROME2 in 2 samples"),
        ({"BitsAllocated": 12}, "its pixels have 12 bits"),
        ({"BitsStored": 17}, "its pixels of 16 bits cannot have 17 used ones up to bit 15"),
        ({"BitsStored": 12, "HighBit": 10}, "cannot have 12 used ones up to bit 10"),
        ({"PixelRepresentation": None}, "does not say whether its pixels are signed"),
        ({"ModalityLUTSequence": [Dataset()]}, r"its values are given by a table \(Modality LUT Sequence\)"),
    ],
)
def test_pixels_that_cannot_be_read_rightly_are_refused_from_the_header(folder_of, tags, message):
    with pytest.raises(InputError, match=rf"00\d\.dcm: .*{message}"):
        read_volume(folder_of(*axial(3, **tags)))


def test_the_one_slice_without_all_its_pixels_is_named(folder_of):
    images = axial(4)
    images[2].PixelData = bytes(40)
    with pytest.raises(InputError, match=r"002\.dcm: its pixels are cut off: 40 bytes, where its header says 96"):
        read_volume(folder_of(*images))


def test_a_slice_without_pixels_is_named(folder_of):
    images = axial(3)
    del images[1].PixelData
    with pytest.raises(InputError, match=r"001\.dcm: it holds no pixels"):
        read_volume(folder_of(*images))


@pytest.mark.parametrize("image", [enhanced([(0, 0, n) for n in range(5)]), spect(5)], ids=["enhanced", "older"])
def test_a_file_with_fewer_frames_than_its_header_says_is_refused(folder_of, image):
    image.PixelData = image.PixelData[: 4 * 96]
    with pytest.raises(InputError, match=r"000\.dcm: its pixels are cut off: 384 bytes, where its header says 480"):
        read_volume(folder_of(image))


def test_what_is_no_jpeg_reaches_no_decoder(folder_of):
    images = [encapsulated(image, [b"\xff\xd8\xff\xd9"], JPEGLosslessSV1) for image in axial(2)]
    with pytest.raises(InputError, match="its compressed pixels are of another size, or no JPEG"):
        read_volume(folder_of(*images))


@pytest.mark.parametrize("coding", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_pixels_that_are_cut_off_are_refused(folder_of, coding):
    image = compressed(with_pixels(slice_at((-10, -20, 105)), stored_values(np.uint16, 16)), coding)
    frame = get_frame(image.PixelData, 0, number_of_frames=1)
    short = encapsulated(image, [frame[: len(frame) * 2 // 3 & ~1]], image.file_meta.TransferSyntaxUID)
    others = [with_pixels(each, stored_values(np.uint16, 16)) for each in axial(2)]
    with pytest.raises(InputError, match=r"002\.dcm: its (compressed )?pixels are (cut off|damaged)"):
        read_volume(folder_of(*others, short))


def test_compressed_pixels_of_another_size_are_refused(folder_of):
    image = compressed(with_pixels(slice_at((-10, -20, 105)), stored_values(np.uint16, 16, (47, 64))), "JPEG2000")
    image.Rows = 48
    with pytest.raises(InputError, match=r"002\.dcm: its compressed pixels are of another size"):
        read_volume(folder_of(*(with_pixels(each, stored_values(np.uint16, 16)) for each in axial(2)), image))


@pytest.mark.parametrize(("frames", "says"), [(1, "1 compressed frames, where its header says 3"), (2, "2 compressed frames")])
def test_fewer_compressed_frames_than_the_header_says_are_refused(folder_of, frames, says):
    image = encapsulated(enhanced([(0, 0, n) for n in range(3)]), [bytes(64)] * frames, JPEG2000Lossless)
    with pytest.raises(InputError, match=says):
        read_volume(folder_of(image))


def test_pixels_whose_compression_is_not_said_are_refused(folder_of):
    images = axial(3)
    folder = folder_of(*images, encapsulated(slice_at((-10, -20, 107.5)), [bytes(64)], JPEG2000Lossless))
    path = folder / "003.dcm"
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"))
    with pytest.raises(InputError, match=r"003\.dcm: it is unclear whether its pixels are compressed"):
        read_volume(folder)
