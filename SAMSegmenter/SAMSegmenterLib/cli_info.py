"""`samsegmenter info`: what an image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cli_runs import ResampleOption, SeriesOption, VolumeArgument
from .errors import InputError
from .files import check_name

if TYPE_CHECKING:
    from .volume import Volume


def info(volume: VolumeArgument, series: SeriesOption = None, resample: ResampleOption = False) -> None:
    """Show what an image is and how it would be windowed."""
    from .imageio import list_series, read_volume
    from .window import looks_like_ct

    check_name(volume)
    listed = list_series(volume) if volume.is_dir() else []
    for each in listed if len(listed) > 1 else []:
        print(f"series     {each}")
    image = read_volume(volume, series, resample)
    kind = "RGB" if image.is_rgb else image.modality or ("CT by its values" if looks_like_ct(image) else "not stated")
    print(f"name       {image.name}")
    print(f"voxels     {' x '.join(map(str, image.shape_ijk))} (i, j, k), {image.voxels.dtype}{', RGB' if image.is_rgb else ''}")
    print(f"spacing    {' x '.join(f'{value:g}' for value in image.spacing_mm)} mm")
    print(f"axes       i, j, k run towards {', '.join(image.axis_directions)} (R, L: right, left; A, P: front, back; S, I: up, down)")
    print(f"modality   {kind}")
    print(f"values     {image.voxels.min():g} to {image.voxels.max():g}")
    print(f"window     {_window_in_words(image)}")


def _window_in_words(image: Volume) -> str:
    from .window import CT_PRESETS, automatic_window

    try:
        window = automatic_window(image)
    except InputError as error:
        return f"none: {error}"
    preset = next((f"CT preset {name}, until prompts show lung or bone" for name, each in CT_PRESETS.items() if each == window), "")
    why = "colours as they are" if image.is_rgb else preset or "0.5 to 99.5 % of the values"
    return f"{window.low:g} to {window.high:g} (level {window.level:g}, width {window.width:g}; {why})"
