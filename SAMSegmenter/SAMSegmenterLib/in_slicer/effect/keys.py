"""The keys of tools and actions, and the name of the key for "outside" on this computer."""

from __future__ import annotations

import sys

# The keys of SlicerNNInteractive's tools, for the same tools. The Segment Editor uses none of them: Qt ignores a key with two uses.
TOOLS = {"box": "B", "point": "P", "scribble": "S", "lasso": "L", "line": "D", "move": "M"}
KEYS = {
    "polarity": "T",
    "undo": "U",
    "redo": "Shift+U",
    "clear": "R",
    "use_slice": "K",
    "propagate": "G",
    "stop_keep": "X",
    "apply": "A",
    "next_object": "Shift+A",
    "next": "N",
    "previous": "Shift+N",
    "remove": "Del",
}


def control(platform: str = sys.platform) -> str:
    """Return the name of the key that Qt and VTK call Control: on a Mac it is Cmd."""
    return "Cmd" if platform == "darwin" else "Ctrl"


def delete_keys(platform: str = sys.platform) -> tuple[str, ...]:
    """Return the keys that remove a prompt: the one that a Mac calls delete is Qt's Backspace."""
    return (KEYS["remove"], "Backspace") if platform == "darwin" else (KEYS["remove"],)
