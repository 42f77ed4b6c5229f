"""A host that does as it should: models are downloaded, checked and installed, once their licences are accepted."""

import json
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from SAMSegmenterLib.errors import Cancelled, CheckpointError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import download, hashes, licences, store, transfer
from SAMSegmenterLib.models.storage.transfer import DownloadError
from support import loopback
from support.loopback import in_chunks, is_slow, says
from support.published import CONTENT, left_in

pytestmark = pytest.mark.usefixtures("downloading")

CHUNK_BYTES = transfer.CHUNK_BYTES


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


@pytest.fixture
def beyond_proxies(entry, monkeypatch):
    """A model on a host that does not exist, so that nothing but a proxy can lead to it."""
    monkeypatch.setenv("no_proxy", "")
    return replace(entry, url="http://authors.invalid/model.pt")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_used(variable, beyond_proxies, host, monkeypatch):
    monkeypatch.setenv(variable, host.url.rpartition("/")[0])
    assert download.fetch(beyond_proxies).read_bytes() == CONTENT
    assert host.asked[0]["Host"] == "authors.invalid"


def test_a_proxy_that_refuses_the_way_to_an_encrypted_host_is_named(beyond_proxies, host, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", host.url.rpartition("/")[0])
    with pytest.raises(DownloadError, match=f"the proxy in use is {urlsplit(host.url).netloc}"):
        download.fetch(replace(beyond_proxies, url="https://authors.invalid/model.pt"))
    assert host.asked[0] == {"CONNECT": "authors.invalid:443"}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("stated", "why"),
    [("http://me:secret@{place}", "gave up"), ("{place}", "gave up"), ("me:secret@{place}", "check proxy URL")],
    ids=["with a password", "without a scheme", "malformed"],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(stated, why, scheme, beyond_proxies, monkeypatch):
    with loopback.host(b"") as gone:
        place = urlsplit(gone.url).netloc
    monkeypatch.setenv(f"{scheme}_proxy", stated.format(place=place))
    with pytest.raises(DownloadError, match=f"{why}.*the proxy in use is {place}") as refusal:
        download.fetch(replace(beyond_proxies, url=f"{scheme}://authors.invalid/model.pt"))
    assert "secret" not in str(refusal.value)


def test_a_hash_that_is_not_published_is_recorded_at_the_first_download(unhashed, host, models_folder):
    path = download.fetch(unhashed)
    assert json.loads((models_folder / hashes.HASHES).read_text(encoding="utf-8")) == {unhashed.id: hashes.file_sha256(path)}
    assert left_in(models_folder) == {unhashed.file, hashes.HASHES}
    path.write_bytes(CONTENT)
    with pytest.raises(CheckpointError, match="first used here"):
        hashes.check(unhashed, path)


def test_a_file_that_was_replaced_by_its_authors_is_refused_until_the_old_one_is_removed(unhashed, host):
    path = download.fetch(unhashed)
    old = path.read_bytes()
    path.unlink()
    host.content = store.locate(catalog.entry("samsegmenter-pico")).read_bytes()
    with pytest.raises(DownloadError, match="the file known as"):
        download.fetch(unhashed)
    path.write_bytes(old)
    store.remove(unhashed)
    assert download.fetch(unhashed).read_bytes() == host.content


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
