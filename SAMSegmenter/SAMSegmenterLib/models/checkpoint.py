"""Reading files of network weights without ever running code that they may carry."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import CheckpointError
from .detect import looks_like

ZIP = b"PK\x03\x04"
CHUNK_BYTES = 1 << 20
AGAIN = "Get the file again and compare its size with the original"


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the named weights in `path` to the CPU, in the precision they are stored in.

    ``.safetensors`` files hold nothing else; any other file is read as one written by ``torch.save``, restricted to
    tensors, with the weights either directly inside or under ``"model"``. Names are kept as they are.

    Raises:
        CheckpointError: missing, empty, truncated, not weights at all, weights that are no finite numbers, or a file
            that would run code; nothing of it has been run.
    """
    path = Path(path)
    head = _head(path)
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_torch(path, head)
    weights = _weights(content, path)
    _check_finite(weights, path)
    return weights


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder. Give the model file inside it.")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such model file. Check the path.") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    if not head:
        raise CheckpointError(f"{path}: is empty; the download or copy did not succeed. Get the file again.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<!", b"<html", b"<HTML", b"<?xml")):
        raise CheckpointError(f"{path}: is a web page, not weights. Download the file itself, not the page that shows it.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: only points to the weights (Git LFS). Run 'git lfs pull', or download the file itself.")
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
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: {_unsafe(str(error))}") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        raise CheckpointError(f"{path}: is truncated, or not a file of PyTorch weights ({_first_line(error)}). {AGAIN}.") from error


def _unsafe(message: str) -> str:
    named = re.search(r"GLOBAL (\S+)", message)
    what = f" ({named[1]})" if named else ""
    return (
        f"was refused: besides tensors it holds Python objects{what}, and loading these can run code; nothing was run. "
        "Use a .safetensors file, or ask the author for a file with the weights only."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160] or type(error).__name__


def _weights(content: Any, path: Path) -> dict[str, torch.Tensor]:
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        kind = "nothing" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise CheckpointError(f"{path}: holds {kind} where named weights were expected. It is not a checkpoint.")
    if all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()):
        return content
    others = [f"{name!r} ({type(value).__name__})" for name, value in content.items() if not isinstance(value, torch.Tensor)]
    nested = [str(name) for value in content.values() if isinstance(value, dict) for name in value]
    raise CheckpointError(
        f"{path}: expected weights directly inside or under 'model', found {', '.join(others[:4]) or 'weights without names'}. "
        f"It looks like {looks_like(nested or [str(name) for name in content])}."
    )


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
