"""Loads torch's own libraries before torch is imported, and without Python's lock.

An import keeps that lock while the system loads a library, and in Slicer the window stands still for as long as another thread
keeps it. On Windows torch loads its libraries without the lock by itself. See "The effect" in docs/figures.md for what this is
worth on Linux.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = ("torch_global_deps", "torch_cpu", "torch_cuda", "torch")  # each needs those before it
SUFFIX = {"linux": ".so", "darwin": ".dylib"}


def load_without_lock() -> None:
    """Load torch's libraries, as far as there are any and torch is not imported yet.

    What cannot be loaded this way is left to the import, which says why.
    """
    found = None if "torch" in sys.modules or sys.platform not in SUFFIX else find_spec("torch")
    if found is None or not found.origin:
        return
    load = ctypes.CDLL(None).dlopen  # a function called through ctypes runs without the lock; `ctypes.CDLL` itself keeps it
    load.argtypes, load.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    for name in LIBRARIES:
        path = Path(found.origin).parent / "lib" / f"lib{name}{SUFFIX[sys.platform]}"
        scope = os.RTLD_GLOBAL if name == LIBRARIES[0] else os.RTLD_LOCAL  # as torch loads them
        if path.exists():
            load(os.fsencode(path), os.RTLD_NOW | scope)
