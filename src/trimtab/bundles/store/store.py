"""A store: what lies where in it, and the checks that everything passes on its way in and out.

Keys below the place, all of them written once but for acknowledgments:

    trimtab-store.json                                what makes the place a store, and its settings
    bundles/sha256/<hex>.json                         bundles, by their digests
    signatures/sha256/<hex>.json                      signature documents, by the signatures' digests
    history/<bundle name>/<number, 12 digits>.json    the history of each bundle name
    acknowledged/<bundle name>/<tier>/<stage>/<instance>.json    what each root and leaf has in force
    attestations/sha256/<hex>/<key id>.json           attestations of bundles
    claimed/…, condemned/…                            marks of a start and of a prune at a bundle, while they last
    clock, probe                                      written to ask the place its time, and what it can do
"""

from __future__ import annotations

import re
import shlex
import threading
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from trimtab.bundles.bundle import MAX_BUNDLE_BYTES, decode_bundle, encode_bundle
from trimtab.bundles.store.entry import MAX_ENTRY_BYTES, decode_entry, readable
from trimtab.bundles.store.versioned import decode_versioned
from trimtab.errors import BundleError, StoreError
from trimtab.signature.document import MAX_DOCUMENT_BYTES, decode_document, encode_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.storage import Storage
    from trimtab.signature.model import Signature

MARK = "trimtab-store.json"

CLOCK = "clock"
"""Written to ask the place for its time."""

STORE_VERSION = 1
"""The newest form of a store that this code reads, and the one that it makes."""

MAX_NUMBER = 10**12 - 1
"""The last number that an entry may have: one that still sorts among the others as text."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What everybody who uses a store must agree on.

    lease_s: how long a root may answer for requests without an exact version (no version named, or one that it does
      not know) after it last confirmed with the store that it is up to date. After that it lets those pass through.
    acknowledge: whether roots renew their lease by writing to the store what they have in force. Where they cannot
      write, every move of a leaf waits until the lease of all roots must have run out.
    """

    store_version: int = STORE_VERSION
    lease_s: Annotated[float, Meta(gt=0, le=7 * 86400)] = 600.0
    acknowledge: bool = True


