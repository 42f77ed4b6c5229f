"""Whether a file holds all its voxels, undamaged, where ITK would fill in zeros or noise and say nothing."""

from __future__ import annotations

import gzip
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import InputError

CHUNK = 1 << 16


@dataclass(frozen=True)
class _Stored:
    """Voxels in a file: from which byte on, how many bytes they should be, and what unpacks them if they are compressed."""

    file: Path
    start: int
    expected: float
    unpack: Callable[[BinaryIO], Iterator[bytes]] | None


def check_complete(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raise `InputError` for a truncated or damaged file of any compressed format.

    Compressed voxels are unpacked for their checksum, which ITK does not look at; a piece at a time, to save memory.

    Args:
        reader: it has read the header.
        path: the file, or the header of a pair.
    """
    stored = _find(reader, path)
    if stored is None or not stored.file.is_file():
        return  # ITK itself notices what is missing
    try:
        length = _length(stored)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{stored.file}: the file is truncated or damaged ({error}). Copy or export it again.") from error
    if length < stored.expected:
        raise InputError(f"{stored.file}: the file is truncated ({length} of {stored.expected:.0f} bytes). Copy or export it again.")


def holds_voxels_of(header: Path, path: Path) -> bool:
    """Whether the file `path` is named by a detached `header` for its voxels, or is the other one of a NIfTI pair."""
    if header.suffix.lower() in (".mhd", ".nhdr"):
        with header.open("rb") as file:
            return os.fsencode(path.name) in file.read(CHUNK)
    one, other = (re.fullmatch(r"(.+)\.(hdr|img)(\.gz)?", str(each.resolve()), re.IGNORECASE) for each in (header, path))
    return bool(one and other) and one[1] == other[1]


def _length(stored: _Stored) -> int:
    """The number of bytes from the start of the voxels on, decompressed."""
    if stored.unpack is None:
        return stored.file.stat().st_size - stored.start
    with stored.file.open("rb") as file:
        file.seek(stored.start)
        return sum(len(part) for part in stored.unpack(file))


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")


def _inflate(file: BinaryIO, size: int) -> Iterator[bytes]:
    """What `size` bytes unpack to, as zlib or gzip, whichever they are."""
    unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
    while not unpacker.eof:
        part = file.read(min(size, CHUNK))
        if not part:
            raise EOFError("the file, or its CompressedDataSize, ends before the voxels")
        size -= len(part)
        yield unpacker.decompress(part)


def _find(reader: sitk.ImageFileReader, path: Path) -> _Stored | None:
    """The voxels of a compressed MetaImage or NRRD file."""
    find = {".mha": _find_meta, ".mhd": _find_meta, ".nrrd": _find_nrrd, ".nhdr": _find_nrrd}.get(path.suffix.lower())
    return find(path, _voxel_bytes(reader)) if find else None


def _voxel_bytes(reader: sitk.ImageFileReader) -> int:
    components = reader.GetNumberOfComponents()
    voxel = sitk.Image([1, 1, 1], reader.GetPixelID(), components)
    return int(np.prod(reader.GetSize(), dtype=np.int64)) * components * voxel.GetSizeOfPixelComponent()


def _find_meta(path: Path, expected: int) -> _Stored | None:
    fields, start = _header(path, "=", "elementdatafile")
    if not fields.get("compresseddata", "").lower().startswith(("t", "1")):
        return None
    name, size = fields.get("elementdatafile", ""), _whole(fields.get("compresseddatasize"))
    if name.lower() == "local":
        return _Stored(path, start, expected, partial(_inflate, size=size))  # ITK, too, reads nothing where no size is given
    return _Stored(path.parent / name, _whole(fields.get("headersize")), expected, partial(_inflate, size=size or sys.maxsize))


def _find_nrrd(path: Path, expected: int) -> _Stored | None:
    fields, start = _header(path, ":", "")
    if fields.get("encoding", "").lower() not in ("gzip", "gz") or _whole(fields.get("lineskip")):
        return None
    if "datafile" in fields:
        return _Stored(path.parent / fields["datafile"], 0, expected, _gunzip)
    return _Stored(path, start, expected, _gunzip)


def _header(path: Path, separator: str, last: str) -> tuple[dict[str, str], int]:
    """The fields of a header, in small letters and without blanks, up to the field `last`; and where it ends."""
    fields = {}
    with path.open("rb") as file:
        for line in iter(file.readline, b""):
            name, _, value = line.decode(errors="surrogateescape").partition(separator)
            name = "".join(name.split()).lower()
            fields[name] = value.strip()
            if name == last:
                break
        return fields, file.tell()


def _whole(text: str | None) -> int:
    """A size as MetaIO writes it, at times as 1.5e+07; 0 if there is none."""
    return int(float(text)) if text and re.fullmatch(r"\d+(\.\d*)?(e\+?\d+)?", text) else 0
