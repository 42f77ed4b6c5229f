"""The steps that `propagate` and `demo` share: preparing a run, showing its progress, writing its result, reporting on it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import InputError, OutOfMemory, OutputError, memory_for, printable
from ..files import READABLE
from .objects import Objects, parted, whole
from .options import Device, Mode, Warnings, check_files, interruptible

if TYPE_CHECKING:
    from ..image.layers import SegmentLayers
    from ..image.neighbours import Neighbours
    from ..image.volume import Volume
    from ..image.window import Window
    from ..models.interfaces import SliceModel
    from ..prompts.types import PromptSet
    from ..session.run import Run

CROP = "Close other programs, or crop the image."
REVIEWED = 0.5  # slices trusted less than this are named on the terminal

# `readable=False`: typer would end with 2 for a file that may not be read, as for a wrong call; `cli.main` ends with 1.
VolumeArgument = Annotated[Path, typer.Argument(metavar="VOLUME", readable=False, help=f"The image: {READABLE}.")]
SeriesOption = Annotated[
    Optional[str],
    typer.Option("--series", metavar="UID", help="Which series of a DICOM folder: its UID, the beginning of it, or its description."),
]
ResampleOption = Annotated[
    bool, typer.Option("--resample", help="Interpolate DICOM slices that are not evenly spaced; the result lies on the new ones.")
]


def image_of(path: Path, series: str | None, resample: bool, warn: Warnings) -> Volume:
    """Read an image, and warn of what had to be assumed."""
    from ..imageio import read_volume

    with memory_for(str(path), CROP):
        image = read_volume(path, series, resample)
    warn(image.source.warnings)
    return image


def prompts_of(path: Path, image: Volume, results: Sequence[Path | None], warn: Warnings) -> PromptSet:
    """Read what a prompt file marks on an image; `results` must not replace the masks that it names."""
    from ..image.stack import FrameStack
    from ..imageio import read_labelmap
    from ..prompts.json_file import PromptFile

    def read_mask(mask: Path) -> Volume:
        """Return the label map in a file, unless a result would replace it."""
        check_files([mask], results)
        return read_labelmap(mask)

    file = PromptFile(path)
    with memory_for(str(path), CROP):
        marked = file.prompts(FrameStack(image, file.axis), read_mask)
    warn(file.warnings)
    return marked


def neighbours_of(path: Path, image: Volume, marked: PromptSet, warn: Warnings) -> Neighbours:
    """Read the segments of an image that keep their voxels; one that is looked for anew, by its name, does not."""
    from ..image.neighbours import Neighbours
    from ..image.stack import FrameStack
    from ..imageio import read_segments

    with memory_for(str(path), CROP):
        layers = read_segments(path)
    own = {}
    for layer in layers:
        layer.labels.check_grid(image)
        warn(layer.labels.source.warnings)
    for name in (segment.name for segment in marked.segments):
        labels = [next((label for label, known in layer.names.items() if known == name), 0) for layer in layers]
        if any(labels):
            own[name] = labels
            warn([f"{path}: its segment {name!r} is looked for anew; only the others are kept out of it."])
    return Neighbours(FrameStack(image, marked.axis), [layer.labels.voxels for layer in layers], own)


def prepare(
    image: Volume,
    marked: PromptSet,
    model: str | None,
    mode: Mode,
    device: Device,
    window: Window | None,
    warn: Warnings,
    keyframes_by: str | None = None,
    neighbours: Neighbours | None = None,
) -> Run:
    """Return a run that is ready to begin; models are loaded, and what their files were taken for is told."""
    from ..models.loading import load_model
    from ..session.run import Run

    maker = slice_model(keyframes_by, device) if keyframes_by else None
    run = Run.of(image, marked, told(load_model(model), model), mode.value, device.value, window, maker, neighbours)
    run.warnings = warn.told
    return run


def slice_model(model: str, device: Device) -> SliceModel:
    """Return a loaded slice model, after telling what its file was taken for."""
    from ..models.loading import load_slice_model
    from ..network.device import pick_device

    return told(load_slice_model(model, device=pick_device(device.value).type), model)


def told(model: Any, name: str | None) -> Any:
    """Return a model, after telling what its file was taken for; nothing is told of a model chosen by name."""
    if model.why:
        print(f"samsegmenter: {name}: {model.why}", file=sys.stderr)
    return model


def carry_on(run: Run, slices: tuple[int, int] | None) -> None:
    """Propagate, showing the progress, until the end or Ctrl-C."""
    with progress_bar() as progress, interruptible() as stop:
        run.propagate(slices, progress, stop.is_set)


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Show a bar with slices per second and time left on a terminal, and nothing elsewhere; yield what updates it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task, start = bar.add_task("slices", total=None, speed=""), time.perf_counter()

        def show(done: int, total: int) -> None:
            """Update the bar."""
            speed = done / max(time.perf_counter() - start, 1e-3)
            bar.update(task, completed=done, total=total, speed=f"{speed:.1f} slices/s" if done else "")

        yield show


def started(run: Run) -> bool:
    """Return whether the run has found anything before it was interrupted."""
    return not run.cancelled or run.slices > 0


def write(run: Run, path: Path, overlap: bool, split: bool = False) -> Objects:
    """Compose the result and write it to `path`, even if Ctrl-C is pressed meanwhile; return its objects. See `save_objects`."""
    start = time.perf_counter()
    with interruptible():  # so that finished work is not lost just before it is written
        with memory_for("composing the result", CROP):
            layers = run.labels(overlap)
        objects = save_objects(path, layers, run.session.prompts, split)
    run.seconds["write"] = time.perf_counter() - start
    return objects


def save_objects(path: Path, layers: SegmentLayers, prompts: PromptSet, split: bool) -> Objects:
    """Write the segments of `prompts` or, with `split`, their parts; return what was written.

    Raises:
        OutputError, OutOfMemory: see `save`; or there are more parts than labels, or too little memory to find them. Then the segments are
            written whole: a run may have taken hours.
    """
    objects = whole(layers, prompts)
    if split:
        try:
            with memory_for("finding the parts of the result", CROP):
                objects = parted(layers, prompts)
        except (InputError, OutOfMemory) as error:
            save(path, objects)
            raise type(error)(f"--split: {str(error).rstrip('.')}. Its segments were written whole, as {path}.") from error
    save(path, objects)
    return objects


def save(path: Path, objects: Objects) -> None:
    """Write objects; see `imageio.write_segmentation`.

    Raises:
        OutputError, OutOfMemory: it could not be written there. Then it is saved in the folder for temporary files, if that is possible,
            for want of memory as .seg.nrrd: a run may have taken hours.
    """
    from ..imageio import write_segmentation

    result = objects.layers, objects.layers.stack.volume, objects.infos
    try:
        write_segmentation(path, *result)
    except (OutputError, OutOfMemory) as error:
        name = path.name if isinstance(error, OutputError) else f"{path.name.split('.')[0]}.seg.nrrd"
        try:
            rescued = Path(tempfile.mkdtemp(prefix="samsegmenter-"), name)
            write_segmentation(rescued, *result)
        except (OutputError, OutOfMemory, OSError):
            raise error from None
        raise OutputError(f"{error} The result was saved as {rescued}; move it from there.") from error


def tell(run: Run, headline: str, warn: Warnings) -> None:
    """Print the run's warnings and, on a terminal, its result and the slices most worth checking."""
    warn(run.session.stats()["warnings"])
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)  # users name files and segments
    if not console.is_terminal:
        return
    console.print(headline)
    for report in run.session.reports():
        console.print(f"  {printable(report.segment)}: from slice {report.start} to {report.reached}: {report.reason}")
    for number, segment in enumerate(run.session.prompts.segments):
        doubtful = [str(index) for index in run.review(number) if run.trusts[number][index] < REVIEWED]
        if doubtful:
            console.print(f"  {printable(segment.name)}: slices most worth checking: {', '.join(doubtful)}")
