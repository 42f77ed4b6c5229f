"""The common parts of the slice models of all families: prompts in, masks out, around an encoder and a decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ..interfaces import Embedding, SliceMasks
from .normalisers import Normaliser

Candidates = Literal["ambiguous", "always", "never"]


@dataclass(frozen=True)
class Asked:
    """Prompts on an input, as a decoder takes them; at least one of the first three is given.

    Attributes:
        clicks: input pixels ``(1, n, 2)`` and kinds ``(1, n)``, 1 inside and 0 outside.
        corners: ``(1, 2, 2)`` input pixels of a box.
        prior: ``(1, 1, h, w)`` logits of a mask to be corrected.
        several: whether to answer with several masks.
    """

    clicks: tuple[Tensor, Tensor] | None
    corners: Tensor | None
    prior: Tensor | None
    several: bool


class Promptable(ABC):
    """A `SliceModel` of a network; subclasses say how the network encodes and decodes.

    Args:
        network: in evaluation mode, on the device where it is to run.
        normaliser: how it wants its input.
        prompts: the kinds with which it was trained, of "point", "box" and "mask".
        candidates: when to answer with several masks: to a lone point, which may mean a part or the whole; always; or never.

    Attributes:
        title: what the user reads.
        why: by what its file was recognised, for the user; empty if it was chosen by its name.
    """

    title, why = "the model", ""

    def __init__(
        self,
        network: Any,
        normaliser: Normaliser,
        prompts: frozenset[str] = frozenset({"point", "box", "mask"}),
        candidates: Candidates = "ambiguous",
    ) -> None:
        self.network, self.normaliser, self.prompts, self.candidates = network, normaliser, prompts, candidates
        self.size = normaliser.size
        with torch.inference_mode():
            self._position = self._dense_position()

    @property
    def device(self) -> torch.device:
        """Return the device on which the network runs."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def embed(self, pixels: np.ndarray) -> Embedding:
        """Return what the network knows of a slice; see `interfaces.SliceModel.embed`."""
        return Embedding(self._encode(self.normaliser.image(pixels).to(self.device)), pixels.shape[:2])

    @torch.inference_mode()
    def masks(
        self,
        embedding: Embedding,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_logits: np.ndarray | None = None,
    ) -> SliceMasks:
        """Return the masks that prompts may mean; see `interfaces.SliceModel.masks`."""
        points = None if points is None or not len(points) else points
        self._check({"point": points, "box": box, "mask": mask_logits})
        clicks = None
        if points is not None:
            kinds = torch.as_tensor(labels, dtype=torch.int32, device=self.device)[None]
            clicks = self._placed(points, embedding.shape), kinds
        corners = None if box is None else self._placed(np.reshape(box, (2, 2)), embedding.shape)
        prior = None if mask_logits is None else torch.as_tensor(mask_logits, dtype=torch.float32, device=self.device)[None, None]
        lone = points is not None and len(points) == 1 and box is None and prior is None
        several = self.candidates == "always" or (self.candidates == "ambiguous" and lone)
        low, qualities = self._decode(embedding.features, Asked(clicks, corners, prior, several))
        low = low[0].float()
        logits = self.normaliser.to_slice(low, embedding.shape)
        return SliceMasks(logits.cpu().numpy(), qualities[0].float().cpu().numpy(), low.cpu().numpy())

    def mask_logits(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask as `masks` takes it; see `interfaces.SliceModel.mask_logits`."""
        return self.normaliser.mask_logits(mask, self.size // 4).numpy()

    def _placed(self, xy: np.ndarray, shape: tuple[int, int]) -> Tensor:
        return self.normaliser.to_input(xy, shape).to(self.device)[None]

    def _check(self, given: dict[str, np.ndarray | None]) -> None:
        kinds = {kind for kind, prompt in given.items() if prompt is not None}
        wanted = " or ".join(sorted(self.prompts))
        if not kinds:
            raise InputError(f"there are no prompts; this model takes a {wanted}.")
        if kinds - self.prompts:
            raise InputError(f"this model was not trained with a {' or '.join(sorted(kinds - self.prompts))}; give a {wanted} instead.")

    @abstractmethod
    def _dense_position(self) -> Tensor:
        """Return the places of an input's features, embedded as the decoder takes them."""

    @abstractmethod
    def _encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the features of an input ``(1, 3, size, size)``."""

    @abstractmethod
    def _decode(self, features: tuple[Tensor, ...], asked: Asked) -> tuple[Tensor, Tensor]:
        """Return logits ``(1, n, h, w)`` and expected qualities ``(1, n)`` for `features` from `_encode`."""
