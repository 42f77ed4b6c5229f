"""Fixtures of the tests of sessions."""

import pytest

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball
from support.session_steps import WINDOW


@pytest.fixture(scope="module")
def volume():
    return ball()[0]


@pytest.fixture(scope="module")
def truth():
    return ball()[1]


@pytest.fixture
def session(volume, shipped_model):
    return Session(FrameStack(volume, window=WINDOW), shipped_model, Options(precision="float32"), device="cpu")
