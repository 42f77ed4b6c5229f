"""A model on a device: its network at the input sizes in use, and the image features that were computed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from ..errors import CheckpointError, OutOfMemory, is_out_of_memory, memory_for
from ..image.stack import FrameStack
from ..image.view import View
from ..models.interfaces import Model
from ..models.sam2_package import SAM2Base
from .cache import FeatureCache
from .device import Execution, passes_at_once, pick_execution
from .network import Decoded, Features, Network
from .options import Options

Result = TypeVar("Result")
DAMAGED = "Its file is damaged, or it was not trained to the end: get it again, or choose another model."


def not_finite(model: str, index: int, remedy: str) -> str:
    """Return a message that the answer of a model on a slice is not finite."""
    return f"{model}: what it computes for slice {index} is not finite (NaN or infinite), so there is no mask. {remedy}"


class Runner:
    """One model, run over one stack.

    Args:
        model: from `models.loading.load_model`.
        stack: the slices.
        options: see `Options`.
        device: from `device.pick_device`.

    Attributes:
        seconds: time spent, by stage.
        warnings: what had to be done in another way than asked; sentences for the user.
        at_once: the most passes that are run in one batch; see `device.passes_at_once`.
    """

    def __init__(self, model: Model, stack: FrameStack, options: Options, device: torch.device) -> None:
        self.model, self.stack, self.options = model, stack, options
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.warnings: list[str] = []
        self.cache = FeatureCache(options.cache_bytes, torch.bfloat16 if options.compact_cache else None)
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self.device = device
        with memory_for(str(device), "Choose a smaller model, or the CPU."):
            self._weights = self.model.network.to(device)
        self.at_once = passes_at_once(self._weights, device, self.options.exact)
        self._execution: Execution | None = None
        self._running: SAM2Base | None = None
        self._networks: dict[int, Network] = {}

    @property
    def execution(self) -> Execution:
        """Return how the model runs on its device; timed at the first use."""
        if self._execution is None:
            with self.timed("choose precision"):
                self._execution = pick_execution(self._weights, self.device, self.options.precision)
        return self._execution

    def network(self, size: int) -> Network:
        """Return the network at one input size in pixels; made at the first use, sharing its weights with the others."""
        if size not in self._networks:
            execution, model = self.execution, self.model
            if self._running is None:
                self._running = execution.prepared(self._weights)
            self._networks[size] = Network(self._weights, size, self.device, execution.dtype, model.mean, model.std, self._running)
        return self._networks[size]

    def features(self, index: int, view: View) -> Features:
        """Return the features of one view of one slice, which are encoded once for every segment, direction and correction."""
        return self.features_of([(index, view)])[0]

    def features_of(self, wanted: Sequence[tuple[int, View]]) -> list[Features]:
        """Return the features of several slices and views of one size; those that are missing are encoded in one batch."""
        found = {key: features for key in wanted if (features := self.cache.get(key)) is not None}
        missing = [key for key in dict.fromkeys(wanted) if key not in found]
        if missing:
            with self.timed("read"):
                pixels = np.stack([view.resize(self.stack.frame(index)) for index, view in missing])
            with self.timed("encode"):
                encoded = self.network(missing[0][1].size).encode(pixels)
            found.update({key: self.cache.put(key, features) for key, features in zip(missing, encoded, strict=True)})
        return [found[key] for key in wanted]

    def checked(self, decoded: Decoded, slices: Sequence[int]) -> Decoded:
        """Return `decoded` if all of it is finite.

        Args:
            decoded: from a `Network`.
            slices: the slice index of each object in the batch, or one index that holds for all.

        Raises:
            CheckpointError: a logit, score or pointer is NaN or infinite; names the model and the slice.
        """
        every = torch.cat([each.flatten(1) for each in (decoded.logits, decoded.pointer, decoded.score, decoded.quality[:, None])], 1)
        sound = every.isfinite().all(1).tolist()
        if not all(sound):
            raise CheckpointError(not_finite(self.model.title, slices[sound.index(False) % len(slices)], self._remedy()))
        return decoded

    def _remedy(self) -> str:
        execution = self.execution
        if execution.dtype == torch.float32:
            return DAMAGED
        return (
            f"It ran in {execution.precision} on {execution.device.type}, where large numbers may overflow: "
            "use strict mode (float32), or another device."
        )

    def surviving(self, call: Callable[[], Result], passes: int = 1) -> Result:
        """Return `call()`, repeated with less and less memory if it runs out: smaller batches, an empty cache, then the CPU.

        Args:
            call: what may run out of memory.
            passes: how many passes it would run at once if it were free to.

        Raises:
            OutOfMemory: the CPU has too little memory, too.
        """
        room = self._more_room(passes)
        while True:
            try:
                with self.execution.active():
                    return call()
            except (RuntimeError, MemoryError, OSError) as error:
                if not is_out_of_memory(error):
                    raise
                if not next(room, False):
                    raise OutOfMemory(
                        "the computer has too little free memory for this model; "
                        "close other programs, choose a smaller model, or a smaller cache."
                    ) from error

    def _more_room(self, passes: int) -> Iterator[bool]:
        """Yield True each time that there is more room than before, until nothing more can be done."""
        while (running := min(self.at_once, passes)) > 1:
            self.at_once = running // 2
            self._empty()
            at_a_time = "one segment" if self.at_once == 1 else f"{self.at_once} segments"
            self.warnings.append(f"{self.device.type}: out of memory; going on with {at_a_time} at a time.")
            yield True
        if len(self.cache):
            self._empty()
            yield True
        if self.device.type != "cpu":
            self.warnings.append(f"{self.device.type}: out of memory; going on with the CPU.")
            self._empty()
            self._use(torch.device("cpu"))
            yield True
            yield from self._more_room(passes)

    def _empty(self) -> None:
        self.cache.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent in the block to `seconds`, without that of stages within it."""
        start, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            within = sum(self.seconds.values()) - others
            self.seconds[stage] += time.perf_counter() - start - within
