"""Runs the training loop: steps by the clock, on one device or on several processes of one thread each."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from safetensors.torch import save
from torch import Tensor

from ..errors import CheckpointError, OutputError, is_out_of_memory
from ..files import replacing
from .recipe import Recipe
from .rollout import Rollout
from .sequences import Sequences, look_through
from .sources import Sources
from .squares import Slices
from .trainee import Trainee, make_network

LOG_EVERY, SAVE_EVERY = 30, 240  # seconds
LONGEST_GRADIENT = 1.0
Report = Callable[[dict[str, float]], None]
STATE, LOG, WEIGHTS = "state.pt", "log.jsonl", "model.safetensors"
# Errors that PyTorch raises for a file that is no state.
DAMAGE = (RuntimeError, UnpicklingError, EOFError, struct.error, LookupError, TypeError, ValueError, AttributeError, AssertionError)


class Trainer:
    """Trains in `folder`, which gets the log, the state to resume from and the averaged weights.

    Args:
        recipe: what to do.
        folder: exists; a state in it is resumed.
        device: where.
        initial: weights to start from; None for a network from scratch.
        sources: what is looked at besides procedural scenes.
        worker, workers: number of this process among those that train together; they exchange gradients.

    Raises:
        CheckpointError: the state is damaged, or the initial weights are of another network.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        device: torch.device,
        initial: dict[str, Tensor] | None = None,
        sources: Sources | None = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.recipe, self.folder, self.device, self.sources = recipe, folder, device, sources or Sources()
        self.worker, self.workers = worker, workers
        torch.manual_seed(recipe.seed)
        self.network = make_network(recipe.size, initial).to(device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(_groups(self.network, recipe.decay), lr=recipe.rate, betas=(0.9, 0.98))
        self.step, self._passed = 0, 0.0
        if (folder / STATE).exists():
            self._resume()
        torch.manual_seed(recipe.seed + 1000 * worker + self.step)
        random.seed(recipe.seed + 1000 * worker + self.step)
        self._log = _Log(folder / LOG) if worker == 0 else None

    def run(self, report: Report = lambda _: None, stopped: Callable[[], bool] = lambda: False) -> None:
        """Train until the recipe's time is over, which counts earlier runs, or until `stopped`; a later run goes on from there.

        Raises:
            OutputError: the folder cannot be written to.
        """
        begun = saved = time.monotonic() - self._passed
        trainee = Trainee(self.network)
        try:
            while (progress := self._agreed(1.0 if stopped() else self._passed / (60 * self.recipe.minutes))) < 1:
                values = self._train(trainee, progress)
                self._passed = time.monotonic() - begun
                if self._log and (entry := self._log.add(values, step=self.step, minutes=self._passed / 60, rate=self._rate(progress))):
                    report(entry)
                if self._log and time.monotonic() - saved > SAVE_EVERY:
                    self._save()
                    saved = time.monotonic()
            if self._log and (entry := self._log.write()):
                report(entry)
        finally:
            if self._log:
                self._save()

    # ------------------------------------------------------------------ one step

    def _train(self, trainee: Trainee, progress: float) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(progress)
        sequences = self._sequences(progress)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):  # no gain on a CPU
            rollout = Rollout(trainee, sequences, self.recipe.taught_at(progress), random.random() < self.recipe.corrected)
            loss = rollout.loss
        loss.backward()
        self._exchange()
        length = torch.nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        if torch.isfinite(length):
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._follow()
        self.step += 1
        return {"loss": float(loss.detach()), "gradient": float(length), **rollout.tally.means()}

    @torch.no_grad()
    def _sequences(self, progress: float) -> Sequences:
        chance = random.Random(self.recipe.seed * 1_000_003 + self.step)  # the same on all workers, so that none waits long
        frames, raster = self.recipe.length_at(progress, chance), self.recipe.raster(chance)
        count = max(1, self.recipe.frames // frames)
        slices = Slices(count, frames, self.device)
        anatomy = self.sources.scenes(slices, self.recipe, chance.random())
        return look_through(slices, anatomy, self.recipe.objects_of(frames), self.recipe.size, raster, self.recipe.size // 2)

    def _rate(self, progress: float) -> float:
        return self.recipe.rate_at(self.step, progress)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights; faster at first."""
        kept = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - kept)

    # ------------------------------------------------------------------ several processes

    def _agreed(self, progress: float) -> float:
        """Return the progress by the first worker's clock."""
        if self.workers == 1:
            return progress
        clock = torch.tensor([progress], dtype=torch.float64)
        dist.broadcast(clock, 0)
        return float(clock)

    def _exchange(self) -> None:
        """Average gradients over all workers."""
        if self.workers == 1:
            return
        parameters = [each for each in self.network.parameters() if each.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        flat = torch.cat([each.flatten() for each in gradients])
        dist.all_reduce(flat)
        parts = (flat / self.workers).split([each.numel() for each in parameters])
        for each, part in zip(parameters, parts, strict=True):
            each.grad = part.view_as(each)

    # ------------------------------------------------------------------ files

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "passed": self._passed,
        }
        packed = io.BytesIO()
        torch.save(state, packed)
        weights = {name: value.half().contiguous() for name, value in self.average.state_dict().items()}
        about = {"recipe": json.dumps(asdict(self.recipe)), "step": str(self.step)}
        for name, content in ((STATE, packed.getvalue()), (WEIGHTS, save(weights, about))):
            with replacing(self.folder / name) as path:
                path.write_bytes(content)  # unlike the libraries, this tells of a full disk, and lets others read the file

    def _resume(self) -> None:
        path = self.folder / STATE
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.step, self._passed = int(state["step"]), float(state["passed"])
        except DAMAGE as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(f"{path}: cannot be resumed, the file is damaged; delete it to begin anew.") from error


class _Log:
    """Writes means of what steps report, a line every `LOG_EVERY` seconds and one at the end."""

    def __init__(self, path: Path) -> None:
        self._path, self._since = path, time.monotonic()
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        self._now: dict[str, float] = {}

    def add(self, values: dict[str, float], **now: float) -> dict[str, float] | None:
        """Add what a step reports; return the line if one was written."""
        for name, value in values.items():
            self._values[name].append(value)
        self._now = now
        return self.write() if time.monotonic() - self._since >= LOG_EVERY else None

    def write(self) -> dict[str, float] | None:
        """Write what was added since the last line; return the line, or None if there is nothing to write."""
        if not self._values:
            return None
        entry = {name: round(sum(each) / len(each), 4) for name, each in self._values.items()}
        entry.update({name: round(value, 6) for name, value in self._now.items()})
        try:
            with self._path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written to ({error.strerror}).") from error
        self._values.clear()
        self._since = time.monotonic()
        return entry


def _groups(network: torch.nn.Module, decay: float) -> list[dict]:
    """Return parameter groups with weight decay for matrices only: not for biases, norms, embeddings and tokens."""
    plain = [each for name, each in network.named_parameters() if each.ndim < 2 or "embed" in name or "token" in name]
    known = {id(each) for each in plain}
    matrices = [each for each in network.parameters() if id(each) not in known]
    return [{"params": matrices, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
