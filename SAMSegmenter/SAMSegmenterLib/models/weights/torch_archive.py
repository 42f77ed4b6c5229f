"""The archive that ``torch.save`` writes since PyTorch 1.6: an uncompressed zip of one pickle and a file of numbers for each storage.

The place of an entry is taken from the archive's directory and checked against the entry's own header, its neighbours, and the end
of the file, so that nothing is read or allocated that the file does not hold.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

LARGEST_DIRECTORY = 8 << 20  # bytes, as of 80 000 entries; the largest network has a thousand
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and of the extra field (APPNOTE 4.3.7)
AGAIN = "Get the file again and compare its size with the original"
UNPACK = "If it is a .zip of a model, unpack it and give the file inside"
ENCRYPTED, UTF_8 = 0x1, 0x800


class ArchiveError(ValueError):
    """A file that is not such an archive.

    The message continues a sentence after the file's name, without a full stop; `advice` is the sentence to follow it.
    """

    def __init__(self, message: str, advice: str = AGAIN) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Entry:
    """The place of an entry's bytes in the file."""

    start: int
    size: int


class Archive:
    """An archive that is open for reading.

    Attributes:
        entries: by their names within the archive's one folder.
    """

    def __init__(self, file: FileIO, entries: dict[str, Entry]) -> None:
        self._file = file
        self.entries = entries

    def read(self, name: str, most: int) -> bytes:
        """Return an entry's bytes; ``b""`` if there is no such entry.

        Raises:
            ArchiveError: it has more than `most` bytes.
        """
        entry = self.entries.get(name, Entry(0, 0))
        if entry.size > most:
            raise ArchiveError(f"its {name} has {entry.size >> 20} MB, which PyTorch never writes")
        content = bytearray(entry.size)
        self.read_into(entry, memoryview(content))
        return bytes(content)

    def read_into(self, entry: Entry, target: memoryview) -> None:
        """Fill `target` with the first bytes of an entry.

        Raises:
            ArchiveError: the file has become shorter meanwhile.
        """
        self._file.seek(entry.start)
        done = 0
        while done < len(target):
            count = self._file.readinto(target[done:])
            if not count:
                raise ArchiveError("is truncated")
            done += count


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open the archive at `path` for the block.

    Raises:
        ArchiveError: it is damaged, or has what ``torch.save`` never writes: compressed or encrypted entries, entries of the same
            name, that overlap, or that lie outside of its one folder.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        yield Archive(file, _entries(file))


def _entries(file: FileIO) -> dict[str, Entry]:
    try:
        with zipfile.ZipFile(_Frugal(file)) as archive:
            members, end = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, OverflowError, LookupError, struct.error) as error:
        raise ArchiveError(f"is truncated, or not a file of PyTorch weights ({str(error)[:100]})") from error
    members.sort(key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in members[1:]), end]
    placed = {member.orig_filename: _entry(file, member, limit) for member, limit in zip(members, ends, strict=True)}
    if len(placed) < len(members):
        raise ArchiveError("has several entries of the same name, which PyTorch never writes")
    return _within_one_folder(placed)


class _Frugal:
    """A file of which `zipfile` reads no more at once than a sensible directory has."""

    def __init__(self, file: FileIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._file.tell(), 0)
        wanted = left if size < 0 else min(size, left)
        if wanted > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {wanted >> 20} MB")
        return self._file.read(wanted)


def _entry(file: FileIO, member: zipfile.ZipInfo, limit: int) -> Entry:
    """Return where the bytes of `member` lie; they must not reach beyond `limit`."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        raise ArchiveError("is compressed or encrypted, which PyTorch's files never are, and was not opened", UNPACK)
    file.seek(min(max(member.header_offset, 0), limit))
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise ArchiveError("is truncated or damaged: an entry is not where the archive's directory says")
    _, name, extra = LOCAL_HEADER.unpack(header)
    start = member.header_offset + LOCAL_HEADER.size + name + extra
    encoding = "utf-8" if member.flag_bits & UTF_8 else "cp437"
    if file.read(name) != member.orig_filename.encode(encoding) or start + member.file_size > limit:
        raise ArchiveError("is damaged: an entry of the archive is another, or larger, than its directory says")
    return Entry(start, member.file_size)


def _within_one_folder(placed: dict[str, Entry]) -> dict[str, Entry]:
    """Return the entries by their names without the one folder in which all of them lie."""
    folder = next(iter(placed), "").partition("/")[0] + "/"
    names = {name: name.removeprefix(folder) for name in placed}
    if any(name == inner or ".." in inner.split("/") for name, inner in names.items()):
        raise ArchiveError("is not a file of PyTorch weights: its entries do not lie in one folder")
    return {inner: placed[name] for name, inner in names.items()}
