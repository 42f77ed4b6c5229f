"""What the tests of training share: a recipe for a moment's training, and a disc that moves."""

import torch

from SAMSegmenterLib.training.recipe import Recipe
from SAMSegmenterLib.training.sequences import Sequences

CPU = torch.device("cpu")
SMALL = Recipe(minutes=0.02, size=64, frames=3, objects=2)


def disc(size, x, y, radius):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (((columns - x) ** 2 + (rows - y) ** 2) <= radius**2).float()


def moving_disc(frames=3, size=64, target=32):
    """A bright disc that moves to the right, as one sequence of one object seen through one view."""
    images = torch.stack([0.2 + 0.6 * disc(size, 24 + 4 * n, 32, 12) for n in range(frames)])[None]
    masks = torch.stack([disc(target, 12 + 2 * n, 16, 6) for n in range(frames)])[None, None]
    views = torch.tensor([0.0, 0.0, 1.0]).expand(1, frames, 3)
    return Sequences(images, masks.expand(1, 3, -1, -1, -1), views, torch.ones(1, 3, dtype=torch.bool), torch.full((1, frames), 96.0))


def failing(error):
    """Something that raises `error` whenever it is called."""

    def fail(*_, **__):
        raise error

    return fail
