"""Runs an evaluation and writes each result at once: whatever ends a run, the next one goes on from there."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError, OutputError, SAMSegmenterError, is_out_of_memory, printable
from ..files import make_folder, replacing
from ..image.stack import FrameStack
from .cases import Case, Target, find_objects, modality
from .methods.base import Method, Unsuited
from .records import Record, mask_path, read_records, read_text, write_mask
from .tasks import Task

RECORDS_FILE = "results.jsonl"
SETTINGS = "settings.json"
# Errors of one image, model or filter, which must not keep the others from being tried.
FAILURES = (SAMSegmenterError, OSError, MemoryError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError)


@dataclass(frozen=True)
class Plan:
    """A list of all that is to be tried.

    Attributes:
        cases: in this order.
        methods: with different names.
        tasks: each object is given all of them.
        objects: names of the objects to choose; all if empty.
        limit: the largest number of objects of each case; None for all.
        settings: what else results depend on, such as the model's hash; plain values for JSON.
    """

    cases: Sequence[Case]
    methods: Sequence[Method]
    tasks: Sequence[Task]
    objects: Sequence[str] = ()
    limit: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The progress of a run.

    Attributes:
        case: the number of the case, from 1.
        cases: how many there are.
        done: attempts finished of the case.
        total: attempts of the case.
        record: the attempt just finished; None when a case begins.
    """

    case: int
    cases: int
    done: int
    total: int
    record: Record | None = None


class Trials:
    """An evaluation in a folder: `records` are all that it has, of this run and of earlier ones on the same files.

    What failed earlier is tried again, as is what was tried on files that have changed. Cases that are gone are forgotten.

    Attributes:
        names: of all objects in the cases that a run could read.
        objects: names of those that were chosen, and are large enough to score.
        unsuited: why some methods were not tried, in words.

    Args:
        folder: is made if it is missing.
        plan: what to try.

    Raises:
        OutputError: the folder cannot be written to.
        InputError: the folder holds results of other settings.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self.names: set[str] = set()
        self.objects: set[str] = set()
        self.unsuited: set[str] = set()
        make_folder(folder)
        known = [record for record in read_records(folder / RECORDS_FILE) if not record.error]
        self._check_settings(bool(known))
        self._data = {case.name: _fingerprint(case) for case in plan.cases}
        self._records = {record.key: record for record in known if record.data == self._data.get(record.case)}
        with replacing(folder / RECORDS_FILE) as temporary:
            temporary.write_text("".join(f"{each.to_json()}\n" for each in self._records.values()), encoding="utf-8", newline="\n")

    @property
    def records(self) -> list[Record]:
        """Return all records, of this run and of earlier ones."""
        return list(self._records.values())

    @property
    def missing(self) -> list[str]:
        """Return the chosen names that no object has in the cases that a run could read."""
        there = {name.casefold() for name in self.names}
        return [name for name in self._plan.objects if name.casefold() not in there]

    def run(self, progress: Callable[[Step], None] = lambda step: None, cancel: Callable[[], bool] = lambda: False) -> None:
        """Try what is not done yet; stop after the present attempt once `cancel()` is true.

        A case that cannot be read and an attempt that fails become records with `error`, and the run goes on.

        Raises:
            OutputError: results cannot be written.
        """
        for number, case in enumerate(self._plan.cases, 1):
            if cancel():
                return
            try:
                self._run_case(case, partial(Step, number, len(self._plan.cases)), progress, cancel)
            except OutputError:
                raise
            except FAILURES as error:
                self._keep(Record(case.name, "", 0, "", "", "", error=_in_words(error), data=self._data[case.name]))

    def _run_case(self, case: Case, step: Callable[..., Step], progress: Callable[[Step], None], cancel: Callable[[], bool]) -> None:
        stack, labels, names = case.load()
        self.names.update(names.values())
        found = find_objects(labels, names, self._plan.objects)
        self.objects.update(found.values())
        objects = list(found.items())[: self._plan.limit]
        todo = [each for each in product(objects, self._plan.tasks, self._plan.methods) if self._key(case, *each) not in self._records]
        progress(step(0, len(todo)))
        done, kind = 0, printable(modality(stack.volume))
        for (label, name), attempts in groupby(todo, key=itemgetter(0)):
            target = Target.of(case.name, labels, label, name)
            for _, task, method in attempts:
                if cancel():
                    return
                blank = Record(case.name, name, label, kind, method.name, task.key, data=self._data[case.name])
                record = self._attempt(blank, task, method, stack, target)
                if record:
                    self._keep(record)
                done += 1
                progress(step(done, len(todo), record))

    def _key(self, case: Case, chosen: tuple[int, str], task: Task, method: Method) -> tuple[str, int, str, str]:
        return case.name, chosen[0], method.name, task.key

    def _attempt(self, blank: Record, task: Task, method: Method, stack: FrameStack, target: Target) -> Record | None:
        """Return the record of an attempt; None if the task does not suit the method."""
        # the same user for every method, whatever else is tried
        random = np.random.default_rng(zlib.crc32(f"{blank.case}/{blank.label}/{task.key}".encode(errors="surrogatepass")))
        try:
            outcome = task.attempt(method, stack, target, random)
        except Unsuited as why:
            self.unsuited.add(str(why))
            return None
        except FAILURES as error:
            return replace(blank, error=_in_words(error))
        if outcome.mask is not None:
            write_mask(mask_path(self._folder, blank), outcome.mask)
        return replace(blank, scores=outcome.scores, retention=outcome.retention)

    def _keep(self, record: Record) -> None:
        self._records[record.key] = record
        try:
            with open(self._folder / RECORDS_FILE, "a", encoding="utf-8", newline="\n") as file:
                file.write(f"{record.to_json()}\n")
        except OSError as error:
            raise OutputError(f"{self._folder / RECORDS_FILE}: cannot be written to ({error.strerror}).") from error

    def _check_settings(self, has_results: bool) -> None:
        path = self._folder / SETTINGS
        wanted = json.dumps({**self._plan.settings, "samsegmenter": __version__}, indent=2, sort_keys=True)
        if has_results and read_text(path).strip() != wanted:
            raise InputError(
                f"{self._folder}: it holds results of another model, other settings or another version of SAMSegmenter ({SETTINGS}). "
                "Choose another folder, or empty it."
            )
        with replacing(path) as temporary:
            temporary.write_text(wanted + "\n", encoding="utf-8")


def _fingerprint(case: Case) -> str:
    """Return `Case.fingerprint`; empty where files are out of reach, so that it matches nothing tried before."""
    try:
        return case.fingerprint()
    except OSError:
        return ""


def _in_words(error: BaseException) -> str:
    if is_out_of_memory(error):
        return "there is too little free memory; close other programs, or evaluate smaller images."
    words = str(error) if isinstance(error, SAMSegmenterError) else f"{type(error).__name__}: {error}"
    return "\n".join(printable(line) for line in words.splitlines())
