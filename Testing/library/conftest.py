"""What several test files share."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SAMSEGMENTER_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def data():
    """The folder of real images; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no folder of real images at {DATA}; name one in SAMSEGMENTER_DATA")
    return DATA


@pytest.fixture(scope="session")
def shipped_model():
    from SAMSegmenterLib.models.loading import load_model

    return load_model()
