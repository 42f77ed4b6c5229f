"""The pixels of a DICOM file: how they are stored, whether all are there, and whether they can be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import printable

STORED_AS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
FLOATS: dict[str, np.dtype] = {"FloatPixelData": np.dtype(np.float32), "DoubleFloatPixelData": np.dtype(np.float64)}
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
AGAIN = "Copy or export it again."


@dataclass(frozen=True)
class Pixels:
    """The way in which the pixels of a file are stored.

    Attributes:
        start: the byte at which their value begins, in the file or, if that is deflated, in the inflated file.
        syntax: UID of the transfer syntax.
        options: what pydicom's decoders need to know, by the decoders' names.
        high_bit: the highest bit that is used.
        fault: why they cannot be read, in a sentence; empty if nothing is known to be wrong.
    """

    start: int
    syntax: str
    options: dict[str, Any]
    high_bit: int
    fault: str

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self.options["number_of_frames"]

    @property
    def inverted(self) -> bool:
        """Return whether the lowest value is to be shown white, which says nothing about the values (PS3.3 C.7.6.3.1.2)."""
        return self.options["photometric_interpretation"] == "MONOCHROME1"

    @property
    def dtype(self) -> np.dtype:
        """Return the type of a stored value."""
        if self.options["pixel_keyword"] in FLOATS:
            return FLOATS[self.options["pixel_keyword"]]
        signed = self.options["pixel_representation"] == 1
        return np.dtype(f"{'i' if signed else 'u'}{max(self.options['bits_allocated'] // 8, 1)}")


def pixels_of(header: Any, path: Path) -> Pixels:
    """Return how the pixels of an image are stored, by a header that was read to the end of the file with the pixels deferred."""
    from pydicom.pixels import as_pixel_options

    keyword = next((name for name in STORED_AS if name in header), "")
    element = header.get_item(keyword, keep_deferred=True) if keyword else None
    little_endian = header.original_encoding[1]
    syntax = header.file_meta.get("TransferSyntaxUID") or (EXPLICIT if little_endian else BIG_ENDIAN)
    colours = header.get("SamplesPerPixel", 1) != 1
    options: dict[str, Any] = {
        "photometric_interpretation": "RGB" if colours else "MONOCHROME2",
        "samples_per_pixel": 1,
        "planar_configuration": 0,
    }
    options |= {name: value for name, value in as_pixel_options(header).items() if value is not None}
    options |= {"number_of_frames": int(header.get("NumberOfFrames") or 1), "pixel_vr": (element and element.VR) or "OW"}
    options |= {"pixel_keyword": keyword, "correct_unused_bits": False}
    fault = _fault(header, options, syntax) if keyword else f"it holds no pixels; it may be cut off. {AGAIN}"
    if not fault:
        fault = _missing(element, options, syntax, path)
    high_bit = int(header.get("HighBit") or options.get("bits_stored", 1) - 1)
    return Pixels(element.value_tell if element else 0, str(syntax), options, high_bit, fault)


def _fault(header: Any, options: dict[str, Any], syntax: Any) -> str:
    """Return why the pixels cannot be read correctly, as far as the header tells; empty if they can."""
    bits, samples, kind = options.get("bits_allocated"), options["samples_per_pixel"], str(options["photometric_interpretation"])
    whole = options["pixel_keyword"] == "PixelData"
    if syntax not in NATIVE | BY_ITK | {RUN_LENGTH}:
        how = printable(getattr(syntax, "name", syntax))
        return f"its pixels are compressed in a way that cannot be read here ({how}). Export the series again uncompressed or as JPEG 2000."
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
    """Return into how many pieces compressed pixels are divided, and how many their offset table lists (PS3.5 A.4)."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    with path.open("rb") as file:
        file.seek(start)
        table = parse_basic_offsets(file)
        return parse_fragments(file)[0], len(table)
