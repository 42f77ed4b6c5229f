"""Whatever was done to a session, its masks come back bit for bit, and it goes on as it would have."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.network.options import MODES
from SAMSegmenterLib.session.saving import restore_session, save_session
from SAMSegmenterLib.session.session import Session
from support.networks import random_network
from support.phantoms import as_model, cells
from support.session_steps import findings, random_step

STEPS = 12


@pytest.fixture(scope="module")
def stack():
    return cells(12, 40)


@pytest.fixture(scope="module")
def model():
    return as_model(random_network("pico", 64))


def again(session, tmp_path):
    save_session(session, tmp_path / "work.session")
    return restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(2))
def test_whatever_was_done_comes_back_and_goes_on_alike(stack, model, mode, seed, tmp_path):
    random = np.random.default_rng(seed)
    options = replace(MODES[mode](), refine=bool(seed) != (mode == "strict"), early_stop=mode != "strict", size=64)
    session = Session(stack, model, options, "cpu")
    for _ in range(STEPS):
        try:
            random_step(random, session)
        except InputError:
            continue  # of prompts that contradict each other, nothing is changed
        assert findings(again(session, tmp_path)) == findings(session)
    back = again(session, tmp_path)
    for each in (back, session):
        list(each.propagate())
    assert findings(back) == findings(session)
