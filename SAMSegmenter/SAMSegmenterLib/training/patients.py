"""Uses images of patients, with outlines by experts, as a further source: real slices, turned, stretched and warped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import memory_for
from ..evaluation.cases import find_cases
from ..image.volume import Volume
from ..image.window import automatic_window
from .labelmaps import MIDDLES, middles, numbered
from .random_fields import log_uniform
from .scenes import Seen
from .squares import Slices
from .stock import Cuts, Stock

PART = 0.35, 1.0  # half the side of a cut, in half edges of the image
WHITE = 255.0


def read_patients(folder: Path, device: torch.device) -> Patients:
    """Read all images of a folder that have labels, as `evaluate` finds them.

    Raises:
        InputError: there is none, or one cannot be read: names it.
        OutOfMemory: they are too large.
    """
    with memory_for(str(folder), "Use fewer images, or smaller ones."):
        loaded = [case.load() for case in find_cases(folder)]
        return Patients([(stack.volume, labels) for stack, labels, _ in loaded], device)


class Patients:
    """Images on a device, each with the labels ``(k, j, i)`` of its objects, 0 outside."""

    def __init__(self, cases: Sequence[tuple[Volume, np.ndarray]], device: torch.device) -> None:
        spacings_mm = [volume.spacing_mm for volume, _ in cases]
        self.greys = Stock([automatic_window(volume).apply(volume.voxels) for volume, _ in cases], spacings_mm, device)
        parts = [numbered(labels, volume.name) for volume, labels in cases]
        self.objects = Stock([voxels for _, voxels in parts], spacings_mm, device)
        self.labels = 1 + max(len(values) for values, _ in parts)
        self.middles_mm = torch.stack([middles(voxels) for _, voxels in parts]).to(device) * self.objects.spacing_mm[:, None]

    def scenes(self, slices: Slices) -> PatientScenes:
        """Return random scenes for `slices`."""
        return PatientScenes(self, slices)


class PatientScenes:
    """Cuts of images; an object lies in the middle of the first slice. Most slices lie as they were taken, but for a small turn."""

    rows = tissues = None

    def __init__(self, source: Patients, slices: Slices) -> None:
        count, device = slices.count, slices.device
        which = torch.randint(len(source.middles_mm), (count,), device=device)
        middles_mm = source.middles_mm[which, torch.randint(MIDDLES, (count,), device=device)]
        half_mm = source.objects.half_mm[which] * log_uniform((count, 1), *PART, device)
        self._source, self.labels = source, source.labels
        self._cuts = Cuts(which, middles_mm, slices.focus, half_mm, slices.turn)

    @property
    def half_mm(self) -> Tensor:
        """Return the length of a half side of each scene, ``(V, 1)`` in mm."""
        return self._cuts.half_mm

    def look(self, positions: Tensor) -> Seen:
        """Return what is at positions ``(V, N, 3)``."""
        places_mm = self._cuts.places_mm(positions)
        labels, _ = self._source.objects.nearest(self._cuts.which, places_mm)
        greys = self._source.greys.linear(self._cuts.which, places_mm) / WHITE
        return Seen(labels.long(), torch.zeros(len(labels), 4, 1, device=labels.device), torch.zeros_like(labels, dtype=torch.bool), greys)
