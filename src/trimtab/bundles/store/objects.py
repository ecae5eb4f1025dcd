"""A store in an object store: S3, Google Cloud Storage, Azure, or what speaks S3, through obstore.

An object is created by a conditional put (`If-None-Match: *`), of which the server answers whether something lies there
already. Where an answer is lost and the put is sent again, it finds what it wrote itself: that is told by reading it
back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from trimtab.bundles.store.storage import is_key, is_part, parts_of, parts_of_prefix
from trimtab.errors import ArtifactError, StoreError
from trimtab.source.object_access import SETTINGS, connect, obstore_for, status_of, trouble, unhurried
from trimtab.source.object_url import S3, parse_place

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = TypeVar("_Given")

TIMEOUT_S = 30.0
"""For one request, unless told otherwise."""

TRIES = 4
"""How often a request is sent that fails in a way that may pass."""


def object_storage(url: str, timeout: float = TIMEOUT_S) -> ObjectStorage:
    """The place at s3://BUCKET/PREFIX, gs://… or az://…, with credentials and endpoint from the environment.

    timeout: seconds for one request. StoreError for an address that names no place; MissingExtraError without obstore.
    """
    obstore = obstore_for("a store in an object store")
    try:
        place = parse_place(url)
    except ArtifactError as failure:
        raise StoreError(where=failure.where, expected=failure.expected, got=failure.got, hint=failure.hint) from None
    try:
        patient = connect(place, anonymous=False, timeout=timeout, retries=TRIES - 1)
        once = connect(place, anonymous=False, timeout=timeout, retries=0)
    except (obstore.exceptions.BaseError, OSError, ValueError, RuntimeError):
        raise StoreError(
            where=url,
            expected="an address, and settings in the environment, that make up a store",
            got="others",
            hint=_settings(place.store),
        ) from None
    return ObjectStorage(url.rstrip("/"), patient, once=once, prefix=place.key, kind=place.store, timeout=timeout)


class ObjectStorage:
    """Objects of an obstore store below a prefix.

    patient: a store that repeats requests by itself. once: the same one, which does not, so that it is known of each
    put how often it was sent. kind: S3, GCS or AZURE, for what errors advise.
    """

    def __init__(
        self, name: str, patient: Any, *, once: Any, prefix: str = "", kind: str = S3, timeout: float = TIMEOUT_S
    ) -> None:
        self.name = name
        self._patient = patient
        self._once = once
        self._prefix = f"{prefix}/" if prefix else ""
        self._kind = kind
        self._timeout = timeout
        self._obstore: Any = obstore_for("a store in an object store")
        self._failures = (self._obstore.exceptions.BaseError, OSError, ValueError, RuntimeError)

    def prepare(self) -> None:
        """Ask the server to create an object twice, and refuse one that does."""
        self.create(_PROBE, b"")
        if self.create(_PROBE, b""):
            raise StoreError(
                "the server overwrites what it is asked to create only where nothing is",
                where=self.name,
                expected="an object store with conditional puts (If-None-Match)",
                hint="Upgrade the server, or take another place: two who publish at once would undo each other here.",
            )

    def read(self, key: str, limit: int) -> bytes | None:
        """The object's bytes; None where there is none."""
        try:
            return self._asked(key, "read", lambda: self._read(self._path(key), limit))
        except _MissingError:
            return None

    def create(self, key: str, data: bytes) -> bool:
        """Put the object on the condition that there is none."""
        path = self._path(key)
        for attempt in range(TRIES):
            try:
                self._sent(lambda: self._obstore.put(self._once, path, data, mode="create", use_multipart=False))
            except self._failures as failure:
                if self._is_taken(failure, key):
                    return attempt > 0 and self._holds(key, data)
                if attempt == TRIES - 1 or not _may_pass(failure):
                    raise self._error(failure, key, "write") from None
            else:
                return True
            time.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def replace(self, key: str, data: bytes) -> None:
        """Put the object."""
        path = self._path(key)
        self._asked(key, "write", lambda: self._obstore.put(self._patient, path, data, use_multipart=False))

    def delete(self, key: str) -> None:
        """Delete the object."""
        try:
            self._asked(key, "delete", lambda: self._obstore.delete(self._patient, self._path(key)))
        except _MissingError:
            return

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix, by as many requests as there are thousands."""
        parts_of_prefix(prefix)
        below = f"{self._prefix}{prefix}".rstrip("/")
        listed = self._asked(
            prefix, "list", lambda: [each for some in self._obstore.list(self._patient, below or None) for each in some]
        )
        keys = (each["path"][len(self._prefix) :] for each in listed if each["path"].startswith(self._prefix + prefix))
        return sorted(key for key in keys if is_key(key))

    def folders(self, prefix: str) -> list[str]:
        """What keys below a prefix go on with: the server tells without telling the keys."""
        parts_of_prefix(prefix)
        below = f"{self._prefix}{prefix}".rstrip("/")
        listed = self._asked(
            prefix, "list", lambda: self._obstore.list_with_delimiter(self._patient, below or None)["common_prefixes"]
        )
        return sorted(filter(is_part, (each.rstrip("/").rpartition("/")[2] for each in listed)))

    def changed_at(self, key: str) -> float | None:
        """The server's time of the last put. Most tell it to the second, the fraction cut off."""
        try:
            meta = self._asked(key, "read", lambda: self._obstore.head(self._patient, self._path(key)))
        except _MissingError:
            return None
        changed: float = meta["last_modified"].timestamp()
        return changed

    def _path(self, key: str) -> str:
        parts_of(key)
        return f"{self._prefix}{key}"

    def _read(self, path: str, limit: int) -> bytes:
        answer = self._obstore.get(self._patient, path)
        size = answer.meta["size"]
        if size > limit:
            raise StoreError(where=f"{self.name}: {path}", expected=f"at most {limit} bytes", got=f"{size}")
        data = bytes(answer.bytes())
        if len(data) != size:
            raise StoreError(where=f"{self.name}: {path}", expected=f"{size} bytes, as the server states", got="others")
        return data

    def _holds(self, key: str, data: bytes) -> bool:
        """Whether an object is what was to be written; anything larger is not."""
        try:
            size = self._asked(key, "read", lambda: self._obstore.head(self._patient, self._path(key)))["size"]
        except _MissingError:
            return False
        return size == len(data) and self.read(key, len(data)) == data

    def _asked(self, key: str, wish: str, call: Callable[[], _Given]) -> _Given:
        try:
            return self._sent(call)
        except self._failures as failure:
            if _is_missing(failure):
                raise _MissingError from None
            raise self._error(failure, key, wish) from None

    def _sent(self, call: Callable[[], _Given]) -> _Given:
        """What the library gives, within what all its tries may take."""
        return unhurried(call, self._timeout * (TRIES + 1))

    def _is_taken(self, failure: Exception, key: str) -> bool:
        """Whether the object is there already.

        409 is Azure's answer then; S3 gives it while another put is under way, whose end nobody knows.
        """
        known = self._obstore.exceptions
        if not isinstance(failure, known.AlreadyExistsError | known.PreconditionError):
            return False
        return status_of(failure) != 409 or self.changed_at(key) is not None

    def _error(self, failure: Exception, key: str, wish: str) -> StoreError:
        told = trouble(failure, self._kind, self._timeout, wish)
        if told.get("expected") == wish:
            told["expected"] = f"an answer to a request to {wish}"
        elif "expected" in told and "leave" not in told["expected"]:
            told |= {"expected": "a bucket", "hint": "Make the bucket first, and check the address's letters."}
        if told.get("hint") == SETTINGS[self._kind]:
            told["hint"] = _settings(self._kind)
        return StoreError(**told, where=f"{self.name}: {key}" if key else self.name)


class _MissingError(Exception):
    """There is no such object. Never leaves this module."""


_PROBE = "probe"
"""Created by every `store init`, and never read."""

_PAUSE_S = 0.1
"""Before a put is sent again; then twice that, and so on."""


def _may_pass(failure: Exception) -> bool:
    """Whether a request may succeed when it is sent again. Some of these were carried out, and the answer was lost."""
    status = status_of(failure)
    return status in (408, 409, 429) or (status is None and _is_transport(failure)) or (status or 0) >= 500


def _is_transport(failure: Exception) -> bool:
    text = str(failure)
    return any(sign in text for sign in ("TimedOut", "kind: ", "body error", "error sending request"))


def _is_missing(failure: Exception) -> bool:
    """Whether an object is missing, and not the bucket itself."""
    text = str(failure)
    return isinstance(failure, FileNotFoundError) and not any(sign in text for sign in _NO_BUCKET)


_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")


def _settings(kind: str) -> str:
    """What to set for a store that is written to, too: anonymous access is not for that."""
    return f"{SETTINGS[kind].partition(';')[0].rstrip('.')}."
