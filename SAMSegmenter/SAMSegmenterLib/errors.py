"""Errors whose message is meant for the user: what was wrong, where, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class SAMSegmenterError(Exception):
    """The base of every error that this library raises on purpose."""


class InputError(SAMSegmenterError, ValueError):
    """An image, a prompt or an argument that cannot be used."""


class CheckpointError(InputError):
    """A model file that cannot be used: missing, truncated, of another architecture, or unsafe."""


class PackageError(SAMSegmenterError, ImportError):
    """A needed Python package that does not load; the message names the one to blame and the remedy."""


class OutputError(SAMSegmenterError, OSError):
    """A result that could not be written; whatever was there before is unchanged."""


class Cancelled(SAMSegmenterError):
    """A request of the caller to stop; everything that was finished is kept."""


def printable(text: object) -> str:
    """Return text from a file with ``?`` in place of every character that could control a terminal or a page."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


class OutOfMemory(SAMSegmenterError):
    """Too little free memory on the computer, or on the device that a network runs on."""


# How PyTorch's allocators (CPU on Linux and on Windows, CUDA, cuBLAS, MPS) and SimpleITK report it in a plain RuntimeError.
_NO_MEMORY = "out of memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc", "bad allocation"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of any library means that no memory is left."""
    if isinstance(error, OSError):  # the system refused pages
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or "OutOfMemoryError" in (kind.__name__ for kind in type(error).__mro__):  # PyTorch's
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


@contextmanager
def memory_for(work: str, advice: str) -> Iterator[None]:
    """Turn any library's error about memory within the block into `OutOfMemory`.

    Args:
        work: what needs the memory, such as "training".
        advice: a sentence on what to do about it.

    Raises:
        OutOfMemory: in place of the library's error; all other errors pass unchanged.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{work}: there is too little free memory. {advice}") from error
