"""Reading of files of weights without ever running code that they may carry."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ...errors import CheckpointError
from ..detect import looks_like
from .pickled import ForbiddenName, Opaque, PickleError
from .torch_archive import AGAIN, ArchiveError, opened
from .torch_file import StoredTensor, read_structure, read_tensors

ZIP = b"PK\x03\x04"
CONTAINERS = "model", "state_dict", "net", "model_state_dict"
PREFIXES = "module.", "model."
NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool}
NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
LARGEST_BYTES = 16 << 30
CONVERT = "samsegmenter models convert FILE OUTPUT.safetensors"
SAFE_TORCH = "2.10"  # from here on no crafted file is known to make torch's restricted unpickler corrupt memory (CVE-2026-24747)
NOTED_CONTAINER, NOTED_BESIDE = "samsegmenter.container", "samsegmenter.beside"  # in the metadata of a safetensors file


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file of weights.

    Attributes:
        weights: by name, on the CPU, in the precision in which they are stored.
        container: the name under which they lay in the file; empty if directly inside.
        beside: the names of what lay beside that container.
    """

    weights: dict[str, torch.Tensor]
    container: str = ""
    beside: frozenset[str] = frozenset()


def read_checkpoint(path: Path, permissive: bool = False) -> Checkpoint:
    """Return the named weights in `path`.

    Files of safetensors and of ``torch.save`` are told by their content, whatever their name; of the latter only tensors are
    read. Weights may lie directly inside or in one of `CONTAINERS`; a prefix from `PREFIXES` that all names share is dropped.

    Args:
        path: the file.
        permissive: skip Python objects of every kind that lie beside the weights, not only those of training, and read
            formats from before PyTorch 1.6 if the installed torch does so safely.

    Raises:
        CheckpointError: the file is missing, empty, truncated, or no weights; would fill more memory than it has bytes; has
            weights that are not finite numbers; or would run code. No code of it has been run.
    """
    path = Path(path)
    head = _head(path)
    if head[8:9] == b"{":
        checkpoint = _read_safetensors(path)
    elif head.startswith(ZIP):
        checkpoint = _read_archive(path, permissive)
    else:
        checkpoint = _read_older(path, permissive)
    _check_stored(checkpoint.weights, path)
    _check_finite(checkpoint.weights, path)
    return checkpoint


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder. Give the model file inside it.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such model file. Check the path.") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    if not head:
        raise CheckpointError(f"{path}: is empty; the download or copy did not succeed. Get the file again.")
    if path.suffix == ".part":
        raise CheckpointError(f"{path}: is a download that has not ended. Run 'samsegmenter models get' to go on with it.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<!", b"<html", b"<HTML", b"<?xml")):
        raise CheckpointError(f"{path}: is a web page, not weights. Download the file itself, not the page that shows it.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: only points to the weights (Git LFS). Run 'git lfs pull', or download the file itself.")
    if size > LARGEST_BYTES:
        raise CheckpointError(f"{path}: has {size / 1e9:.0f} GB; no model that is supported is so large, and it was not opened.")
    return head


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, "pt", device="cpu") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            noted = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is truncated, or not a safetensors file ({error}). {AGAIN}.") from error
    except AttributeError as error:  # from safetensors, for types of numbers that are newer than this torch
        raise CheckpointError(f"{path}: its weights are not stored as plain numbers ({error}).") from error
    checkpoint = _unwrapped(weights, path)
    beside = frozenset(noted.get(NOTED_BESIDE, "").split("\n")) - {""}
    return replace(checkpoint, container=noted.get(NOTED_CONTAINER, ""), beside=beside)


def _read_archive(path: Path, permissive: bool) -> Checkpoint:
    try:
        with opened(path) as archive:
            found = _unwrapped(read_structure(archive, permissive), path)
            stored: Any = found.weights  # their numbers are still in the file
            return replace(found, weights=read_tensors(archive, stored))
    except ForbiddenName as error:
        raise CheckpointError(
            f"{path}: was refused: besides tensors it holds Python objects ({error.name}), and loading these can run code; nothing was "
            f"run. Use a .safetensors file, ask the author for a file with the weights only, or take the weights out of it: {CONVERT}"
        ) from error
    except ArchiveError as error:
        raise CheckpointError(f"{path}: {error}. {error.advice}.") from error
    except PickleError as error:
        raise CheckpointError(f"{path}: {error}. {AGAIN}.") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error


