"""Runs a session on a worker, for hosts with an event loop: requests return at once, and `poll` tells what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..image.neighbours import Neighbours
from ..image.stack import FrameStack
from ..prompts.types import PromptSet
from ..worker import CancelCheck, SubmittedJob, Worker
from .countdown import Countdown

if TYPE_CHECKING:  # a host starts, and tells what is missing, without torch
    from .composition import SliceMask
    from .session import Session
    from .summary import Summary


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run: slices found, slices that there may be in all, and the seconds it has taken."""

    done: int
    total: int
    seconds: float

    @property
    def slices_per_second(self) -> float:
        """Return the mean speed so far; 0 before anything was measured."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Return the seconds that the rest will take at that speed; 0 before the first slice."""
        return (self.total - self.done) / self.slices_per_second if self.done else 0.0


@dataclass(frozen=True)
class Ended:
    """The end of a request.

    Attributes:
        request: "preview" or "propagate".
        cancelled: whether it was stopped before its end.
        error: why it failed, if it did.
    """

    request: str
    cancelled: bool = False
    error: BaseException | None = None


if TYPE_CHECKING:
    News = SliceMask | RunProgress | Summary | Ended  # what `BackgroundSession.poll` tells


@dataclass(frozen=True)
class _Running:
    """A request whose end `poll` has not told yet."""

    request: str
    task: SubmittedJob


class BackgroundSession:
    """A session that previews and propagates on a worker. Every method returns at once, and is called on the host's thread.

    Args:
        stack: the slices; its voxels must not change while the session lives.
        open_session: makes the session, on the worker's thread, when it is first needed.
        worker: whose thread the session is used on.
        open_maker: makes, also there, a function that turns the user's prompts into those that the session gets; without it they
            are passed on as they are.
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
        """Return what is running or waiting: "propagate", "preview", or "" if nothing is."""
        requests = {running.request for running in self._running}
        return "propagate" if "propagate" in requests else "preview" if requests else ""

    def preview(self, segment: str, index: int, prompts: PromptSet, neighbours: Neighbours | None = None) -> None:
        """Request the mask that the prompts on slice `index` give there; previews that still wait are dropped."""
        for running in self._running:
            if running.request == "preview":
                running.task.cancel()
        self._submit("preview", lambda cancelled: self._preview(segment, index, prompts, neighbours))
        self._preparing = self._worker.submit(lambda cancelled: self._session.prepare(segment, index) if self._session else ())

    def propagate(
        self,
        prompts: PromptSet,
        segments: list[str] | None = None,
        slices: tuple[int, int] | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Request everything that the prompts ask for; see `Session.propagate`. The voxels of neighbours must not change."""
        self._submit("propagate", lambda cancelled: self._propagate(prompts, neighbours, segments, slices, cancelled))

    def cancel(self) -> None:
        """Stop what is running. What was found until then stays, and `poll` still tells it."""
        for task in [*(running.task for running in self._running), *filter(None, [self._preparing])]:
            task.cancel()

    def poll(self) -> list[News]:
        """Return what has happened since the last call, in order."""
        news: list[News] = []
        for running in list(self._running):
            finished = running.task.finished  # asked before taking: what comes later is taken next time
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

    def _ready(self, prompts: PromptSet, neighbours: Neighbours | None) -> Session:
        if self._session is None:
            self._session = self._open(self.stack)
        if self._make is None and self._open_maker:
            self._make = self._open_maker(self.stack)
        self._session.neighbours = neighbours
        if self._asked != prompts:
            self._session.prompts = self._make(prompts) if self._make else prompts
            self._asked = prompts
        return self._session

    def _preview(self, segment: str, index: int, prompts: PromptSet, neighbours: Neighbours | None) -> Iterator[News]:
        yield self._ready(prompts, neighbours).preview(segment, index)

    def _propagate(
        self,
        prompts: PromptSet,
        neighbours: Neighbours | None,
        segments: list[str] | None,
        slices: tuple[int, int] | None,
        cancelled: CancelCheck,
    ) -> Iterator[News]:
        session, start, seen = self._ready(prompts, neighbours), time.perf_counter(), set()
        countdown = Countdown(partial(session.remaining, slices))
        for found in session.propagate(segments, slices, cancelled):
            yield found
            seen.add((found.segment, found.slice))
            yield RunProgress(len(seen), len(seen) + countdown.left(len(seen)), time.perf_counter() - start)
        summary = session.summary(segments)
        for segment, known in summary.slices.items():  # found by earlier runs, and perhaps changed by prompts since
            yield from (session.slice_mask(segment, index) for index in known if (segment, index) not in seen)
        yield summary
