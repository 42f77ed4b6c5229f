"""Fixtures of the tests of the store; a test file asks for them by ``pytest_plugins = ["store_fixtures"]``."""

import os

import pytest

from SAMSegmenterLib.models.storage import folders, store


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


@pytest.fixture
def departments(tmp_path):
    """A folder that many share, and where nobody but its keeper may write."""
    folder = tmp_path / "department"
    folder.mkdir()
    return folder


@pytest.fixture
def both_folders(mine, departments, monkeypatch):
    """Models are looked for in one's own folder first."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.pathsep.join([str(mine), str(departments)]))


@pytest.fixture
def nothing_is_writable(monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refuse)
