"""The fixture of the tests of training."""

import random

import pytest
import torch


@pytest.fixture
def seeded():
    """Whatever is random is the same at every run."""
    torch.manual_seed(0)
    random.seed(0)
