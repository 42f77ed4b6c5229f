"""Uses real label maps as a further source of anatomy: their shapes are kept, their intensities made up (SynthSeg's idea).

Billot et al., SynthSeg, Medical Image Analysis 2023: a network trained on intensities drawn at random for every label
learns not to depend on the scanner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, memory_for
from ..evaluation.cases import read_names
from ..image.extent import box_around
from ..image.volume import Volume
from ..imageio import read_labelmap
from .random_fields import SmoothField, happens, log_uniform, uniform
from .scenes import Seen
from .squares import Slices
from .stock import Cuts, Stock
from .tissues import UNKNOWN, tissue_of

MOST_LABELS = torch.iinfo(torch.int16).max  # voxels are kept as int16
SUFFIXES = ".nii", ".nii.gz", ".nrrd", ".mha"
MOST_IN_ONE = 2000  # labels of a map; the finest atlases have half as many
FEW = 32  # values; images have more than that
LEAST_ALIKE = 0.5  # of neighbours within the objects of a map; in an image, noise makes nearly all of them differ
MIDDLES, MOST_OF_ONE = 2000, 8  # voxels of a map around which it is cut, at most so many of one structure
LOOKED_AT = 1_000_000  # voxels among which they are looked for
PART = 0.2, 0.9  # half the side of a cut, in half edges of the map
RIM = 0.01, 0.06  # thickness of the outer layer of structures, in half sides of a cut
AROUND = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5  # corners of a tetrahedron


@dataclass(frozen=True, eq=False)
class Labelmap:
    """A volume of label values, any integers, 0 outside; their names, as far as they are known; and the group of maps it belongs to.

    Maps of one group show one body, or were made in one way.
    """

    volume: Volume
    names: Mapping[int, str] = field(default_factory=dict)
    group: str = ""


def read_labelmaps(folder: Path, device: torch.device) -> Labelmaps:
    """Read all label maps of a folder and of those within it.

    Names of the labels come from a JSON file beside a map (``{"1": "liver"}``). The first word of a map's name, up to an
    underscore, tells its group.

    Raises:
        InputError: there is no such folder, or no label map in it; or a file cannot be read, or is an image: names it.
        OutOfMemory: they are too large.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    files = sorted(_files(folder))
    if not files:
        raise InputError(f"{folder}: no label maps ({', '.join(SUFFIXES)}) in this folder.")
    with memory_for(str(folder), "Use fewer label maps, or smaller ones."):
        return Labelmaps([_read_map(path) for path in files], device)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():  # unlike `rglob`, this tells of a folder that may not be read
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.name.endswith(SUFFIXES):
            yield path


def _read_map(path: Path) -> Labelmap:
    stem = path.name[: -len(next(suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(suffix)))]
    names = path.with_name(f"{stem}.json")
    return Labelmap(_read(path), read_names(names) if names.exists() else {}, f"{path.parent}/{stem.split('_')[0]}")


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
    """Label maps on a device, the labels of each numbered from 1; 0 is outside.

    Args:
        maps: with a label in them, each.

    Raises:
        InputError: there are more labels than `MOST_LABELS`.
    """

    def __init__(self, maps: Sequence[Labelmap], device: torch.device) -> None:
        parts = [numbered(_filled(each.volume.voxels), each.volume.name) for each in maps]
        self.labels = 1 + max(len(values) for values, _ in parts)  # one more than there are, as scenes have it for fat
        self.stock = Stock([voxels for _, voxels in parts], [each.volume.spacing_mm for each in maps], device)
        self.middles_mm = torch.stack([middles(voxels) for _, voxels in parts]).to(device) * self.stock.spacing_mm[:, None]
        self.tissues = torch.full((len(maps), self.labels + 1), UNKNOWN, device=device)
        for tissues, (values, _), each in zip(self.tissues, parts, maps, strict=True):
            known = [tissue_of(each.names.get(int(value), "")) for value in values]
            tissues[1 : 1 + len(known)] = torch.tensor(known, dtype=torch.long, device=device)
        members = Counter(each.group for each in maps)
        self.weights = torch.tensor([members[each.group] ** -0.5 for each in maps], device=device)  # between maps and groups

    def scenes(self, slices: Slices) -> LabelmapScenes:
        """Return random scenes for `slices`."""
        return LabelmapScenes(self, slices)


class LabelmapScenes:
    """Cuts of label maps; what is chosen of each lies in the middle of the first slice."""

    rows = None

    def __init__(self, source: Labelmaps, slices: Slices) -> None:
        count, device = slices.count, slices.device
        which = torch.multinomial(source.weights, count, replacement=True)
        middles_mm = source.middles_mm[which, torch.randint(MIDDLES, (count,), device=device)]
        half_mm = source.stock.half_mm[which] * log_uniform((count, 1), *PART, device)
        self._stock, self.labels, self.tissues = source.stock, source.labels, source.tissues[which]
        self._cuts = Cuts(which, middles_mm, slices.focus, half_mm, torch.eye(3, device=device))
        self._textures = [SmoothField(count, 2, knots, device) for knots in (14, 36)]
        self._rim_mm = half_mm * uniform((count, 1), *RIM, device) * happens((count, 1), 0.6, device)

    @property
    def half_mm(self) -> Tensor:
        """Return the length of a half side of each scene, ``(V, 1)`` in mm."""
        return self._cuts.half_mm

    def look(self, positions: Tensor) -> Seen:
        """Return what is at positions ``(V, N, 3)``."""
        places_mm = self._cuts.places_mm(positions)
        labels, _ = self._stock.nearest(self._cuts.which, places_mm)
        rims = torch.zeros_like(labels, dtype=torch.bool)
        for step in AROUND.to(positions.device):
            rims |= self._stock.nearest(self._cuts.which, places_mm + step * self._rim_mm[..., None])[0] != labels
        textures = torch.cat([field.at(positions) for field in self._textures], 1)
        return Seen(labels.long(), textures, rims & (labels > 0))


def _filled(labels: np.ndarray) -> np.ndarray:
    box = box_around(labels != 0)
    return labels[box] if box else labels


def numbered(labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values other than 0 in labels ``(k, j, i)``, and the labels numbered from 1 in their order, as int16.

    Raises:
        InputError: there are more than `MOST_LABELS`.
    """
    values = np.unique(labels)
    values = values[values != 0]
    if len(values) > MOST_LABELS:
        raise InputError(f"{name}: the label map has {len(values)} different labels; use one with at most {MOST_LABELS}.")
    return values, np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int16)


def middles(voxels: np.ndarray) -> Tensor:
    """Return `MIDDLES` places i, j, k ``(MIDDLES, 3)`` in the structures of ``(k, j, i)`` labels, in voxels, edges at integers.

    Each structure has the same number of them, or fewer where it has no more voxels.
    """
    places = np.flatnonzero(voxels)
    if not len(places):
        return torch.zeros(MIDDLES, 3)
    chance = np.random.default_rng(0)
    places = chance.permutation(chance.choice(places, min(len(places), LOOKED_AT)))
    places = places[np.argsort(voxels.flat[places], kind="stable")]
    labels = voxels.flat[places]
    few = places[np.arange(len(places)) - np.searchsorted(labels, labels) < MOST_OF_ONE]
    k, j, i = np.unravel_index(few[chance.integers(len(few), size=MIDDLES)], voxels.shape)
    return torch.from_numpy(np.stack([i, j, k], 1) + 0.5).float()
