import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

import loopback
from loopback import breaks_off, falls_silent, in_chunks, is_slow, says, until_closed
from SAMSegmenterLib.errors import Cancelled, CheckpointError, OutputError
from SAMSegmenterLib.models import catalog, download, hashes, licences, store, transfer
from SAMSegmenterLib.models.transfer import DownloadError

CONTENT = bytes(range(256)) * 4000
HALF = len(CONTENT) // 2
CHUNK_BYTES = transfer.CHUNK_BYTES
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 4000)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", download.MIRROR_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def models_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def host():
    with loopback.host(CONTENT) as running:
        yield running


@pytest.fixture
def entry(host):
    """A published model on that host."""
    return replace(catalog.entry("sam2.1-hiera-tiny"), url=host.url, bytes=len(CONTENT), sha256=SHA256)


@pytest.fixture
def unhashed(entry):
    """The same, where neither hash nor size is published."""
    return replace(entry, sha256=None, bytes=None)


def left_in(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def started(entry, host):
    """Download half of the file and be cancelled."""
    host.script.append(breaks_off(HALF))
    asked = []
    with pytest.raises(Cancelled):
        download.fetch(entry, lambda done, total: asked.append(done), lambda: bool(asked) and asked[-1] >= HALF)
    host.asked.clear()
    return store.transient(store.folders()[0] / entry.file)[0]


# A host that does as it should


def test_a_model_is_downloaded_checked_and_installed(entry, host, models_folder):
    seen = []
    path = download.fetch(entry, lambda done, total: seen.append((done, total)))
    assert path == store.status(entry) == models_folder / entry.file
    assert path.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert left_in(models_folder) == {entry.file}


def test_what_is_installed_is_not_downloaded_again(entry, host):
    assert download.fetch(entry) == download.fetch(entry)
    assert len(host.asked) == 1


def test_redirects_are_followed(entry, host):
    host.script.append(says(302, Location=host.url))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_slow_host_is_waited_for(entry, host):
    host.script.append(is_slow(0.02, 10))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_slow_host_does_not_delay_progress_and_cancelling(entry, host, monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", CHUNK_BYTES)
    host.script.append(is_slow(0.02, 100))
    with pytest.raises(Cancelled, match=r"The 0\.0 MB that have arrived"):
        download.fetch(entry, cancel=lambda: bool(host.asked) and store.transient(store.folders()[0] / entry.file)[0].is_file())


def test_a_file_in_chunks_of_unknown_number_is_downloaded(entry, host):
    host.script.append(in_chunks(CONTENT))
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_mirror_is_asked_in_place_of_the_authors_host(entry, host, monkeypatch):
    monkeypatch.setenv(download.MIRROR_VARIABLE, host.url.rpartition("/")[0] + "/")
    assert download.address(replace(entry, url=None, obtain="Ask.")).endswith(f"/{entry.file}")
    assert download.fetch(replace(entry, url="https://example.invalid/x")).read_bytes() == CONTENT


def test_proxies_of_the_environment_are_used(entry, host, monkeypatch):
    monkeypatch.setenv("http_proxy", host.url.rpartition("/")[0])
    monkeypatch.setenv("no_proxy", "")
    assert download.fetch(replace(entry, url="http://authors.invalid/model.pt")).read_bytes() == CONTENT
    assert host.asked[0]["Host"] == "authors.invalid"


# A host that breaks off


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
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*gave up.*Check the network and the proxy"):
        download.fetch(replace(entry, url=url))


# A host that lies


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_refusals_say_what_to_do(status, entry, host, models_folder):
    host.script.append(says(status))
    with pytest.raises(DownloadError, match=rf"{status}.*samsegmenter models import"):
        download.fetch(entry)
    assert len(host.asked) == 1
    assert left_in(models_folder) == set()


def test_a_page_in_place_of_the_file_is_refused(entry, host, models_folder):
    host.script.append(says(200, b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(DownloadError, match="sends a web page"):
        download.fetch(entry)
    assert left_in(models_folder) == set()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"x"])
def test_a_file_of_another_size_is_refused_before_it_is_downloaded(content, entry, host, models_folder):
    host.content = content
    with pytest.raises(DownloadError, match=f"offers {len(content)} bytes, but the published file has {len(CONTENT)}"):
        download.fetch(entry)
    assert left_in(models_folder) == set()


def test_a_file_of_other_content_is_refused_and_deleted(entry, host, models_folder):
    host.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=rf"not the file known as {entry.id}.*{SHA256}"):
        download.fetch(entry)
    assert left_in(models_folder) == set()
    assert len(host.asked) == 1


def test_a_host_that_sends_without_end_is_stopped(entry, host):
    host.script.append(in_chunks(CONTENT * 2))
    with pytest.raises(DownloadError, match="sends more than"):
        download.fetch(entry)
    host.script.clear()
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_file_of_a_size_that_nobody_tells_is_refused(unhashed, host):
    host.script.append(until_closed(CONTENT))
    with pytest.raises(DownloadError, match="does not say how large"):
        download.fetch(unhashed)


def test_a_host_that_sends_nothing_is_given_up(unhashed, host):
    host.script += [in_chunks(b"")] * 10
    with pytest.raises(DownloadError, match="gave up"):
        download.fetch(unhashed)


def test_an_encrypted_address_must_not_lead_to_an_open_one():
    transfer.check_secure(["https://a/x", "https://b/x"])
    transfer.check_secure(["http://a/x", "http://b/x"])
    for way in (["https://a/x", "http://b/x"], ["https://a/x", "http://b/x", "https://c/x"]):
        with pytest.raises(DownloadError, match="https://a/x: leads to http://b/x, which is not encrypted"):
            transfer.check_secure(way)


def test_every_address_on_the_way_is_looked_at(entry, host, monkeypatch):
    seen = []
    monkeypatch.setattr(transfer, "check_secure", seen.append)
    host.script += [says(302, Location=host.url + "?2"), says(302, Location=host.url + "?3")]
    download.fetch(entry)
    assert seen == [[host.url, host.url + "?2", host.url + "?3"]]


# Where no hash is published


def test_a_hash_that_is_not_published_is_recorded_at_the_first_download(unhashed, host, models_folder):
    path = download.fetch(unhashed)
    assert json.loads((models_folder / hashes.RECORDS).read_text(encoding="utf-8")) == {unhashed.id: SHA256}
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(CheckpointError, match="first used here"):
        hashes.check(unhashed, path)


def test_a_file_that_was_replaced_by_its_authors_is_refused_until_the_old_one_is_removed(unhashed, host):
    path = download.fetch(unhashed)
    path.unlink()
    host.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match="the file known as"):
        download.fetch(unhashed)
    path.write_bytes(CONTENT)
    store.remove(unhashed)
    assert download.fetch(unhashed).read_bytes() == CONTENT[::-1]


