"""What several commands share: options, files and folders, and what Ctrl-C does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Annotated, Any, Optional

import typer

from .errors import OutputError
from .files import check_name, replacing

INTERRUPTED = 130
STOPPING = b"samsegmenter: stopping, which may take a while; a second Ctrl-C ends at once and keeps nothing more.\n"


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Mode(str, Enum):
    auto = "auto"
    strict = "strict"
    fast = "fast"


ModelOption = Annotated[
    Optional[str],
    typer.Option(
        "--model", metavar="ID_OR_FILE", help="A model of `samsegmenter models`, or a checkpoint file. Default: samsegmenter-pico."
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="auto; strict: as upstream's predictor, slow; fast: fewer memories.")]


@contextmanager
def interruptible() -> Iterator[Event]:
    """The first Ctrl-C sets the event, so that what is finished can be kept; a second one ends the program."""
    stop = Event()
    if current_thread() is not main_thread():
        yield stop
        return

    def interrupted(*_: Any) -> None:
        if stop.is_set():
            sys.exit(INTERRUPTED)
        stop.set()
        with suppress(OSError):
            os.write(2, STOPPING)  # `print` may be just what was interrupted, and would fail

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def check_files(read: Iterable[Path | str | None], written: Iterable[Path | None]) -> None:
    """Find out before a long run whether a result would replace what the run reads, or another result; None is what was not given.

    Raises:
        InputError: a name is not UTF-8.
        OutputError: a result has the name of a file that is read, be it for a header's voxels; of another result; of a DICOM image,
            which may be of a series; or of a device or pipe, which a file would take the place of.
    """
    from .imageio import holds_voxels_of, is_dicom

    sources, results = [Path(each) for each in read if each], [path for path in written if path]
    for path in (*sources, *results):
        check_name(path)
    for path in results:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OutputError(f"{path}: this is no file. Choose the name of a file for the result.")
    for path in filter(Path.is_file, results):
        if any(source.exists() and (source.samefile(path) or holds_voxels_of(source, path)) for source in sources):
            raise OutputError(f"{path}: this file is read, too, and would be lost. Choose another name for the result.")
        if is_dicom(path):
            raise OutputError(f"{path}: this is a DICOM image, and would be lost. Choose another name for the result.")
    if len({path.resolve() for path in results}) < len(results):
        raise OutputError(f"{results[-1]}: two results would have this name. Choose another name for one of them.")


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
