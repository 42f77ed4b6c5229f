"""A host that breaks off: downloads are tried again, and go on where they ended if what arrived can be continued."""

import os
from dataclasses import replace

import pytest

from SAMSegmenterLib.errors import Cancelled
from SAMSegmenterLib.models.storage import download, store, transfer
from SAMSegmenterLib.models.storage.transfer import DownloadError
from support import loopback
from support.loopback import breaks_off, falls_silent, says
from support.published import CONTENT, HALF, left_in

pytestmark = pytest.mark.usefixtures("downloading")


def started(entry, host):
    """Download half of the file and be cancelled."""
    host.script.append(breaks_off(HALF))
    asked = []
    with pytest.raises(Cancelled):
        download.fetch(entry, lambda done, total: asked.append(done), lambda: bool(asked) and asked[-1] >= HALF)
    host.asked.clear()
    return store.transient(store.folders()[0] / entry.file)[0]


def test_a_download_that_breaks_off_goes_on_where_it_ended(entry, host):
    host.script += [breaks_off(HALF), breaks_off(4000)]
    assert download.fetch(entry).read_bytes() == CONTENT
    assert [asked.get("Range") for asked in host.asked] == [None, f"bytes={HALF}-", f"bytes={HALF + 4000}-"]
    assert host.asked[1]["If-Range"] == loopback.ETAG


def test_a_cancelled_download_goes_on_the_next_time(entry, host, models_folder):
    part = started(entry, host)
    assert part.read_bytes() == CONTENT[: part.stat().st_size]
    assert store.status(entry) is None
    assert download.fetch(entry).read_bytes() == CONTENT
    assert host.asked[0]["Range"] == f"bytes={HALF}-"
    assert left_in(models_folder) == {entry.file}


def test_a_complete_download_that_was_not_installed_is_not_fetched_again(entry, host):
    part = started(entry, host)
    part.write_bytes(CONTENT)
    host.asked.clear()
    assert download.fetch(entry).read_bytes() == CONTENT
    assert [asked["Range"] for asked in host.asked] == [f"bytes={len(CONTENT)}-"]


def test_a_host_that_has_another_version_by_now_is_asked_for_all_of_it(entry, host):
    started(entry, host)
    host.etag = '"second"'
    assert download.fetch(entry).read_bytes() == CONTENT
    assert "Range" in host.asked[0]


def test_a_host_that_mixes_versions_is_asked_again_from_the_start(entry, host):
    started(entry, host)
    rest = {"Content_Range": f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"}
    host.script.append(says(206, b"x" * HALF, ETag='"second"', **rest))
    assert download.fetch(entry).read_bytes() == CONTENT
    assert "Range" not in host.asked[1]


def test_a_host_that_answers_with_other_bytes_than_asked_for_is_asked_from_the_start(entry, host):
    started(entry, host)
    host.script.append(says(206, CONTENT[10:], ETag=loopback.ETAG, Content_Range=f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}"))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_host_that_ignores_ranges_sends_all_of_it(entry, host):
    started(entry, host)
    host.script.append(says(200, CONTENT, ETag=loopback.ETAG))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_without_a_version_of_the_file_nothing_is_continued(entry, host):
    part = started(entry, host)
    part.with_name(part.name + ".json").write_text("no json", encoding="utf-8")
    assert download.fetch(entry).read_bytes() == CONTENT
    assert "Range" not in host.asked[0]


def test_a_part_of_somebody_else_who_keeps_it_is_fetched_anew(entry, host, monkeypatch):
    part = started(entry, host)
    monkeypatch.setattr(transfer.os, "access", lambda path, mode: not (path == part and mode == os.W_OK))
    assert download.fetch(entry).read_bytes() == CONTENT
    assert "Range" not in host.asked[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
def test_all_who_share_the_folder_can_go_on_with_a_download(entry, host, models_folder):
    models_folder.mkdir()
    models_folder.chmod(0o2775)
    before = os.umask(0o077)
    try:
        part = started(entry, host)
    finally:
        os.umask(before)
    assert part.stat().st_mode & 0o777 == 0o664
    assert download.fetch(entry).stat().st_mode & 0o777 == 0o664


def test_a_part_that_was_spoilt_is_noticed_and_fetched_anew(entry, host):
    part = started(entry, host)
    part.write_bytes(b"?" * part.stat().st_size)
    assert download.fetch(entry).read_bytes() == CONTENT
    assert [asked.get("Range") for asked in host.asked] == [f"bytes={HALF}-", None]


def test_a_host_that_falls_silent_is_asked_again(entry, host, monkeypatch):
    monkeypatch.setattr(transfer, "SILENT_SECONDS", 0.2)
    host.script.append(falls_silent(HALF, 1.0))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_host_that_recovers_is_forgiven(entry, host):
    host.script += [says(500), says(503), says(429)]
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_host_that_never_recovers_is_given_up(entry, host):
    host.script += [says(500)] * 10
    with pytest.raises(DownloadError, match=r"gave up after 4 attempts \(the host answers 500.*Nothing had arrived"):
        download.fetch(entry)
    assert len(host.asked) == transfer.ATTEMPTS


def test_a_host_that_breaks_off_at_once_each_time_is_given_up_and_what_arrived_is_kept(entry, host):
    host.script += [breaks_off(HALF)] + [breaks_off(0)] * 10
    with pytest.raises(DownloadError, match=r"gave up.*The 0\.5 MB that have arrived are kept"):
        download.fetch(entry)
    host.script.clear()
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_host_that_is_not_there_is_named(entry, host):
    with loopback.host(b"") as gone:
        url = gone.url
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*gave up.*Check the network; no proxy is set"):
        download.fetch(replace(entry, url=url))


def test_pauses_between_attempts_can_be_cancelled(entry, host, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 60)
    host.script += [says(500)] * 10
    with pytest.raises(Cancelled, match="Nothing had arrived"):
        download.fetch(entry, cancel=lambda: bool(host.asked))


@pytest.mark.parametrize("more", [0, 1, 10**6])
def test_a_host_that_calls_another_length_the_end_is_asked_from_the_start(unhashed, weights, host, more):
    sized = replace(unhashed, bytes=len(weights))
    have = started(sized, host).stat().st_size
    host.script.append(says(416, Content_Range=f"bytes */{have + more}"))
    assert download.fetch(sized).read_bytes() == weights
    assert [asked.get("Range") for asked in host.asked] == [f"bytes={have}-", None]
