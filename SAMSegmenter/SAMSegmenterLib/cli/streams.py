"""The standard streams of the command line: closed ones, and those that nobody reads any more, do no harm."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.EINVAL}  # an ended pipe, a closed terminal; the last is what Windows calls a pipe's end


class Heedless:
    """A stream that goes on silently once its reader has gone.

    Args:
        stream: has a file descriptor.
        whatever: go on whatever happens; else only if the reader has gone, so that a full disk is told of.
    """

    def __init__(self, stream: TextIO, whatever: bool) -> None:
        self._stream, self._whatever = stream, whatever

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._surviving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
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
    """Open what the program was started without on the null device, in their order.

    Python has None in their place; and the first files to be opened would get their descriptors, and whatever is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays open)


@contextmanager
def heedless() -> Iterator[None]:
    """Within, output may lose its reader without an error."""
    with redirect_stdout(Heedless(sys.stdout, whatever=False)), redirect_stderr(Heedless(sys.stderr, whatever=True)):
        yield
