"""Enough of Slicer, without Slicer, to run a Segment Editor effect and a module written in Python.

The scene, the slice views' logic and the logic of the Segment Editor are Slicer's own, from the package `slicer-core`; Qt is
PySide6, taught the manners of PythonQt. `start` before importing code of the extension that needs `slicer`, `qt` or `ctk`.
"""

from .host import Host, start, stop

__all__ = ["Host", "start", "stop"]
