"""A model's file is the one that was published, or else the one that was first used here."""

from dataclasses import replace

import pytest

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import hashes
from support.published import MEDSAM2, TINY, placed

pytestmark = pytest.mark.usefixtures("both_folders")


def test_a_published_hash_is_what_is_expected():
    assert hashes.expected(TINY) == TINY.sha256
    assert hashes.expected(MEDSAM2) is None


def test_comparing_a_file_records_nothing(mine):
    path = placed(mine, MEDSAM2)
    assert hashes.check(MEDSAM2, path) == hashes.file_sha256(path)
    assert hashes.expected(MEDSAM2) is None


def test_the_first_use_of_a_model_without_a_published_hash_is_remembered(mine):
    path = placed(mine, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    hashes.remember(MEDSAM2, "0" * 64)
    assert hashes.check(MEDSAM2, path) == hashes.expected(MEDSAM2)
    placed(mine, MEDSAM2, b"other weights")
    with pytest.raises(CheckpointError, match=r"not the file that was first used here as medsam2-latest.*models remove medsam2-latest"):
        hashes.check(MEDSAM2, path)


def test_without_a_folder_to_write_to_every_use_is_the_first(departments, nothing_is_writable):
    path = placed(departments, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    assert hashes.expected(MEDSAM2) is None


def test_a_file_of_another_size_does_not_pass_for_a_published_one(mine):
    entry = replace(MEDSAM2, bytes=5)
    with pytest.raises(CheckpointError, match=r"not the file published as medsam2-latest \(4 bytes, expected 5\).*models remove"):
        hashes.check(entry, placed(mine, entry, b"half"))


def test_an_empty_file_is_no_model(mine):
    with pytest.raises(CheckpointError, match=r"is empty.*models remove medsam2-latest"):
        hashes.check(MEDSAM2, placed(mine, MEDSAM2, b""))


def test_a_published_file_does_not_pass_for_another_one(mine, monkeypatch):
    path = placed(mine, MEDSAM2)
    known = replace(TINY, sha256=hashes.file_sha256(path))
    monkeypatch.setattr(catalog, "entries", lambda: (known, MEDSAM2))
    with pytest.raises(CheckpointError, match=r"is the file published as sam2\.1-hiera-tiny, not that of medsam2-latest"):
        hashes.check(MEDSAM2, path)


def test_a_file_that_cannot_be_read_is_named(mine):
    with pytest.raises(CheckpointError, match=r"gone\.pt: cannot be read \(No such file"):
        hashes.file_sha256(mine / "gone.pt")


def test_another_file_under_a_published_name_is_told(mine):
    with pytest.raises(CheckpointError, match=r"is not the file published as sam2\.1-hiera-tiny"):
        hashes.check(TINY, placed(mine, TINY))
