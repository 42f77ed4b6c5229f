"""A host that lies: what is not the published file, or comes over an open connection, is not installed."""

import pytest
import torch
from safetensors.torch import save_file

from SAMSegmenterLib.models import loading
from SAMSegmenterLib.models.storage import download, hashes, store, transfer
from SAMSegmenterLib.models.storage.transfer import DownloadError
from support.loopback import in_chunks, says, until_closed
from support.published import CONTENT, SHA256, left_in

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


@pytest.mark.parametrize(
    "content",
    [b"<html>Please log in</html>", b"\x1f\x8bnothing", b"PK\x03\x04" + bytes(1000), b'{"error": "no such file"}', b"\0" * 100],
    ids=["page", "gzip", "archive", "json", "zeros"],
)
def test_what_is_no_model_file_is_not_kept_where_nothing_is_published_to_compare_it_with(unhashed, host, content, models_folder):
    host.content = content
    with pytest.raises(DownloadError, match=r"not the file of SAMSegmenter.* and was deleted"):
        download.fetch(unhashed)
    assert left_in(models_folder) == set()
    assert hashes.expected(unhashed) is None


def test_a_model_file_that_is_cut_short_or_of_another_network_is_not_kept(unhashed, host, weights, models_folder, tmp_path):
    save_file({"image_encoder.trunk.x": torch.zeros(3)}, tmp_path / "other.safetensors")
    for content in (weights[:-1000], (tmp_path / "other.safetensors").read_bytes()):
        host.content = content
        with pytest.raises(DownloadError, match="was deleted"):
            download.fetch(unhashed)
        assert left_in(models_folder) == set()


def test_a_check_that_was_interrupted_keeps_what_has_arrived(unhashed, host, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loading, "build", lambda found: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            download.fetch(unhashed)
    asked = len(host.asked)
    host.script.append(says(416, Content_Range=f"bytes */{len(host.content)}"))
    assert download.fetch(unhashed).read_bytes() == host.content
    assert len(host.asked) == asked + 1


@pytest.mark.parametrize("length", ["9" * 19, "9" * 5000, "-1", "1e9", "\u0664"])
def test_lengths_that_cannot_be_are_refused(unhashed, host, length):
    def answer(handler):
        handler.head(200, Content_Length=length.encode("utf-8").decode("latin-1"), Connection="close")
        handler.wfile.write(b"x")
        handler.close_connection = True

    host.script += [answer] * 10
    with pytest.raises(DownloadError):
        download.fetch(unhashed)


def test_a_host_that_sends_without_end_and_without_a_length_is_stopped(unhashed, host, monkeypatch, models_folder):
    monkeypatch.setattr(transfer, "LARGEST_BYTES", 1 << 20)
    host.script.append(in_chunks(bytes(1 << 21)))
    with pytest.raises(DownloadError, match="sends more than the 1048576 bytes of any model"):
        download.fetch(unhashed)
    assert left_in(models_folder) == set()


def test_a_host_that_leads_elsewhere_than_to_the_web_is_refused(entry, host):
    for place in ("file:///etc/hostname", "ftp://user:secret@host/x?token=secret"):
        host.script.append(says(302, Location=place))
        with pytest.raises(DownloadError, match="could not be downloaded") as refusal:
            download.fetch(entry)
        assert "secret" not in str(refusal.value)


def test_control_characters_of_a_host_are_not_repeated(entry, host):
    def answer(handler):
        handler.send_response(404, "\x1b[31mgone")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    host.script.append(answer)
    with pytest.raises(DownloadError, match=r"404 \?\[31mgone"):
        download.fetch(entry)


SECRETS = "user:pass%40word@", "?token=secret"


@pytest.mark.parametrize("script", [[says(403)], [says(200, b"x")], [says(302, Location="https://u:secret@x.invalid/?k=secret")], []])
def test_passwords_and_tokens_of_addresses_are_neither_shown_nor_kept(entry, host, monkeypatch, script, models_folder, caplog, capfd):
    before, after = SECRETS
    mirror = host.url.replace("//", f"//{before}").rpartition("/")[0] + after
    monkeypatch.setenv(download.MIRROR_VARIABLE, mirror)
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    host.script += script
    told = [download.address(entry)]
    try:
        download.fetch(entry, cancel=lambda: bool(store.status(entry)) or _read_notes(told, entry))
    except DownloadError as error:
        told.append(str(error))
    told += [path.read_text("latin-1") for path in models_folder.rglob("*.json")] if models_folder.is_dir() else []
    told += [caplog.text, *capfd.readouterr()]
    assert not [each for each in told for secret in ("pass", "word", "user", "token", "secret") if secret in each]
    assert all("Authorization" in each for each in host.asked[:1])


def _read_notes(told, entry):
    notes = store.transient(store.folders()[0] / entry.file)[1]
    told += [notes.read_text("utf-8")] if notes.is_file() else []
    return False


NO_MIRRORS = "user:secret@host", "https://user:sec/ret@host/x", "https://user:secret@", "ftp://host/secret", "//secret", "https://[secret"


@pytest.mark.parametrize("mirror", NO_MIRRORS)
def test_a_mirror_that_is_no_address_is_refused_and_not_repeated(entry, monkeypatch, mirror):
    monkeypatch.setenv(download.MIRROR_VARIABLE, mirror)
    with pytest.raises(DownloadError, match="SAMSEGMENTER_MIRROR: holds no address") as refusal:
        download.fetch(entry)
    assert "sec" not in str(refusal.value).replace("%", "")


def test_a_token_of_a_mirror_is_sent_with_each_file(entry, host, monkeypatch):
    monkeypatch.setenv(download.MIRROR_VARIABLE, "http://127.0.0.1:1/models/?token=secret")
    assert download._address(entry) == f"http://127.0.0.1:1/models/{entry.file}?token=secret"
    assert download.address(entry) == f"http://127.0.0.1:1/models/{entry.file}"
