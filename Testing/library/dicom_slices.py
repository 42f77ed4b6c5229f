"""DICOM images for tests, small enough to be written by the dozen."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


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
