"""Fixtures of the tests of storage: folders of models, and a host to download from."""

import os
from dataclasses import replace

import pytest

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import download, folders, store, transfer
from support import loopback
from support.networks import weights_of_their_own
from support.published import CONTENT, SHA256, TINY


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


@pytest.fixture
def downloading(models_folder, monkeypatch):
    """Into a folder that is not there yet, past proxies and mirrors, in small chunks and without long pauses."""
    models_folder.rmdir()
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 4000)
    proxies = [f"{scheme}_proxy" for scheme in ("http", "https", "all")]
    for name in (*proxies, *map(str.upper, proxies), download.MIRROR_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def host():
    with loopback.host(CONTENT) as running:
        yield running


@pytest.fixture
def entry(host):
    """A published model on that host."""
    return replace(TINY, url=host.url, bytes=len(CONTENT), sha256=SHA256)


@pytest.fixture
def weights(tmp_path):
    """The content of a file of the smallest network that nobody has published."""
    return weights_of_their_own(tmp_path / "own.safetensors").read_bytes()


@pytest.fixture
def unhashed(host, weights, monkeypatch):
    """A model of which neither hash nor size is published, on that host."""
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1 << 16)
    host.content = weights
    like = catalog.entry("samsegmenter-pico")
    return replace(like, id="unhashed", file="unhashed.safetensors", shipped=False, url=host.url, sha256=None, bytes=None)
