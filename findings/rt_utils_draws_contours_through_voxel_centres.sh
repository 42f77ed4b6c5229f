#!/usr/bin/env bash
# RT-STRUCT written by rt-utils is smaller than the mask by half a voxel on every side; what is one voxel wide has no area.
#
# Seen with rt-utils 1.2.7, pydicom 3.0.2, opencv-python 5.0.0.93: a square of 10 x 10 voxels of 1 mm comes out as a contour
# of 81 mm2 instead of 100 (from voxel centre to voxel centre), a line of 1 x 40 voxels and a single voxel as contours of 0 mm2.
#
# Why a good guess is wrong: rt-utils itself reads the file back as exactly the mask that was written, since it fills the contour with its
# border included. A test of writing and reading again therefore passes. DICOM (PS3.3 C.8.8.6) has contours of points in the patient,
# in mm, and a planning system measures between these points.
#
# Whom it hurts: volumes, doses and diameters of small lesions, measured in another program, come out too small: at 3 voxels across by
# more than half of the area. Whoever writes RT-STRUCT from masks has to draw along the edges of the voxels.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet rt-utils==1.2.7 pydicom==3.0.2 numpy==2.2.6 opencv-python==5.0.0.93
"$work/venv/bin/python" - "$work" <<'PY'
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rt_utils import RTStructBuilder

folder = Path(sys.argv[1], "series")
folder.mkdir()
series, study, frame = (generate_uid() for _ in range(3))
for k in range(4):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
    image.Modality, image.InstanceNumber, image.SeriesNumber, image.StudyID = "CT", k + 1, 1, "1"
    image.PatientName = image.PatientID = image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
    image.StudyDate, image.StudyTime, image.ReferringPhysicianName = "20200101", "000000", ""
    image.Rows = image.Columns = 64
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, k]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = np.zeros((64, 64), np.uint16).tobytes()
    image.save_as(folder / f"{k}.dcm", enforce_file_format=True)

masks = {name: np.zeros((64, 64, 4), bool) for name in ("square", "line", "voxel")}
masks["square"][10:20, 30:40, 1] = True
masks["line"][40, 10:50, 1] = True
masks["voxel"][55, 55, 1] = True
builder = RTStructBuilder.create_new(str(folder))
for name, mask in masks.items():
    builder.add_roi(mask=mask, name=name)
file = folder.parent / "structures.dcm"
builder.save(str(file))

areas = {}
written = pydicom.dcmread(file)
for number, (name, mask) in enumerate(masks.items()):
    (contour,) = written.ROIContourSequence[number].ContourSequence
    x, y, _ = np.array(contour.ContourData, float).reshape(-1, 3).T
    areas[name] = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    again = RTStructBuilder.create_from(str(folder), str(file)).get_roi_mask_by_name(name)
    print(f"{name}: {mask.sum()} voxels of 1 mm2, contour of {areas[name]:g} mm2, read back by rt-utils {again.sum()} voxels")
    assert np.array_equal(again, mask), "rt-utils no longer reads back what it wrote"
assert areas == {"square": 81, "line": 0, "voxel": 0}, f"contours are now drawn otherwise: {areas}"
PY
echo "As described."
