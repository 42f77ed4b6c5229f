"""Published models, and files that stand in for theirs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.catalog import CatalogEntry

TINY = catalog.entry("sam2.1-hiera-tiny")
MEDSAM2 = replace(catalog.entry("medsam2-latest"), bytes=None, sha256=None)  # as models of which neither is published

CONTENT = bytes(range(256)) * 4000
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def placed(folder: Path, entry: CatalogEntry, content: bytes = b"weights") -> Path:
    """Put `content` where the file of `entry` belongs."""
    path = folder / entry.file
    path.write_bytes(content)
    return path


def left_in(folder: Path) -> set[str]:
    """The names of the files that its users see in `folder`."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
