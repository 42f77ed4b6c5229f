"""What several test files share."""

import os
import signal
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from SAMSegmenterLib.cli.main import main

# With the oldest torch (`make test-oldest`) these have nothing to compare with: transformers needs a newer one, and tensors that only
# know where they would lie looked for a real GPU then.
NEEDING_NEWER_TORCH = ["models/families/test_edgetam.py", "network/test_devices.py"]
collect_ignore = NEEDING_NEWER_TORCH if tuple(map(int, version("torch").split(".")[:2])) < (2, 5) else []

DATA = Path(os.environ.get("SAMSEGMENTER_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def data():
    """The folder of real images; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no folder of real images at {DATA}; name one in SAMSEGMENTER_DATA")
    return DATA


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    """An empty folder of models, in place of the user's own; with a space in its name, as users have them."""
    folder = tmp_path / "my models"
    folder.mkdir()
    monkeypatch.setenv("SAMSEGMENTER_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def shipped_model():
    from SAMSegmenterLib.models.loading import load_model

    return load_model()


@pytest.fixture
def pico_state():
    """The weights that ship, by name, for the test to change."""
    from safetensors.torch import load_file

    from support.checkpoints import PICO

    return load_file(PICO)


@dataclass
class Outcome:
    """What a command left: its exit code, and what it wrote to either stream."""

    code: int
    out: str
    err: str


@pytest.fixture
def samsegmenter(capfd):
    """Run a command in this process, as the installed program does."""
    handlers = {each: signal.getsignal(each) for each in signal.valid_signals() if signal.getsignal(each)}

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Outcome(ended.value.code, *capfd.readouterr())

    yield run
    for each, handler in handlers.items():
        if signal.getsignal(each) is not handler:
            signal.signal(each, handler)
