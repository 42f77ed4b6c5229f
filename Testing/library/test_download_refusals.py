"""A host that lies: what is not the published file, or comes over an open connection, is not installed."""

import pytest

from loopback import in_chunks, says, until_closed
from published import CONTENT, SHA256, left_in
from SAMSegmenterLib.models import download, transfer
from SAMSegmenterLib.models.transfer import DownloadError

pytest_plugins = ["download_fixtures"]
pytestmark = pytest.mark.usefixtures("downloading")


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
