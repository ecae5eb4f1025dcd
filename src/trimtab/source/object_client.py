"""One object of an object store or web server, asked for by ranges, through obstore.

obstore binds the Rust crate `object_store`, which signs requests, follows redirects, retries what may pass, and checks
that the range sent is the range asked for. This module says which store a URL is in, and puts every failure into the
words of our own family. Error texts of the library hold whole URLs and whole answers: none of them is passed on.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.errors import ArtifactError, missing_extra
from trimtab.source.object_url import AZURE, GCS, HTTP, S3, ObjectUrl, parse_url, public_name

if TYPE_CHECKING:
    from collections.abc import Callable


class Part(NamedTuple):
    """What one request brought: bytes, where they begin, the size of the whole object, and which version it is of.

    version: the object's ETag; where the server sends none, when it was last changed.
    """

    start: int
    data: bytes
    size: int
    version: str


class RangesUnsupportedError(Exception):
    """The server has no answer to a range of this kind. Never leaves `trimtab.source`."""


class ObjectClient:
    """Requests for one object.

    anonymous: sign nothing, and look for no credentials. timeout: seconds for one request. retries: how often a request
    is tried again that failed in a way that may pass. name: what errors call the object.
    """

    def __init__(self, url: str, *, anonymous: bool, timeout: float, retries: int) -> None:
        self.name = public_name(url)
        self._timeout = timeout
        self._obstore: Any = _obstore()
        self._failures = (self._obstore.exceptions.BaseError, OSError, ValueError, RuntimeError)
        place = parse_url(url)
        self._store_kind = place.store
        self._key = place.key
        try:
            self._store = _connect(place, anonymous=anonymous, timeout=timeout, retries=retries)
        except self._failures:
            raise ArtifactError(
                where=self.name,
                expected="an address, and settings in the environment, that make up a store",
                got="others",
                hint="Is the address complete: https://HOST/PATH?" if place.store == HTTP else _SETTINGS[place.store],
            ) from None

    @property
    def answers_tails(self) -> bool:
        """Whether this kind of store knows ranges that are counted from the end. Azure does not."""
        return self._store_kind != AZURE

    def tail(self, length: int) -> Part:
        """The last `length` bytes, or all where there are fewer. RangesUnsupportedError where that cannot be asked."""
        return self._get({"range": {"suffix": length}})

    def range(self, start: int, end: int, version: str = "") -> Part:
        """Bytes from `start` to before `end`, of that version. RangesUnsupportedError as of `tail`."""
        options: dict[str, Any] = {"range": (start, end)}
        if version.startswith('"'):  # an ETag, and not a weak one, which matches nothing in If-Match
            options["if_match"] = version
        return self._get(options)

    def whole(self, limit: int) -> Part:
        """All of an object, for servers that know no ranges. ArtifactError where it has more than `limit` bytes."""
        try:
            return _unhurried(lambda: self._whole(limit))
        except self._failures as failure:
            raise self._failure(failure) from None

    def _get(self, options: dict[str, Any]) -> Part:
        try:
            return _unhurried(lambda: self._part(options))
        except self._failures as failure:
            if (
                isinstance(failure, self._obstore.exceptions.NotSupportedError)
                or "source: NotPartial" in str(failure)
                or _status(failure) in _NO_RANGES
            ):
                raise RangesUnsupportedError from None
            raise self._failure(failure) from None

    def _part(self, options: dict[str, Any]) -> Part:
        result = self._obstore.get(self._store, self._key, options=options)
        start, end = result.range
        return Part(start, self._content(result, end - start), result.meta["size"], _version(result.meta))

    def _whole(self, limit: int) -> Part:
        result = self._obstore.get(self._store, self._key)
        size = result.meta["size"]
        if size > limit:
            raise ArtifactError(
                "the server does not answer ranges of an object",
                where=self.name,
                expected=f"at most {limit} bytes, or a server that supports Range requests",
                got=f"{size} bytes",
                hint="Download the file and read the copy, or put it into an object store.",
            )
        return Part(0, self._content(result, size), size, _version(result.meta))

    def _content(self, result: Any, length: int) -> bytes:
        """The body of an answer, which is as long as the answer's head says, or refused."""
        chunks, received = [], 0
        for chunk in result.stream(min_chunk_size=_CHUNK):
            received += len(chunk)
            if received > length:
                break
            chunks.append(bytes(chunk))
        if received != length:
            raise ArtifactError(
                "the server sent another number of bytes than it stated",
                where=self.name,
                expected=str(length),
                got="more" if received > length else str(received),
                hint="The server's ranges cannot be trusted: read a local copy.",
            )
        return b"".join(chunks)

    def _failure(self, failure: Exception) -> ArtifactError:
        """What went wrong, without a word of the server's or the library's own text."""
        text = str(failure)
        status = _status(failure)
        code = re.search(r"<Code>(\w{1,60})</Code>", text)
        if isinstance(failure, self._obstore.exceptions.PreconditionError):
            return changed(self.name)
        if isinstance(failure, FileNotFoundError) or status == 404:
            return ArtifactError(
                where=self.name,
                expected="an object",
                got=f"none of that name (404{f' {code[1]}' if code else ''})",
                hint="Check every letter of the address, upper and lower case too.",
            )
        if any(sign in text for sign in _CREDENTIALS_SOUGHT):
            return ArtifactError(
                "no credentials were found, in the environment or from this machine's own service",
                where=self.name,
                hint=_SETTINGS[self._store_kind],
            )
        if status in (401, 403):
            got = f"a refusal ({status}{f' {code[1]}' if code else ''})"
            return ArtifactError(where=self.name, expected="leave to read", got=got, hint=_SETTINGS[self._store_kind])
        if status is not None:
            got = f"status {status}{f' {code[1]}' if code else ''}"
            return ArtifactError(where=self.name, expected="the object", got=got, hint=_advice(status))
        for sign, got, hint in _TROUBLES:
            if sign in text:
                return ArtifactError(where=self.name, expected="the object", got=got.format(self._timeout), hint=hint)
        return ArtifactError(
            where=self.name,
            expected="the object",
            got=f"a failure that the client calls {type(failure).__name__}",
            hint="Is the address right, and does it lead to a file?",
        )


