"""Checks that the files of an image hold all its voxels undamaged, where a decoder would silently fill in zeros or noise."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

CHUNK = 1 << 16
DENSEST = 1100  # bytes that one byte of gzip or zlib can stand for, at most (1032), and a margin
PATTERN = re.compile(r"([^\s%]*%0?\d{0,2}d[^\s%]*)\s+(-?\d{1,9})\s+(-?\d{1,9})\s+(-?\d{1,9})")


@dataclass(frozen=True)
class Part:
    """A run of voxels in a file: its first byte, the number of bytes expected, and what unpacks them if they are compressed."""

    file: Path
    start: int
    expected: int
    unpack: Callable[[BinaryIO], Iterator[bytes]] | None = None

    def check(self) -> int:
        """Return how many bytes the file holds behind the voxels.

        Compressed voxels are unpacked to check their checksum, which ITK ignores, in small pieces to save memory.

        Raises:
            InputError: the file is truncated or damaged, or cannot possibly hold as much as it should.
        """
        size = max(0, self.file.stat().st_size - self.start)
        if self.unpack and self.expected > size * DENSEST:
            raise InputError(
                f"{self.file}: the file is truncated or its header is wrong: {self.expected} bytes of voxels are expected, and the "
                f"{size} bytes that it has cannot hold them. Copy or export it again."
            )
        try:
            length = self._unpacked(self.unpack) if self.unpack else size
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{self.file}: the file is truncated or damaged ({error}). Copy or export it again.") from error
        if length < self.expected:
            raise InputError(f"{self.file}: the file is truncated ({length} of {self.expected} bytes). Copy or export it again.")
        return length - self.expected

    def _unpacked(self, unpack: Callable[[BinaryIO], Iterator[bytes]]) -> int:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return sum(len(part) for part in unpack(file))


def gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Yield the unpacked bytes of a file from its position on; it may hold several streams of gzip."""
    with gzip.GzipFile(fileobj=file) as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")


def inflate(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the unpacked bytes of the next `size` bytes, whether they are zlib or gzip."""
    unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
    while not unpacker.eof:
        part = file.read(min(size, CHUNK))
        if not part:
            raise EOFError("the file, or its CompressedDataSize, ends before the voxels")
        size -= len(part)
        yield unpacker.decompress(part)


def numbered(value: str, header: Path) -> list[str] | None:
    """Return the names that ``name%03d.raw FIRST LAST STEP`` stands for; None if `value` is not such a pattern.

    Raises:
        InputError: it has a ``%`` but is no such pattern, so that decoders differ or fail; or it stands for a million names.
    """
    if "%" not in value:
        return None
    found = PATTERN.fullmatch(value.strip())
    first, last, step = (int(number) for number in found.groups()[1:]) if found else (0, 0, 0)
    if not found or not step or not 0 <= (last - first) // step < 1_000_000:
        raise InputError(f"{header}: the data files {value!r} are not understood. Write name%03d.raw FIRST LAST STEP, or list the names.")
    return [found[1] % number for number in range(first, last + (1 if step > 0 else -1), step)]


def beside(header: Path, names: Sequence[str], count: int) -> list[Path]:
    """Return the data files that a detached header names.

    Args:
        names: relative to the header's folder, or absolute.
        count: how many there must be.

    Raises:
        InputError: there are more or fewer, one is missing or a folder, or the header names itself.
    """
    if len(names) != count:
        raise InputError(f"{header}: it names {len(names)} data files, and its sizes need {count}. Correct the header, or export it again.")
    files = [header.parent / name for name in names]
    for file in files:
        if file.is_dir():
            raise InputError(f"{header}: its data file {file} is a folder. Correct the header, or export it again.")
        if not file.is_file():
            raise InputError(f"{header}: cannot be read; the data file beside it is missing ({file}).")
        if file.samefile(header):
            raise InputError(f"{header}: it names itself as its data file. Correct the header, or export it again.")
    return files
