"""The command line: `samsegmenter propagate`, `demo`, `models`, `info`, `evaluate` and `train-default`.

What takes seconds to import (torch, SimpleITK) is imported by the commands that need it, so that help comes at once.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import __version__
from .cli_common import (
    INTERRUPTED,
    Device,
    DeviceOption,
    Mode,
    ModelOption,
    ModeOption,
    check_folder,
    interruptible,
    make_folder,
    write_text,
)
from .cli_evaluate import evaluate
from .cli_models import models
from .cli_train import train_default
from .errors import InputError, SAMSegmenterError
from .files import replacing

if TYPE_CHECKING:
    from .frames import Window
    from .models.protocols import SliceModel
    from .prompts import PromptSet
    from .runs import Run
    from .volume import Volume

REVIEWED = 0.3  # slices trusted less than this are named on the terminal

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mark an organ or lesion on one slice and get it in the whole volume. Research use only, not for diagnosis.",
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 if it worked, 1 if it could not, 2 if it was called wrongly, 130 if it was interrupted."""
    if current_thread() is main_thread():
        signal.signal(signal.SIGINT, _leave)
    try:
        app(args=arguments, prog_name="samsegmenter")
    except (SAMSegmenterError, OSError) as error:
        print(f"samsegmenter: error: {error}", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print("samsegmenter: error: the computer has too little free memory for this image.", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _leave(*_: Any) -> NoReturn:
    print("samsegmenter: interrupted; nothing was written.", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _version(asked: bool) -> None:
    if asked:
        print(f"samsegmenter {__version__}")
        raise typer.Exit


VersionOption = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]


@app.callback()
def _common(version: VersionOption = False) -> None:
    pass


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.strip().isdecimal() and last.strip().isdecimal()):
        raise typer.BadParameter(f"expected FIRST:LAST, two slice numbers such as 20:85, got {text!r}.")
    return int(first), int(last)


def _window(text: str | None) -> Window | None:
    from .frames import Window

    if text is None:
        return None
    try:
        level, width = (float(part) for part in text.split(","))
        return Window.from_level(level, width)
    except (ValueError, InputError) as error:
        raise typer.BadParameter(f"expected LEVEL,WIDTH with a width above 0, such as 40,400, got {text!r}.") from error


SeriesOption = Annotated[Optional[str], typer.Option("--series", metavar="UID", help="Which series of a DICOM folder that holds several.")]


@app.command()
def propagate(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="An image (.nrrd .nii .nii.gz .mha .mhd) or a DICOM folder.")],
    prompts: Annotated[Path, typer.Option("--prompts", metavar="FILE", help="What is marked, as JSON; see the README.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The segmentation: .seg.nrrd for 3D Slicer, or .nii.gz.")],
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    range_: Annotated[Optional[str], typer.Option("--range", metavar="FIRST:LAST", help="Slices to go to at most.")] = None,
    stats: Annotated[Optional[Path], typer.Option("--stats", metavar="FILE", help="Write timing, stop reasons and trust as JSON.")] = None,
    window: Annotated[Optional[str], typer.Option("--window", metavar="LEVEL,WIDTH", help="Grey levels; automatic if not given.")] = None,
    series: SeriesOption = None,
    overlap: Annotated[bool, typer.Option("--overlap", help="Let segments overlap (.seg.nrrd only).")] = False,
    keyframes_by: Annotated[
        Optional[str], typer.Option("--keyframes-by", metavar="ID_OR_FILE", help="A model of single slices makes masks of the prompts.")
    ] = None,
    each_slice: Annotated[
        bool, typer.Option("--each-slice", help="Ask --keyframes-by the same on every slice instead of propagating.")
    ] = False,
) -> None:
    """Segment a volume from what is marked on some of its slices."""
    slices, fixed = _range(range_), _window(window)
    from .imageio import check_output, read_volume

    if overlap and not output.name.endswith(".seg.nrrd"):
        raise typer.BadParameter("--overlap needs an --output that ends in .seg.nrrd; other formats hold one segment per voxel.")
    if each_slice and not (keyframes_by and slices):
        raise typer.BadParameter("--each-slice needs a model as --keyframes-by, and a --range, since nothing else tells where to end.")
    check_output(output)
    if stats:
        check_folder(stats)
    start = time.perf_counter()
    image = read_volume(volume, series)
    marked = _read_prompts(prompts, image)
    if each_slice:
        _segment_each_slice(image, marked, _slice_model(keyframes_by, device), slices, fixed, output)
        return
    run = _prepare(image, marked, model, mode, device, fixed, keyframes_by)
    run.seconds["load"] = time.perf_counter() - start
    _propagate(run, slices)
    if not _started(run):
        print("samsegmenter: interrupted before anything was finished; nothing was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    _write(run, output, overlap)
    run.seconds["total"] = time.perf_counter() - start
    if stats:
        write_text(stats, json.dumps(run.stats(), indent=2))
    _conclude(run, output)


@app.command()
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
    run = _prepare(image, marked, model, mode, device, None)
    run.seconds["load"] = time.perf_counter() - start
    _propagate(run, None)
    if not _started(run):
        print("samsegmenter: interrupted before anything was finished; no segmentation was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    _write(run, output / "segmentation.seg.nrrd", overlap=False)
    _draw(run, output / "overlay.png")
    run.seconds["total"] = time.perf_counter() - start
    write_text(output / "stats.json", json.dumps(run.stats(), indent=2))
    _report_demo(run, output, truth)
    if run.cancelled:
        sys.exit(INTERRUPTED)


@app.command()
def info(
    volume: Annotated[Path, typer.Argument(metavar="VOLUME", help="An image file or a DICOM folder.")],
    series: SeriesOption = None,
) -> None:
    """Show what an image is and how it would be windowed."""
    from .frames import looks_like_ct
    from .imageio import list_series, read_volume

    listed = list_series(volume) if volume.is_dir() else []
    for each in listed if len(listed) > 1 else []:
        print(f"series     {each}")
    image = read_volume(volume, series)
    kind = "RGB" if image.is_rgb else image.modality or ("CT by its values" if looks_like_ct(image) else "not stated")
    print(f"name       {image.name}")
    print(f"voxels     {' x '.join(map(str, image.shape_ijk))} (i, j, k), {image.voxels.dtype}{', RGB' if image.is_rgb else ''}")
    print(f"spacing    {' x '.join(f'{value:g}' for value in image.spacing_mm)} mm")
    print(f"axes       i, j, k run towards {', '.join(image.axis_directions)} (R, L: right, left; A, P: front, back; S, I: up, down)")
    print(f"modality   {kind}")
    print(f"values     {image.voxels.min():g} to {image.voxels.max():g}")
    print(f"window     {_window_in_words(image)}")


app.command()(evaluate)
app.command("train-default")(train_default)
app.add_typer(models, name="models")


def _window_in_words(image: Volume) -> str:
    from .frames import CT_PRESETS, automatic_window

    try:
        window = automatic_window(image)
    except InputError as error:
        return f"none: {error}"
    preset = next((f"CT preset {name}, until prompts show lung or bone" for name, each in CT_PRESETS.items() if each == window), "")
    why = "colours as they are" if image.is_rgb else preset or "0.5 to 99.5 % of the values"
    return f"{window.low:g} to {window.high:g} (level {window.level:g}, width {window.width:g}; {why})"


# ---------------------------------------------------------------- steps


def _read_prompts(path: Path, image: Volume) -> PromptSet:
    from .frames import FrameStack
    from .imageio import read_labelmap
    from .prompts_io import read_axis, read_prompts

    return read_prompts(path, FrameStack(image, read_axis(path)), read_labelmap)


def _prepare(
    image: Volume, marked: PromptSet, model: str | None, mode: Mode, device: Device, window: Window | None, keyframes_by: str | None = None
) -> Run:
    from .models.loading import load_model
    from .runs import Run

    maker = _slice_model(keyframes_by, device) if keyframes_by else None
    return Run.of(image, marked, load_model(model), mode.value, device.value, window, maker)


def _slice_model(model: str, device: Device) -> SliceModel:
    from .models.loading import load_slice_model
    from .propagation.device import pick_device

    return load_slice_model(model, device=pick_device(device.value).type)


def _segment_each_slice(
    image: Volume, marked: PromptSet, model: SliceModel, slices: tuple[int, int], window: Window | None, output: Path
) -> None:
    from .imageio import SegmentInfo, write_segmentation
    from .runs import label_each_slice

    with _progress() as progress, interruptible() as stop:
        labels = label_each_slice(image, marked, model, slices, window, progress, stop.is_set)
        write_segmentation(output, labels, image, [SegmentInfo(segment.name, segment.color) for segment in marked.segments])
    if stop.is_set():
        print(f"samsegmenter: interrupted; the slices finished until then are in {output}.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _propagate(run: Run, slices: tuple[int, int] | None) -> None:
    with _progress() as progress, interruptible() as stop:
        run.propagate(slices, progress, stop.is_set)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar with slices per second and time left on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task, start = bar.add_task("slices", total=None, speed=""), time.perf_counter()

        def show(done: int, total: int) -> None:
            speed = done / max(time.perf_counter() - start, 1e-3)
            bar.update(task, completed=done, total=total, speed=f"{speed:.1f} slices/s" if done else "")

        yield show


def _started(run: Run) -> bool:
    return not run.cancelled or run.slices > 0


def _write(run: Run, path: Path, overlap: bool) -> None:
    from .imageio import SegmentInfo, write_segmentation

    segments = [SegmentInfo(segment.name, segment.color) for segment in run.session.prompts.segments]
    start = time.perf_counter()
    with interruptible():  # what is finished shall not be lost just before it is safe
        write_segmentation(path, run.labels(overlap), run.session.stack.volume, segments)
    run.seconds["write"] = time.perf_counter() - start


def _conclude(run: Run, output: Path) -> None:
    _tell(run, f"{output}: {run.slices} slices in {run.seconds['total']:.1f} s")
    if run.cancelled:
        print(f"samsegmenter: interrupted; the slices finished until then are in {output}.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _tell(run: Run, headline: str) -> None:
    """On a terminal: the result, warnings, and the slices worth a look."""
    for warning in run.session.stats()["warnings"]:
        print(f"samsegmenter: warning: {warning}", file=sys.stderr)
    console = Console(stderr=True)
    if not console.is_terminal:
        return
    console.print(headline, highlight=False)
    for report in run.session.reports():
        console.print(f"  {report.segment}: from slice {report.start} to {report.reached}: {report.reason}", highlight=False)
    for segment in run.session.prompts.segments:
        trust = run.session.trust(segment.name)
        doubtful = [str(index) for index in run.session.review(segment.name) if trust[index] < REVIEWED]
        if doubtful:
            console.print(f"  {segment.name}: slices most worth checking: {', '.join(doubtful)}", highlight=False)


# ---------------------------------------------------------------- the demo


def _demo_case(output: Path, volume: Path | None, prompts: Path | None, series: str | None) -> tuple[Volume, PromptSet, Any]:
    """Image, prompts and, of the phantom, the true segments by name."""
    from .imageio import read_volume, write_volume
    from .phantom import make_phantom, phantom_prompts
    from .prompts_io import prompts_to_dict

    if volume and prompts:
        image = read_volume(volume, series)
        return image, _read_prompts(prompts, image), None
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
