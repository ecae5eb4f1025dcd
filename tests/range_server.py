"""A web server with Range requests, in a thread: it counts what it is asked for and, where told to, misbehaves."""

from __future__ import annotations

import base64
import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Behavior:
    """How one path is answered. Without any of it: as RFC 9110 has it.

    refuse_suffix: the status for ranges from the end. e_tags: what to call the versions, an answer after the other.
    range_shift: how far off the range is that the answer states. excess: bytes that it sends and does not state.
    delay: seconds between chunks of the body.
    """

    no_ranges: bool = False
    no_length: bool = False
    refuse_suffix: int = 0
    status: int = 0
    statuses: list[int] = field(default_factory=list)
    redirect: str = ""
    e_tags: list[str] = field(default_factory=list)
    no_e_tag: bool = False
    range_shift: int = 0
    no_content_range: bool = False
    cut: int = 0
    excess: int = 0
    delay: float = 0.0
    password: str = ""


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    method: str
    path: str
    range: str | None
    if_match: str | None


class RangeServer:
    """Files of a folder under `url`. asked: the requests. sent: the bytes of all bodies. latency: seconds, of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behavior: dict[str, Behavior] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self.latency = 0.0
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.files = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        self.asked.clear()
        self.sent = 0

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    files: RangeServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are a part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a header and a short body are two writes, 40 ms apart otherwise
    server: _Http

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files = self.server.files
        name = unquote(urlsplit(self.path).path).lstrip("/")
        how = files.behavior.get(name, Behavior())
        time.sleep(files.latency)
        files.asked.append(Asked(self.command, self.path, self.headers["Range"], self.headers["If-Match"]))
        path = files.folder / name
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        if how.password and self.headers["Authorization"] != _basic(how.password):
            return self._plain(401)
        if how.redirect:
            return self._plain(302, ("Location", how.redirect))
        if how.status or how.statuses:
            status = how.statuses.pop(0) if how.statuses else how.status
            if status != 200:
                return self._plain(status)
        if not path.is_file():
            return self._plain(404)
        size = path.stat().st_size
        e_tag = how.e_tags.pop(0) if how.e_tags else '"version 1"'
        if how.no_ranges or wanted is None:
            return self._body(path, 0, size, size, e_tag, how, 200)
        first, last = wanted.groups()
        if not first and how.refuse_suffix:
            return self._plain(how.refuse_suffix)
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= size or end <= start:
            return self._plain(416, ("Content-Range", f"bytes */{size}"))
        return self._body(path, start, end, size, e_tag, how, 206)

    def _plain(self, status: int, *headers: tuple[str, str]) -> None:
        body = b"<Error><Code>TestCode</Code><Secret>hidden</Secret></Error>"
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _body(self, path: Path, start: int, end: int, size: int, e_tag: str, how: Behavior, status: int) -> None:
        self.send_response(status)
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        if not how.no_e_tag:
            self.send_header("ETag", e_tag)
        if status == 206 and not how.no_content_range:
            shift = how.range_shift
            self.send_header("Content-Range", f"bytes {start + shift}-{end - 1 + shift}/{size}")
        if how.no_length:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(end - start + how.excess))
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = min(end, start + how.cut) if how.cut else end
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                chunk = file.read(min(stop - start, 8 if how.delay else 64 << 10))
                if not chunk:
                    break
                self.server.files.sent += len(chunk)
                self.wfile.write(chunk)
                start += len(chunk)
                time.sleep(how.delay)
        for _ in range(how.excess >> 20):
            self.server.files.sent += 1 << 20
            self.wfile.write(bytes(1 << 20))
        if how.cut:
            self.close_connection = True

    def log_request(self, *answer: object) -> None:
        """Say nothing."""


def _basic(user_and_password: str) -> str:
    return f"Basic {base64.b64encode(user_and_password.encode()).decode()}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    """A server of a folder, until the block ends."""
    server = RangeServer(folder)
    try:
        yield server
    finally:
        server.close()