def _read_older(path: Path, permissive: bool) -> Checkpoint:
    """Read a format from before PyTorch 1.6; torch alone reads it, some of its versions without any restriction."""
    what = f"{path}: is not a file of PyTorch weights as saved since PyTorch 1.6"
    if not permissive:
        raise CheckpointError(f"{what}, and was not opened, because older ones can run code. Use a .safetensors file, or: {CONVERT}")
    if torch.__version__ < SAFE_TORCH:
        raise CheckpointError(
            f"{what}, and was not opened: older ones need PyTorch {SAFE_TORCH} or newer, here is {torch.__version__}. Convert it on a "
            "computer that has that, and bring the .safetensors file."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{what}, nor one of weights only as saved before ({_first_line(error)}). {AGAIN}.") from error
    return _unwrapped(content, path)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160] or type(error).__name__


def _unwrapped(content: Mapping[str, Any] | Any, path: Path) -> Checkpoint:
    """Return the weights among a file's content; they are `StoredTensor` where their numbers are still in the file."""
    container = ""
    beside: frozenset[str] = frozenset()
    if isinstance(content, dict):
        container = next((name for name in CONTAINERS if isinstance(content.get(name), dict)), "")
        if container:
            beside = frozenset(str(name) for name in content if name != container)
            content = content[container]
    if not isinstance(content, dict) or not content:
        kind = "nothing" if isinstance(content, dict) else f"a {_kind(content)}"
        raise CheckpointError(f"{path}: holds {kind} where named weights were expected. It is not a checkpoint.")
    if all(isinstance(name, str) and name.isprintable() for name in content):
        _check_plain(content, path)
        if all(_is_tensor(value) for value in content.values()):
            return Checkpoint(_without_prefix(content), container, beside)
    others = [f"{name!r} ({_kind(value)})" for name, value in content.items() if not _is_tensor(value)]
    nested = [_shown(name) for value in content.values() if isinstance(value, dict) for name in value]
    raise CheckpointError(
        f"{path}: expected weights directly inside or under {', '.join(map(repr, CONTAINERS))}, found "
        f"{', '.join(others[:4]) or 'weights without names'}. It looks like {looks_like(nested or [_shown(name) for name in content])}."
    )


def _shown(name: Any) -> str:
    return name if isinstance(name, str) and name.isprintable() else ascii(name)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, StoredTensor))


def _kind(value: Any) -> str:
    if isinstance(value, Opaque):
        return value.kind
    return "Tensor" if _is_tensor(value) else type(value).__name__


def _without_prefix(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name[len(prefix) :]: value for name, value in weights.items()}
    return weights


def _check_plain(weights: Mapping[str, Any], path: Path) -> None:
    """Raise `CheckpointError` for tensors that are not plain numbers."""
    odd = [name for name, value in weights.items() if not _is_plain(value)]
    if odd:
        raise CheckpointError(f"{path}: {len(odd)} of {len(weights)} weights are not stored as plain numbers ({', '.join(odd[:3])}).")


def _is_plain(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.layout == torch.strided and value.device.type == "cpu" and value.dtype in NUMBERS
    return not (isinstance(value, Opaque) and value.is_tensor)


def _check_stored(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise `CheckpointError` for tensors that would fill more memory than the file has bytes."""
    needed = sum(value.numel() * value.element_size() for value in weights.values())
    if needed > 2 * path.stat().st_size:  # twice, because two names may share their numbers
        raise CheckpointError(f"{path}: its weights would fill {needed / 1e9:.1f} GB, which are not in the file. It is damaged or hostile.")


def _check_finite(weights: dict[str, torch.Tensor], path: Path) -> None:
    bad = [name for name, value in weights.items() if value.is_floating_point() and not _is_finite(value)]
    if bad:
        raise CheckpointError(
            f"{path}: {len(bad)} of {len(weights)} weights are NaN or infinite ({', '.join(bad[:3])}); "
            "the training diverged or the file is damaged. Use another checkpoint."
        )


def _is_finite(value: torch.Tensor) -> bool:
    # NumPy, because torch wakes its threads for each of hundreds of small tensors, which takes far longer on busy cores.
    return bool(np.isfinite(value.detach().float().numpy()).all())
