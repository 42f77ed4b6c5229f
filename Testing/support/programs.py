"""How other programs write volumes, and where they place those that they read."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pydicom
import SimpleITK as sitk
import slicer
import vtk

from SAMSegmenterLib.image.volume import RAS_TO_LPS
from support.dicom_slices import slice_at
from support.images import image_of
from support.nifti_files import store

NIFTI = (".nii.gz",)
NRRD = (".nrrd", ".seg.nrrd")


def write_by_simpleitk(path, voxels, matrix):
    sitk.WriteImage(image_of(voxels, matrix), str(path))


def write_by_pynrrd(path, voxels, matrix):
    lps = RAS_TO_LPS @ matrix
    space = {"space": "left-posterior-superior", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]}
    nrrd.write(str(path), voxels.T, space)


def write_by_slicer(path, voxels, matrix):
    from vtk.util.numpy_support import numpy_to_vtk

    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    place = vtk.vtkMatrix4x4()
    place.DeepCopy(matrix.ravel().tolist())
    node, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(place)
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def write_by_pydicom(path, voxels, matrix):
    lps = RAS_TO_LPS @ matrix
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    cosines = (lps[:3, :2] / spacing[:2]).T.ravel()
    path.mkdir()
    for k, pixels in enumerate(voxels):
        image = slice_at((0, 0, k), size=pixels.shape[::-1], InstanceNumber=k + 1)
        image.ImagePositionPatient = [f"{x:.10g}" for x in lps[:3, 2] * k + lps[:3, 3]]
        image.ImageOrientationPatient = [f"{x:.10f}" for x in cosines]
        image.PixelSpacing = [f"{x:.10g}" for x in spacing[1::-1]]
        image.PixelData = (pixels + 1000).astype(np.uint16).tobytes()
        image.save_as(path / f"{k:03}.dcm", enforce_file_format=True)


def write_by_nibabel(path, voxels, header):
    store(path, header, voxels)


def place_by_nibabel(path):
    return nib.load(path).affine if path.name.endswith(NIFTI) else None


def place_by_simpleitk(path):
    if path.is_dir():
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))
    else:
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        image = sitk.ImageFileReader()
        image.SetFileName(str(path))
        try:
            image.ReadImageInformation()
        except RuntimeError:
            return None
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return RAS_TO_LPS @ lps


def place_by_pynrrd(path):
    if not path.name.endswith(NRRD):
        return None
    header = nrrd.read_header(str(path))
    assert header["space"] == "left-posterior-superior"
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = header["space directions"].T, header["space origin"]
    return RAS_TO_LPS @ lps


def place_by_slicer(path):
    matrix = vtk.vtkMatrix4x4()
    if path.name.endswith(".seg.nrrd"):
        node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
        scene = slicer.vtkMRMLScene()
        scene.AddNode(node)
        storage.SetFileName(str(path))
        assert storage.ReadData(node)
        labels = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
        labels.GetImageToWorldMatrix(matrix)
    else:
        node, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(min(path.iterdir()) if path.is_dir() else path))
        storage.SetSingleFile(not path.is_dir())
        if not storage.ReadData(node):
            return None
        node.GetIJKToRASMatrix(matrix)
    return np.reshape([matrix.GetElement(row, column) for row in range(4) for column in range(4)], (4, 4))


def place_by_pydicom(path: Path):
    if not path.is_dir():
        return None
    images = sorted(map(pydicom.dcmread, path.iterdir()), key=lambda image: image.InstanceNumber)
    lps, cosines = np.eye(4), np.reshape(images[0].ImageOrientationPatient, (2, 3)).astype(float)
    first, last = (np.array(images[n].ImagePositionPatient, float) for n in (0, -1))
    lps[:3, :3] = np.stack([*(cosines * np.array(images[0].PixelSpacing, float)[::-1, None]), (last - first) / (len(images) - 1)], axis=1)
    lps[:3, 3] = first
    return RAS_TO_LPS @ lps


READERS = {
    "nibabel": place_by_nibabel,
    "SimpleITK": place_by_simpleitk,
    "slicer-core": place_by_slicer,
    "pynrrd": place_by_pynrrd,
    "pydicom": place_by_pydicom,
}
