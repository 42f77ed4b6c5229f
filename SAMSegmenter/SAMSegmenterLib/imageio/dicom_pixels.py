"""The pixels of a DICOM file: whether they are all there and can be read, and the values that are stored.

What is stored uncompressed or run-length coded is decoded by pydicom. JPEG and JPEG 2000 are decoded by ITK, one frame at a time and in a
file with nothing but that frame: of the image itself ITK would invert MONOCHROME1, and rescale all frames as the first one.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, printable
from .itk import reading

if TYPE_CHECKING:
    from .dicom import Picture

STORED_AS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
FLOATS = {"FloatPixelData": np.dtype(np.float32), "DoubleFloatPixelData": np.dtype(np.float64)}
PIXEL_TAGS = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ModalityLUTSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *STORED_AS,
]
IMPLICIT, EXPLICIT, BIG_ENDIAN, RUN_LENGTH = (f"1.2.840.10008.1.2{kind}" for kind in ("", ".1", ".2", ".5"))
DEFLATED = f"{EXPLICIT}.99"
NATIVE = {IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED}
# Of the JPEG family: baseline, extended, lossless, JPEG-LS, JPEG 2000.
BY_ITK = {f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70, 80, 81, 90, 91)}
GREY, COLOUR = {"MONOCHROME1", "MONOCHROME2"}, {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS markers with the size in them
AGAIN = "Copy or export it again."


@dataclass(frozen=True)
class Pixels:
    """How the pixels of a file are stored.

    Attributes:
        start: the byte in the file (the inflated one, if it is deflated) at which their value begins.
        syntax: UID of the transfer syntax.
        options: what pydicom's decoders want to know of them, by their names for it.
        high_bit: the highest bit that is used.
        fault: why they cannot be read, in a sentence; empty if nothing is known against it.
    """

    start: int
    syntax: str
    options: dict[str, Any]
    high_bit: int
    fault: str

    @property
    def frames(self) -> int:
        return self.options["number_of_frames"]

    @property
    def inverted(self) -> bool:
        """Whether they are shown with the lowest value white, which says nothing about the values (PS3.3 C.7.6.3.1.2)."""
        return self.options["photometric_interpretation"] == "MONOCHROME1"

    @property
    def dtype(self) -> np.dtype:
        """The type of a stored value."""
        if self.options["pixel_keyword"] in FLOATS:
            return FLOATS[self.options["pixel_keyword"]]
        signed = self.options["pixel_representation"] == 1
        return np.dtype(f"{'i' if signed else 'u'}{max(self.options['bits_allocated'] // 8, 1)}")


def pixels_of(header: Any, path: Path) -> Pixels:
    """Return how the pixels of an image are stored, from a header that was read up to its end with the pixels deferred."""
    from pydicom.pixels import as_pixel_options

    keyword = next((name for name in STORED_AS if name in header), "")
    element = header.get_item(keyword, keep_deferred=True) if keyword else None
    little_endian = header.original_encoding[1]
    syntax = header.file_meta.get("TransferSyntaxUID") or (EXPLICIT if little_endian else BIG_ENDIAN)
    colours = header.get("SamplesPerPixel", 1) != 1
    options = {"photometric_interpretation": "RGB" if colours else "MONOCHROME2", "samples_per_pixel": 1, "planar_configuration": 0}
    options |= {name: value for name, value in as_pixel_options(header).items() if value is not None}
    options |= {"number_of_frames": int(header.get("NumberOfFrames") or 1), "pixel_vr": (element and element.VR) or "OW"}
    options |= {"pixel_keyword": keyword, "correct_unused_bits": False}
    fault = _fault(header, options, syntax) if keyword else f"it holds no pixels; it may be cut off. {AGAIN}"
    if not fault:
        fault = _missing(element, options, syntax, path)
    high_bit = int(header.get("HighBit") or options.get("bits_stored", 1) - 1)
    return Pixels(element.value_tell if keyword else 0, str(syntax), options, high_bit, fault)


def _fault(header: Any, options: dict[str, Any], syntax: Any) -> str:
    """Return why pixels cannot be read rightly, as far as the header tells."""
    bits, samples, kind = options.get("bits_allocated"), options["samples_per_pixel"], str(options["photometric_interpretation"])
    whole = options["pixel_keyword"] == "PixelData"
    if syntax not in NATIVE | BY_ITK | {RUN_LENGTH}:
        how = printable(getattr(syntax, "name", syntax))
        return (
            f"its pixels are compressed in a way that cannot be read here ({how}). "
            "Export the series again uncompressed or as JPEG 2000."
        )
    if header.get("ModalityLUTSequence"):
        return "its values are given by a table (Modality LUT Sequence), which is not read here. Export it with its values rescaled."
    if (samples, kind) not in {(1, each) for each in GREY} | {(3, each) for each in COLOUR}:
        return f"its colours are stored as {printable(kind)} in {samples} samples, which is not read here. Export it in grey or as RGB."
    if bits not in ((1, 8, 16, 32, 64) if samples == 1 else (8,)):
        return f"its pixels have {bits} bits, which is not read here. Export it with 16 bits{', or colours with 8' if samples > 1 else ''}."
    if whole and options.get("pixel_representation") not in (0, 1):
        return f"it does not say whether its pixels are signed; its header is damaged. {AGAIN}"
    stored, high = options.get("bits_stored"), header.get("HighBit")
    if whole and not (stored and 1 <= stored <= bits and (high is None or stored - 1 <= high < bits)):
        return f"its pixels of {bits} bits cannot have {stored} used ones up to bit {high}; its header is damaged. {AGAIN}"
    if not whole and 8 * FLOATS[options["pixel_keyword"]].itemsize != bits:
        return f"its fractional pixels cannot have {bits} bits; its header is damaged. {AGAIN}"
    return ""


def _missing(element: Any, options: dict[str, Any], syntax: str, path: Path) -> str:
    """Return a sentence if there are fewer pixels than the header says."""
    frames, undefined = options["number_of_frames"], element.length == 0xFFFFFFFF
    if undefined == (syntax in NATIVE):
        return f"it is unclear whether its pixels are compressed: the header contradicts itself. {AGAIN}"
    if undefined:
        found, table = _fragments(path, element.value_tell)
        if found < frames or table not in (0, frames):
            return f"it holds {min(found, table or found)} compressed frames, where its header says {frames}. {AGAIN}"
        return ""
    bits = options["rows"] * options["columns"] * options["samples_per_pixel"] * frames * options["bits_allocated"]
    if options["photometric_interpretation"] == "YBR_FULL_422":
        bits = bits * 2 // 3  # PS3.3 C.7.6.3.1.2: two pixels share their colour
    expected = (bits + 7) // 8
    found = element.length if syntax == DEFLATED else min(element.length, path.stat().st_size - element.value_tell)
    return f"its pixels are cut off: {found} bytes, where its header says {expected}. {AGAIN}" if found < expected else ""


def _fragments(path: Path, start: int) -> tuple[int, int]:
    """Return how many pieces compressed pixels have, and how many their offset table lists (PS3.5 A.4)."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    with path.open("rb") as file:
        file.seek(start)
        table = parse_basic_offsets(file)
        return parse_fragments(file)[0], len(table)


