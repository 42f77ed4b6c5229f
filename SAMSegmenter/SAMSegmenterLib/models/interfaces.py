"""The interfaces of loaded models of all families: models that propagate, slice models, and proposers.

All arrays are of a slice: `pixels` uint8 ``(rows, columns)`` or ``(rows, columns, 3)``, positions ``(x, y)`` with pixel
centres at integers. Each model scales and places them as it was trained; see `families.normalisers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from .sam2_package import SAM2Base


@dataclass(frozen=True)
class Model:
    """A model that propagates: its network, and what is needed to feed it.

    Attributes:
        network: in evaluation mode, float32, without gradients, on the CPU, built for `native_size`.
        id: the model's id, or the file's name if the file is not a published one.
        title: what the user reads.
        sha256: that of the file.
        path: the file that was read.
        native_size: side in pixels of the square input with which it was trained.
        sizes: sides in pixels at which it may run, ascending.
        mean: of the red, green and blue channels in [0, 1], subtracted from the input.
        std: of the same channels, by which the input is divided after that.
        why: by what its file was recognised, for the user; empty if it was chosen by its name.
    """

    network: SAM2Base
    id: str
    title: str
    sha256: str
    path: Path
    native_size: int
    sizes: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    why: str = ""


@dataclass(frozen=True, eq=False)
class Embedding:
    """The knowledge that a network has of a slice before any prompt.

    Attributes:
        features: tensors, in an order that the family defines.
        shape: rows and columns of the slice.
    """

    features: tuple[Tensor, ...]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Return the memory of the features in bytes."""
        return sum(tensor.nbytes for tensor in self.features)


@dataclass(frozen=True, eq=False)
class SliceMasks:
    """The masks that prompts may mean, one or several.

    Attributes:
        logits: ``(n, rows, columns)`` float32; positive inside.
        qualities: ``(n,)`` float32, the intersection over union that the network expects of each, 0 to 1.
        low: ``(n, h, w)`` float32, the logits as the network gives them; each can be given to `masks` later as `mask_logits`.
    """

    logits: np.ndarray
    qualities: np.ndarray
    low: np.ndarray

    @property
    def best(self) -> int:
        """Return the index of the mask of the highest expected quality."""
        return int(self.qualities.argmax())


class SliceModel(Protocol):
    """A model that segments a slice from prompts on it.

    Attributes:
        title: what the user reads.
        size: side of its square input in pixels.
        prompts: the kinds that it takes, of "point", "box" and "mask".
        why: by what its file was recognised, for the user; empty if it was chosen by its name.
    """

    title: str
    size: int
    prompts: frozenset[str]
    why: str

    def embed(self, pixels: np.ndarray) -> Embedding:
        """Return what the network knows of a slice, uint8 ``(rows, columns[, 3])``: the slow part, done once for all prompts on it."""

    def masks(
        self,
        embedding: Embedding,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_logits: np.ndarray | None = None,
    ) -> SliceMasks:
        """Return the masks that the prompts may mean: the fast part.

        Args:
            embedding: of the slice.
            points: ``(n, 2)`` slice pixels.
            labels: ``(n,)`` 1 inside, 0 outside.
            box: ``(4,)`` slice pixels: left, top, right, bottom.
            mask_logits: ``(h, w)`` of a mask to be corrected: one of `SliceMasks.low`, or from `mask_logits`.

        Raises:
            InputError: there are no prompts, or some of a kind that this model does not take.
        """

    def mask_logits(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask, bool ``(rows, columns)``, in the form in which `masks` takes it."""


class Proposer(Protocol):
    """A model that finds what it was trained for, without prompts.

    Attributes:
        title, why: as those of a `SliceModel`.
        size: side of its square input in pixels.
    """

    title: str
    size: int
    why: str

    def propose(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits ``(rows, columns)`` float32 of a slice; positive inside."""
