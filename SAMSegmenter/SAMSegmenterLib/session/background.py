"""A session on a worker, as a host with an event loop talks to it: ask, go on, and fetch what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..image.stack import FrameStack
from ..prompts.types import PromptSet
from ..worker import CancelCheck, SubmittedJob, Worker

if TYPE_CHECKING:  # a host starts, and shows what is missing, without torch
    from .composition import SliceMask
    from .session import Session
    from .summary import Summary


@dataclass(frozen=True)
class Progress:
    """How far a run has come: slices found and slices that there may be, and the seconds it has taken."""

    done: int
    total: int
    seconds: float

    @property
    def slices_per_second(self) -> float:
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        return (self.total - self.done) / self.slices_per_second if self.done else 0.0


@dataclass(frozen=True)
class Ended:
    """A request is over.

    Attributes:
        request: "preview" or "propagate".
        cancelled: whether it was stopped before its end.
        error: why it failed, if it did.
    """

    request: str
    cancelled: bool = False
    error: BaseException | None = None


if TYPE_CHECKING:
    News = SliceMask | Progress | Summary | Ended  # what `Interaction.poll` tells


@dataclass(frozen=True)
class _Running:
    request: str
    task: SubmittedJob


class Interaction:
    """Previews and propagates on a worker. Every method returns at once, and belongs to the host's thread.

    Args:
        stack: the slices; its voxels must not change while the interaction lives.
        open_session: makes the session, on the worker's thread, when it is first needed.
        worker: whose thread the session is used on.
        open_maker: makes, there too, what turns the user's prompts into those that the session gets; they are passed on if not given.
    """

    def __init__(
        self,
        stack: FrameStack,
        open_session: Callable[[FrameStack], Session],
        worker: Worker,
        open_maker: Callable[[FrameStack], Callable[[PromptSet], PromptSet]] | None = None,
    ) -> None:
        self.stack, self._open, self._worker, self._open_maker = stack, open_session, worker, open_maker
        self._session: Session | None = None
        self._make: Callable[[PromptSet], PromptSet] | None = None
        self._asked: PromptSet | None = None
        self._running: list[_Running] = []
        self._preparing: SubmittedJob | None = None

    @property
    def busy(self) -> str:
        """What is running or waiting: "propagate", "preview", or "" if nothing is."""
        requests = {running.request for running in self._running}
        return "propagate" if "propagate" in requests else "preview" if requests else ""

    def preview(self, segment: str, index: int, prompts: PromptSet) -> None:
        """Ask for the mask that the prompts on slice `index` give there; previews that still wait are dropped for it."""
        for running in self._running:
            if running.request == "preview":
                running.task.cancel()
        self._submit("preview", lambda cancelled: self._preview(segment, index, prompts))
        self._preparing = self._worker.submit(lambda cancelled: self._session.prepare(segment, index) if self._session else ())

    def propagate(self, prompts: PromptSet, segments: list[str] | None = None, slices: tuple[int, int] | None = None) -> None:
        """Ask for everything that the prompts ask for; see `Session.propagate`."""
        self._submit("propagate", lambda cancelled: self._propagate(prompts, segments, slices, cancelled))

    def cancel(self) -> None:
        """Stop what is running; what was found stays, and is still told."""
        for task in [*(running.task for running in self._running), *filter(None, [self._preparing])]:
            task.cancel()

    def poll(self) -> list[News]:
        """What has happened since this was last asked."""
        news: list[News] = []
        for running in list(self._running):
            finished = running.task.finished  # before taking: what comes later is taken next time
            news += running.task.take()
            if finished:
                self._running.remove(running)
                news.append(Ended(running.request, running.task.cancelled, running.task.error))
        return news

    def _submit(self, request: str, job: Callable[[CancelCheck], Iterator[News]]) -> None:
        if self._preparing:
            self._preparing.cancel()
        self._running.append(_Running(request, self._worker.submit(job)))

    # ------------------------------------------------------------------ on the worker's thread

    def _ready(self, prompts: PromptSet) -> Session:
        if self._session is None:
            self._session = self._open(self.stack)
        if self._make is None and self._open_maker:
            self._make = self._open_maker(self.stack)
        if self._asked != prompts:
            self._session.prompts = self._make(prompts) if self._make else prompts
            self._asked = prompts
        return self._session

    def _preview(self, segment: str, index: int, prompts: PromptSet) -> Iterator[News]:
        yield self._ready(prompts).preview(segment, index)

    def _propagate(
        self, prompts: PromptSet, segments: list[str] | None, slices: tuple[int, int] | None, cancelled: CancelCheck
    ) -> Iterator[News]:
        session, start, seen = self._ready(prompts), time.perf_counter(), set()
        for found in session.propagate(segments, slices, cancelled):
            yield found
            seen.add((found.segment, found.slice))
            yield Progress(len(seen), len(seen) + session.remaining(slices), time.perf_counter() - start)
        summary = session.summary(segments)
        for segment, known in summary.slices.items():  # of earlier runs; prompts that came or went may have changed it
            yield from (session.slice_mask(segment, index) for index in known if (segment, index) not in seen)
        yield summary
