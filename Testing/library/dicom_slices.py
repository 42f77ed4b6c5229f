"""DICOM images for tests, small enough to be written by the dozen."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


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


def colour(image):
    """The same image with three bytes to a pixel."""
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(range(image.Rows * image.Columns * 3))
    del image.RescaleSlope, image.RescaleIntercept
    return image
