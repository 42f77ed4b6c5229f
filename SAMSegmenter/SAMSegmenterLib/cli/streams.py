"""Makes closed standard streams, and those that nobody reads any more, harmless to the command line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.EINVAL}  # an ended pipe, a closed terminal; the last is what Windows calls a pipe's end


class Heedless:
    """A stream that falls silent once its reader has gone.

    Args:
        stream: has a file descriptor.
        whatever: ignore every error; else only that the reader has gone, so that a full disk is reported.
    """

    def __init__(self, stream: TextIO, whatever: bool) -> None:
        self._stream, self._whatever = stream, whatever

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it if nobody reads it; return its length."""
        with self._surviving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless nobody reads it."""
        with self._surviving():
            self._stream.flush()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._whatever and error.errno not in GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is still in its buffer would fail again when the program ends
            os.close(nowhere)


def open_closed_streams() -> None:
    """Open the standard streams that the program was started without, on the null device and in their order.

    Python has None in their place. The first files to be opened would get their descriptors, and receive whatever is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays open)


@contextmanager
def heedless() -> Iterator[None]:
    """Let output lose its reader without an error within the context."""
    with redirect_stdout(Heedless(sys.stdout, whatever=False)), redirect_stderr(Heedless(sys.stderr, whatever=True)):
        yield
