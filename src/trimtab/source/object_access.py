"""Object stores as obstore gives them: which one a URL is in, what is set where, and what their failures are called.

obstore binds the Rust crate `object_store`. Its error texts hold whole URLs and whole answers: none of them is passed
on, and every failure is put into the words of our own family.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, TypeVar

from trimtab.errors import missing_extra
from trimtab.source.object_url import AZURE, GCS, HTTP, S3, ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = TypeVar("_Given")


def obstore_for(purpose: str) -> Any:
    """The package obstore. MissingExtraError, which says what it is needed for, where it is not installed."""
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise missing_extra("obstore", "remote", purpose) from None
    return obstore


def connect(place: ObjectUrl, *, anonymous: bool, timeout: float, retries: int) -> Any:
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
    if _allows_http(place.store):
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
_ALLOW_HTTP = {S3: "AWS_ALLOW_HTTP", GCS: "GOOGLE_ALLOW_HTTP", AZURE: "AZURE_ALLOW_HTTP"}
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(/|$)")


def _allows_http(store: str) -> bool:
    """Whether the environment allows http, or names a server on this machine, for which it is as good as https.

    obstore reads the permission too, but not where it is given options of a client, as here.
    """
    allowed = os.environ.get(_ALLOW_HTTP[store], "").lower() in ("1", "true", "yes", "on")
    return allowed or any(_LOOPBACK.match(os.environ.get(name, "")) for name in _ENDPOINTS[store])


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


def unhurried(call: Callable[[], _Given], patience: float | None = None) -> _Given:
    """What a call of the library gives. It does not notice Ctrl-C while it waits, so another thread waits for it.

    patience: seconds after which it is left alone, and TimeoutError raised: for what no timeout of its own ends.
    """
    from threading import Thread

    given: list[_Given] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            given.append(call())
        except BaseException as failure:  # noqa: BLE001  # it is raised where the answer is waited for
            failed.append(failure)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(patience)
    if failed:
        raise failed[0]
    if not given:
        raise TimeoutError("TimedOut")
    return given[0]


def trouble(failure: Exception, kind: str, timeout: float, wanted: str = "the object") -> dict[str, str]:
    """What went wrong, as an error of ours states it, without a word of the server's or the library's own text.

    kind: of the store, as `ObjectUrl` has it. timeout: what was set for one request, in seconds.
    """
    text = str(failure)
    status = status_of(failure)
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    stated = f" {code[1]}" if code else ""
    if isinstance(failure, FileNotFoundError) or status == 404:
        return {
            "expected": "an object",
            "got": f"none of that name (404{stated})",
            "hint": "Check every letter of the address, upper and lower case too.",
        }
    if any(sign in text for sign in _CREDENTIALS_SOUGHT):
        return {
            "problem": "no credentials were found, in the environment or from this machine's own service",
            "hint": SETTINGS[kind],
        }
    if status in (401, 403):
        return {
            "expected": "leave to read" if wanted == "the object" else f"leave to {wanted}",
            "got": f"a refusal ({status}{stated})",
            "hint": SETTINGS[kind],
        }
    if status is not None:
        return {"expected": wanted, "got": f"status {status}{stated}", "hint": _advice(status)}
    for sign, got, hint in _TROUBLES:
        if sign in text:
            return {"expected": wanted, "got": got.format(timeout), "hint": hint}
    return {
        "expected": wanted,
        "got": f"a failure that the client calls {type(failure).__name__}",
        "hint": "Is the address right, and does it lead to a file?",
    }


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

SETTINGS = {
    S3: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL); an object "
    "that everyone may read: --anonymous, or AWS_SKIP_SIGNATURE=true.",
    GCS: "Set GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS to a file of credentials; an object that "
    "everyone may read: --anonymous, or GOOGLE_SKIP_SIGNATURE=true.",
    AZURE: "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or a SAS key, or a service principal); a "
    "blob that everyone may read: --anonymous, or AZURE_SKIP_SIGNATURE=true.",
    HTTP: "Has a signed link expired, or is a password needed? It goes into the address: https://USER:PASSWORD@HOST/…",
}


def status_of(failure: Exception) -> int | None:
    """The status of the answer that a failure tells of; None where there was no answer."""
    match = re.search(r"status code: (\d{3})\b", str(failure).partition("Debug source:")[0])
    return int(match[1]) if match else None


def _advice(status: int) -> str:
    if status in (301, 307, 308, 400):
        return "Is it the right endpoint, and of S3, is AWS_REGION the region of the bucket?"
    if status == 429 or status >= 500:
        return "The server is overloaded or out of order: try again later."
    return ""
