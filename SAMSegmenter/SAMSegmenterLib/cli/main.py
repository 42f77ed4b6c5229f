"""The command line: `samsegmenter propagate`, `demo`, `models`, `info`, `evaluate` and `train-default`.

What takes seconds to import (torch, SimpleITK) is imported by the commands that need it, so that help comes at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import SAMSegmenterError, is_out_of_memory, printable
from .demo import demo
from .evaluate import evaluate
from .info import info
from .models import models
from .options import INTERRUPTED, listen, say
from .propagate import propagate
from .streams import heedless, open_closed_streams
from .train import train_default

NEW_OBJECTS = 100_000  # between two searches for garbage

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mark an organ or lesion on one slice and get it in the whole volume. Research use only, not for diagnosis.",
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 if it worked, 1 if it could not, 2 if it was called wrongly, 130 if it was interrupted."""
    open_closed_streams()
    if current_thread() is main_thread():
        listen(_leave)
    stdout: Any = sys.stdout
    stdout.reconfigure(errors="backslashreplace")  # a path may hold letters that the terminal lacks; stderr escapes them anyway
    with heedless(), _seldom_collecting():
        try:
            try:
                app(args=arguments, prog_name="samsegmenter")
            finally:
                sys.stdout.flush()
        except (SAMSegmenterError, OSError, MemoryError, RuntimeError) as error:
            _fail(error)
    sys.exit(0)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage less often: torch makes half a million objects that stay, and looking through them takes a fifth of its loading."""
    usual = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _fail(error: Exception) -> NoReturn:
    """Tell what was wrong, and exit; an error that is not the user's is raised again."""
    if is_out_of_memory(error):
        why = "there is too little free memory. Close other programs, crop the image or save it with larger voxels, or use a smaller model."
    elif isinstance(error, PermissionError) and not isinstance(error, SAMSegmenterError):
        why = f"{error.filename}: {error.strerror}. Change who may use it, or choose another one."
    elif isinstance(error, (SAMSegmenterError, OSError)):
        why = str(error)
    else:
        raise error
    print("samsegmenter: error:", "\n".join(map(printable, why.splitlines())), file=sys.stderr)
    sys.exit(1)


def _leave(*_: Any) -> NoReturn:
    say(b"samsegmenter: interrupted; what was not finished was not written.\n")
    sys.exit(INTERRUPTED)


def _version(asked: bool) -> None:
    if asked:
        print(f"samsegmenter {__version__}")
        raise typer.Exit


VersionOption = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]


@app.callback()
def _common(version: VersionOption = False) -> None:
    pass


PROMPTS = '{"version": 1, "segments": [{"name": "liver", "keyframes": [{"slice": 56, "box": [20, 31, 88, 90]}]}]}'
EXAMPLES: dict[Callable[..., None], str] = {
    propagate: f"propagate ct.nii.gz --prompts prompts.json --output liver.seg.nrrd\n\nwhere prompts.json may be {PROMPTS}",
    demo: "demo --output demo",
    info: "info ct.nii.gz",
    evaluate: "evaluate data --output report --protocol box,mask-3 --objects liver",
    train_default: "train-default --output run --minutes 25",
}
for command, example in EXAMPLES.items():
    app.command(epilog=f"Example: samsegmenter {example}")(command)
app.add_typer(models, name="models")
