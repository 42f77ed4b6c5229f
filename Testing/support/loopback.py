"""A host on this machine that serves one file, well or in all the ways in which hosts fail."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ETAG = '"first"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.server.host
        host.asked.append(dict(self.headers))
        try:
            (host.script.popleft() if host.script else serve)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_CONNECT(self) -> None:
        """As a proxy that is asked for the way to an encrypted host, and refuses it."""
        self.server.host.asked.append({"CONNECT": self.path})
        self.send_error(403)

    @property
    def start(self) -> int:
        """The first byte that is asked for."""
        return int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


Behaviour = Callable[[Handler], None]


class Host:
    """What is served and what has been asked.

    Attributes:
        url: of the file.
        content: of the file.
        script: how to answer the next requests, one each; after that all are answered well.
        asked: the headers of all requests so far.
    """

    def __init__(self, url: str, content: bytes) -> None:
        self.url, self.content, self.etag = url, content, ETAG
        self.script: deque[Behaviour] = deque()
        self.asked: list[dict[str, str]] = []


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients of these tests hang up when they please."""


@contextmanager
def host(content: bytes) -> Iterator[Host]:
    server = Server(("127.0.0.1", 0), Handler)
    server.host = Host(f"http://127.0.0.1:{server.server_port}/model.pt", content)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.host
    finally:
        server.shutdown()
        server.server_close()


def serve(handler: Handler, at_most: int | None = None) -> None:
    """Answer as a good host does, but send `at_most` so many bytes of what was announced."""
    content, etag = handler.server.host.content, handler.server.host.etag
    start = handler.start if handler.headers.get("If-Range", etag) == etag else 0
    rest = content[start:]
    if start and not rest:
        handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
        return
    span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
    handler.head(206 if start else 200, Content_Length=len(rest), ETag=etag, **span)
    handler.wfile.write(rest[:at_most])


def breaks_off(after: int) -> Behaviour:
    """Close the connection after so many bytes of what was announced."""

    def answer(handler: Handler) -> None:
        serve(handler, at_most=after)
        handler.close_connection = True

    return answer


def falls_silent(after: int, seconds: float) -> Behaviour:
    """Send so many bytes, then nothing for a while."""

    def answer(handler: Handler) -> None:
        breaks_off(after)(handler)
        time.sleep(seconds)

    return answer


def is_slow(pause_seconds: float, pieces: int) -> Behaviour:
    """Send the file in pieces, with pauses."""

    def answer(handler: Handler) -> None:
        content = handler.server.host.content
        size = -(-len(content) // pieces)
        handler.head(200, Content_Length=len(content), ETag=handler.server.host.etag)
        for first in range(0, len(content), size):
            handler.wfile.write(content[first : first + size])
            time.sleep(pause_seconds)

    return answer


def says(status: int, body: bytes = b"", **headers: object) -> Behaviour:
    """Answer with this and nothing else."""

    def answer(handler: Handler) -> None:
        handler.head(status, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return answer


def in_chunks(body: bytes) -> Behaviour:
    """Send `body` without saying how long it is."""

    def answer(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")

    return answer


def until_closed(body: bytes) -> Behaviour:
    """Send `body` as in the earliest days: its end is where the connection ends."""

    def answer(handler: Handler) -> None:
        handler.head(200, Connection="close")
        handler.wfile.write(body)
        handler.close_connection = True

    return answer
