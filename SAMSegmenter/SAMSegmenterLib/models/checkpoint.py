"""Reading files of network weights without ever running code that they may carry."""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import CheckpointError
from .detect import looks_like

ZIP = b"PK\x03\x04"
CONTAINERS = "model", "state_dict", "net", "model_state_dict"
PREFIXES = "module.", "model."
NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool}
NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
LARGEST_BYTES = 16 << 30
AGAIN = "Get the file again and compare its size with the original"

# What files written in training hold besides tensors. None of it is wanted: each becomes an object without content.
TRAINING_LEFTOVERS = (
    ("torch.optim.adam", "Adam"),
    ("torch.optim.adamw", "AdamW"),
    ("torch.optim.sgd", "SGD"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("argparse", "Namespace"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),  # as Python 3.13 calls them
    ("pathlib._local", "WindowsPath"),
)


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        weights: by name, on the CPU, in the precision they are stored in.
        container: the name under which they lay in the file; empty if directly inside.
        beside: the names of what lay beside that container.
    """

    weights: dict[str, torch.Tensor]
    container: str = ""
    beside: frozenset[str] = frozenset()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the named weights in `path`.

    The content tells safetensors from files of ``torch.save``, whatever the file is called; the latter are restricted to
    tensors. Weights may lie directly inside or in one of `CONTAINERS`; a prefix from `PREFIXES` that all names share is dropped.

    Raises:
        CheckpointError: missing, empty, truncated, not weights at all, larger inside than outside, weights that are no
            finite numbers, or a file that would run code; nothing of it has been run.
    """
    path = Path(path)
    head = _head(path)
    content = _read_safetensors(path) if head[8:9] == b"{" else _read_torch(path, head)
    checkpoint = _unwrapped(content, path)
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


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path, device="cpu")
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is truncated, or not a safetensors file ({error}). {AGAIN}.") from error


def _read_torch(path: Path, head: bytes) -> Any:
    # Formats older than the zip archive are refused unread: some versions of torch unpickle them without restriction.
    if not head.startswith(ZIP):
        raise CheckpointError(
            f"{path}: is not a file of PyTorch weights (a zip archive, the format since PyTorch 1.6) and was not opened, because "
            "older formats can run code. Use a .safetensors file, or ask the author to save the weights with a current PyTorch."
        )
    _check_archive(path)
    try:
        # The open file, because torch goes by the suffix of a path.
        with path.open("rb") as file, torch.serialization.safe_globals([dict, *STAND_INS]):
            _check_calls(torch.PyTorchFileReader(file).get_record("data.pkl"))
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: {_unsafe(str(error))}") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise CheckpointError(f"{path}: is truncated, or not a file of PyTorch weights ({_first_line(error)}). {AGAIN}.") from error


def _check_archive(path: Path) -> None:
    """Raises CheckpointError for an archive that unpacks to more than it is; ``torch.save`` never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is truncated, or not a file of PyTorch weights ({_first_line(error)}). {AGAIN}.") from error
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f"{path}: unpacks to {unpacked / 1e9:.1f} GB from {path.stat().st_size / 1e9:.1f} GB, which PyTorch never writes, and was "
            "not opened. If it is a .zip of a model, unpack it and give the file inside."
        )


def _check_calls(content: bytes) -> None:
    """Raises UnpicklingError for what restricted unpickling lets pass though it fills any memory: ``bytearray(60_000_000_000)``."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL" and argument.endswith(" bytearray"):
            raise pickle.UnpicklingError("GLOBAL builtins.bytearray")


class _StandIn:
    """Takes the place of an object of a training run and forgets all that a file says of it."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


class _PlainDict:
    """Takes the place of a dictionary with defaults, which restricted unpickling does not fill."""

    def __new__(cls, *_: Any) -> dict:
        return {}


STAND_INS = [type(name, (_StandIn,), {"__module__": module}) for module, name in TRAINING_LEFTOVERS]
STAND_INS.append(type("defaultdict", (_PlainDict,), {"__module__": "collections"}))


def _unsafe(message: str) -> str:
    named = re.search(r"GLOBAL (\S+)", message)
    what = f" ({named[1]})" if named else ""
    return (
        f"was refused: besides tensors it holds Python objects{what}, and loading these can run code; nothing was run. "
        "Use a .safetensors file, or ask the author for a file with the weights only."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160] or type(error).__name__


def _unwrapped(content: Any, path: Path) -> Checkpoint:
    container, beside = "", frozenset()
    if isinstance(content, dict):
        container = next((name for name in CONTAINERS if isinstance(content.get(name), dict)), "")
        if container:
            beside = frozenset(str(name) for name in content if name != container)
            content = content[container]
    if not isinstance(content, dict) or not content:
        kind = "nothing" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise CheckpointError(f"{path}: holds {kind} where named weights were expected. It is not a checkpoint.")
    if all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()):
        return Checkpoint(_without_prefix(content), container, beside)
    others = [f"{name!r} ({type(value).__name__})" for name, value in content.items() if not isinstance(value, torch.Tensor)]
    nested = [str(name) for value in content.values() if isinstance(value, dict) for name in value]
    raise CheckpointError(
        f"{path}: expected weights directly inside or under {', '.join(map(repr, CONTAINERS))}, found "
        f"{', '.join(others[:4]) or 'weights without names'}. It looks like {looks_like(nested or [str(name) for name in content])}."
    )


def _without_prefix(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name[len(prefix) :]: value for name, value in weights.items()}
    return weights


def _check_stored(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Raises CheckpointError for tensors that are not plain numbers, or would fill more memory than the file has bytes."""
    odd = [name for name, value in weights.items() if not _is_plain(value)]
    if odd:
        raise CheckpointError(f"{path}: {len(odd)} of {len(weights)} weights are not stored as plain numbers ({', '.join(odd[:3])}).")
    needed = sum(value.numel() * value.element_size() for value in weights.values())
    if needed > 2 * path.stat().st_size:  # twice, because two names may share their numbers
        raise CheckpointError(f"{path}: its weights would fill {needed / 1e9:.1f} GB, which are not in the file. It is damaged or hostile.")


def _is_plain(value: torch.Tensor) -> bool:
    return value.layout == torch.strided and value.device.type == "cpu" and value.dtype in NUMBERS


def _check_finite(weights: dict[str, torch.Tensor], path: Path) -> None:
    bad = [name for name, value in weights.items() if value.is_floating_point() and not _is_finite(value)]
    if bad:
        raise CheckpointError(
            f"{path}: {len(bad)} of {len(weights)} weights are NaN or infinite ({', '.join(bad[:3])}); "
            "the training diverged or the file is damaged. Use another checkpoint."
        )


def _is_finite(value: torch.Tensor) -> bool:
    # NumPy, because torch wakes its threads for each of hundreds of small tensors: 0.1 s instead of 1 s on busy cores.
    return bool(np.isfinite(value.detach().float().numpy()).all())
