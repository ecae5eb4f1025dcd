"""Read an object of an object store or web server by ranges: the bytes of a signature, not of the weights.

The first request is for the object's end, which also tells its size; zip directories, and what is embedded into a model
after it was written, lie there. The second is for its beginning. Whatever is fetched is kept, and every answer must be
of the same version of the object as the first.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from trimtab.errors import ArtifactError
from trimtab.source.bytes import ByteSource
from trimtab.source.object_client import ObjectClient, Part, RangesUnsupportedError, changed

TAIL_BYTES = 80 << 10
"""The first request: the directory of 500 entries and, before it, a document of as many inputs."""

HEAD_BYTES = 48 << 10
"""The request for the beginning: what torch writes first is the document given to `_extra_files`. Both: 128 KiB."""

_SMALLEST_WINDOW = 16 << 10
_LARGEST_WINDOW = 1 << 20


class RemoteLimits(NamedTuple):
    """What reading one object may take.

    bytes_read, reads: in all, so that a small hostile file cannot make anybody download gigabytes. whole: the size of
    an object that is fetched as a whole, where a server knows no ranges. timeout: seconds for one request. retries: how
    often a failure that may pass is tried again.
    """

    bytes_read: int = 64 << 20
    reads: int = 4096
    whole: int = 16 << 20
    timeout: float = 30.0
    retries: int = 3


DEFAULT_LIMITS = RemoteLimits()


class RemoteObject(ByteSource):
    """An object under a URL: s3://, gs://, az://, https:// or http://.

    anonymous: for objects that everyone may read: no credentials are looked for. Otherwise they, and endpoints, come
    from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, …).

    `name` is the URL without password and query. Raises ArtifactError where the object cannot be had, where it changes
    while it is read, and beyond the limits; MissingExtraError without the package obstore.
    """

    remote = True

    def __init__(self, url: str, *, anonymous: bool = False, limits: RemoteLimits = DEFAULT_LIMITS) -> None:
        self._client = ObjectClient(url, anonymous=anonymous, timeout=limits.timeout, retries=limits.retries)
        self._limits = limits
        self._starts: list[int] = []
        self._parts: list[bytes] = []
        super().__init__(self._client.name, 0)
        first = self._first()
        self.size = first.size
        self._version = first.version
        self._last_end = self.size + 1
        self._window_length = _SMALLEST_WINDOW
        self._keep(first)

    def window(self, offset: int, length: int) -> tuple[int, bytes]:
        """What was fetched around these bytes."""
        if offset < 0 or offset + length > self.size:
            self.read(offset, length)  # says what is wrong
        if self._around(offset, length) is None:
            self._fetch(*self._missing(offset, offset + length))
        return self._around(offset, length) or (offset, self._joined(offset, offset + length))

    def _read(self, offset: int, length: int) -> bytes:
        start, data = self.window(offset, length)
        return data if len(data) == length else data[offset - start : offset - start + length]

    def _around(self, offset: int, length: int) -> tuple[int, bytes] | None:
        """The part that holds all of these bytes, and where it begins."""
        index = bisect_right(self._starts, offset) - 1
        if length == 0:
            return offset, b""
        if index >= 0 and offset + length <= self._starts[index] + len(self._parts[index]):
            return self._starts[index], self._parts[index]
        return None

    def _first(self) -> Part:
        """The end of the object, with its size; for servers that cannot be asked for it, the beginning or all of it."""
        if self._client.answers_tails:
            try:
                return self._counted(self._client.tail(TAIL_BYTES))
            except RangesUnsupportedError:
                self.reads += 1
        try:
            return self._counted(self._client.range(0, HEAD_BYTES))
        except RangesUnsupportedError:
            self.reads += 1
        return self._counted(self._client.whole(self._limits.whole))

    def _missing(self, start: int, end: int) -> tuple[int, int]:
        """The range from the first to the last byte of `start` to `end` that is not here; empty where all are."""
        for at, data in zip(self._starts, self._parts, strict=True):
            if at <= start < at + len(data):
                start = at + len(data)
        for at, data in zip(reversed(self._starts), reversed(self._parts), strict=True):
            if at < end <= at + len(data):
                end = at
        return start, end

    def _fetch(self, start: int, end: int) -> None:
        """One request for a range and, where it is short, for what probably comes next."""
        if start >= end:
            return
        straight_on = 0 <= start - self._last_end <= self._window_length
        self._window_length = min(self._window_length * 2, _LARGEST_WINDOW) if straight_on else _SMALLEST_WINDOW
        ahead = HEAD_BYTES if start == 0 else self._window_length
        following = bisect_right(self._starts, start)
        stop = self._starts[following] if following < len(self._starts) else self.size
        end = max(end, min(start + ahead, stop))
        self._last_end = end
        self._check_limits(end - start)
        try:
            part = self._client.range(start, end, self._version)
        except RangesUnsupportedError:
            # It answered a range before, so this is no server without them: the object must have shrunk.
            raise changed(self.name) from None
        self._counted(part)
        if part.size != self.size or part.version != self._version:
            raise changed(self.name)
        if (part.start, len(part.data)) != (start, end - start):
            raise ArtifactError(
                where=f"{self.name} at offset {start}", expected=f"{end - start} bytes", got=f"{len(part.data)} bytes"
            )
        self._keep(part)

    def _check_limits(self, more: int) -> None:
        if self.bytes_read + more > self._limits.bytes_read or self.reads >= self._limits.reads:
            raise ArtifactError(
                where=self.name,
                expected=f"a signature within {self._limits.bytes_read} bytes and {self._limits.reads} requests",
                got=f"{self.bytes_read} bytes in {self.reads} requests, and it goes on",
                hint="Download the file and read the copy, or embed a signature into it: trimtab embed FILE --derive",
            )

    def _counted(self, part: Part) -> Part:
        self.reads += 1
        self.bytes_read += len(part.data)
        return part

    def _keep(self, part: Part) -> None:
        """Put a part among the others; of others that lie in it, it takes the place."""
        start, end = part.start, part.start + len(part.data)
        if start == end:
            return
        others = [
            (at, data)
            for at, data in zip(self._starts, self._parts, strict=True)
            if not (start <= at and at + len(data) <= end)
        ]
        parts = sorted([*others, (start, part.data)])
        self._starts = [at for at, _ in parts]
        self._parts = [data for _, data in parts]

    def _joined(self, start: int, end: int) -> bytes:
        pieces = []
        index = bisect_right(self._starts, start) - 1
        while start < end:
            at, data = self._starts[index], self._parts[index]
            piece = data[start - at : end - at]
            pieces.append(piece)
            start += len(piece)
            index += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
