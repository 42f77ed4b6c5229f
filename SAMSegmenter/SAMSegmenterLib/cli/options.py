"""Options, checks of files and folders, warnings and the handling of Ctrl-C, shared by all commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Annotated, Any, Optional

import typer

from ..errors import OutputError, printable
from ..files import check_name, replacing

INTERRUPTED = 130
STOPPING = b"samsegmenter: stopping, which may take a while; a second Ctrl-C ends at once and keeps nothing more.\n"


class Device(str, Enum):
    """A kind of device to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Mode(str, Enum):
    """A mode of running the network, see `network.options.MODES`."""

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


class Warnings:
    """Prints warnings on stderr, each sentence once; `told` has them all."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            if sentence not in self.told:
                self.told.append(sentence)
                print(f"samsegmenter: warning: {printable(sentence)}", file=sys.stderr)


def listen(handler: Callable[..., Any]) -> dict[signal.Signals, Any]:
    """Make `handler` answer Ctrl-C, batch systems (SIGTERM) and a closed terminal (SIGHUP); return the handlers before.

    Signals that are ignored stay so: `nohup` keeps a run from ending with its terminal.
    """
    known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    heard = [each for each in known if each == signal.SIGINT or signal.getsignal(each) != signal.SIG_IGN]
    return {each: signal.signal(each, handler) for each in heard}


@contextmanager
def interruptible() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C sets, so that finished work can be kept; a second one ends the program.

    See `listen` for the other signals that count.
    """
    stop = Event()
    if current_thread() is not main_thread():
        yield stop
        return

    def interrupted(*_: Any) -> None:
        """Set the event, or end the program if it is set."""
        if stop.is_set():
            sys.exit(INTERRUPTED)
        stop.set()
        say(STOPPING)

    before = listen(interrupted)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def say(message: bytes) -> None:
    """Write to stderr from a signal handler, where `print` may be what was interrupted, and would fail."""
    with suppress(OSError):
        os.write(2, message)


def check_files(read: Iterable[Path | str | None], written: Iterable[Path | None]) -> None:
    """Check before a long run that no result would replace a file that the run reads, or another result.

    Args:
        read, written: None for what was not given.

    Raises:
        InputError: a name is not UTF-8.
        OutputError: a result has the name of a file that is read (the voxels of a header count), of another result, of a DICOM image,
            which may be of a series, or of a device or pipe, which a file would replace.
    """
    from ..imageio import holds_voxels_of, is_dicom

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
    """Write text and a final newline to a file in UTF-8, replacing an earlier file only when all is written.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
