"""The download of one large file over a connection that is slow, breaks off or lies."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from ...errors import Cancelled, CheckpointError, OutputError, printable
from .folders import share

DownloadProgress = Callable[["int", "int | None"], None]
Cancel = Callable[[], bool]

CONNECT_SECONDS, SILENT_SECONDS = 10.0, 10.0
ATTEMPTS = 4  # in a row that bring no more bytes
FIRST_PAUSE_SECONDS = 1.0
CHUNK_BYTES = 1 << 14  # `cancel` is asked after every chunk, so that a slow host delays it by one
SPARE_BYTES = 16 << 20  # left free on the disk
ASK_SPACE_EVERY_BYTES = SPARE_BYTES // 2  # for a file of unknown size: rarely, but before it can use up the spare bytes
LARGEST_BYTES = 16 << 30
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(CheckpointError):
    """A model file that could not be downloaded; the message says from where, why, and what to do."""


class _Broken(Exception):
    """A download that is incomplete or cannot be continued; another attempt may succeed."""


PASSING = _Broken, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError


@dataclass(frozen=True)
class Transfer:
    """A file on its way to this machine; it continues an earlier attempt if the host still has the same version.

    Proxies are those of the environment or the system.

    Attributes:
        url: where it comes from; in messages and `notes` it stands as `shown`.
        part: what has arrived; kept if the transfer fails or is cancelled.
        notes: a small file that remembers what `part` is a part of.
        size: of the whole file in bytes, if it is known.
        progress: called with the bytes that have arrived and their number in the end, None if that is not known.
        cancel: called often; the transfer ends if it returns true.
    """

    url: str
    part: Path
    notes: Path
    size: int | None
    progress: DownloadProgress
    cancel: Cancel

    def run(self) -> None:
        """Download the file; repeat attempts that fail, with growing pauses.

        Raises:
            Cancelled: `cancel` returned true.
            DownloadError: the host cannot be reached, refuses, keeps breaking off, or sends another file.
            OutputError: the disk is too full.
            OSError: `part` cannot be written.
        """
        most, failures = self._arrived, 0
        with requests.Session() as session:
            while True:
                try:
                    return self._attempt(session)
                except requests.exceptions.SSLError as error:
                    raise self._error(_untrusted(error)) from error
                except PASSING as error:
                    failures = 0 if self._arrived > most else failures + 1
                    most = max(most, self._arrived)
                    self._pause_after(error, failures)
                except requests.RequestException as error:
                    raise self._error(f"could not be downloaded ({_reason(error)}); {_proxy(self.url)}.") from error

    def discard(self) -> None:
        """Delete what has arrived."""
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _attempt(self, session: requests.Session) -> None:
        self._stop_if_cancelled()
        version = self._version_of_part()
        have = self._arrived if version else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-", "If-Range": version} if have and version else {})}
        with session.get(self.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, SILENT_SECONDS)) as response:
            check_secure([each.url for each in (*response.history, response)])
            if response.status_code == 416 and _content_range(response) == (None, have) and self.size in (None, have):
                return  # nothing is missing
            start, total = self._accepted(response, have, version)
            self._check_size(response, total)
            total = total or self.size
            self._check_space(total, start)
            if not start:
                self.discard()
                self.notes.write_text(json.dumps({"url": shown(self.url), "version": _version(response)}), encoding="utf-8")
                self.part.touch()
                share(self.part)
            self._receive(response, start, total)

    def _accepted(self, response: requests.Response, have: int, version: str | None) -> tuple[int, int | None]:
        """Return where in the file the body starts that the host sends, and the file's size if the host tells it.

        Raises:
            _Broken: it cannot continue after the first `have` bytes of `version`, or not now.
            DownloadError: it refuses, or sends a page.
        """
        status = response.status_code
        if status in WORTH_ANOTHER_TRY:
            raise _Broken(f"the host answers {status} {printable(response.reason)}")
        if status in (206, 416):
            start, total = _content_range(response)
            if status == 206 and start == have and _version(response) in (version, None):
                return start, total
            self.discard()
            raise _Broken("the host has another version of the file, or cannot go on where it broke off")
        if status != 200:
            raise self._error(_refusal(status, response.reason))
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self._error("sends a web page instead of the file; a proxy or a login may be in between. Open it in a browser.")
        return 0, _count(response.headers.get("Content-Length", ""))

    def _check_size(self, response: requests.Response, total: int | None) -> None:
        if total is None and self.size is None and response.headers.get("Transfer-Encoding") != "chunked":
            raise self._error("the host does not say how large the file is; nobody could tell whether all of it arrived.")
        if total is not None and self.size is not None and total != self.size:
            self.discard()
            raise self._error(f"offers {total} bytes, but the published file has {self.size}. It was replaced, or is not the file.")
        if total is not None and total > LARGEST_BYTES:
            self.discard()
            raise self._error(f"offers {total} bytes; no model that is supported is so large.")

    def _check_space(self, total: int | None, have: int) -> None:
        needed, free = (total or have) - have + SPARE_BYTES, shutil.disk_usage(self.part.parent).free
        if free < needed:
            raise OutputError(
                f"{self.part.parent}: the disk is too full: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free. "
                "Make room, or name a folder on another disk in the variable SAMSEGMENTER_MODELS."
            )

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        done, most, asked = start, total or LARGEST_BYTES, start
        self.progress(done, total)
        with self.part.open("ab") as file:  # buffered: otherwise bytes that do not fit on the disk are left out without an error
            for chunk in response.iter_content(CHUNK_BYTES):
                if total is None and done - asked >= ASK_SPACE_EVERY_BYTES:  # it could not be seen before whether the disk is large enough
                    self._check_space(total, done)
                    asked = done
                done += len(chunk)
                if done > most:
                    self.discard()
                    raise self._error(f"sends more than the {most} bytes of {_whose(total)}. It is not the published file.")
                file.write(chunk)
                file.flush()  # so that the size of `part` is the number of bytes that have arrived
                self.progress(done, total)
                self._stop_if_cancelled()
        if not done or (total and done < total):
            raise _Broken(f"the host broke off after {done} of {total or 'unknown'} bytes")

    def _version_of_part(self) -> str | None:
        """Return which version of the file has arrived in part.

        None if that is not known, or if the part belongs to another user: then it cannot be continued.
        """
        try:
            noted = json.loads(self.notes.read_text(encoding="utf-8"))
            return noted["version"] if noted["url"] == shown(self.url) and os.access(self.part, os.W_OK) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _pause_after(self, error: Exception, failures: int) -> None:
        if failures >= ATTEMPTS:
            advice = f"Check the network; {_proxy(self.url)}. {self._kept}"
            raise self._error(f"gave up after {ATTEMPTS} attempts ({_reason(error)}). {advice}") from error
        end = time.monotonic() + FIRST_PAUSE_SECONDS * 2 ** max(failures - 1, 0)
        while (left := end - time.monotonic()) > 0:
            self._stop_if_cancelled()
            time.sleep(min(0.1, left))

    def _stop_if_cancelled(self) -> None:
        if self.cancel():
            raise Cancelled(f"The download was stopped. {self._kept}")

    def _error(self, what: str) -> DownloadError:
        return DownloadError(f"{shown(self.url)}: {what}")

    @property
    def _arrived(self) -> int:
        """Return the number of bytes that have arrived."""
        return self.part.stat().st_size if self.part.is_file() else 0

    @property
    def _kept(self) -> str:
        """Return a sentence about what has arrived."""
        if not self._arrived:
            return "Nothing had arrived."
        return f"The {self._arrived / 1e6:.1f} MB that have arrived are kept; the next attempt goes on from there."


def shown(url: str) -> str:
    """Return an address without its secret parts: the user's name and password, and everything behind a question mark."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_secure(addresses: list[str]) -> None:
    """Raise `DownloadError` if an encrypted address led, possibly by way of others, to one that is not encrypted."""
    first, *others = addresses
    open_one = next((each for each in others if not each.startswith("https:")), None)
    if first.startswith("https:") and open_one:
        raise DownloadError(f"{shown(first)}: leads to {shown(open_one)}, which is not encrypted; nothing was downloaded.")


