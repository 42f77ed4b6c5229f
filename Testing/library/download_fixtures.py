"""Fixtures of the tests of downloads; a test file asks for them by ``pytest_plugins = ["download_fixtures"]``."""

from dataclasses import replace

import pytest

import loopback
from published import CONTENT, SHA256, TINY
from SAMSegmenterLib.models import download, transfer


@pytest.fixture
def downloading(models_folder, monkeypatch):
    """Into a folder that is not there yet, past proxies and mirrors, in small chunks and without long pauses."""
    models_folder.rmdir()
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 4000)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", download.MIRROR_VARIABLE):
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
def unhashed(entry):
    """The same, where neither hash nor size is published."""
    return replace(entry, sha256=None, bytes=None)
