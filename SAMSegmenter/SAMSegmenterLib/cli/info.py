"""`samsegmenter info`: tells what an image is, where it lies, and what had to be assumed of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, memory_for, printable
from ..files import check_name
from .running import CROP, ResampleOption, SeriesOption, VolumeArgument

if TYPE_CHECKING:
    from ..image.volume import Volume

INFO_VERSION = 1


def info(
    volume: VolumeArgument,
    series: SeriesOption = None,
    resample: ResampleOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the same as JSON.")] = False,
) -> None:
    """Show what an image is, where its geometry comes from, and how it would be windowed."""
    from ..imageio import read_volume

    check_name(volume)
    listed = _series(volume)
    try:
        with memory_for(str(volume), CROP):
            known = _facts(read_volume(volume, series, resample))
    except InputError:
        if len(listed) > 1:  # it may be that none of them was chosen
            _show({"version": INFO_VERSION, "series": listed}, as_json)
        raise
    _show(known | {"series": listed if len(listed) > 1 else []}, as_json)


def _series(folder: Path) -> list[dict[str, Any]]:
    from ..imageio import list_series

    listed = list_series(folder) if folder.is_dir() else []
    return [{name: getattr(each, name) for name in ("uid", "description", "modality", "slices")} for each in listed]


def _facts(image: Volume) -> dict[str, Any]:
    """Return what is known of an image, as plain values for JSON."""
    from ..image.window import looks_like_ct

    return {
        "version": INFO_VERSION,
        "name": image.name,
        "voxels": list(image.shape_ijk),
        "type": str(image.voxels.dtype),
        "rgb": image.is_rgb,
        "spacing_mm": image.spacing_mm.tolist(),
        "orientation": "".join(image.axis_directions),
        "ijk_to_ras": image.ijk_to_ras.tolist(),
        "geometry": image.source.geometry,
        "modality": image.modality,
        "looks_like_ct": looks_like_ct(image),
        "lowest": image.voxels.min().item(),
        "highest": image.voxels.max().item(),
        "padding": {"values": list(image.padding.values), "voxels": image.padding.voxels},
        "window": _window(image),
        "warnings": list(image.source.warnings),
    }


def _window(image: Volume) -> dict[str, Any]:
    from ..image.window import CT_PRESETS, automatic_window

    try:
        window = automatic_window(image)
    except InputError as error:
        return {"why": f"none: {error}"}
    preset = next((f"CT preset {name}, until prompts show lung or bone" for name, each in CT_PRESETS.items() if each == window), "")
    why = "colours as they are" if image.is_rgb else preset or "0.5 to 99.5 % of the values"
    return {"low": window.low, "high": window.high, "level": window.level, "width": window.width, "why": why}


def _show(known: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(known, indent=2))
        return
    for each in known["series"]:
        name = f"{each['uid'] or '(no UID)'}  {each['description'] or '(no description)'}"
        _line("series", f"{name}  {each['modality']}  {each['slices']} slices")
    if "name" in known:
        _show_image(known)


def _show_image(known: dict[str, Any]) -> None:
    kind = "RGB" if known["rgb"] else known["modality"] or ("CT by its values" if known["looks_like_ct"] else "not stated")
    window = known["window"]
    _line("name", known["name"])
    _line("voxels", f"{' x '.join(map(str, known['voxels']))} (i, j, k), {known['type']}{', RGB' if known['rgb'] else ''}")
    _line("spacing", f"{' x '.join(f'{value:g}' for value in known['spacing_mm'])} mm")
    _line("axes", f"i, j, k run towards {', '.join(known['orientation'])} (R, L: right, left; A, P: front, back; S, I: up, down)")
    _line("geometry", known["geometry"] or "not stated")
    _line("modality", kind)
    _line("values", f"{known['lowest']:g} to {known['highest']:g}")
    padding = known["padding"]
    if padding["values"]:
        part = padding["voxels"] / math.prod(known["voxels"])
        _line("padding", f"{', '.join(f'{value:g}' for value in padding['values'])} ({part:.1%} of the voxels), which does not count")
    range_ = "low" in window and f"{window['low']:g} to {window['high']:g} (level {window['level']:g}, width {window['width']:g}; "
    _line("window", f"{range_}{window['why']})" if range_ else window["why"])
    for sentence in known["warnings"]:
        _line("warning", sentence)


def _line(what: str, words: str) -> None:
    print(f"{what:<10} {printable(words)}")
