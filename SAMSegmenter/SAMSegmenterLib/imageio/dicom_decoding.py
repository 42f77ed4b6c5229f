"""The values that a DICOM file stores.

Pydicom decodes what is stored uncompressed or run-length coded. ITK decodes JPEG and JPEG 2000, one frame at a time, from a file that
holds nothing but that frame: from the original file, ITK would invert MONOCHROME1 and rescale all frames like the first one.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .dicom import Picture
from .dicom_pixels import AGAIN, BY_ITK, DEFLATED, EXPLICIT, IMPLICIT, NATIVE, Pixels
from .itk import reading

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS markers with the size in them


def stored_frames(picture: Picture) -> Iterator[np.ndarray]:
    """Yield the frames of a file as they are stored, in its order: ``(rows, columns)``, or ``(rows, columns, 3)`` RGB.

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
    """Return an open source of the pixels, at their beginning."""
    import pydicom

    pixels = picture.pixels
    if pixels.syntax == DEFLATED:
        keyword = pixels.options["pixel_keyword"]
        return io.BytesIO(pydicom.dcmread(picture.file, specific_tags=[keyword])[keyword].value)
    file = picture.file.open("rb")
    file.seek(pixels.start)
    return file


def _used_bits(array: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return values without the bits that do not belong to them, in which older files keep overlays (PS3.5 8.1.1)."""
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
    """Return the rows and columns that the header of a JPEG, JPEG-LS or JPEG 2000 image states; None for anything else."""
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
    """Write one compressed frame as a DICOM file that says only how the frame is stored."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    options = picture.pixels.options
    image: Any = Dataset()
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
