"""Files of weights for tests: those that are published, and small ones made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import store

PICO = store.SHIPPED / "samsegmenter_pico.safetensors"
OFFICIAL = [entry for entry in catalog.entries() if entry.id.startswith(("sam2.1-", "sam2-hiera"))]


def saved(state: Any, path: Path) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
