"""Gzip for data that are mostly zeros, such as segmentations in layers: long runs of zeros are compressed only once."""

from __future__ import annotations

import zlib
from typing import BinaryIO

import numpy as np

LEVEL = 3  # of compression; from level 4 on, zeros take three times as long
CHUNK = 2**16  # bytes that are checked for zeros together
HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # RFC 1952, 2.3: deflate, no name, no time, unknown system


class SparseGzip:
    """A writer of one gzip member (RFC 1952) to a file that is open for writing; `close` ends the member and leaves the file open.

    A full flush of deflate (RFC 1951) ends at a byte, and nothing behind it refers to what lies before. So a compressed chunk of zeros
    can be put between two of them as often as it is needed, and every reader sees one ordinary stream.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size, self._crc = file, 0, 0
        self._deflate, self._flushed = _deflate(LEVEL), True
        zeros = _deflate(zlib.Z_BEST_COMPRESSION)
        self._zeros = zeros.compress(bytes(CHUNK)) + zeros.flush(zlib.Z_FULL_FLUSH)
        # CRC-32 is linear: what a chunk of zeros makes of it follows from what it makes of each of its bits
        self._crc_of_zeros = zlib.crc32(bytes(CHUNK))
        self._crc_of_bits = [zlib.crc32(bytes(CHUNK), 1 << bit) ^ self._crc_of_zeros for bit in range(32)]
        file.write(HEADER)

    def write(self, array: np.ndarray) -> None:
        """Write the bytes of a C-contiguous array."""
        data = array.reshape(-1).view(np.uint8)
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            if len(chunk) == CHUNK and not chunk.view(np.uint64).any():
                self._write_zeros()
            else:
                self._file.write(self._deflate.compress(chunk.data))
                self._crc, self._flushed = zlib.crc32(chunk.data, self._crc), False
        self._size += len(data)

    def close(self) -> None:
        """End the gzip member; the file stays open."""
        self._file.write(self._deflate.flush(zlib.Z_FINISH))
        self._file.write(self._crc.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little"))

    def _write_zeros(self) -> None:
        if not self._flushed:
            self._file.write(self._deflate.flush(zlib.Z_FULL_FLUSH))
            self._flushed = True
        self._file.write(self._zeros)
        crc = self._crc_of_zeros
        for bit, change in enumerate(self._crc_of_bits):
            if self._crc >> bit & 1:
                crc ^= change
        self._crc = crc


def _deflate(level: int) -> zlib._Compress:
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
