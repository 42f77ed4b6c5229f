"""Fixtures of the tests of sessions; a test file asks for them by ``pytest_plugins = ["session_fixtures"]``."""

import pytest

from phantoms import ball
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.session.session import Session
from session_steps import WINDOW


@pytest.fixture(scope="module")
def volume():
    return ball()[0]


@pytest.fixture(scope="module")
def truth():
    return ball()[1]


@pytest.fixture
def session(volume, shipped_model):
    return Session(FrameStack(volume, window=WINDOW), shipped_model, Options(precision="float32"), device="cpu")
