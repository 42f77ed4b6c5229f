"""`samsegmenter train-default`: trains the included network, from scratch or further."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from ..files import make_folder
from .options import INTERRUPTED, Device, DeviceOption, check_files, interruptible

CPU_FRAMES, GPU_FRAMES = 16, 240  # slices in a step, by what keeps the device busy


def train_default(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", readable=False, help="Folder for the weights, the log and the state to resume from.")
    ],
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to train; the learning rate falls to nothing until then.")] = 25,
    start: Annotated[
        Optional[str], typer.Option("--from", metavar="ID_OR_FILE", help="Weights to go on from; none: start from nothing.")
    ] = None,
    labelmaps: Annotated[
        Optional[Path],
        typer.Option(metavar="DIR", readable=False, help="Label maps (.nii.gz, .nrrd) whose shapes are used besides procedural ones."),
    ] = None,
    patients: Annotated[
        Optional[Path],
        typer.Option(metavar="DIR", readable=False, help="Images NAME with labels NAME_labels, which are used besides made-up ones."),
    ] = None,
    device: DeviceOption = Device.auto,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes that train together on a CPU; one a core if not given.")] = None,
    size: Annotated[int, typer.Option(help="Pixels of the input: a multiple of 32.")] = 128,
    frames: Annotated[Optional[int], typer.Option(min=1, help="Slices in a step, for each process; by the device if not given.")] = None,
    rate: Annotated[float, typer.Option(min=1e-9, max=1, help="Highest learning rate.")] = 6e-4,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything random.")] = 0,
) -> None:
    """Train the included model, on volumes made while it trains, and on yours. Run it again to resume."""
    if size % 32 or size <= 0:
        raise typer.BadParameter(f"the input size must be a multiple of 32, such as 128 or 192, not {size}.")
    from ..network.device import pick_device
    from ..training.curve import draw_curve
    from ..training.labelmaps import read_labelmaps
    from ..training.patients import read_patients
    from ..training.recipe import Recipe
    from ..training.sources import Sources
    from ..training.trainer import LOG, STATE, WEIGHTS
    from ..training.workers import train

    chosen = pick_device(device.value)
    on_cpu = chosen.type == "cpu"
    recipe = Recipe(minutes, size, frames or (CPU_FRAMES if on_cpu else GPU_FRAMES), rate=rate, scratch=start is None, seed=seed)
    count = (workers or os.cpu_count() or 1) if on_cpu else 1
    check_files([start], [output / WEIGHTS])
    weights = _weights(start)
    sources = Sources(read_labelmaps(labelmaps, chosen) if labelmaps else None, read_patients(patients, chosen) if patients else None)
    make_folder(output)
    if start and (output / STATE).exists():
        print(f"samsegmenter: training goes on from {output / STATE}; to begin from {start}, choose another folder.", file=sys.stderr)
    with interruptible() as stop:
        train(recipe, output, chosen, count, weights, sources, _tell, stop.is_set)
    if find_spec("matplotlib"):
        draw_curve(output / LOG, output / "curve.png")
    else:
        print("samsegmenter: warning: the curve is not drawn; for it, pip install matplotlib.", file=sys.stderr)
    if stop.is_set():
        print(f"samsegmenter: interrupted; the same command goes on from the state in {output}.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(output / WEIGHTS)


def _weights(start: str | None) -> dict | None:
    if start is None:
        return None
    from ..models.loading import load_model

    return load_model(start).network.state_dict()


def _tell(entry: dict[str, float]) -> None:
    words = [f"{entry['minutes']:6.1f} min", f"step {entry['step']:.0f}", f"loss {entry['loss']:.3f}"]
    words += [f"{name} {entry[name]:.2f}" for name in ("box", "1 click", "tracked", "tracked far") if name in entry]
    Console(stderr=True).print(", ".join(words), highlight=False)
