"""`samsegmenter propagate`: segment a volume from what is marked on some of its slices."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from ..files import check_writable
from .measures import doubts, write_measures
from .options import INTERRUPTED, Device, DeviceOption, Mode, ModelOption, ModeOption, Warnings, check_files, interruptible, write_text
from .running import (
    ResampleOption,
    SeriesOption,
    VolumeArgument,
    carry_on,
    image_of,
    neighbours_of,
    prepare,
    progress_bar,
    prompts_of,
    save_objects,
    slice_model,
    started,
    tell,
    told,
    write,
)

if TYPE_CHECKING:
    from ..image.volume import Volume
    from ..image.window import Window
    from ..models.interfaces import SliceModel
    from ..prompts.types import PromptSet
    from ..session.run import Run
    from .objects import Objects

MOST_DIGITS = 20  # of a slice's number; Python refuses to read thousands of them


def propagate(
    volume: VolumeArgument,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", readable=False, help=".seg.nrrd for 3D Slicer, or .nii.gz, .nii, .nrrd, .mha."),
    ],
    prompts: Annotated[
        Optional[Path],
        typer.Option("--prompts", metavar="FILE", readable=False, help="What is marked, as JSON; docs/command-line.md has its form."),
    ] = None,
    propose: Annotated[
        Optional[str], typer.Option("--propose", metavar="ID_OR_FILE", help="Instead of --prompts: a model that finds without prompts.")
    ] = None,
    on: Annotated[
        Optional[list[int]],
        typer.Option("--on", metavar="SLICE", help="A slice along k, numbered from 0, to ask it on; can be repeated."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    range_: Annotated[
        Optional[str],
        typer.Option("--range", metavar="FIRST:LAST", help="Slices to go to at most, numbered from 0, both included: 20:85. Default: all."),
    ] = None,
    stats: Annotated[
        Optional[Path], typer.Option("--stats", metavar="FILE", readable=False, help="Write timing, stop reasons and trust as JSON.")
    ] = None,
    window: Annotated[
        Optional[str],
        typer.Option("--window", metavar="LEVEL,WIDTH", help="In the image's units, HU for CT: 40,400. Default: automatic."),
    ] = None,
    series: SeriesOption = None,
    resample: ResampleOption = False,
    overlap: Annotated[bool, typer.Option("--overlap", help="Let segments overlap (.seg.nrrd only).")] = False,
    keyframes_by: Annotated[
        Optional[str],
        typer.Option("--keyframes-by", metavar="ID_OR_FILE", help="A model that makes masks of the prompts, for --model to propagate."),
    ] = None,
    beside: Annotated[
        Optional[Path],
        typer.Option(
            "--beside", metavar="FILE", readable=False, help="A segmentation of this image: what is in it stays out of the result."
        ),
    ] = None,
    each_slice: Annotated[
        bool, typer.Option("--each-slice", help="Ask --keyframes-by the same on every slice instead of propagating.")
    ] = False,
    measure: Annotated[
        Optional[Path],
        typer.Option("--measure", metavar="FILE", readable=False, help="Write volume and diameters (RECIST 1.1) of each object as CSV."),
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="Make parts that do not touch objects of their own, the largest first.")] = False,
) -> None:
    """Segment a volume from what is marked on some of its slices."""
    slices, fixed = _range(range_), _window(window)
    from ..imageio import check_output

    _check_origin(prompts, propose, on, keyframes_by)
    if each_slice:
        _check_each_slice(
            keyframes_by,
            slices,
            {"--model": model, "--stats": stats, "--overlap": overlap, "--mode": mode is not Mode.auto, "--beside": beside},
        )
    _check_files((volume, prompts, model, propose, keyframes_by, beside), output, (stats, measure), overlap)
    start, warn = time.perf_counter(), Warnings()
    image = image_of(volume, series, resample, warn)
    check_output(output, image)
    if measure:
        warn(doubts(image))
    if prompts:
        marked = prompts_of(prompts, image, (output, stats, measure), warn)
    else:
        assert propose  # `_check_origin` has seen to it
        assert on
        marked = _proposed(image, propose, on, device, fixed)
    if each_slice:
        assert keyframes_by  # `_check_each_slice` has seen to it
        assert slices
        objects, stopped = _segment_each_slice(image, marked, slice_model(keyframes_by, device), slices, fixed, output, split)
        if measure:
            write_measures(measure, objects, {})
        _end(output, stopped)
        return
    neighbours = neighbours_of(beside, image, marked, warn) if beside else None
    run = prepare(image, marked, model, mode, device, fixed, warn, keyframes_by, neighbours)
    run.seconds["load"] = time.perf_counter() - start
    carry_on(run, slices)
    if not started(run):
        print("samsegmenter: interrupted before anything was finished; nothing was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    objects = write(run, output, overlap, split)
    if measure:
        write_measures(measure, objects, {each.name: trust for each, trust in zip(run.session.prompts.segments, run.trusts, strict=True)})
    run.seconds["total"] = time.perf_counter() - start
    if stats:
        write_text(stats, json.dumps(_stats(run, objects, split), indent=2))
    _conclude(run, output, warn)


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and all(end.strip().isdecimal() and len(end) < MOST_DIGITS for end in (first, last))):
        raise typer.BadParameter(f"expected FIRST:LAST, two slice numbers such as 20:85, got {text!r}.", param_hint="'--range'")
    slices = int(first), int(last)
    if slices[0] > slices[1]:
        why = f"FIRST must not lie behind LAST; did you mean {slices[1]}:{slices[0]}?"
        raise typer.BadParameter(why, param_hint="'--range'")
    return slices


def _window(text: str | None) -> Window | None:
    from ..image.window import Window

    if text is None:
        return None
    try:
        level, width = (float(part) for part in text.split(","))
        return Window.from_level(level, width)
    except (ValueError, InputError) as error:
        why = f"expected LEVEL,WIDTH with a width above 0, such as 40,400, got {text!r}."
        raise typer.BadParameter(why, param_hint="'--window'") from error


def _check_origin(prompts: Path | None, propose: str | None, on: list[int] | None, keyframes_by: str | None) -> None:
    """Refuse a call that does not say, or says twice, what to begin from."""
    if bool(prompts) == bool(propose):
        raise typer.BadParameter("give either --prompts, a file of what is marked, or --propose with a model that finds without prompts.")
    if bool(propose) != bool(on):
        raise typer.BadParameter("--propose and --on belong together: a model that finds without prompts, and a slice to ask it on.")
    if propose and keyframes_by:
        raise typer.BadParameter("--keyframes-by makes masks of prompts, and --propose gives masks already; leave one of them out.")


def _check_each_slice(keyframes_by: str | None, slices: tuple[int, int] | None, of_propagation: dict[str, Any]) -> None:
    if not (keyframes_by and slices):
        raise typer.BadParameter("--each-slice needs a model as --keyframes-by, and a --range, since nothing else tells where to end.")
    useless = ", ".join(name for name, given in of_propagation.items() if given)
    if useless:
        raise typer.BadParameter(f"--each-slice does not propagate and has no use for {useless}; leave that out.")


def _check_files(read: Iterable[Path | str | None], output: Path, tables: Sequence[Path | None], overlap: bool) -> None:
    from ..imageio import check_output

    check_files(read, (output, *tables))
    if overlap and not output.name.lower().endswith(".seg.nrrd"):
        raise typer.BadParameter("--overlap needs an --output that ends in .seg.nrrd; other formats hold one segment per voxel.")
    check_output(output)
    for path in filter(None, tables):
        check_writable(path)


def _proposed(image: Volume, model: str, slices: list[int], device: Device, window: Window | None) -> PromptSet:
    from ..models.loading import load_proposer
    from ..network.device import pick_device
    from ..session.run import proposed

    proposer = told(load_proposer(model, device=pick_device(device.value).type), model)
    name = Path(model).stem if Path(model).is_file() else model
    return proposed(image, proposer, slices, name, window)


def _segment_each_slice(
    image: Volume, marked: PromptSet, model: SliceModel, slices: tuple[int, int], window: Window | None, output: Path, split: bool
) -> tuple[Objects, bool]:
    """Return what was written, and whether it was interrupted before."""
    from ..session.run import label_each_slice

    with progress_bar() as progress, interruptible() as stop:
        labels = label_each_slice(image, marked, model, slices, window, progress, stop.is_set)
        return save_objects(output, labels, marked, split), stop.is_set()


def _stats(run: Run, objects: Objects, split: bool) -> dict[str, Any]:
    """Return the statistics of a run; where segments are split, with all labels of each."""
    stats = run.stats()
    if split:
        for told, segment in zip(stats["segments"], run.session.prompts.segments, strict=True):
            told["labels"] = objects.labels(segment)
            del told["label"]
    return stats


def _conclude(run: Run, output: Path, warn: Warnings) -> None:
    tell(run, f"{output}: {run.slices} slices in {run.seconds['total']:.1f} s", warn)
    _end(output, run.cancelled)


def _end(output: Path, interrupted: bool) -> None:
    """Exit as an interrupted program if it is one."""
    if interrupted:
        print(f"samsegmenter: interrupted; the slices finished until then are in {output}.", file=sys.stderr)
        sys.exit(INTERRUPTED)
