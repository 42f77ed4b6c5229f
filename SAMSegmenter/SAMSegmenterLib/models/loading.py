"""From a model's name or file to a network that is ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sam2.modeling.sam2_base import SAM2Base

from ..errors import CheckpointError
from . import catalog, store
from .catalog import CatalogEntry
from .checkpoint import file_sha256, read_checkpoint
from .detect import detect
from .families import sam2

FAMILIES = {"sam2": sam2}


@dataclass(frozen=True)
class Model:
    """A network and what is needed to feed it.

    Attributes:
        network: in evaluation mode, float32, without gradients, on the CPU, built for `native_size`.
        id: id of the catalog entry, or the file's name if the file is in no catalog.
        title: what the user reads.
        sha256: of the file.
        path: the file that was read.
        native_size: side in pixels of the square input that it was trained with.
        sizes: sides in pixels that it may run at, ascending.
        mean: of the red, green and blue channels in [0, 1], subtracted from the input.
        std: what the input is divided by after that.
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


def load_model(id_or_path: str | Path | None = None) -> Model:
    """Load a network by its name in the catalog or from a file; without either, the one that ships with the package.

    A string that is an id of the catalog means that network; anything else is a file of any layout that `detect` knows.

    Raises:
        CheckpointError: the file is not on this machine, damaged, unsafe, or of a network that is not supported.
    """
    chosen = catalog.default_id() if id_or_path is None else id_or_path
    ids = [entry.id for entry in catalog.entries()]
    if isinstance(chosen, str) and chosen in ids:
        return _load_entry(catalog.entry(chosen))
    path = Path(chosen).expanduser()
    if not path.exists():
        raise CheckpointError(f"{chosen}: there is no such model file, and no model of that name. Models are {', '.join(ids)}.")
    return _load_file(path)


def _load_entry(entry: CatalogEntry) -> Model:
    path = store.locate(entry)
    state = read_checkpoint(path)
    sha256 = file_sha256(path)
    if sha256 != entry.sha256:
        download = f"Download {entry.url} again, or give the file by its path to use it as it is."
        raise CheckpointError(
            f"{path}: is not the file published as {entry.id} (SHA-256 {sha256}, expected {entry.sha256}). "
            f"{'Install SAMSegmenter again.' if entry.shipped else download}"
        )
    return _model(path, state, sha256, entry, entry.id, entry.title)


def _load_file(path: Path) -> Model:
    state = read_checkpoint(path)
    sha256 = file_sha256(path)
    published = next((entry for entry in catalog.entries() if entry.sha256 == sha256), None)
    if published:
        return _model(path, state, sha256, published, published.id, published.title)
    like = catalog.entry(detect(state, str(path)).like)
    return _model(path, state, sha256, like, path.name, f"{path.name} ({like.title} layout)")


def _model(path: Path, state: dict, sha256: str, layout: CatalogEntry, id: str, title: str) -> Model:
    family = FAMILIES[layout.family]
    network = family.build(layout.config, layout.native_size, state, str(path))
    return Model(network, id, title, sha256, path, layout.native_size, layout.sizes, family.MEAN, family.STD)