_CHUNK = 64 << 10


def _unhurried(call: Callable[[], Part]) -> Part:
    """What a call of the library gives. It does not notice Ctrl-C while it waits, so another thread waits for it."""
    from threading import Thread

    given: list[Part] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            given.append(call())
        except BaseException as failure:  # noqa: BLE001  # it is raised where the answer is waited for
            failed.append(failure)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return given[0]


def changed(name: str) -> ArtifactError:
    """The error for an object that is another one than it was at the first request."""
    return ArtifactError("the object changed while it was read", where=name, hint="Read it again.")


_NO_RANGES = (416, 501)
"""What servers answer that do not know a suffix range; and 416 is the answer for an empty object."""

_TROUBLES = (
    ("dns error", "no host of that name", "Check the host in the address."),
    (
        "certificate",
        "a certificate that is not trusted",
        "Check the host; a private one needs its authority installed.",
    ),
    ("InvalidContentType", "no TLS", "Does the server speak plain http? Then write http:// in the address."),
    ("TimedOut", "no answer within {0:g} s", "Is the server reachable, and is the connection good?"),
    ("kind: Timeout", "no answer within {0:g} s", "Is the server reachable, and is the connection good?"),
    ("kind: Connect", "no connection", "Is the server running, and is the address right?"),
    ("BadScheme", "plain http where https was asked for", "The server, or an endpoint, leads to an http:// address."),
    ("TooManyRedirects", "redirects without end", "Give the address that they are to lead to."),
    ("UnexpectedRange", "other bytes than were asked for", "The server's ranges cannot be trusted: read a local copy."),
    ("NoContentRange", "bytes without a Content-Range", "The server's ranges cannot be trusted: read a local copy."),
    (
        "Content-Range",
        "a Content-Range that makes no sense",
        "The server's ranges cannot be trusted: read a local copy.",
    ),
    ("Content-Length", "an object without a length", "The server makes it up while it sends it: read a local copy."),
    ("redirect", "a redirect without an address", "Of S3: is AWS_REGION the region of the bucket?"),
    ("kind: Interrupted", "an answer that was cut", "Try again; is the server well?"),
    ("body error", "an answer that was cut", "Try again; is the server well?"),
)
"""By a word in the library's text: what came, and what to do."""

