"""What the panel lets the user choose: kept as text on the segment editor node, and saved with the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PROMPTS = "Prompts"  # the parameter that holds the marks, as JSON

# The parameters' names with the values they begin with.
DEFAULTS: dict[str, Any] = {
    "Tool": "point",
    "Positive": 1,
    "Model": "",
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


@dataclass(frozen=True)
class Settings:
    """The choices as they are now.

    Attributes:
        tool: kind of the next mark, see `marks.KINDS`.
        positive: whether it will lie inside the segment.
        model: id in the catalog or path of a file; empty for the one that ships.
        mode: "auto", "strict" or "fast", see `propagation.options.MODES`.
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
    """The settings of a scripted effect; a damaged number counts as the one it begins with."""
    return Settings(
        tool=effect.parameter("Tool"),
        positive=effect.integerParameter("Positive") != 0,
        model=effect.parameter("Model"),
        mode=effect.parameter("Mode"),
        device=effect.parameter("Device"),
        axis=effect.parameter("Axis"),
        window=effect.parameter("Window"),
        level=_number(effect, "WindowLevel"),
        width=_number(effect, "WindowWidth"),
        direction=effect.parameter("Direction"),
        range=effect.parameter("Range"),
        first=effect.integerParameter("FirstSlice"),
        last=effect.integerParameter("LastSlice"),
        all_segments=effect.integerParameter("AllSegments") != 0,
        live_preview=effect.integerParameter("LivePreview") != 0,
        video_axis=effect.parameter("VideoAxis"),
    )


def _number(effect: Any, name: str) -> float:
    try:
        return float(effect.parameter(name))  # as text: a double parameter keeps six digits only
    except ValueError:
        return float(DEFAULTS[name])
