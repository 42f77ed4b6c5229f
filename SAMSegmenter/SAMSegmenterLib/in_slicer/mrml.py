"""Converts between Slicer's objects and the library's: images, slice views, transforms.

Everything here belongs to the main thread. "Local" coordinates are RAS of the segmentation node, before its parent transform: those
of all images that the Segment Editor hands to an effect.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from ..errors import InputError
from ..image.stack import AXES, FrameStack
from ..image.volume import Volume
from ..image.window import Window

PHOTOMETRIC, ASKED = "0028,0004", 10  # the tag; the most images of a series to look at, since the database may have to open their files
PARALLEL = np.cos(np.radians(1.0))  # a view that is tilted less out of the slices shows one of them
FINEST = 200  # voxels of an oblique grid for each of the image's; of an ordinary image in any direction it is less than half as many


def matrix_of(vtk_matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """Return a matrix as a float64 array ``(4, 4)``."""
    return np.array([[vtk_matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix_of(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """Return an array ``(4, 4)`` as a VTK matrix."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, float).reshape(-1).tolist())
    return result


# ---------------------------------------------------------------- images


def array_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return an image's voxels ``(k, j, i)``, shared: writing to them writes to the image."""
    i, j, k = image.GetDimensions()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    return voxels.reshape(k, j, i, -1)[..., 0] if voxels.ndim > 1 else voxels.reshape(k, j, i)


def ijk_to_ras_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return the matrix ``(4, 4)`` from indices of `array_of` to the image's coordinates; its extent may begin anywhere."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = image.GetExtent()[::2]
    return matrix_of(matrix) @ first


def volume_of(image: slicer.vtkOrientedImageData, name: str) -> Volume:
    """Return an image as a volume that shares its voxels.

    Raises:
        InputError: voxels that are NaN or infinite, or an unusable geometry.
    """
    return Volume(array_of(image), ijk_to_ras_of(image), name)


def new_image(shape_kji: tuple[int, int, int], ijk_to_ras: np.ndarray, dtype: type = np.uint8) -> slicer.vtkOrientedImageData:
    """Return an image of zeros on a grid, with the matrix `ijk_to_ras` ``(4, 4)``."""
    k, j, i = shape_kji
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(i, j, k)
    image.AllocateScalars(get_vtk_array_type(dtype), 1)
    image.GetPointData().GetScalars().Fill(0)
    image.SetImageToWorldMatrix(vtk_matrix_of(ijk_to_ras))
    return image


def resampled(
    image: slicer.vtkOrientedImageData, like: slicer.vtkOrientedImageData, outside: float, linear: bool = True
) -> slicer.vtkOrientedImageData:
    """Return `image` on the voxels of `like`, interpolated linearly or from the nearest voxel; `outside` is the value beyond it."""
    result = slicer.vtkOrientedImageData()
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    resample(image, like, result, linear, False, None, outside)
    return result