class Store:
    """A store at a place. StoreError where the place holds none."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        data = storage.read(MARK, MAX_ENTRY_BYTES)
        if data is None:
            raise StoreError(
                where=storage.name,
                expected=f"a store (a place with {MARK})",
                got="none",
                hint=f"Is it the right place? A new store is made by: trimtab store init {shlex.quote(storage.name)}",
            )
        self.settings = _decode_settings(data, f"{storage.name}: {MARK}")

    @classmethod
    def create(cls, storage: Storage, settings: Settings | None = None) -> Store:
        """Make a store. One that is there already is opened; StoreError where it has other settings than asked for."""
        data = msgspec.json.encode(settings or Settings(), order="sorted") + b"\n"
        _decode_settings(data, "settings")
        storage.prepare()
        storage.create(MARK, data)
        store = cls(storage)
        if settings is not None and store.settings != settings:
            raise StoreError(
                "the store has other settings",
                where=storage.name,
                expected=str(settings),
                got=str(store.settings),
                hint="Everybody relies on a store's settings: they stay. Begin another store where they must differ.",
            )
        return store

    @property
    def name(self) -> str:
        """What errors call the store."""
        return self.storage.name

    def put_bundle(self, bundle: Bundle) -> bool:
        """Keep a bundle under its digest; whether it was not there before. StoreError where one there is damaged."""
        if self.storage.create(_by_digest("bundles", bundle.digest), encode_bundle(bundle)):
            return True
        self.bundle(bundle.digest)
        return False

    def bundle(self, digest: str) -> Bundle:
        """The bundle of a digest. StoreError where there is none, or where it is damaged."""
        key = _by_digest("bundles", digest)
        data = self._required(key, MAX_BUNDLE_BYTES)
        try:
            with _DECODING:
                bundle = decode_bundle(data, f"{self.name}: {key}")
        except BundleError as failure:
            raise StoreError(
                failure.problem, where=failure.where, expected=failure.expected, got=failure.got, hint=_DAMAGED
            ) from None
        if bundle.digest != digest:
            raise StoreError("another bundle lies there", where=f"{self.name}: {key}", got=bundle.digest)
        return bundle

    def put_signature(self, signature: Signature) -> bool:
        """Keep a signature's document under its digest; whether it was not there before."""
        return self.put_document(signature.digest, encode_document(signature))

    def put_document(self, digest: str, document: bytes) -> bool:
        """Keep a signature document that is of the digest; whether it was not there before. It is not looked into."""
        return self.storage.create(_by_digest("signatures", digest), document)

    def has_bundle(self, digest: str) -> bool:
        """Whether there is a bundle of a digest, be it sound or not."""
        return self.storage.changed_at(_by_digest("bundles", digest)) is not None

    def has_signature(self, digest: str) -> bool:
        """Whether there is a document of a signature's digest, be it sound or not."""
        return self.storage.changed_at(_by_digest("signatures", digest)) is not None

    def bundles(self) -> list[str]:
        """The digests of all bundles, sorted."""
        return self._digests("bundles")

    def published_at(self, digest: str) -> float:
        """When a bundle was put there, by the clock of `now`. StoreError where there is none."""
        return self._written_at(_by_digest("bundles", digest), "a bundle")

    def with_beginning(self, digest: str) -> str:
        """The digest of the one bundle whose digest begins so. StoreError where there is none, or several.

        digest: `sha256:` and all of its digits, or at least eight.
        """
        if _DIGEST.fullmatch(digest):
            return digest
        found = [each for each in self.bundles() if each.startswith(digest)] if _BEGINNING.fullmatch(digest) else []
        if len(found) != 1:
            raise StoreError(
                where=self.name,
                expected="the digest of a bundle that lies there, sha256: and eight digits or more",
                got=f"{digest!r}, of which there are {len(found)}" if found else repr(digest)[:100],
                hint=f"See which there are: trimtab store list --store {shlex.quote(self.name)}",
            )
        return found[0]

    def signatures(self) -> list[str]:
        """The digests of all signatures, sorted."""
        return self._digests("signatures")

    def signature(self, digest: str) -> Signature:
        """The signature of a digest. StoreError where there is none; SignatureError where it is damaged."""
        key = _by_digest("signatures", digest)
        signature = decode_document(self._required(key, MAX_DOCUMENT_BYTES), f"{self.name}: {key}")
        if signature.digest != digest:
            raise StoreError("another signature lies there", where=f"{self.name}: {key}", got=signature.digest)
        return signature

    def names(self) -> list[str]:
        """The bundle names that have a history, sorted."""
        names = filter(_NAME.fullmatch, self.storage.folders("history/"))
        return [name for name in names if self.storage.changed_at(_entry_key(name, 1)) is not None]

    def entry(self, name: str, number: int) -> Entry | None:
        """One entry of a history; None where the history does not go so far."""
        key = _entry_key(name, number)
        data = self.storage.read(key, MAX_ENTRY_BYTES)
        if data is None:
            return None
        entry = decode_entry(data, f"{self.name}: {key}")
        if (entry.name, entry.number) != (name, number):
            raise StoreError(
                "another entry lies there", where=f"{self.name}: {key}", got=f"{entry.name} {entry.number}"
            )
        return entry

    def now(self) -> float:
        """What time it is where objects are written, in seconds: the one clock by which ages are told."""
        self.storage.replace(CLOCK, b"")
        return self.storage.changed_at(CLOCK) or 0.0

    def written_at(self, name: str, number: int) -> float:
        """When an entry was written, by the same clock. StoreError where there is none."""
        return self._written_at(_entry_key(name, number), "an entry")

    def head(self, name: str, known: int = 0) -> Entry | None:
        """The last entry of a history, looked for from `known` on; None where the history has not begun.

        A history has no gaps, so that the end is found by asking for 1, 2, 4, ... entries more, and then by halves.
        """
        low, step = known, 1
        found = self.entry(name, low) if low else None
        if low and found is None:
            raise StoreError(
                "the history is shorter than it was",
                where=f"{self.name}: {name}",
                expected=f"at least {low} entries",
                got="fewer",
                hint="Was the store restored from an older copy, or is it another one?",
            )
        while low + step <= MAX_NUMBER and (entry := self.entry(name, low + step)) is not None:
            low, step, found = low + step, step * 2, entry
        high = min(low + step, MAX_NUMBER + 1)
        while high - low > 1:
            middle = (low + high) // 2
            entry = self.entry(name, middle)
            if entry is None:
                high = middle
            else:
                low, found = middle, entry
        return found

    def entries(self, name: str) -> Iterator[Entry]:
        """A history from its beginning. StoreError where an entry does not follow from the one before."""
        before: Entry | None = None
        while (entry := self.entry(name, before.number + 1 if before else 1)) is not None:
            self._check_follows(entry, before)
            yield entry
            before = entry

    def newest(self, name: str, limit: int) -> list[Entry]:
        """The last entries of a history, the newest first. StoreError where one does not follow from that before it."""
        head = self.head(name)
        found = [] if head is None else [head]
        while found and len(found) < limit and (before := self._before(found[-1])) is not None:
            found.append(before)
        return found[:limit]

    def append(self, entry: Entry) -> bool:
        """Add an entry to its history: the one write that moves anything. False when somebody else was quicker.

        StoreError for an entry that does not follow from the one before it in the store, or that nobody could read.
        """
        self._before(entry)
        return self.storage.create(_entry_key(entry.name, entry.number), readable(entry))

    def _before(self, entry: Entry) -> Entry | None:
        """The entry that an entry follows from, None of the first. StoreError where it does not follow from it."""
        before = self.entry(entry.name, entry.number - 1) if entry.number > 1 else None
        self._check_follows(entry, before)
        return before

    def _check_follows(self, entry: Entry, before: Entry | None) -> None:
        expected = before.hash if before is not None else ""
        if entry.previous != expected or (before is None) != (entry.number == 1):
            raise StoreError(
                "the entry does not follow from the one before it",
                where=f"{self.name}: {entry.name}, entry {entry.number}",
                expected=expected or "no entry before",
                got=entry.previous or "no entry before",
                hint=f"What is wrong in it: trimtab store verify --store {self.name}",
            )

    def _written_at(self, key: str, what: str) -> float:
        written = self.storage.changed_at(key)
        if written is None:
            raise StoreError(where=f"{self.name}: {key}", expected=what, got="none")
        return written

    def _digests(self, kind: str) -> list[str]:
        found = (_OBJECT.fullmatch(key) for key in self.storage.keys(f"{kind}/sha256/"))
        return [f"sha256:{each['hex']}" for each in found if each]

    def _required(self, key: str, limit: int) -> bytes:
        data = self.storage.read(key, limit)
        if data is None:
            raise StoreError(
                where=f"{self.name}: {key}",
                expected="an object",
                got="none",
                hint="A bundle is put there, with its signatures: trimtab store publish BUNDLE",
            )
        return data


def _by_digest(kind: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise StoreError(expected="a digest (sha256:…)", got=repr(digest)[:100])
    return f"{kind}/sha256/{digest.removeprefix('sha256:')}.json"


def _entry_key(name: str, number: int) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(expected="the name of a bundle", got=repr(name)[:100])
    if not 1 <= number <= MAX_NUMBER:
        raise StoreError(where=name, expected=f"the number of an entry, from 1 to {MAX_NUMBER}", got=str(number)[:100])
    return f"history/{name}/{number:012}.json"


def _decode_settings(data: bytes, where: str) -> Settings:
    hint = "Made by a newer trimtab? Upgrade this one: pip install --upgrade trimtab"
    return decode_versioned(data, Settings, key="store_version", version=STORE_VERSION, where=where, hint=hint)


_DECODING = threading.BoundedSemaphore(2)
"""How many bundles are decoded at once by a process: each takes several times its size meanwhile, and one processor."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BEGINNING = re.compile(r"sha256:[0-9a-f]{8,63}")
_OBJECT = re.compile(r"[a-z]+/sha256/(?P<hex>[0-9a-f]{64})\.json")
_DAMAGED = "Remove the object by hand, and publish a good copy of the bundle again: trimtab store publish BUNDLE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
