"""The way from a model's name or file to a model that is ready to run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..packages import check_numpy
from . import catalog
from .catalog import CatalogEntry
from .detect import detect
from .families.normalisers import CHANNEL_STATISTICS
from .interfaces import Model, Proposer, SliceModel
from .storage import hashes, store
from .storage.folders import expanded
from .weights.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn


USES = {
    "propagation": "carries masks through a volume",
    "slice": "segments single slices; its masks can become keyframes",
    "proposer": "proposes masks without prompts, which can become keyframes",
}


@dataclass(frozen=True)
class RecognisedFile:
    """A model file that was read and recognised.

    Attributes:
        path: the file.
        sha256: that of the file.
        weights: by name.
        entry: how to build and feed the network; from the catalog or the user's own, with the input size of these weights.
        is_published: whether it is the very file of `entry`, rather than other weights of the same layout.
        why: by what it was recognised, for the user; empty if it was chosen by its name.
    """

    path: Path
    sha256: str
    weights: dict[str, Tensor]
    entry: CatalogEntry
    is_published: bool
    why: str

    @property
    def id(self) -> str:
        """Return the model's id, or the file's name if the file is not a published one."""
        return self.entry.id if self.is_published else self.path.name

    @property
    def title(self) -> str:
        """Return what the user reads."""
        return self.entry.title if self.is_published else f"{self.path.name} ({self.entry.title} layout)"


def load_model(id_or_path: str | Path | None = None, family: str | None = None) -> Model:
    """Return a model that propagates, by its name or from a file; without either, the one that ships with the package.

    A string that is the id of a model means that model; anything else is a file of any layout that `detect` knows, and
    `family` says which one where that cannot be told.

    Raises:
        CheckpointError: the file is not on this machine, damaged, unsafe, or of a model that is not supported or does not
            propagate.
    """
    found, network = _built(id_or_path, family, "propagation")
    mean, std = CHANNEL_STATISTICS[found.entry.normaliser]
    size, sizes = found.entry.native_size, found.entry.sizes
    return Model(network, found.id, found.title, found.sha256, found.path, size, sizes, mean, std, found.why)


def load_slice_model(id_or_path: str | Path, family: str | None = None, device: str = "cpu") -> SliceModel:
    """Return a model that segments single slices, as `load_model`, on `device`; models that propagate do that, too.

    Raises:
        CheckpointError: as `load_model`.
    """
    found, network = _built(id_or_path, family, "slice", "propagation")
    model = _family(found.entry).slice_model(network.to(device), found.entry.native_size, found.entry.normaliser)
    model.title, model.why = found.title, found.why
    return model


def load_proposer(id_or_path: str | Path, family: str | None = None, device: str = "cpu") -> Proposer:
    """Return a model that proposes masks without prompts, as `load_model`, on `device`.

    Raises:
        CheckpointError: as `load_model`.
    """
    found, network = _built(id_or_path, family, "proposer")
    model = _family(found.entry).proposer(network.to(device), found.entry.native_size, found.entry.normaliser)
    model.title, model.why = found.title, found.why
    return model


def find(id_or_path: str | Path | None, family: str | None = None) -> RecognisedFile:
    """Return the file of a model by its name or path, read and recognised; see `load_model`.

    Raises:
        CheckpointError: as `load_model`.
    """
    chosen = catalog.default_id() if id_or_path is None else id_or_path
    entry = _known(chosen) if isinstance(chosen, str) else None
    if entry:
        path = store.locate(entry)
        weights = read_checkpoint(path).weights
        return RecognisedFile(path, hashes.check(entry, path), weights, entry, True, "")
    path = expanded(chosen)
    if not os.path.exists(path):  # unlike Path.exists, it does not raise for a forbidden folder
        advice = catalog.advice(str(chosen), [entry.id for entry in store.entries()])
        raise CheckpointError(f"{chosen}: there is no such model file, and no model of that name. {advice}")
    return read(path, family)


def read(path: Path, family: str | None = None) -> RecognisedFile:
    """Return a file, read and recognised by its hash or else by its weights; see `detect.detect`.

    Raises:
        CheckpointError: it is damaged or unsafe, or of no model that is supported.
    """
    checkpoint = read_checkpoint(path)
    sha256 = hashes.file_sha256(path)
    published = next((entry for entry in catalog.entries() if hashes.expected(entry) == sha256), None)
    if published:
        return RecognisedFile(path, sha256, checkpoint.weights, published, True, f"Its SHA-256 is that of {published.title}.")
    seen = detect(checkpoint.weights, str(path), family, checkpoint.container, checkpoint.beside)
    like = catalog.entry(seen.like)
    if seen.native_size != like.native_size:
        like = replace(like, native_size=seen.native_size, sizes=(seen.native_size,))
    return RecognisedFile(path, sha256, checkpoint.weights, like, False, seen.why)


def build(found: RecognisedFile) -> nn.Module:
    """Return the network with the weights of a file.

    Raises:
        CheckpointError: weights are missing, unexpected or of another shape; names the first few.
    """
    family: Any = _family(found.entry)
    source = f"{found.path}, as {found.entry.title}"
    return family.build(found.entry.config, found.entry.native_size, family.clean(found.weights), source)


def _built(id_or_path: str | Path | None, family: str | None, *kinds: str) -> tuple[RecognisedFile, nn.Module]:
    """Return the file of a model of one of `kinds`, and its network.

    The first file that is used as a published model without a published hash is recorded, and no other is accepted after it.
    """
    check_numpy()
    found = find(id_or_path, family)
    _expect_kind(found, *kinds)
    network = build(found)
    if found.is_published:
        hashes.remember(found.entry, found.sha256)
    return found, network


def _known(id: str) -> CatalogEntry | None:
    # The user's own models are looked up only if needed: damaged records of them must not keep the others from working.
    for entries in (catalog.entries, store.entries):
        found = next((entry for entry in entries() if entry.id == id), None)
        if found:
            return found
    return None


def _family(entry: CatalogEntry) -> ModuleType:
    # Only the family that is used: some need packages that take long to import.
    return import_module(f".families.{entry.family}", __package__)


def _expect_kind(found: RecognisedFile, *kinds: str) -> None:
    if found.entry.kind not in kinds:
        raise CheckpointError(
            f"{found.path}: {found.title} {USES[found.entry.kind]}. Here a model is wanted that {USES[kinds[0]].partition(';')[0]}; "
            "'samsegmenter models list' shows them."
        )