def mask_like(mask: np.ndarray, ijk_to_ras: np.ndarray, like: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return a bool mask ``(k, j, i)`` of one grid on the voxels of `like`; unchanged where the grids are the same."""
    same_place = np.allclose(ijk_to_ras, ijk_to_ras_of(like), atol=1e-6)
    if same_place and mask.shape == tuple(like.GetDimensions()[::-1]):
        return mask
    image = new_image(mask.shape, ijk_to_ras)
    array_of(image)[:] = mask * np.uint8(255)
    return array_of(resampled(image, like, outside=0)) > 127


def mask_of(labelmap: slicer.vtkOrientedImageData | None, like: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return a binary labelmap, which may be empty or missing, on the voxels of `like`: bool ``(k, j, i)``."""
    if labelmap is None or labelmap.GetNumberOfPoints() == 0 or not labelmap.GetPointData().GetScalars():
        return np.zeros(like.GetDimensions()[::-1], bool)
    return mask_like(array_of(labelmap) > 0, ijk_to_ras_of(labelmap), like)


def indices_between(inner: np.ndarray, outer: np.ndarray) -> np.ndarray | None:
    """Return where the first voxel of one grid lies in another one of the same steps, as whole ``(i, j, k)``; None if they do not match."""
    between = np.linalg.inv(outer) @ inner
    offset = np.rint(between[:3, 3])
    expected = np.eye(4)
    expected[:3, 3] = offset
    return offset.astype(int) if np.allclose(between, expected, atol=1e-4) else None


def labels_like(labelmap: slicer.vtkOrientedImageData, like: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return a copy of the labels ``(k, j, i)`` of a labelmap, which is not empty, on the voxels of `like`; 0 beyond it."""
    shape = tuple(like.GetDimensions()[::-1])
    offset = indices_between(ijk_to_ras_of(labelmap), ijk_to_ras_of(like))
    if offset is None:
        return array_of(resampled(labelmap, like, outside=0, linear=False)).copy()
    voxels = array_of(labelmap)
    labels = np.zeros(shape, voxels.dtype)
    there, here = overlap(voxels.shape, tuple(slice(-at, n - at) for at, n in zip(offset[::-1], shape, strict=True)))
    labels[here] = voxels[there]
    return labels


def overlap(shape: tuple[int, ...], box: tuple[slice, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return what an array of a shape and a box share, which may reach beyond it: as slices of the array, and of the box."""
    ends = [(max(each.start, 0), max(min(each.stop, size), 0)) for each, size in zip(box, shape, strict=True)]
    there = tuple(slice(low, max(low, high)) for low, high in ends)
    here = tuple(slice(each.start - wanted.start, each.stop - wanted.start) for each, wanted in zip(there, box, strict=True))
    return there, here


def labelmap_in_box(labelmap: slicer.vtkOrientedImageData | None, label: int, like: slicer.vtkOrientedImageData, box: tuple) -> np.ndarray:
    """Return where a labelmap, which may be empty or missing, has a label, within a box ``(k, j, i)`` of the voxels of `like`: bool.

    Only the box is looked at, where the labelmap lies on the same grid.
    """
    shape = tuple(each.stop - each.start for each in box)
    if labelmap is None or labelmap.GetNumberOfPoints() == 0 or not labelmap.GetPointData().GetScalars():
        return np.zeros(shape, bool)
    offset = indices_between(ijk_to_ras_of(labelmap), ijk_to_ras_of(like))
    if offset is None:
        return mask_like(array_of(labelmap) == label, ijk_to_ras_of(labelmap), like)[box]
    voxels, inside = array_of(labelmap), np.zeros(shape, bool)
    there, here = overlap(voxels.shape, tuple(slice(each.start - at, each.stop - at) for each, at in zip(box, offset[::-1], strict=True)))
    if all(each.start < each.stop for each in there):
        inside[here] = voxels[there] == label
    return inside


def box_image(voxels: np.ndarray, box: tuple, like: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return bool voxels of a box ``(k, j, i)`` of the grid of `like` as an image that is no larger than that."""
    first = like.GetExtent()[::2]
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    ends = [(first[n] + box[2 - n].start, first[n] + box[2 - n].stop - 1) for n in range(3)]
    image.SetExtent(*(int(end) for pair in ends for end in pair))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    like.GetImageToWorldMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    array_of(image)[:] = voxels
    return image


def oblique_grid(image: slicer.vtkOrientedImageData, view_to_local: np.ndarray) -> np.ndarray:
    """Return the matrix ``(4, 4)`` to local RAS of a grid whose slices lie in a view's plane, beginning at the edge of `image`.

    Args:
        view_to_local: 4x4; its first two columns run along the view's axes, the third across it.

    Returns:
        The matrix; its slices run along the third axis, at the image's own distances.
    """
    directions = view_to_local[:3, :3] / np.linalg.norm(view_to_local[:3, :3], axis=0)
    steps = ijk_to_ras_of(image)[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    across = int(np.abs(directions[:, 2] @ (steps / lengths)).argmax())
    in_plane = min(lengths[n] for n in range(3) if n != across)
    spacing = np.array([in_plane, in_plane, lengths[across]])
    corners = _corners(image) @ directions
    matrix = np.eye(4)
    matrix[:3, :3] = directions * spacing
    # through a voxel of the view's own plane, so that the slices are the ones that the view shows
    origin = view_to_local[:3, 3] @ directions
    first = origin + np.ceil((corners.min(0) - origin) / spacing) * spacing
    matrix[:3, 3] = directions @ first
    return matrix


def image_on_grid(image: slicer.vtkOrientedImageData, grid: np.ndarray) -> slicer.vtkOrientedImageData:
    """Return `image` resampled to the voxels of an oblique grid, ``(4, 4)``, as far as it reaches.

    Raises:
        InputError: the grid, which may have been saved with another image, is far finer than the image.
    """
    inside = (np.linalg.inv(grid) @ np.c_[_corners(image), np.ones(8)].T)[:3].max(1)
    counts = np.maximum(np.floor(inside) + 1, 2)
    if not counts.prod() <= FINEST * image.GetNumberOfPoints():
        raise InputError(_("The prompts lie on slices of another image. Remove them to begin anew."))
    i, j, k = counts.astype(int)
    return resampled(image, new_image((k, j, i), grid), outside=image.GetScalarRange()[0])


def _corners(image: slicer.vtkOrientedImageData) -> np.ndarray:
    last = np.array(image.GetDimensions()) - 1
    ends = np.array(np.meshgrid(*[(0, n) for n in last])).reshape(3, -1)
    return (ijk_to_ras_of(image) @ np.vstack([ends, np.ones(8)]))[:3].T


def content_of(volume_node: slicer.vtkMRMLVolumeNode) -> tuple:
    """Return a value that changes when the node's voxels, or their place in it, do.

    The node's own time of modification would not do: it also changes when the node is renamed, displayed or saved.
    """
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return volume_node.GetImageData().GetMTime(), *matrix_of(matrix).flat


def inverted_by_slicer(volume_node: slicer.vtkMRMLVolumeNode | None) -> str:
    """Return a sentence if Slicer has loaded a volume with inverted values, as ITK does with MONOCHROME1; empty if not known.

    DICOM means such images to be shown inverted only (PS3.3 C.7.6.3.1.2). What their tags say is asked of the DICOM database.
    """
    uids = ((volume_node and volume_node.GetAttribute("DICOM.instanceUIDs")) or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not database or not any("MONOCHROME1" in database.instanceValue(uid, PHOTOMETRIC) for uid in uids[:: -(-len(uids) // ASKED) or 1]):
        return ""
    return _("This volume is stored as MONOCHROME1, and 3D Slicer has loaded it with inverted values: HU and CT windows do not fit it.")


def display_window(volume_node: slicer.vtkMRMLVolumeNode) -> Window | None:
    """Return the window that a volume is shown with; None if it has none."""
    display = volume_node.GetDisplayNode() if volume_node else None
    if not display or not hasattr(display, "GetWindow") or display.GetWindow() <= 0:
        return None
    return Window.from_level(display.GetLevel(), display.GetWindow())


# ---------------------------------------------------------------- views


def transform_to_world(node: slicer.vtkMRMLTransformableNode) -> vtk.vtkGeneralTransform:
    """Return the transform from a node's own coordinates to the world's; it may be non-linear."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, transform)
    return transform


def world_to_local(world: np.ndarray, node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Return world RAS positions ``(n, 3)`` in a node's own coordinates."""
    return transformed(world, transform_to_world(node).GetInverse())


def transformed(positions: np.ndarray, transform: vtk.vtkAbstractTransform) -> np.ndarray:
    """Return positions ``(n, 3)`` after a transform."""
    return np.array([transform.TransformPoint(*map(float, each)) for each in positions], float).reshape(-1, 3)


def moves_between(node: slicer.vtkMRMLTransformableNode, other: slicer.vtkMRMLTransformableNode) -> tuple:
    """Return a value that changes when two nodes are moved against each other; what moves both of them does not count."""
    if node.GetParentTransformNode() is other.GetParentTransformNode():
        return ()
    return _moves(node), _moves(other)


def _moves(node: slicer.vtkMRMLTransformableNode) -> tuple:
    """Return the transforms above a node, and when their effect last changed."""
    parent = node.GetParentTransformNode()
    return ((parent.GetID(), parent.GetTransformToWorldMTime()), *_moves(parent)) if parent else ()


class ViewGeometry:
    """The place of a slice view in the segmentation.

    Args:
        slice_node: of the view.
        segmentation_node: whose local coordinates are used.
        density: how many of its pixels, along a side, make one of an ordinary screen.

    Attributes:
        centre: of the view, in its pixels.
        to_local: 4x4, from the view's pixels ``(x, y, 0)`` to local RAS in mm; an approximation around the view's centre where the
            segmentation's transform is not linear.
    """

    def __init__(
        self, slice_node: slicer.vtkMRMLSliceNode, segmentation_node: slicer.vtkMRMLSegmentationNode, density: float = 1.0
    ) -> None:
        self.density = density
        self._xy_to_world = matrix_of(slice_node.GetXYToRAS())
        self._to_world = transform_to_world(segmentation_node)
        self._from_world = self._to_world.GetInverse()
        self.centre = centre = np.array(slice_node.GetDimensions()[:2]) / 2
        places = self.local(centre + np.array([(0, 0), (1, 0), (0, 1)]))
        across = self._from_xyz(np.array([[*centre, 1]]))[0]
        self.to_local = np.eye(4)
        self.to_local[:3, :3] = np.stack([places[1] - places[0], places[2] - places[0], across - places[0]], 1)
        self.to_local[:3, 3] = places[0] - self.to_local[:3, :2] @ centre

    def local(self, xy: np.ndarray) -> np.ndarray:
        """Return the local RAS ``(n, 3)`` of pixels ``(n, 2)`` of the view."""
        xy = np.asarray(xy, float).reshape(-1, 2)
        return self._from_xyz(np.c_[xy, np.zeros(len(xy))])

    def xyz(self, local: np.ndarray) -> np.ndarray:
        """Return local positions as pixels of the view and the distance from it in its own slices, ``(n, 3)``."""
        world = transformed(np.asarray(local, float).reshape(-1, 3), self._to_world)
        return (np.linalg.inv(self._xy_to_world) @ np.c_[world, np.ones(len(world))].T)[:3].T

    def world(self, local: np.ndarray) -> np.ndarray:
        """Return the world RAS ``(n, 3)`` of local positions."""
        return transformed(np.asarray(local, float).reshape(-1, 3), self._to_world)

    def distance_mm(self, local: np.ndarray) -> np.ndarray:
        """Return how far, in mm, local positions ``(n, 3)`` lie from the view's plane."""
        normal = np.cross(self.to_local[:3, 0], self.to_local[:3, 1])
        return np.abs((np.asarray(local).reshape(-1, 3) - self.to_local[:3, 3]) @ (normal / np.linalg.norm(normal)))

    def parallel_axis(self, ijk_to_ras: np.ndarray) -> str | None:
        """Return the axis of a grid, with the matrix ``(4, 4)``, whose slices this view shows; None for an oblique view."""
        steps = ijk_to_ras[:3, :3]
        for axis in range(3):
            others = [steps[:, n] for n in range(3) if n != axis]
            normal = np.cross(others[0], others[1])
            seen = np.cross(self.to_local[:3, 0], self.to_local[:3, 1])
            if abs(normal @ seen) >= PARALLEL * np.linalg.norm(normal) * np.linalg.norm(seen):
                return AXES[axis]
        return None

    def slice_of(self, stack: FrameStack) -> int:
        """Return the index of the slice of `stack` nearest to the view's centre; it may lie outside the stack."""
        place, _ = stack.from_ras(self.local(self.centre)[0])
        return int(np.rint(place))

    def _from_xyz(self, xyz: np.ndarray) -> np.ndarray:
        xyz = np.asarray(xyz, float).reshape(-1, 3)
        world = (self._xy_to_world @ np.c_[xyz, np.ones(len(xyz))].T)[:3].T
        return transformed(world, self._from_world)