def stored_frames(picture: Picture) -> Iterator[np.ndarray]:
    """Yield the frames of a file, in its order, as they are stored: ``(rows, columns)``, or ``(rows, columns, 3)`` RGB.

    Raises:
        InputError: the pixels are damaged.
    """
    from pydicom.pixels import get_decoder

    pixels = picture.pixels
    if pixels.syntax in BY_ITK:
        yield from _frames_by_itk(picture)
        return
    decoder = get_decoder({IMPLICIT: EXPLICIT, DEFLATED: EXPLICIT}.get(pixels.syntax, pixels.syntax))
    with _source(picture) as source:
        frames = decoder.iter_array(source, indices=range(pixels.frames) if pixels.syntax in NATIVE else None, **pixels.options)
        try:
            for array, _ in frames:
                yield _used_bits(array, pixels)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{picture.file}: its pixels are damaged ({str(error).splitlines()[-1].strip()}). {AGAIN}") from error


def _source(picture: Picture) -> BinaryIO:
    """Return what to read the pixels from, at their beginning."""
    import pydicom

    pixels = picture.pixels
    if pixels.syntax == DEFLATED:
        keyword = pixels.options["pixel_keyword"]
        return io.BytesIO(pydicom.dcmread(picture.file, specific_tags=[keyword])[keyword].value)
    file = picture.file.open("rb")
    file.seek(pixels.start)
    return file


