"""`samsegmenter models`: lists the models that there are, and gets them onto this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column, Table

from ..errors import Cancelled, CheckpointError, InputError
from ..models.storage import hashes, licences, store
from ..models.storage.folders import FOLDER_VARIABLE, expanded, folders
from .options import INTERRUPTED, interruptible

if TYPE_CHECKING:
    from ..models.catalog import CatalogEntry
    from ..models.loading import RecognisedFile

models = typer.Typer(no_args_is_help=False, help="List models, and get, import, check or remove their files.")

JsonOption = Annotated[bool, typer.Option("--json", help="Write everything that is known of them as JSON.")]
FamilyOption = Annotated[
    Optional[str], typer.Option("--family", metavar="ID", help="What the files are where that cannot be told, such as medsam-vit-b.")
]
AsOption = Annotated[Optional[str], typer.Option("--as", metavar="ID", help="The name to choose the model by from now on.")]


@models.callback(invoke_without_command=True)
def _list_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models()


@models.command("list", epilog="Example: samsegmenter models list --json")
def list_models(as_json: JsonOption = False) -> None:
    """List the models that can be chosen by name: what they are good for, their licence, and whether they are installed."""
    entries = store.entries()
    if as_json:
        print(json.dumps([{**asdict(entry), "installed": _text(store.status(entry))} for entry in entries], indent=2))
        return
    console = Console()
    if not console.is_terminal:
        for entry in entries:
            print(entry.id, entry.kind, entry.licence, _place(entry), sep="\t")
        return
    table = Table(Column("id", no_wrap=True, min_width=max(len(entry.id) for entry in entries)), "good for", "licence", "size", "installed")
    for entry in entries:
        table.add_row(entry.id, entry.good_for, _short_licence(entry), _size(entry), _short_place(entry))
    console.print(table)
    where = f"Files are in {', '.join(map(str, folders()))}; the variable {FOLDER_VARIABLE} names other folders."
    console.print(where, markup=False, emoji=False, highlight=False)


@models.command(epilog="Example: samsegmenter models get sam2.1-hiera-small medsam2-latest")
def get(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Models of the list.")],
    yes: Annotated[bool, typer.Option("--yes", help="Accept their licences without being asked.")] = False,
) -> None:
    """Download models, and check that they are the published files. Broken off, a download goes on where it ended."""
    from ..models.storage.download import address, fetch

    for entry in [store.entry(id) for id in ids]:
        path = store.status(entry)
        if path:
            hashes.check_size(entry, path)
        else:
            address(entry)
            accepted = _accepts(entry, yes)
            with _progress(entry.id) as show, interruptible() as stop:
                try:
                    path = fetch(entry, show, stop.is_set, accepted)
                except Cancelled as stopped:
                    print(f"samsegmenter: interrupted. {stopped}", file=sys.stderr)
                    sys.exit(INTERRUPTED)
        print(entry.id, path, sep="\t")


@models.command("import", epilog="Example: samsegmenter models import best.pth --family medsam-vit-b --as my-liver")
def import_models(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", readable=False, help="Model files, or folders of them.")],
    family: FamilyOption = None,
    id: AsOption = None,
) -> None:
    """Copy model files into the folder of models: published ones that were downloaded elsewhere, or your own weights."""
    from ..models.storage.importing import files_in, install

    files = [file for path in paths for file in files_in(expanded(path))]
    if id and len(files) > 1:
        raise typer.BadParameter(f"--as names one model, but there are {len(files)} files.")
    failed = 0
    for file in files:
        try:
            found = _read(file, family)
            entry = install(found, id)
            print(f"{file}: {found.why}", file=sys.stderr)
            print(entry.id, store.status(entry), sep="\t")
        except InputError as error:
            failed += 1
            print(f"samsegmenter: error: {error}", file=sys.stderr)
    if failed:
        sys.exit(1)


@models.command("convert", epilog="Example: samsegmenter models convert checkpoint.pth checkpoint.safetensors")
def convert_file(
    source: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="A file of PyTorch weights.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The .safetensors file to write.")],
) -> None:
    """Take the weights out of a file that was refused for what it holds beside them; nothing of that is run."""
    from ..models.weights.converting import convert

    found = convert(expanded(source), expanded(target))
    beside = f", {len(found.beside)} other entries were not" if found.beside else ""
    print(f"{len(found.weights)} weights were kept{beside}.", file=sys.stderr)
    print(target)


@models.command(epilog="Example: samsegmenter models remove sam2-hiera-large")
def remove(id: Annotated[str, typer.Argument(metavar="ID", help="A model that is installed.")]) -> None:
    """Delete the file of a model. Models that ship with SAMSegmenter stay."""
    for path in store.remove(store.entry(id)):
        print(path)


@models.command(epilog="Example: samsegmenter models verify")
def verify(id: Annotated[Optional[str], typer.Argument(metavar="ID", help="A model; all that are installed if not given.")] = None) -> None:
    """Check that the files of models are what they were published as, or what they were when they were first used."""
    chosen = [store.entry(id)] if id else [entry for entry in store.entries() if store.status(entry)]
    bad = 0
    for entry in chosen:
        try:
            hashes.check(entry, store.locate(entry))
            print(entry.id, _finding(entry), sep="\t")
        except CheckpointError as error:
            bad += 1
            print(f"samsegmenter: error: {error}", file=sys.stderr)
    if bad:
        sys.exit(1)


def _finding(entry: CatalogEntry) -> str:
    if hashes.expected(entry):
        return "as it should be"
    size = "its size is the published one; " if entry.bytes else ""
    return f"{size}no SHA-256 is published, and none is recorded before its first use"


def _accepts(entry: CatalogEntry, yes: bool) -> bool:
    """Show the licence, ask on a terminal if that is needed, and return whether the user accepts it."""
    print(f"{entry.id}: {licences.terms(entry)} Cite: {entry.citation}.", file=sys.stderr)
    if yes or licences.is_accepted(entry):
        return yes
    if not sys.stdin.isatty():
        raise InputError(f"{entry.id}: its licence must be accepted; read it and give --yes.")
    if not typer.confirm("Do you accept this licence?", err=True):
        raise InputError(f"{entry.id}: the licence was not accepted; nothing was downloaded.")
    return True


def _read(file: Path, family: str | None) -> RecognisedFile:
    """Return what a file is; ask on a terminal where it cannot be told."""
    from ..models.detect import Ambiguous
    from ..models.loading import read

    try:
        return read(file, family)
    except Ambiguous as error:
        if not sys.stdin.isatty():
            raise
        choice = typer.prompt(f"{file.name} may be one of {', '.join(error.candidates)}. Which", default=error.candidates[0], err=True)
        return read(file, choice)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with megabytes, speed and time left on a terminal, and nothing elsewhere; yield what updates it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _place(entry: CatalogEntry) -> str:
    path = store.status(entry)
    return "shipped" if entry.shipped and path else _text(path) or f"not installed; {entry.url or entry.obtain}"


def _short_place(entry: CatalogEntry) -> str:
    if store.status(entry):
        return "shipped" if entry.shipped else "yes"
    return "no" if entry.url else "no; import it"


def _short_licence(entry: CatalogEntry) -> str:
    return entry.licence if entry.commercial_use else f"{entry.licence} (not for commercial use)"


def _size(entry: CatalogEntry) -> str:
    path = store.status(entry)
    size = path.stat().st_size if path else entry.bytes
    return f"{size / 1e6:.0f} MB" if size else ""


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
