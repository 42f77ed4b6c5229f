"""The user's choices in the panel: kept as text on the segment editor node, and saved with the scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

# The parameters' names with the values they begin with.
DEFAULTS: dict[str, Any] = {
    "Tool": "box",
    "Positive": 1,
    "Model": "",
    "KeyframeModel": "",
    "Proposer": "",
    "Mode": "auto",
    "Device": "auto",
    "Axis": "auto",
    "Window": "auto",
    "WindowLevel": "40",
    "WindowWidth": "400",
    "Direction": "both",
    "Range": "volume",
    "FirstSlice": 0,
    "LastSlice": 0,
    "AllSegments": 0,
    "LivePreview": 1,
    "VideoAxis": "slices",
}

CHOICES = {
    "Mode": ("auto", "strict", "fast"),
    "Device": ("auto", "cpu", "cuda", "mps"),
    "Axis": ("auto", "i", "j", "k"),
    "Window": ("auto", "display", "manual"),
    "Direction": ("both", "forward", "backward"),
    "Range": ("volume", "slices", "keyframes", "roi"),
    "VideoAxis": ("slices", "time"),
}
LARGEST = 1e9  # number that a widget can show
WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Settings:
    """The present choices.

    Attributes:
        tool: kind of the next mark, see `marks.KINDS`, or "move".
        positive: whether it will lie inside the segment.
        model: id in the catalog or path of a file; empty for the one that ships.
        keyframe_model: id of the slice model that makes keyframes of prompts; empty if the model itself does.
        proposer: id of the model that finds keyframes without prompts; empty if none is chosen.
        mode: "auto", "strict" or "fast", see `network.options.MODES`.
        device: "auto", "cpu", "cuda" or "mps".
        axis: "auto" for the view of the first mark, or "i", "j" or "k".
        window: "auto", "display" (as the volume is shown) or "manual".
        level, width: of a manual window, in the volume's units.
        direction: "both", "forward" (to higher slice numbers) or "backward".
        range: "volume", "slices" (from `first` to `last`), "keyframes" (between the outermost ones) or "roi".
        all_segments: whether a run is for all segments that are marked; else for the selected one.
        live_preview: whether the current slice is segmented after every mark.
        video_axis: "slices", or "time" for the slice that is shown, over the items of a sequence.
    """

    tool: str
    positive: bool
    model: str
    keyframe_model: str
    proposer: str
    mode: str
    device: str
    axis: str
    window: str
    level: float
    width: float
    direction: str
    range: str
    first: int
    last: int
    all_segments: bool
    live_preview: bool
    video_axis: str


def set_defaults(effect: Any) -> None:
    """Give every parameter that has no value yet the one it begins with."""
    for name, value in DEFAULTS.items():
        effect.setParameterDefault(name, value)


def read(effect: Any) -> Settings:
    """Return the settings of a scripted effect; the default stands for what is missing or damaged.

    A scene that is closed takes the values with it, and Slicer does not set the defaults again.
    """

    def text(name: str) -> str:
        """Return a parameter's text, or its default."""
        value = effect.parameter(name) if effect.parameterDefined(name) else str(DEFAULTS[name])
        return value if value in CHOICES.get(name, (value,)) else str(DEFAULTS[name])

    def number(name: str) -> float:
        """Return a parameter's number, or its default."""
        try:
            value = float(text(name))  # as text: a double parameter keeps six digits only
        except ValueError:
            value = math.nan
        return value if abs(value) <= LARGEST else float(DEFAULTS[name])

    def flag(name: str) -> bool:
        """Return a parameter's truth value: 1, or "True" as it is stored where scripts pass True."""
        word = text(name).strip().lower()
        return WORDS[word] if word in WORDS else number(name) != 0

    return Settings(
        tool=text("Tool"),
        positive=flag("Positive"),
        model=text("Model"),
        keyframe_model=text("KeyframeModel"),
        proposer=text("Proposer"),
        mode=text("Mode"),
        device=text("Device"),
        axis=text("Axis"),
        window=text("Window"),
        level=number("WindowLevel"),
        width=number("WindowWidth"),
        direction=text("Direction"),
        range=text("Range"),
        first=int(number("FirstSlice")),
        last=int(number("LastSlice")),
        all_segments=flag("AllSegments"),
        live_preview=flag("LivePreview"),
        video_axis=text("VideoAxis"),
    )