def _version(response: requests.Response) -> str | None:
    """Return what tells versions of a file apart, in the host's words; None if it has nothing exact."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return start and size from a header such as ``bytes 200-999/1000`` or ``bytes */1000``."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    return (_count(start), _count(total)) if unit == "bytes" else (None, None)


def _count(text: str) -> int | None:
    """Return the number of bytes in a header; None if there is none."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _whose(total: int | None) -> str:
    return "any model" if total is None else "the file"


def _proxy(url: str) -> str:
    """Return in words which proxy a request to `url` goes through, without the secret parts of its address."""
    proxy = select_proxy(url, get_environ_proxies(url))
    return f"the proxy in use is {printable(re.sub('.*(@|//)', '', proxy))}" if proxy else "no proxy is set for this address"


def _reason(error: Exception) -> str:
    """Return an error in one line, without the secret parts of addresses that libraries quote."""
    line = printable(str(error).strip().partition("\n")[0])
    return re.sub(r"\?[^\s'\")]*", "", re.sub(r"[^\s/'\"(]*@", "", line))[:200] or type(error).__name__


def _untrusted(error: Exception) -> str:
    return (
        f"the host's certificate is not trusted ({_reason(error)}). If your network inspects traffic, name its certificates in the "
        "variable REQUESTS_CA_BUNDLE, or download the file with a browser and run 'samsegmenter models import FILE'."
    )


def _refusal(status: int, reason: str) -> str:
    if status in (401, 403, 407):
        what = "the host or a proxy refuses it, or wants a login"
    elif status in (404, 410):
        what = "the file is not there any more"
    else:
        what = "the host does not give the file"
    return f"{what} ({status} {printable(reason)}). Download it with a browser and run 'samsegmenter models import FILE'."
