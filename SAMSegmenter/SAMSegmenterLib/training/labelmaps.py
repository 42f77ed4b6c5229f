"""Uses real label maps as a further source of anatomy: their shapes are kept, their intensities made up (SynthSeg's idea).

Billot et al., SynthSeg, Medical Image Analysis 2023: a network trained on intensities drawn at random for every label
learns not to depend on the scanner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError, memory_for
from ..image.extent import box_around
from ..image.volume import Volume
from ..imageio import read_labelmap
from .random_fields import SmoothField, rotations, uniform
from .scenes import Seen

SIDE = 128  # voxels along each edge of the cube that a label map is kept in
MOST_LABELS = torch.iinfo(torch.int16).max  # cubes are stored as int16
SUFFIXES = ".nii", ".nii.gz", ".nrrd", ".mha"
MOST_IN_ONE = 2000  # labels of a map; the finest atlases have half as many
FEW = 32  # values; images have more than that
LEAST_ALIKE = 0.5  # of neighbours within the objects of a map; in an image, noise makes nearly all of them differ
AXES = torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]])


def read_labelmaps(folder: Path, device: torch.device) -> Labelmaps:
    """Read all label maps of a folder.

    Raises:
        InputError: there is no such folder, or no label map in it; or a file cannot be read, or is an image: names it.
        OutOfMemory: they are too large.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    files = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith("."))
    if not files:
        raise InputError(f"{folder}: no label maps ({', '.join(SUFFIXES)}) in this folder.")
    with memory_for(str(folder), "Use fewer label maps, or smaller ones."):
        return Labelmaps([_read(path) for path in files], device)


def _read(path: Path) -> Volume:
    volume = read_labelmap(path)
    values, pairs, alike = set(), 0, 0
    for labels in volume.voxels:
        values.update(np.unique(labels).tolist())
        filled = (labels[:, 1:] != 0) | (labels[:, :-1] != 0)
        pairs += np.count_nonzero(filled)
        alike += np.count_nonzero(filled & (labels[:, 1:] == labels[:, :-1]))
    if len(values) > MOST_IN_ONE:
        raise _image(path, f"it has {len(values)} different values")
    if len(values) > FEW and alike < LEAST_ALIKE * pairs:
        raise _image(path, f"of its {len(values)} values, {100 - 100 * alike / pairs:.0f} % change from a voxel to the next")
    return volume


def _image(path: Path, why: str) -> InputError:
    return InputError(f"{path}: this looks like an image, not like a label map: {why}. Give segmentations, one whole number a structure.")


class Labelmaps:
    """Label maps on a device, their labels numbered from 1; 0 is outside.

    Args:
        volumes: of label values, any integers, 0 outside.

    Raises:
        InputError: there are more labels than `MOST_LABELS`.
    """

    def __init__(self, volumes: Sequence[Volume], device: torch.device) -> None:
        values = sorted({int(value) for volume in volumes for value in np.unique(volume.voxels)} - {0})
        if len(values) > MOST_LABELS:
            raise InputError(f"the label maps have {len(values)} different labels; use maps with at most {MOST_LABELS} in all.")
        self.labels = len(values) + 1  # one more than there are, as scenes have it for fat
        self.cubes = torch.stack([_cube(_numbered(volume.voxels, values), volume.spacing_mm[::-1]) for volume in volumes]).to(device)

    def scenes(self, count: int) -> LabelmapScenes:
        """Return `count` random scenes."""
        return LabelmapScenes(self, count)


class LabelmapScenes:
    """A choice of `count` label maps, each turned, scaled and warped at random within the cube -1..1."""

    rows = None

    def __init__(self, source: Labelmaps, count: int) -> None:
        device = source.cubes.device
        self.labels, self.count = source.labels, count
        self._cubes = source.cubes
        self._chosen = torch.randint(len(source.cubes), (count, 1), device=device)
        axes = torch.eye(3, device=device)[AXES.to(device)[torch.randint(3, (count,), device=device)]]
        self._turn = rotations((count,), device, 0.5) @ axes * uniform((count, 1, 1), 0.7, 1.1, device)
        self._warp, self._warp_size = SmoothField(count, 3, 6, device), uniform((count, 1, 1), 0, 0.12, device)
        self._textures = [SmoothField(count, 2, knots, device) for knots in (14, 36)]

    def look(self, positions: Tensor) -> Seen:
        """Return what is at positions ``(V, N, 3)``."""
        warped = positions @ self._turn + self._warp_size * self._warp.at(positions).transpose(1, 2)
        index = ((warped + 1) * (SIDE / 2) - 0.5).round().long()
        inside = ((index >= 0) & (index < SIDE)).all(-1)
        x, y, z = index.clamp(0, SIDE - 1).unbind(-1)
        labels = self._cubes[self._chosen, z, y, x].long() * inside
        textures = torch.cat([field.at(positions) for field in self._textures], 1)
        return Seen(labels, textures, torch.zeros_like(labels, dtype=torch.bool))


def _numbered(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    return np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int16)


def _cube(volume: np.ndarray, spacing_mm: np.ndarray) -> Tensor:
    """Return the part that is not empty, scaled to cubic voxels and to fill a cube of `SIDE` of them along its longest edge."""
    box = box_around(volume != 0)
    if box is None:
        return torch.zeros(SIDE, SIDE, SIDE, dtype=torch.int16)
    part = volume[box]
    lengths_mm = np.array(part.shape) * spacing_mm
    shape = [max(1, round(length * SIDE / lengths_mm.max())) for length in lengths_mm]
    scaled = F.interpolate(torch.from_numpy(part)[None, None].float(), shape, mode="nearest")[0, 0].to(torch.int16)
    pads = [(SIDE - length) // 2 for length in shape]
    cube = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.int16)
    cube[tuple(slice(pad, pad + length) for pad, length in zip(pads, shape, strict=True))] = scaled
    return cube