# Licences


def test_a_licence_that_is_not_permissive_must_be_accepted_once(entry, host):
    limited = replace(entry, licence="CC-BY-NC-4.0", licence_url="https://example.org/nc", commercial_use=False)
    with pytest.raises(licences.LicenceNotAccepted, match=r"CC-BY-NC-4\.0.*example\.org/nc.*not allowed") as refusal:
        download.fetch(limited)
    assert refusal.value.entry == limited
    assert not host.asked
    path = download.fetch(limited, accept_licence=True)
    path.unlink()
    assert download.fetch(limited) == path


def test_another_licence_must_be_accepted_anew(entry, models_folder):
    limited = replace(entry, licence="own terms", commercial_use=False)
    licences.accept(limited)
    assert licences.is_accepted(limited)
    assert not licences.is_accepted(replace(limited, licence="other terms"))


def test_what_ships_is_not_downloaded_but_installed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    with pytest.raises(DownloadError, match=r"samsegmenter-pico: ships with SAMSegmenter.*install SAMSegmenter again"):
        download.fetch(catalog.entry("samsegmenter-pico"))


def test_a_file_that_is_there_but_cut_short_is_named(entry, models_folder):
    models_folder.mkdir()
    (models_folder / entry.file).write_bytes(CONTENT[:10])
    with pytest.raises(CheckpointError, match=rf"\(10 bytes, expected {len(CONTENT)}\).*models remove {entry.id}"):
        download.fetch(entry)


def test_models_without_an_address_say_where_they_are():
    with pytest.raises(DownloadError, match=r"sam-med2d.*github\.com/OpenGVLab/SAM-Med2D.*models import"):
        download.fetch(catalog.entry("sam-med2d"))


# Disks and other programs


def test_a_disk_that_is_too_full_is_noticed_before(entry, host, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**6))
    with pytest.raises(OutputError, match=r"18 MB are needed and 1 MB are free.*SAMSEGMENTER_MODELS"):
        download.fetch(entry)


def test_a_file_of_unknown_size_does_not_fill_the_disk(unhashed, host, monkeypatch):
    part, _ = store.transient(store.folders()[0] / unhashed.file)
    free = transfer.SPARE_BYTES + HALF
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, free - (part.stat().st_size if part.is_file() else 0)))
    host.script.append(in_chunks(CONTENT))
    with pytest.raises(OutputError, match="the disk is too full"):
        download.fetch(unhashed)
    assert HALF <= part.stat().st_size < HALF + 8000


def test_a_disk_that_fills_up_meanwhile_is_named_and_what_arrived_is_kept(entry, host, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Transfer, "_receive", full)
        with pytest.raises(OutputError, match=r"No space left.*kept"):
            download.fetch(entry)
    assert download.fetch(entry).read_bytes() == CONTENT


def test_a_folder_that_vanishes_meanwhile_is_named(entry, host, models_folder):
    with pytest.raises(OutputError, match="could not be written"):
        download.fetch(entry, lambda done, total: shutil.rmtree(models_folder, ignore_errors=True))


def test_two_downloads_of_one_model_at_once_fetch_it_once(entry, host):
    host.script.append(is_slow(0.02, 10))
    found = []
    threads = [threading.Thread(target=lambda: found.append(download.fetch(entry))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in found] == [True] * 3
    assert len(host.asked) == 1


def test_two_programs_that_download_one_model_at_once_fetch_it_once(entry, host):
    host.script.append(is_slow(0.1, 20))
    published = {"url": host.url, "bytes": len(CONTENT), "sha256": SHA256}
    code = (
        "from dataclasses import replace\nfrom SAMSegmenterLib.models import catalog, download\n"
        f"print(download.fetch(replace(catalog.entry({entry.id!r}), **{published!r})).stat().st_size)"
    )
    library = Path(store.__file__).parents[2]
    programs = [subprocess.Popen([sys.executable, "-c", code], cwd=library, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [program.communicate(timeout=60)[0].strip() for program in programs] == [str(len(CONTENT))] * 2
    assert len(host.asked) == 1


def test_waiting_for_another_program_can_be_cancelled(entry, host, models_folder):
    models_folder.mkdir()
    with store.turn(models_folder / entry.file), pytest.raises(Cancelled, match="another program"):
        download.fetch(entry, cancel=lambda: True)


def test_pauses_between_attempts_can_be_cancelled(entry, host, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 60)
    host.script += [says(500)] * 10
    with pytest.raises(Cancelled, match="Nothing had arrived"):
        download.fetch(entry, cancel=lambda: bool(host.asked))
