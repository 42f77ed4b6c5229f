"""Disks that are full, fill up or vanish while a model is downloaded to them."""

import errno
import shutil
from collections import namedtuple

import pytest

from SAMSegmenterLib.errors import OutputError
from SAMSegmenterLib.models.storage import download, store, transfer
from support.loopback import in_chunks
from support.published import CONTENT, HALF

pytestmark = pytest.mark.usefixtures("downloading")

Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_full_is_noticed_before(entry, host, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**6))
    with pytest.raises(OutputError, match=r"18 MB are needed and 1 MB are free.*SAMSEGMENTER_MODELS"):
        download.fetch(entry)


def test_a_file_of_unknown_size_does_not_fill_the_disk(unhashed, host, monkeypatch):
    part, _ = store.transient(store.folders()[0] / unhashed.file)
    free = transfer.SPARE_BYTES + HALF
    monkeypatch.setattr(transfer, "ASK_SPACE_EVERY_BYTES", 4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, free - (part.stat().st_size if part.is_file() else 0)))
    host.script.append(in_chunks(CONTENT))
    with pytest.raises(OutputError, match="the disk is too full"):
        download.fetch(unhashed)
    assert HALF <= part.stat().st_size <= HALF + 2 * transfer.CHUNK_BYTES


def test_a_disk_that_fills_up_meanwhile_is_named_and_what_arrived_is_kept(entry, host, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Transfer, "_receive", full)
        with pytest.raises(OutputError, match=r"No space left.*kept"):
            download.fetch(entry)
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_disk_that_has_no_room_for_the_last_bytes_is_named_and_nothing_is_installed(unhashed, weights, host):
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    host.script.append(in_chunks(weights))
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(weights) - 100, before[1]))
    try:
        with pytest.raises(OutputError, match=r"could not be written.*kept"):
            download.fetch(unhashed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.status(unhashed) is None
    assert download.fetch(unhashed).read_bytes() == weights


def test_a_folder_that_vanishes_meanwhile_is_named(entry, host, models_folder):
    with pytest.raises(OutputError, match="could not be written"):
        download.fetch(entry, lambda done, total: shutil.rmtree(models_folder, ignore_errors=True))
