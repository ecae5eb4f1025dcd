"""Read everything that lies in a store, and say what of it is not sound.

Readers check what they read, each for itself; nobody reads everything. This does: every object against its digest, each
history from its beginning, its pointers against the bundles that are there and against the order of a rollout.
"""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from trimtab.bundles.store.acknowledged import decode_acknowledgment
from trimtab.bundles.store.at_once import at_once
from trimtab.bundles.store.attestation import MAX_ATTESTATION_BYTES, check_attestation
from trimtab.bundles.store.claims import Mark
from trimtab.bundles.store.entry import MAX_ENTRY_BYTES
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.needed import needed_by
from trimtab.bundles.store.positions import breaches
from trimtab.bundles.store.store import CLOCK, MARK
from trimtab.errors import MissingExtraError, TrimtabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store

    Progress: TypeAlias = Callable[[int, int], None]


class Level(StrEnum):
    """error: the store is not sound. note: it is, and somebody may want to know all the same."""

    ERROR = "error"
    NOTE = "note"


class Flaw(NamedTuple):
    """Something found. where: the key, or the keys' common beginning."""

    level: Level
    where: str
    problem: str


class Verified(NamedTuple):
    """objects: how many were read. heads: the number of each history's last entry. flaws: in the order of keys."""

    objects: int
    heads: dict[str, int]
    flaws: tuple[Flaw, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing found is an error."""
        return all(each.level is not Level.ERROR for each in self.flaws)


def verify_store(store: Store, progress: Progress | None = None) -> Verified:
    """Check a whole store. It is read as it is at the beginning; what is written meanwhile does no harm.

    progress: called with how many objects are done, and of how many. StoreError where the place itself fails.
    """
    keys = store.storage.keys("")
    found = _Findings(store, keys, progress)
    found.objects()
    found.histories()
    if isinstance(store.storage, LocalStorage) and (left := store.storage.leftovers()):
        found.note(".partial/", f"{left} unfinished: being written now, or left by a crash and swept after an hour")
    return Verified(len(keys), found.heads, tuple(sorted(found.flaws, key=lambda each: (each.where, each.problem))))


class _Findings:
    """What one check has found so far, and what it knows of the store."""

    def __init__(self, store: Store, keys: list[str], progress: Progress | None) -> None:
        self.store = store
        self.keys = keys
        self.progress = progress
        self.flaws: list[Flaw] = []
        self.heads: dict[str, int] = {}
        self.bundles = {f"sha256:{match['hex']}" for key in keys if (match := _KEYS["bundles"].fullmatch(key))}
        self.signatures = {f"sha256:{match['hex']}" for key in keys if (match := _KEYS["signatures"].fullmatch(key))}
        self.names: dict[str, str] = {}
        self.entries: dict[str, dict[int, Entry | None]] = {}
        self.acknowledged: list[tuple[str, str, int]] = []

    def error(self, where: str, problem: str) -> None:
        self.flaws.append(Flaw(Level.ERROR, where, problem))

    def note(self, where: str, problem: str) -> None:
        self.flaws.append(Flaw(Level.NOTE, where, problem))

    def objects(self) -> None:
        """Read every object, and keep what concerns others."""
        for done, (_, flaws) in enumerate(at_once(self.keys, self._object), 1):
            self.flaws += flaws
            if self.progress is not None:
                self.progress(done, len(self.keys))

    def _object(self, key: str) -> list[Flaw]:
        kind = key.partition("/")[0]
        if key in (MARK, CLOCK, "probe"):
            return []
        match = _KEYS[kind].fullmatch(key) if kind in _KEYS else None
        if match is None:
            level = Level.ERROR if kind == "history" else Level.NOTE
            return [Flaw(level, key, "no object of a store has such a key: it is read by nobody")]
        try:
            problems = list(self._read(kind, key, match))
        except MissingExtraError as failure:
            return [Flaw(Level.NOTE, key, f"not checked: {failure.problem}")]
        except TrimtabError as failure:
            if kind != "history" and self.store.storage.changed_at(key) is None:
                return []  # withdrawn or pruned since the keys were listed
            return [Flaw(Level.ERROR, key, _sentence(failure))]
        return [Flaw(Level.NOTE, key, problem) for problem in problems]

    def _read(self, kind: str, key: str, match: re.Match[str]) -> Iterator[str]:
        """Read one object; notes about it. Raises an error of ours for one that is not sound."""
        store = self.store
        if kind == "bundles":
            bundle = store.bundle(f"sha256:{match['hex']}")
            self.names[bundle.digest] = bundle.name
            named = {version.digest for model in bundle.models.values() for version in model.versions.values()}
            if missing := len(named - self.signatures):
                yield f"signatures that are not in the store: {missing} of {len(named)}; publish the bundle again"
        elif kind == "signatures":
            store.signature(f"sha256:{match['hex']}")
        elif kind == "attestations":
            data = store.storage.read(key, MAX_ATTESTATION_BYTES) or b""
            if (by := check_attestation(data, f"sha256:{match['hex']}")) != f"sha256:{match['key']}":
                yield f"it is by the key {by}, under whose name it would be looked for"
            if f"sha256:{match['hex']}" not in self.bundles:
                yield "its bundle is not in the store"
        elif kind == "history":
            known = self.entries.setdefault(match["name"], {})
            known[int(match["number"])] = None
            known[int(match["number"])] = store.entry(match["name"], int(match["number"]))
        elif kind in tuple(Mark):
            yield "a start or a prune is under way, or was killed: a prune removes the mark an hour later"
        else:
            said = decode_acknowledgment(store.storage.read(key, MAX_ENTRY_BYTES) or b"", key)
            self.acknowledged.append((key, match["name"], said.entry))

    def histories(self) -> None:
        """Check each history from its beginning, and what is said about it."""
        for name, entries in self.entries.items():
            numbers = [0, *sorted(entries)]
            self.heads[name] = numbers[-1]
            for before, number in pairwise(numbers):
                if number != before + 1:
                    self.error(f"history/{name}/", f"a gap: there is no entry from {before + 1} to {number - 1}")
            self._chain(name, [(number, entries[number]) for number in numbers[1:]])
        for key, name, number in self.acknowledged:
            if number > self.heads.get(name, 0):
                self.error(key, f"it follows entry {number}, and the history ends with {self.heads.get(name, 0)}")

    def _chain(self, name: str, entries: Sequence[tuple[int, Entry | None]]) -> None:
        before: Entry | None = None
        for number, entry in entries:
            where = f"history/{name}/{number:012}.json"
            if entry is not None:
                neighbors = before is not None and before.number == number - 1
                if (neighbors or number == 1) and entry.previous != (before.hash if before is not None else ""):
                    self.error(where, "it does not follow from the entry before it: one of them was replaced")
                for problem in breaches(entry, before if neighbors else None):
                    self.error(where, problem)
                for digest in sorted(entry.pointers.bundles):
                    if self.names.get(digest, name) != name:
                        self.error(where, f"the bundle {digest} is in force, and its name is {self.names[digest]}")
            before = entry
        read = [entry for _, entry in entries if entry is not None]
        for digest, reason in sorted(needed_by(read).items()):
            if digest not in self.bundles:
                self.error(f"history/{name}/", f"the bundle {digest} {reason}, and is not in the store")


_HEX = r"(?P<hex>[0-9a-f]{64})"
_KEYS = {
    "bundles": re.compile(rf"bundles/sha256/{_HEX}\.json"),
    "signatures": re.compile(rf"signatures/sha256/{_HEX}\.json"),
    "attestations": re.compile(rf"attestations/sha256/{_HEX}/(?P<key>[0-9a-f]{{64}})\.json"),
    "history": re.compile(
        r"history/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,127})/(?P<number>(?!0{12})\d{12})\.json", re.A
    ),
    "claimed": re.compile(rf"claimed/sha256/{_HEX}/[0-9a-f]+\.json"),
    "condemned": re.compile(rf"condemned/sha256/{_HEX}/[0-9a-f]+\.json"),
    "acknowledged": re.compile(r"acknowledged/(?P<name>[^/]+)/(root|leaf)/(canary|production)/[^/]+\.json"),
}


def _sentence(failure: TrimtabError) -> str:
    """An error without its place and its advice."""
    return str(type(failure)(failure.problem, expected=failure.expected, got=failure.got)).rstrip(".")
