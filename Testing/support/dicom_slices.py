"""DICOM images for tests, small enough to be written by the dozen."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    NuclearMedicineImageStorage,
    RLELossless,
    generate_uid,
)


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


def axial(count=5, gap_mm=2.5, **tags):
    """The images of a series, from the feet up."""
    return [slice_at((-10, -20, 100 + n * gap_mm), **tags) for n in range(count)]


def with_pixels(image, values, stored=None, **tags):
    """The same image with these values ``(rows, columns)`` or ``(frames, rows, columns)``, of whose bits `stored` are used."""
    bits = 8 * values.itemsize
    image.Rows, image.Columns = values.shape[-2:]
    image.BitsAllocated, image.BitsStored, image.HighBit = bits, stored or bits, (stored or bits) - 1
    image.PixelRepresentation = int(values.dtype.kind == "i")
    image.PixelData = values.tobytes()
    if values.ndim == 3:
        image.NumberOfFrames = len(values)
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def compressed(image, coding):
    """The same image of one frame, not a very small one, compressed without loss as ``"RLE"``, ``"JPEG"`` or ``"JPEG2000"``."""
    if coding == "RLE":
        image.compress(RLELossless)
        return image
    values = np.frombuffer(image.PixelData, f"{'i' if image.PixelRepresentation else 'u'}{image.BitsAllocated // 8}")
    with tempfile.TemporaryDirectory() as folder:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(Path(folder, "a.dcm")))
        writer.UseCompressionOn()
        writer.SetCompressor(coding)
        writer.Execute(sitk.GetImageFromArray(values.reshape(1, image.Rows, image.Columns)))
        frame = get_frame(pydicom.dcmread(Path(folder, "a.dcm")).PixelData, 0, number_of_frames=1)
    return encapsulated(image, [frame], {"JPEG": JPEGLosslessSV1, "JPEG2000": JPEG2000Lossless}[coding])


def encapsulated(image, frames, syntax):
    """The same image with compressed frames for its pixels."""
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate(frames)
    image["PixelData"].VR = "OB"
    return image


def photograph(image, values, kind="JPEG", **tags):
    """The same image with RGB values ``(rows, columns, 3)`` as ``"JPEG"`` (with some loss) or ``"JPEG2000"`` (without)."""
    stream = io.BytesIO()
    options = {"no_jp2": True, "irreversible": False} if kind == "JPEG2000" else {"quality": 100, "subsampling": 0}
    Image.fromarray(values).save(stream, kind, **options)
    image = colour(image)
    image.Rows, image.Columns = values.shape[:2]
    image.PhotometricInterpretation = "YBR_RCT" if kind == "JPEG2000" else "YBR_FULL"
    for name, value in tags.items():
        setattr(image, name, value)
    return encapsulated(image, [stream.getvalue()], JPEG2000Lossless if kind == "JPEG2000" else JPEGBaseline8Bit)


def bare(path):
    """Take preamble and file meta header from a stored file, as older ones lack them."""
    meta = pydicom.dcmread(path).file_meta
    path.write_bytes(path.read_bytes()[132 + 12 + meta.FileMetaInformationGroupLength :])


def spect(count=4, gap_mm=-3.0, **tags):
    """A reconstructed volume of nuclear medicine in one file, the pixels of frame n (from 0) 100 n."""
    image = slice_at((0, 0, 0), Modality="NM", NumberOfFrames=count, SpacingBetweenSlices=gap_mm)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = NuclearMedicineImageStorage
    image.DetectorInformationSequence = [
        _dataset(ImagePositionPatient=image.ImagePositionPatient, ImageOrientationPatient=image.ImageOrientationPatient)
    ]
    image.DetectorInformationSequence[0].ImagePositionPatient = [-10, -20, 80]
    del image.ImagePositionPatient, image.ImageOrientationPatient, image.RescaleSlope, image.RescaleIntercept
    image.PixelData = np.repeat(np.arange(count, dtype=np.uint16) * 100, image.Rows * image.Columns).tobytes()
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def region(spacing_cm=(0.02, 0.03), units=3):
    """A calibrated region of an ultrasound image, its spacing along y and along x."""
    return _dataset(
        PhysicalUnitsXDirection=units, PhysicalUnitsYDirection=units, PhysicalDeltaY=spacing_cm[0], PhysicalDeltaX=spacing_cm[1]
    )


def colour(image):
    """The same image with three bytes to a pixel."""
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(range(image.Rows * image.Columns * 3))
    del image.RescaleSlope, image.RescaleIntercept
    return image


def enhanced(positions, orientations=None, rescales=None):
    """One multi-frame CT image with its frames at these positions in LPS mm; the pixels of frame n (from 0) are 100 n."""
    image = slice_at((0, 0, 0), NumberOfFrames=len(positions))
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(image, name)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    image.PixelData = np.repeat(np.arange(len(positions), dtype=np.uint16) * 100, image.Rows * image.Columns).tobytes()
    image.SharedFunctionalGroupsSequence = [_dataset(PixelMeasuresSequence=[_dataset(PixelSpacing=[0.75, 0.5], SpacingBetweenSlices=2.5)])]
    image.PerFrameFunctionalGroupsSequence = [
        _dataset(
            PlanePositionSequence=[_dataset(ImagePositionPatient=list(position))],
            PlaneOrientationSequence=[_dataset(ImageOrientationPatient=list(orientation))],
            PixelValueTransformationSequence=[_dataset(RescaleSlope=slope, RescaleIntercept=intercept)],
        )
        for position, orientation, (slope, intercept) in zip(
            positions, orientations or [(1, 0, 0, 0, 1, 0)] * len(positions), rescales or [(1, -1000)] * len(positions), strict=True
        )
    ]
    return image


def _dataset(**tags):
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset
