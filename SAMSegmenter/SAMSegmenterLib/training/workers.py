"""Trains on one device, or on a CPU by several processes of one thread each, which is faster there than threads."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import parent_process
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import Tensor

from ..errors import SAMSegmenterError, memory_for
from .curve import read_log
from .recipe import Recipe
from .sources import Sources
from .trainer import LOG, Report, Trainer

PATIENCE = timedelta(minutes=30)  # the other workers' longest pause: a laptop may sleep
POLL = 2.0  # seconds
NEEDS_LESS = "Train with fewer workers (--workers), fewer slices in a step (--frames) or smaller ones (--size); what was saved is kept."


def train(
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    workers: int,
    initial: dict[str, Tensor] | None = None,
    sources: Sources | None = None,
    report: Report = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Train in `folder`, from scratch or from where an earlier run ended; see `Trainer`.

    Args:
        report: called with every line of the log.
        stopped: asked after every step.

    Raises:
        SAMSegmenterError: as `Trainer`, and if a worker has ended by itself.
    """
    if workers == 1:
        with memory_for("training", NEEDS_LESS):
            Trainer(recipe, folder, device, initial, sources).run(report, stopped)
        return
    with tempfile.TemporaryDirectory() as meeting:
        spawning = processes.get_context("spawn")
        stop, errors = spawning.Event(), spawning.SimpleQueue()
        arguments = workers, recipe, folder, initial, sources, Path(meeting) / "point", stop, errors
        written = len(read_log(folder / LOG))
        context = processes.spawn(_work, arguments, nprocs=workers, join=False)
        while not _have_ended(context, errors):
            written = _tell(folder / LOG, written, report)
            if stopped():
                stop.set()
        _tell(folder / LOG, written, report)


def _have_ended(context: processes.ProcessContext, errors: SimpleQueue) -> bool:
    """Wait a little, and return whether all workers have ended; raise what the first one that failed has put on the queue."""
    try:
        return context.join(POLL)
    except (processes.ProcessRaisedException, processes.ProcessExitedException) as error:
        if not errors.empty():
            raise errors.get() from None  # the traceback is in words, and of another process
        if isinstance(error, processes.ProcessRaisedException):
            raise
        advice = "The same command goes on; with fewer workers it needs less memory."
        raise SAMSegmenterError(f"training has ended: {error}. {advice}") from error


def _work(
    worker: int,
    workers: int,
    recipe: Recipe,
    folder: Path,
    initial: dict[str, Tensor] | None,
    sources: Sources | None,
    meeting: Path,
    stop: Event,
    errors: SimpleQueue,
) -> None:
    for name in ("SIGINT", "SIGHUP"):  # they reach all processes of a terminal; the first one tells the others what to do
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # batch systems send it to all processes
    torch.set_num_threads(1)  # two threads of each process would wait for one another
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=worker, world_size=workers, timeout=PATIENCE)
    try:
        with memory_for("training", NEEDS_LESS):
            trainer = Trainer(recipe, folder, torch.device("cpu"), initial, sources, worker, workers)
            parent = parent_process()
            assert parent is not None  # this is no main process
            trainer.run(stopped=lambda: stop.is_set() or not parent.is_alive())  # the parent may end in any way
        dist.barrier()  # no worker may leave while another still saves
    except (SAMSegmenterError, OSError) as error:
        errors.put(error)  # before the others notice and fail in their turn
        raise
    finally:
        dist.destroy_process_group()
    os._exit(0)  # all is saved; an interpreter that ends in its own way is now and then aborted by threads that PyTorch still has


def _tell(log: Path, known: int, report: Report) -> int:
    entries = read_log(log)
    for entry in entries[known:]:
        report(entry)
    return len(entries)
