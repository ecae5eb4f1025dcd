"""A small S3 in a thread: conditional puts under one lock, and answers that get lost, are late or are refused.

moto's server speaks more of the protocol; this one can misbehave, which is what the tests are about.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Trouble:
    """What happens to the next requests of a method, one after the other; each is one of:

    lost: it is carried out, and the connection is cut instead of an answer. cut: the connection is cut before anything
    is done. hang: no answer for `hang_s`. 403, 409, 503, …: that status, and nothing is done.
    """

    puts: list[str] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)


class SmallS3:
    """Buckets named `bucket` alone, at `url`. asked: the requests, as method and key.

    overwrites: it knows no conditions. taken: the status of a put whose condition does not hold.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.lock = threading.Lock()
        self.trouble = Trouble()
        self.asked: list[tuple[str, str]] = []
        self.overwrites = False
        self.taken = 412
        self.hang_s = 30.0
        self.ended = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.s3 = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    s3: SmallS3

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are a part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_PUT(self) -> None:
        s3, key = self.server.s3, self._key()
        body = self._body()
        trouble = self._next("PUT", key, s3.trouble.puts)
        if trouble == "cut" or self._refused(trouble):
            return
        with s3.lock:
            conditional = self.headers["If-None-Match"] == "*" or self.headers["x-goog-if-generation-match"] == "0"
            taken = key in s3.objects and conditional and not s3.overwrites
            if not taken:
                s3.objects[key] = (body, datetime.now(UTC))
        if trouble == "lost":
            self.close_connection = True
        elif taken:
            self._answer(s3.taken, b"<Error><Code>PreconditionFailed</Code><Secret>hidden</Secret></Error>")
        else:
            self._answer(200, b"", ("ETag", f'"{md5(body).hexdigest()}"'))

    def do_GET(self) -> None:
        s3, key = self.server.s3, self._key()
        trouble = self._next(self.command, key, s3.trouble.gets)
        if trouble == "cut" or self._refused(trouble):
            return None
        if not key:
            return self._list()
        with s3.lock:
            found = s3.objects.get(key)
        if found is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        body, written = found
        stamp = format_datetime(written, usegmt=True)
        return self._answer(200, body, ("Last-Modified", stamp), ("ETag", f'"{md5(body).hexdigest()}"'))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self._body()
        with self.server.s3.lock:
            self.server.s3.objects.pop(self._key(), None)
        self._answer(204, b"")

    def do_POST(self) -> None:
        """DeleteObjects."""
        keys = [part.partition("</Key>")[0] for part in self._body().decode().split("<Key>")[1:]]
        with self.server.s3.lock:
            for key in keys:
                self.server.s3.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _list(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        prefix, delimiter = asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
        after = asked.get("continuation-token", [""])[0]
        with self.server.s3.lock:
            objects = {key: value for key, value in self.server.s3.objects.items() if key.startswith(prefix)}
        common = sorted({prefix + rest[0] + "/" for key in objects if delimiter and (rest := _split(key, prefix))})
        keys = sorted(key for key in objects if not (delimiter and _split(key, prefix)) and key > after)
        page, more = keys[:1000], len(keys) > 1000
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key][0])}</Size>"
            f"<LastModified>{objects[key][1].isoformat()}</LastModified></Contents>"
            for key in page
        )
        prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in common)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self._answer(200, f"<ListBucketResult>{contents}{prefixes}{token}</ListBucketResult>".encode())

    def _next(self, method: str, key: str, troubles: list[str]) -> str:
        s3 = self.server.s3
        with s3.lock:
            s3.asked.append((method, key))
            trouble = troubles.pop(0) if troubles else ""
        if trouble == "cut":
            self.close_connection = True
        return trouble

    def _refused(self, trouble: str) -> bool:
        if trouble == "hang":
            self.server.s3.ended.wait(self.server.s3.hang_s)
            self.close_connection = True
            return True
        if trouble.isdigit():
            self._answer(int(trouble), b"<Error><Code>TestCode</Code><Secret>hidden</Secret></Error>")
            return True
        return False

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, *answer: object) -> None:
        """Say nothing."""


def _split(key: str, prefix: str) -> list[str]:
    """The first part of what follows the prefix, where it ends with a slash."""
    first, slash, _ = key.removeprefix(prefix).partition("/")
    return [first] if slash else []


@contextlib.contextmanager
def small_s3() -> Iterator[SmallS3]:
    """A server, until the block ends."""
    server = SmallS3()
    try:
        yield server
    finally:
        server.close()


def google(url: str, folder: Path) -> dict[str, str]:
    """What makes it pass for Google's, whose protocol for objects is near enough."""
    account = folder / "account.json"
    nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
    account.write_text(json.dumps({"gcs_base_url": url, "disable_oauth": True, **nobody}))
    return {"GOOGLE_SERVICE_ACCOUNT": str(account), "GOOGLE_BASE_URL": url}


def azure(url: str) -> dict[str, str]:
    """What makes it pass for Azure's, as long as nothing is listed or deleted."""
    return {
        "AZURE_STORAGE_ENDPOINT": url,
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_SKIP_SIGNATURE": "true",
    }


def environment(url: str) -> dict[str, str]:
    """What anybody sets to reach it."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
    }
