"""`samsegmenter demo`: segments a phantom, or the user's own image, and draws the result."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ..errors import printable
from ..files import make_folder, replacing
from .options import INTERRUPTED, Device, DeviceOption, Mode, ModelOption, ModeOption, Warnings, check_files, write_text
from .running import ResampleOption, SeriesOption, carry_on, image_of, prepare, prompts_of, started, write

if TYPE_CHECKING:
    import numpy as np

    from ..image.volume import Volume
    from ..prompts.types import PromptSet
    from ..session.run import Run

    Case = tuple[Volume, PromptSet, dict[str, np.ndarray]]  # image, prompts and, of the phantom, the true segments by name


SEGMENTATION, PICTURE, STATS = "segmentation.seg.nrrd", "overlay.png", "stats.json"
PHANTOM, PHANTOM_PROMPTS = "phantom.nrrd", "phantom.prompts.json"


def demo(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", readable=False, help="Folder for the results.")] = Path("demo"),
    volume: Annotated[
        Optional[Path], typer.Option("--volume", metavar="VOLUME", readable=False, help="Your own image instead of the phantom.")
    ] = None,
    prompts: Annotated[Optional[Path], typer.Option("--prompts", metavar="FILE", readable=False, help="What is marked on it.")] = None,
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    series: SeriesOption = None,
    resample: ResampleOption = False,
) -> None:
    """Segment a built-in phantom, or a volume of yours, and draw the result."""
    from ..imageio import check_output

    if (volume is None) != (prompts is None):
        raise typer.BadParameter("--volume and --prompts belong together: give both, or neither for the phantom.")
    if series and not volume:
        raise typer.BadParameter("--series chooses in a DICOM folder; give that folder as --volume.")
    if resample and not volume:
        raise typer.BadParameter("--resample is for the slices of a DICOM folder; give that folder as --volume.")
    results = [output / name for name in (SEGMENTATION, PICTURE, STATS)]
    check_files((volume, prompts, model), results)
    start, warn = time.perf_counter(), Warnings()
    image, marked, truth = _own_case(volume, prompts, series, resample, results, warn) if volume and prompts else _phantom_case()
    run = prepare(image, marked, model, mode, device, None, warn)
    make_folder(output)  # only now, so that no empty folder is left after an error
    check_output(output / SEGMENTATION, image)
    if not volume:
        results += _write_phantom(output, image, marked)
    run.seconds["load"] = time.perf_counter() - start
    carry_on(run, None)
    if not started(run):
        print("samsegmenter: interrupted before anything was finished; no segmentation was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    write(run, output / SEGMENTATION, overlap=False)
    _draw(run, output / PICTURE)
    run.seconds["total"] = time.perf_counter() - start
    write_text(output / STATS, json.dumps(run.stats(), indent=2))
    warn(run.session.stats()["warnings"])
    _report_demo(run, results, truth)
    if run.cancelled:
        sys.exit(INTERRUPTED)


def _own_case(volume: Path, prompts: Path, series: str | None, resample: bool, results: list[Path], warn: Warnings) -> Case:
    image = image_of(volume, series, resample, warn)
    return image, prompts_of(prompts, image, results, warn), {}


def _phantom_case() -> Case:
    from ..phantom import make_phantom, phantom_prompts

    image, labels, names = make_phantom()
    return image, phantom_prompts(labels, names), {name: labels == number for number, name in enumerate(names, 1)}


def _write_phantom(output: Path, image: Volume, marked: PromptSet) -> list[Path]:
    """Write the demo's input, for the user to try more with; return the files."""
    from ..imageio import write_volume
    from ..prompts.json_file import prompts_to_dict

    write_volume(output / PHANTOM, image)
    write_text(output / PHANTOM_PROMPTS, json.dumps(prompts_to_dict(marked), indent=2))
    return [output / PHANTOM, output / PHANTOM_PROMPTS]


def _draw(run: Run, path: Path) -> None:
    from ..imageio import default_color
    from ..session.contact_sheet import contact_sheet

    session = run.session
    colors = [segment.color or default_color(number) for number, segment in enumerate(session.prompts.segments)]
    assert run.layers is not None  # they have been written
    picture = contact_sheet(session.stack, run.layers, session.prompts, colors)
    with replacing(path) as temporary:
        picture.save(temporary)


def _report_demo(run: Run, files: list[Path], truth: dict[str, np.ndarray]) -> None:
    stats = run.stats()
    speed = f"{stats['slices_per_second']:g} slices/s on {stats['device']}, {stats['precision']}"
    print(f"{run.slices} slices in {run.seconds['propagate']:.1f} s: {speed}")
    if truth:
        from ..image.extent import dice

        for segment in run.session.prompts.segments:
            overlap = dice(run.session.segment_volume(segment.name), truth[segment.name])
            print(f"{printable(segment.name)}: Dice {overlap:.2f} against the phantom's truth, from one box on one slice")
    for path in sorted(files):
        print(path)
