"""`samsegmenter demo`: the whole way on a phantom, or on an image of the user's, with a picture at its end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .cli_common import INTERRUPTED, Device, DeviceOption, Mode, ModelOption, ModeOption, make_folder, write_text
from .cli_runs import SeriesOption, carry_on, prepare, prompts_of, started, write
from .files import replacing

if TYPE_CHECKING:
    from .prompts import PromptSet
    from .runs import Run
    from .volume import Volume


def demo(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the results.")] = Path("demo"),
    volume: Annotated[Optional[Path], typer.Option("--volume", metavar="VOLUME", help="Your own image instead of the phantom.")] = None,
    prompts: Annotated[Optional[Path], typer.Option("--prompts", metavar="FILE", help="What is marked on it.")] = None,
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    series: SeriesOption = None,
) -> None:
    """Segment a built-in phantom, or a volume of yours, and draw the result."""
    if (volume is None) != (prompts is None):
        raise typer.BadParameter("--volume and --prompts belong together: give both, or neither for the phantom.")
    make_folder(output)
    start = time.perf_counter()
    image, marked, truth = _demo_case(output, volume, prompts, series)
    run = prepare(image, marked, model, mode, device, None)
    run.seconds["load"] = time.perf_counter() - start
    carry_on(run, None)
    if not started(run):
        print("samsegmenter: interrupted before anything was finished; no segmentation was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    write(run, output / "segmentation.seg.nrrd", overlap=False)
    _draw(run, output / "overlay.png")
    run.seconds["total"] = time.perf_counter() - start
    write_text(output / "stats.json", json.dumps(run.stats(), indent=2))
    _report_demo(run, output, truth)
    if run.cancelled:
        sys.exit(INTERRUPTED)


def _demo_case(output: Path, volume: Path | None, prompts: Path | None, series: str | None) -> tuple[Volume, PromptSet, Any]:
    """Image, prompts and, of the phantom, the true segments by name."""
    from .imageio import read_volume, write_volume
    from .phantom import make_phantom, phantom_prompts
    from .prompts_io import prompts_to_dict

    if volume and prompts:
        image = read_volume(volume, series)
        return image, prompts_of(prompts, image), None
    image, labels, names = make_phantom()
    marked = phantom_prompts(labels, names)
    write_volume(output / "phantom.nrrd", image)
    write_text(output / "prompts.json", json.dumps(prompts_to_dict(marked), indent=2))
    return image, marked, {name: labels == number for number, name in enumerate(names, 1)}


def _draw(run: Run, path: Path) -> None:
    from .imageio import default_color
    from .overlay import contact_sheet

    session = run.session
    colors = [segment.color or default_color(number) for number, segment in enumerate(session.prompts.segments)]
    picture = contact_sheet(session.stack, session.labelmap(), session.prompts, colors)
    with replacing(path) as temporary:
        picture.save(temporary)


def _report_demo(run: Run, output: Path, truth: Any) -> None:
    stats = run.stats()
    speed = f"{stats['slices_per_second']:g} slices/s on {stats['device']}, {stats['precision']}"
    print(f"{run.slices} slices in {run.seconds['propagate']:.1f} s: {speed}")
    if truth is not None:
        from .propagation.fusion import dice

        for segment in run.session.prompts.segments:
            overlap = dice(run.session.segment_volume(segment.name), truth[segment.name])
            print(f"{segment.name}: Dice {overlap:.2f} against the phantom's truth, from one box on one slice")
    for name in sorted(path.name for path in output.iterdir() if path.suffix in (".nrrd", ".png", ".json")):
        print(output / name)