def _used_bits(array: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return values without the bits that are not theirs, in which older files keep overlays (PS3.5 8.1.1)."""
    stored, allocated = pixels.options.get("bits_stored", 0), 8 * array.itemsize
    if array.dtype.kind == "f" or stored == allocated or array.ndim == 3:
        return array
    high_bit = pixels.high_bit if pixels.syntax in NATIVE else stored - 1
    return (array << (allocated - 1 - high_bit)) >> (allocated - stored)


def _frames_by_itk(picture: Picture) -> Iterator[np.ndarray]:
    from pydicom.encaps import generate_frames

    options = picture.pixels.options
    with picture.file.open("rb") as source, tempfile.TemporaryDirectory() as folder:
        source.seek(picture.pixels.start)
        frames = generate_frames(source, number_of_frames=picture.pixels.frames, extended_offsets=options.get("extended_offsets"))
        while True:
            try:
                frame = next(frames, None)
            except ValueError as error:
                raise InputError(f"{picture.file}: its compressed pixels are damaged ({error}). {AGAIN}") from error
            if frame is None:
                return
            yield _used_bits(_by_itk(frame, picture, Path(folder, "frame.dcm")), picture.pixels)


def _by_itk(frame: bytes, picture: Picture, path: Path) -> np.ndarray:
    size = coded_size(frame)
    if size != picture.size[::-1] or not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        found = "of another size, or no JPEG" if size != picture.size[::-1] else "cut off"
        raise InputError(f"{picture.file}: its compressed pixels are {found}; it is truncated or damaged. {AGAIN}")
    _write_alone(frame, picture, path)
    with reading(picture.file):
        image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    array = sitk.GetArrayFromImage(image)[0]
    if array.shape[:2] != size or array.shape[2:] != ((3,) if picture.samples == 3 else ()):
        raise InputError(f"{picture.file}: its compressed pixels are not what its header says; it is damaged. {AGAIN}")
    return array


def coded_size(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns of a JPEG, JPEG-LS or JPEG 2000 image from its own header; None if it is none."""
    if frame.startswith(b"\xff\x4f\xff\x51"):  # ISO/IEC 15444-1 A.5.1
        right, bottom, left, top = (int.from_bytes(frame[at : at + 4], "big") for at in (8, 12, 16, 20))
        return bottom - top, right - left
    at = 2  # ISO/IEC 10918-1 B.2.2
    while frame.startswith(b"\xff\xd8") and at + 9 < len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in START_OF_FRAME:
            return int.from_bytes(frame[at + 5 : at + 7], "big"), int.from_bytes(frame[at + 7 : at + 9], "big")
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _write_alone(frame: bytes, picture: Picture, path: Path) -> None:
    """Write one compressed frame as a DICOM file that says nothing but how it is stored."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    options, image = picture.pixels.options, Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = picture.pixels.syntax
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    image.SamplesPerPixel, image.Rows, image.Columns = picture.samples, options["rows"], options["columns"]
    image.PhotometricInterpretation = "MONOCHROME2" if picture.samples == 1 else str(options["photometric_interpretation"])
    if picture.samples > 1:
        image.PlanarConfiguration = options.get("planar_configuration", 0)
    image.BitsAllocated, image.BitsStored, image.HighBit = options["bits_allocated"], options["bits_stored"], options["bits_stored"] - 1
    image.PixelRepresentation = options["pixel_representation"]
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image.save_as(path, enforce_file_format=True)
