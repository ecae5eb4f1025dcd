"""One object of an object store or web server, asked for by ranges, through obstore.

obstore binds the Rust crate `object_store`, which signs requests, follows redirects, retries what may pass, and checks
that the range sent is the range asked for. What is connected to, and what failures are called: `object_access`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.source.object_access import SETTINGS, connect, obstore_for, status_of, trouble, unhurried
from trimtab.source.object_url import AZURE, HTTP, parse_url, public_name


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
        self._obstore: Any = obstore_for("reading a URL")
        self._failures = (self._obstore.exceptions.BaseError, OSError, ValueError, RuntimeError)
        place = parse_url(url)
        self._store_kind = place.store
        self._key = place.key
        try:
            self._store = connect(place, anonymous=anonymous, timeout=timeout, retries=retries)
        except self._failures:
            raise ArtifactError(
                where=self.name,
                expected="an address, and settings in the environment, that make up a store",
                got="others",
                hint="Is the address complete: https://HOST/PATH?" if place.store == HTTP else SETTINGS[place.store],
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
            return unhurried(lambda: self._whole(limit))
        except self._failures as failure:
            raise self._failure(failure) from None

    def _get(self, options: dict[str, Any]) -> Part:
        try:
            return unhurried(lambda: self._part(options))
        except self._failures as failure:
            if (
                isinstance(failure, self._obstore.exceptions.NotSupportedError)
                or "source: NotPartial" in str(failure)
                or status_of(failure) in _NO_RANGES
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
        if isinstance(failure, self._obstore.exceptions.PreconditionError):
            return changed(self.name)
        return ArtifactError(**trouble(failure, self._store_kind, self._timeout), where=self.name)


_CHUNK = 64 << 10


def changed(name: str) -> ArtifactError:
    """The error for an object that is another one than it was at the first request."""
    return ArtifactError("the object changed while it was read", where=name, hint="Read it again.")


_NO_RANGES = (416, 501)
"""What servers answer that do not know a suffix range; and 416 is the answer for an empty object."""


def _version(meta: Any) -> str:
    return meta["e_tag"] or str(meta["last_modified"])
