"""One pass: one segment followed from its keyframe in one direction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..image.view import View
from ..keyframes.seed import Seed
from ..network.memory import MemoryBank
from ..network.network import Decoded
from ..network.slice_result import SliceResult
from .corrector import Corrector
from .trust import LEAST_TRUST, Finding, ending, limit


@dataclass(eq=False)
class Track:
    """The state of one pass. It can go on after an interruption, or after `last` was set farther away.

    Attributes:
        seed: where it starts.
        direction: +1 towards higher slice indices, -1 towards lower ones.
        last: the last slice to look at.
        bank: its memories; None if its results come from a file, and then it cannot go on before it has been `retraced`.
        view: through which the next slice will be looked at.
        latest: the network's answer on the slice before that.
        mask: the object there, bool ``(rows, columns)``.
        corrector: corrects its masks; None if nothing does.
        may_end: whether it may stop before `last`; not where a keyframe beyond says that the object goes on.
        least_trust: below it, or below its `trust.limit`, a slice is doubted. Two such slices in a row end the pass.
        seen: the number of slices that it has looked at by itself; smaller than the number of results if these come from a file.
        valid: the number of slices that it found the object on: all it has seen, less the doubtful ones and those behind them.
        ended: why it stopped; empty while it may go on.
    """

    seed: Seed
    direction: int
    last: int
    bank: MemoryBank | None
    view: View
    latest: Decoded | None
    mask: np.ndarray
    corrector: Corrector | None = None
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
        """Return the index of the slice next to its keyframe."""
        return self.seed.slice + self.direction

    @property
    def next_slice(self) -> int:
        """Return the index of the slice that it will look at next."""
        return self.first + self.direction * self.seen

    @property
    def finished(self) -> bool:
        """Return whether it has ended or reached its last slice."""
        return bool(self.ended) or len(self.results) > (self.last - self.first) * self.direction

    def slices(self) -> range:
        """Return the indices of the slices with valid results, in the order in which it saw them."""
        return range(self.first, self.first + self.direction * self.valid, self.direction)

    @property
    def withdrawn(self) -> list[SliceResult]:
        """Return the results on the doubtful slices before the newest one, if it has ended there."""
        return self.results[self.valid : -1]

    def result(self, index: int) -> SliceResult | None:
        """Return the result on a slice; None where the pass has not been, or did not believe what it saw."""
        return self.results[abs(index - self.seed.slice) - 1] if index in self.slices() else None

    def finding(self, index: int) -> Finding:
        """Return what speaks for and against the result on a slice."""
        return self.findings[abs(index - self.seed.slice) - 1]

    def judge(self, may_end: bool, least_trust: float) -> None:
        """Change how far the pass has to be trusted: it may turn out to have ended earlier, or not to have ended yet."""
        self.may_end, self.least_trust = may_end, least_trust
        self._judge()

    def retraced(self, begun: Track) -> Track:
        """Return this pass with the memory of one that has just `begun` at its keyframe; it goes the same way once more, and then on.

        Earlier results stay until their slices are looked at again.
        """
        self.seed, self.bank, self.view, self.seen = begun.seed, begun.bank, begun.view, 0
        self.latest, self.mask, self.corrector = begun.latest, begun.mask, begun.corrector
        return self

    def add(self, result: SliceResult, finding: Finding, mask: np.ndarray, latest: Decoded) -> None:
        """Add the result of one more slice, with its mask, bool ``(rows, columns)``; end if the object has ended."""
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
