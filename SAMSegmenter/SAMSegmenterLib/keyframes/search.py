"""Asks a network in several ways what prompts mean, and takes the answer that fits them best.

A large network gives the right answer at once. One that is small enough for any computer often has it among the answers that
it ranks lower. See "The search" in docs/figures.md for what this is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..image.view import View
from ..network.device import SMALL_INPUT
from ..network.network import Decoded
from ..network.runner import Runner
from .agreement import Places, expected
from .question import Question
from .ranking import fitness
from .sparing import spared

PLACES = 1 / 6, 1 / 2, 5 / 6  # of a box's sides, where clicks are added to it


def worth_searching(runner: Runner) -> bool:
    """Return whether the network gains from being asked often, and is quick enough for it."""
    return runner.options.search and runner.model.native_size <= SMALL_INPUT


def best_answer(runner: Runner, index: int, asked: Question, views: Sequence[View]) -> tuple[View, Decoded]:
    """Return the view and the answer that fit the prompts on slice `index` best, of all answers in these `views`.

    A box tells what is in it, so that the fittest answer is taken. Clicks may mean much; of what they may mean, the answer that
    agrees best with all the others is taken.
    """
    answered = [(view, every_answer(runner, index, asked, view)) for view in views]
    worth = torch.cat([_fitness(runner, index, asked, view, answers) for view, answers in answered])
    if not asked.is_box:
        places = Places.around(asked.xy.mean(0), views, np.array(runner.stack.spacing_mm))
        inside = torch.cat([places.inside(answers.logits[:, 0], view, runner.stack.shape) for view, answers in answered])
        worth = expected(inside, places.areas, worth)
    each = [(view, answer) for view, answers in answered for answer in answers.split()]
    view, decoded = each[int(worth.argmax())]
    decoded = spared(decoded, asked.taken, view)
    return view, replace(decoded, score=decoded.score.abs())  # what was marked is there, whatever the network thinks


def _fitness(runner: Runner, index: int, asked: Question, view: View, answers: Decoded) -> Tensor:
    picture = torch.from_numpy(np.array(view.resize(runner.stack.frame(index)))).float()
    picture = (picture.mean(-1) if picture.ndim == 3 else picture).to(runner.device)
    xy, labels = (torch.from_numpy(each).to(runner.device) for each in (view.to_input(asked.xy), asked.labels))
    whole = fitness(answers.logits[:, 0], answers.quality, picture, xy, labels)
    if asked.taken is None:
        return whole
    # A mask must fit as the network means it: what is left of a wrong one may fill a box as well as the object does.
    left = fitness(spared(answers, asked.taken, view).logits[:, 0], answers.quality, picture, xy, labels)
    return (whole + left) / 2


def every_answer(runner: Runner, index: int, asked: Question, view: View) -> Decoded:
    """Return every mask that the network offers for the prompts in one view; see `Network.candidates`."""
    features, network = runner.features(index, view), runner.network(view.size)
    answers = [network.candidates(features, [(view.to_input(xy), labels) for xy, labels in ways]) for ways in _ways(asked)]
    return runner.checked(Decoded.joined(answers), [index])


def _ways(asked: Question) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Yield the prompts in groups of equal length, as `Network.candidates` takes them.

    A box by itself is also asked with a click in it, at one place after another: few objects miss all of these places.
    """
    yield [(asked.xy, asked.labels)]
    if asked.is_box:
        corner, other = asked.xy
        clicks = (corner + (other - corner) * (x, y) for x in PLACES for y in PLACES)
        labels = np.append(asked.labels, 1).astype(asked.labels.dtype)
        yield [(np.concatenate([asked.xy, click[None]]), labels) for click in clicks]