_CREDENTIALS_SOUGHT = ("169.254.169.254", "/latest/api/token", "/computeMetadata/", "InvalidCredential")
"""The addresses at which a machine in a cloud is asked for its own: the last resort, where nothing else is set."""

_SETTINGS = {
    S3: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL); an object "
    "that everyone may read: --anonymous, or AWS_SKIP_SIGNATURE=true.",
    GCS: "Set GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS to a file of credentials; an object that "
    "everyone may read: --anonymous, or GOOGLE_SKIP_SIGNATURE=true.",
    AZURE: "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or a SAS key, or a service principal); a "
    "blob that everyone may read: --anonymous, or AZURE_SKIP_SIGNATURE=true.",
    HTTP: "Has a signed link expired, or is a password needed? It goes into the address: https://USER:PASSWORD@HOST/…",
}


def _version(meta: Any) -> str:
    return meta["e_tag"] or str(meta["last_modified"])


def _status(failure: Exception) -> int | None:
    match = re.search(r"status code: (\d{3})\b", str(failure).partition("Debug source:")[0])
    return int(match[1]) if match else None


def _advice(status: int) -> str:
    if status in (301, 307, 308, 400):
        return "Is it the right endpoint, and of S3, is AWS_REGION the region of the bucket?"
    if status == 429 or status >= 500:
        return "The server is overloaded or out of order: try again later."
    return ""


def _connect(place: ObjectUrl, *, anonymous: bool, timeout: float, retries: int) -> Any:
    """The store that an object is in. What is not set here comes from the environment, as obstore reads it."""
    from datetime import timedelta

    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    client: dict[str, Any] = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, 5)),
    }
    retry: dict[str, Any] = {"max_retries": retries, "retry_timeout": timedelta(seconds=2 * timeout)}
    config = {"skip_signature": True} if anonymous else {}
    if place.store == HTTP:
        url, headers = _without_password(place.url)
        client |= {"allow_http": place.scheme == "http", **headers}
        return HTTPStore(url, client_options=client, retry_config=retry)
    if _has_loopback_endpoint(place.store):
        client["allow_http"] = True
    if place.store == S3:
        return S3Store(place.bucket, client_options=client, retry_config=retry, **config)
    if place.store == GCS:
        return GCSStore(place.bucket, client_options=client, retry_config=retry, **config)
    account = {"account_name": place.account} if place.account else {}
    return AzureStore(place.bucket, client_options=client, retry_config=retry, **config, **account)


_ENDPOINTS = {
    S3: ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    GCS: ("GOOGLE_BASE_URL",),
    AZURE: ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(/|$)")


def _has_loopback_endpoint(store: str) -> bool:
    """Whether the environment names a server on this machine, for which http is as good as https."""
    return any(_LOOPBACK.match(os.environ.get(name, "")) for name in _ENDPOINTS[store])


def _without_password(url: str) -> tuple[str, dict[str, Any]]:
    """A URL without user and password, and the header that stands for them."""
    from base64 import b64encode
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, {}
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    token = b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"default_headers": {"authorization": f"Basic {token}"}}


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise missing_extra("obstore", "remote", "reading a URL") from None
    return obstore
