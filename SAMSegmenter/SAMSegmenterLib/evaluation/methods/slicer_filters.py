"""The filters behind two effects of 3D Slicer's Segment Editor, as functions of numpy arrays.

They come with PyPI's `slicer-core`, which is imported when first needed; this is the only file of the library that knows it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SAMSegmenterError

if TYPE_CHECKING:
    from vtkmodules.vtkCommonDataModel import vtkImageData


def fill_between_slices(painted: np.ndarray) -> np.ndarray:
    """Interpolate by morphological contours, as "Fill between slices" does.

    Args:
        painted: bool ``(slices, rows, columns)``, empty between the slices that are painted.

    Returns:
        The same with the slices between the painted ones filled.

    Raises:
        SAMSegmenterError: slicer-core is not installed.
    """
    interpolator = _slicer().vtkITKMorphologicalContourInterpolator()
    interpolator.SetAxis(2)  # the slowest one, which is numpy's first
    interpolator.SetInputData(_to_image(painted.astype(np.uint8), (1, 1, 1)))
    interpolator.Update()
    return _to_array(interpolator.GetOutput()) > 0


def grow_from_seeds(intensities: np.ndarray, seeds: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Grow seeds by fast grow-cut, as "Grow from seeds" does with its default seed locality of 0.

    Args:
        intensities: ``(slices, rows, columns)``.
        seeds: uint8 of the same shape, 0 where the filter decides.
        spacing_mm: between slices, rows and columns.

    Returns:
        uint8 of the same shape: for every voxel the label of the seed it belongs to.

    Raises:
        SAMSegmenterError: slicer-core is not installed.
    """
    grow = _slicer().vtkImageGrowCutSegment()
    # the filter does not grow out of the outermost voxels, so they get another layer around them
    grow.SetIntensityVolume(_to_image(np.pad(intensities.astype(np.float32), 1, "edge"), spacing_mm))
    grow.SetSeedLabelVolume(_to_image(np.pad(seeds, 1), spacing_mm))
    grow.Update()
    return _to_array(grow.GetOutput())[1:-1, 1:-1, 1:-1].astype(np.uint8)


def _slicer() -> ModuleType:
    # Slicer's ITK keeps filters for each thread of its pool, which crash when they are destroyed with the pool as Python ends;
    # threads of the platform's own end with the filter that started them.
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_THREADER", "Platform")
    try:
        import slicer
    except ImportError as error:
        raise SAMSegmenterError(
            'this baseline is a filter of 3D Slicer: install it with  pip install "slicer-core==5.11.*"  or leave the baseline out.'
        ) from error
    return slicer


def _to_image(array: np.ndarray, spacing_mm: Sequence[float]) -> vtkImageData:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(array.shape[::-1])
    image.SetSpacing(*spacing_mm[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    return image


def _to_array(image: vtkImageData) -> np.ndarray:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).copy()
