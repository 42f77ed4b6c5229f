"""The parts of an object that do not touch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from ..image.extent import Cutout


def parts(cutout: Cutout) -> Iterator[Cutout]:
    """Yield the parts of an object that do not touch, the largest first.

    Voxels touch if they share a face, an edge or a corner. A part may be a single voxel: joined to another one it would spoil that one's
    diameters, and left out it would be lost.
    """
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(cutout.voxels.view(np.uint8)), True)  # fully connected
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(components)
    labels = sitk.GetArrayViewFromImage(components)
    for label in sorted(shapes.GetLabels(), key=lambda label: (-shapes.GetNumberOfPixels(label), label)):
        i, j, k, *size = shapes.GetBoundingBox(label)
        box = tuple(slice(begin, begin + length) for begin, length in zip((k, j, i), size[::-1], strict=True))
        first = (cutout.first[0] + k, cutout.first[1] + j, cutout.first[2] + i)
        yield Cutout(labels[box] == label, first)
