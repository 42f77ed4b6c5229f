"""One pass: one segment followed from its keyframe in one direction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..image.view import View
from ..keyframes.seed import Seed
from ..network.memory import MemoryBank
from ..network.network import Decoded
from ..network.slice_result import SliceResult
from .corrector import Companion
from .trust import LEAST_TRUST, Finding, ending, limit


@dataclass(eq=False)
class Track:
    """The state of one pass; it can be continued after it was interrupted or given a farther `last` slice.

    Attributes:
        seed: where it starts.
        direction: +1 towards higher slice indices, -1 towards lower ones.
        last: the last slice it shall see.
        bank: what it remembers; None if its results come from a file, and it cannot go on before it has been `retraced`.
        view: what the next slice will be looked at through.
        latest: what the network said of the slice just seen.
        mask: the object there, bool ``(rows, columns)``.
        companion: what goes along with it; None if nothing does.
        may_end: whether it may stop before `last`; not where a keyframe beyond says that the object goes on.
        least_trust: below it, or below its `quality.limit`, a slice is doubted; two in a row, and the object has ended.
        seen: how many slices it has looked at by itself; fewer than there are results if these come from a file.
        valid: how many slices it found the object on: all it has seen, less the doubtful ones and those behind them.
        ended: why it stopped; empty while it may go on.
    """

    seed: Seed
    direction: int
    last: int
    bank: MemoryBank | None
    view: View
    latest: Decoded | None
    mask: np.ndarray
    companion: Companion | None = None
    may_end: bool = True
    least_trust: float = LEAST_TRUST
    results: list[SliceResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seen: int = field(init=False, default=0)
    valid: int = field(init=False)
    ended: str = field(init=False)

    def __post_init__(self) -> None:
        self._judge()

    @property
    def first(self) -> int:
        """The slice next to its keyframe."""
        return self.seed.slice + self.direction

    @property
    def next_slice(self) -> int:
        return self.first + self.direction * self.seen

    @property
    def finished(self) -> bool:
        return bool(self.ended) or len(self.results) > (self.last - self.first) * self.direction

    def slices(self) -> range:
        """The slices it has valid results for, in the order it saw them."""
        return range(self.first, self.first + self.direction * self.valid, self.direction)

    @property
    def withdrawn(self) -> list[SliceResult]:
        """What it had found on the doubtful slices before the newest one, if it has ended there."""
        return self.results[self.valid : -1]

    def result(self, index: int) -> SliceResult | None:
        """What it found on a slice; None where it has not been or did not believe what it saw."""
        return self.results[abs(index - self.seed.slice) - 1] if index in self.slices() else None

    def finding(self, index: int) -> Finding:
        """What speaks for and against its result on a slice."""
        return self.findings[abs(index - self.seed.slice) - 1]

    def judge(self, may_end: bool, least_trust: float) -> None:
        """Change how far it has to be trusted: it may turn out to have ended earlier, or go on though it had stopped."""
        self.may_end, self.least_trust = may_end, least_trust
        self._judge()

    def retraced(self, begun: Track) -> Track:
        """This pass, with the memory of one that has just `begun` at its keyframe: it goes the same way once more, and then on.

        What it has found stays until the slice is looked at again.
        """
        self.seed, self.bank, self.view, self.seen = begun.seed, begun.bank, begun.view, 0
        self.latest, self.mask, self.companion = begun.latest, begun.mask, begun.companion
        return self

    def add(self, result: SliceResult, finding: Finding, mask: np.ndarray, latest: Decoded) -> None:
        """Note one more slice, and stop there if the object has ended."""
        place = slice(self.seen, self.seen + 1)
        self.results[place], self.findings[place] = [result], [finding]
        self.seen += 1
        self.mask, self.latest = mask, latest
        self._judge()

    def _judge(self) -> None:
        least = limit(self.findings, self.least_trust)
        end = ending(self.findings, least) if self.may_end else None
        self.valid = len(self.results) if end is None else end
        self.ended = "" if end is None else self.findings[end].doubt(least)
