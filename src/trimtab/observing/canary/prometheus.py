"""Range queries over Prometheus's HTTP API, by the standard library.

A few requests per analysis need no connection pool, and a canary's judge should not bring an HTTP client of its own
into whoever runs it: urllib has the timeouts, the TLS and the proxies. Redirects are not followed, because urllib would
take the credentials along to wherever they lead.
"""

from __future__ import annotations

import base64
import os
import ssl
import time
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from trimtab.errors import ConfigurationError, TrimtabError
from trimtab.observing.canary.answers import MAX_ANSWER_BYTES, REFUSED, decode_answer

if TYPE_CHECKING:
    from typing import Any

    from trimtab.observing.canary.configuration import Prometheus
    from trimtab.observing.canary.samples import Fetched, Window

_PATH = "/api/v1/query_range"
_CHUNK = 1 << 16
_MOST_TOKEN_BYTES = 1 << 16


class PrometheusClient:
    """Asks one server. ConfigurationError for a URL or credentials that cannot be used.

    folder: where the files that the settings name are.
    """

    def __init__(self, settings: Prometheus, folder: str = ".") -> None:
        self._timeout_s = settings.timeout_s
        self.url, basic = _without_secrets(settings.url)
        token = _token(settings, folder)
        if basic and token:
            raise ConfigurationError(
                where="[prometheus]", expected="a password in the URL or a bearer token", got="both of them"
            )
        self._headers = {"Accept": "application/json"}
        if basic or token:
            self._headers["Authorization"] = basic or f"Bearer {token}"
        self._opener = _opener(settings, folder)

    def query_range(self, query: str, window: Window) -> Fetched:
        """The series of a query. TrimtabError when the server cannot be asked, or refuses."""
        form = {"query": query, "start": window.start, "end": window.end, "step": window.step_s}
        request = Request(f"{self.url}{_PATH}", urlencode(form).encode(), self._headers, method="POST")  # noqa: S310  # http(s) alone
        where = f"{self.url}: {query}"
        try:
            return decode_answer(self._asked(request, where, window), where, window)
        except (OSError, HTTPException, ValueError) as failure:
            raise _cannot_ask(where, getattr(failure, "reason", failure)) from None

    def _asked(self, request: Request, where: str, window: Window) -> bytes:
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return self._read(answer, where)
        except HTTPError as failure:
            with failure:
                raise self._meaning(failure, where, window) from None

    def _read(self, answer: Any, where: str) -> bytes:
        """The body; a server that sends it by drops is given up as one that sends nothing."""
        deadline = time.monotonic() + self._timeout_s
        parts, size = [], 0
        while part := answer.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise TrimtabError(where=where, expected=f"an answer of at most {MAX_ANSWER_BYTES} bytes", got="more")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer was not complete after {self._timeout_s:g} s")
        return b"".join(parts)

    def _meaning(self, failure: HTTPError, where: str, window: Window) -> TrimtabError:
        """What a status that is not 200 says. Prometheus tells why in an answer of its usual form."""
        if 300 <= failure.code < 400:
            return TrimtabError(
                where=where,
                expected="an answer",
                got=f"{failure.code}, a redirect to {_shown(failure.headers.get('Location', ''))}",
                hint="Set url to where it leads, if you trust that; credentials are not sent after redirects.",
            )
        try:
            decode_answer(self._read(failure, where), where, window)
        except TrimtabError as refusal:
            if refusal.problem == REFUSED:
                return refusal
        got = f"{failure.code} {failure.reason}"
        hint = "Set bearer_token_file or bearer_token_env." if failure.code in (401, 403) else ""
        return TrimtabError(where=where, expected="an answer", got=got, hint=hint)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Leave the redirect as the error that it then is."""


def _opener(settings: Prometheus, folder: str) -> OpenerDirector:
    try:
        context = ssl.create_default_context(
            cafile=os.path.join(folder, settings.ca_file) if settings.ca_file else None
        )
    except (OSError, ssl.SSLError) as failure:
        raise ConfigurationError(
            str(failure), where=f"[prometheus] ca_file {settings.ca_file}", expected="a file of PEM certificates"
        ) from None
    return build_opener(_NoRedirects, HTTPSHandler(context=context))


def _without_secrets(url: str) -> tuple[str, str]:
    """The URL without user and password, and the header that says them, empty when there are none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(where="[prometheus] url", expected="http://HOST:PORT or https://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    bare = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    if parts.username is None:
        return bare, ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return bare, f"Basic {base64.b64encode(pair.encode()).decode()}"


def _shown(location: str) -> str:
    """A place without anything in it that may be secret."""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path


def _token(settings: Prometheus, folder: str) -> str:
    if settings.bearer_token_file:
        path = os.path.join(folder, settings.bearer_token_file)
        try:
            with open(path, encoding="ascii") as file:
                token = file.read(_MOST_TOKEN_BYTES).strip()
        except (OSError, UnicodeDecodeError) as failure:
            reason = getattr(failure, "strerror", None) or "not ASCII"
            raise ConfigurationError(where=path, expected="a file with a bearer token", got=reason) from None
    elif settings.bearer_token_env:
        token = os.environ.get(settings.bearer_token_env, "").strip()
    else:
        return ""
    if not token or not token.isprintable() or not token.isascii():
        named = settings.bearer_token_file or settings.bearer_token_env
        raise ConfigurationError(where=f"[prometheus] {named}", expected="a bearer token on one line", got="none")
    return token


def _cannot_ask(where: str, reason: object) -> TrimtabError:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return TrimtabError(
        "Prometheus cannot be asked", where=where, got=text, hint="Is [prometheus] url right, and the server up?"
    )
