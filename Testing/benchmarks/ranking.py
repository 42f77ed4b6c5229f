"""What choosing among the answers to a box or a click is worth, on slices of images with reference masks.

    python Testing/benchmarks/ranking.py FOLDER [--model ID_OR_FILE] [--fit]

The folder holds cases as `samsegmenter evaluate` reads them. On six slices of each object its box and its deepest place are
asked for; the table has the mean Dice of the answer that is chosen, by several rules, before it is improved. With --fit the
weights of `keyframes.ranking` are fitted anew to these answers: by a softmax over the answers to each question, towards those
of the highest Dice. About two minutes for thirty volumes on one core.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from SAMSegmenterLib.evaluation import users
from SAMSegmenterLib.evaluation.cases import find_cases, find_objects
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.keyframes import agreement, ranking
from SAMSegmenterLib.keyframes.question import question
from SAMSegmenterLib.keyframes.search import every_answer
from SAMSegmenterLib.keyframes.seeder import MARGINS, Seeder
from SAMSegmenterLib.models.interfaces import Model
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.runner import Runner
from SAMSegmenterLib.prompts.focus import windowed
from SAMSegmenterLib.prompts.types import Keyframe, PromptSet, Segment

SLICES, LEAST_PIXELS = 6, 40
LIKELY = 0.05  # difference of Dice that makes an answer e times as good a choice
DECAY = 1e-3
RULES: dict[str, Callable[[Answers], Tensor]] = {
    "the fittest (used for boxes)": lambda answers: answers.fitness,
    "the one that agrees best (used for points)": lambda answers: agreement.expected(answers.inside, answers.areas, answers.fitness),
    "the best of all": lambda answers: answers.dice,
}


@dataclass(frozen=True, eq=False)
class Answers:
    """All answers to one question: their signs ``(n, 7)`` and fitness ``(n,)``, the places in them, and their Dice ``(n,)``."""

    signs: Tensor
    fitness: Tensor
    inside: Tensor
    areas: Tensor
    dice: Tensor


def marked_slices(folder: Path) -> Iterator[tuple[FrameStack, int, np.ndarray]]:
    for case in find_cases(folder):
        stack, labels, names = case.load()
        for label in find_objects(labels, names):
            mask = labels == label
            large = np.flatnonzero(mask.sum((1, 2)) >= LEAST_PIXELS)
            for index in sorted({int(large[round((len(large) - 1) * part)]) for part in np.linspace(0.1, 0.9, SLICES)}):
                yield stack, index, mask[index]


def answers_to(keyframe: Keyframe, stack: FrameStack, truth: np.ndarray, model: Model) -> Answers:
    stack = windowed(stack, PromptSet((Segment("object", (keyframe,)),)))
    runner = Runner(model, stack, Options(precision="float32"), torch.device("cpu"))
    asked, index = question(keyframe), keyframe.slice
    views = Seeder(runner)._views(asked, MARGINS)
    places = agreement.Places.around(asked.xy.mean(0), views, np.array(stack.spacing_mm))
    parts = defaultdict(list)
    for view in views:
        answers = every_answer(runner, index, asked, view)
        logits, picture = answers.logits[:, 0], torch.from_numpy(np.array(view.resize(stack.frame(index)))).float()
        given = logits, answers.quality, picture, *(torch.from_numpy(each) for each in (view.to_input(asked.xy), asked.labels))
        parts["signs"].append(ranking.signs(*given))
        parts["fitness"].append(ranking.fitness(*given))
        parts["inside"].append(places.inside(logits, view, stack.shape))
        parts["dice"].append(dice_of(logits, view, truth))
    return Answers(areas=places.areas, **{name: torch.cat(each) for name, each in parts.items()})


def dice_of(logits: Tensor, view: View, truth: np.ndarray) -> Tensor:
    rows, columns, by_row, by_column = view.sampling(logits.shape[-1], truth.shape)
    masks = torch.from_numpy(by_row) @ logits @ torch.from_numpy(by_column).T > 0
    both = (masks & torch.from_numpy(truth[rows, columns])).sum((1, 2))
    return 2 * both / (masks.sum((1, 2)) + int(truth.sum()))


def fitted(asked: list[Answers], weights: Tensor) -> Tensor:
    """The weights of signs, from those in use, by which the answers of a high Dice come out on top."""
    spread = torch.cat([each.signs for each in asked]).std(0).clamp(min=1e-3)
    new = (weights * spread).requires_grad_(True)
    optimizer = torch.optim.LBFGS([new], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        errors = [-(torch.softmax(each.dice / LIKELY, 0) * torch.log_softmax(each.signs / spread @ new, 0)).sum() for each in asked]
        total = torch.stack(errors).mean() + DECAY * new.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return (new / spread).detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="what `samsegmenter propagate --model` takes")
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    model, asked, chance = load_model(given.model), defaultdict[str, list[Answers]](list), np.random.default_rng(0)
    for stack, index, truth in marked_slices(given.folder):
        for kind in ("box", "point"):
            asked[kind].append(answers_to(users.keyframe(kind, index, truth, chance, 0), stack, truth, model))
    print("| mean Dice | " + " | ".join(f"{kind}, {len(each)} slices" for kind, each in asked.items()) + " |")
    for name, rule in RULES.items():
        cells = [np.mean([float(each.dice[rule(each).argmax()]) for each in answers]) for answers in asked.values()]
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    for kind, weights in (("box", ranking.FOR_BOXES), ("point", ranking.FOR_POINTS)) if given.fit else ():
        values = zip(ranking.SIGNS, fitted(asked[kind], weights).tolist(), strict=True)
        print(f"{kind}: " + ", ".join(f"{sign} {value:.2f}" for sign, value in values))


if __name__ == "__main__":
    main()
