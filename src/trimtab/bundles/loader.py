"""Load the bundles of a root, each in isolation, with its last-known-good.

A bundle file that is corrupt, cut, missing or older than what is in force changes nothing: that bundle's
last-known-good stays in force and the others are untouched. Last-known-good is written to the state folder after every
check has passed, and only then: it survives a restart, and an old bundle replayed later is recognized by its serial.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.bundles.atomic import write_atomically
from trimtab.bundles.bundle import MAX_BUNDLE_BYTES, decode_bundle, encode_bundle, read_bundle
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.identity import FileIdentity
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.bundles.bundle import Bundle


class BundleState(StrEnum):
    """What the last look at a bundle's file came to."""

    LOADED = "loaded"
    """The file holds a newer bundle than the one before; it is in force."""

    UNCHANGED = "unchanged"
    """The file holds the bundle that was in force before."""

    KEPT_LAST_KNOWN_GOOD = "kept_last_known_good"
    """The file must not be loaded; the bundle that was good before is in force. `error` says why."""

    MISSING = "missing"
    """Nothing is in force for this bundle, so its models pass through untrimmed. `error` says why."""


class BundleStatus(Struct, frozen=True, kw_only=True):
    """One bundle: what is in force, and how its file stands.

    serial, digest, loaded_at: of the bundle in force; None when there is none. error: why the file, or the
    last-known-good, could not be used; empty when all is well.
    """

    name: str
    state: BundleState
    serial: int | None = None
    digest: str | None = None
    error: str = ""
    loaded_at: datetime | None = None


class BundleLoader:
    """Holds the bundles of a root, and the consolidated map that they make together.

    paths: bundle files, by bundle name, or as a list; in a list each goes by its file's name, up to the first dot.
    A bundle that is named here must say that name inside; one that is not must keep the name it had when first loaded.
    state: the folder for last-known-good; None keeps it in memory.

    Loads once when made; `refresh` looks again. Never raises for what the files hold: `statuses` tells. Raises
    BundleError for paths whose names cannot be told apart.
    """

    def __init__(self, paths: Mapping[str, Path | str] | Iterable[Path | str], state: Path | str | None = None) -> None:
        self._slots = [_Slot(*each, None if state is None else Path(state)) for each in _slots(paths)]
        self._refreshing = threading.Lock()
        self._in_force = _InForce(ConsolidatedMap({}), ())
        for slot in self._slots:
            slot.restore()
        self.refresh()

    @property
    def current(self) -> ConsolidatedMap:
        """The map in force. Reading it takes no lock; whoever holds it keeps that very map."""
        return self._in_force.map

    @property
    def statuses(self) -> tuple[BundleStatus, ...]:
        """How each bundle stands, in the order of the paths."""
        return self._in_force.statuses

    def refresh(self) -> bool:
        """Look at every file again; whether another map is in force now. Safe to call from any thread."""
        with self._refreshing:
            for slot in self._slots:
                slot.look()
            changed = self._swap()
            for slot in self._slots:
                slot.keep()  # last of all, when the map stands
            self._in_force = self._in_force._replace(statuses=self._statuses())
            return changed

    def _swap(self) -> bool:
        """Build and put in force a new map, if any bundle is another than in the map at hand."""
        bundles = {slot.name: slot.bundle for slot in self._slots if slot.bundle is not None}
        at_hand = self._in_force.map.bundles
        if bundles.keys() == at_hand.keys() and all(bundles[name] is at_hand[name] for name in bundles):
            return False
        self._in_force = _InForce(ConsolidatedMap(bundles), self._statuses())
        return True

    def _statuses(self) -> tuple[BundleStatus, ...]:
        return tuple(slot.status() for slot in self._slots)


class _InForce(NamedTuple):
    """What readers see, swapped as one reference."""

    map: ConsolidatedMap
    statuses: tuple[BundleStatus, ...]


def _slots(paths: Mapping[str, Path | str] | Iterable[Path | str]) -> list[tuple[str, Path, str | None]]:
    """Name, path, and the name that the bundle must say inside, where one was asked for."""
    slots: list[tuple[str, Path, str | None]] = (
        [(name, Path(path), name) for name, path in paths.items()]
        if isinstance(paths, Mapping)
        else [(Path(path).name.partition(".")[0], Path(path), None) for path in paths]
    )
    named: dict[str, Path] = {}
    for name, path, _ in slots:
        if not _FILE_NAME.fullmatch(name):
            raise BundleError(where=str(path), expected="a bundle name that can name a file", got=repr(name))
        if name in named:
            raise BundleError(
                "two bundles go by one name",
                where=str(path),
                expected="file names that differ before their first dot, or a name for each",
                got=f"{name!r} for {named[name]} too",
            )
        named[name] = path
    return slots


_FILE_NAME = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]{0,199}")

_SETTLED_AFTER_S = 3.0
"""A file whose time stamp is younger is read again though it looks the same: clocks of file systems are coarse."""


class _Slot:
    """One bundle: its file, what is in force, and what the last look came to."""

    def __init__(self, name: str, path: Path, expected_name: str | None, state: Path | None) -> None:
        self.name = name
        self.path = path
        self._expected_name = expected_name
        self.bundle: Bundle | None = None
        self._kept_at = None if state is None else state / f"{name}.last-known-good.json"
        self._to_keep: Bundle | None = None
        self._loaded_at: datetime | None = None
        self._identity: FileIdentity | None = None
        self._fingerprint = b""
        self._state = BundleState.MISSING
        self._file_error = ""
        self._kept_error = ""

    def restore(self) -> None:
        """Put the last-known-good of the state folder in force. One that cannot be read is reported and replaced."""
        if self._kept_at is None or not os.path.lexists(self._kept_at):
            return
        try:
            bundle = read_bundle(self._kept_at)
            self._check_name(bundle, self._kept_at)
        except BundleError as failure:
            self._kept_error = f"the last-known-good is lost: {failure}"
            return
        self._adopt(bundle)

    def look(self) -> None:
        """Look at the file, and put its bundle in force if it is a newer one that passes every check."""
        try:
            data = self._read_if_changed()
        except OSError as failure:
            self._identity, self._fingerprint = None, b""
            self._refuse(f"{self.path}: {'the file is missing' if _absent(failure) else failure.strerror or failure}.")
            return
        if data is None:
            if self._state is BundleState.LOADED:
                self._state = BundleState.UNCHANGED
            return
        try:
            bundle = decode_bundle(data, str(self.path))
            self._check_name(bundle, self.path)
            self._check_order(bundle)
        except BundleError as failure:
            self._refuse(str(failure))
            return
        self._file_error = ""
        if self.bundle is not None and self.bundle.digest == bundle.digest:
            self._state = BundleState.UNCHANGED
            return
        self._adopt(bundle)
        self._to_keep = bundle
        self._state = BundleState.LOADED

    def keep(self) -> None:
        """Write the bundle in force to the state folder, if it is new. It stays in force even if that fails."""
        bundle, self._to_keep = self._to_keep, None
        if bundle is None or self._kept_at is None:
            return
        try:
            self._kept_at.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._kept_at, encode_bundle(bundle))
        except (OSError, BundleError) as failure:
            self._to_keep = bundle  # the next look tries again
            self._kept_error = f"the last-known-good could not be kept: {failure}"
        else:
            self._kept_error = ""

    def status(self) -> BundleStatus:
        return BundleStatus(
            name=self.name,
            state=self._state,
            serial=None if self.bundle is None else self.bundle.serial,
            digest=None if self.bundle is None else self.bundle.digest,
            error="\n".join(error for error in (self._file_error, self._kept_error) if error),
            loaded_at=self._loaded_at,
        )

    def _adopt(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._loaded_at = datetime.now(UTC)

    def _refuse(self, error: str) -> None:
        self._file_error = error
        self._state = BundleState.MISSING if self.bundle is None else BundleState.KEPT_LAST_KNOWN_GOOD

    def _read_if_changed(self) -> bytes | None:
        """The file's bytes, or None when they are those of the last look."""
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if FileIdentity.of(status) == self._identity:
            return None
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_BUNDLE_BYTES + 1)
        settled = time.time() - status.st_mtime > _SETTLED_AFTER_S
        self._identity = FileIdentity.of(status) if settled else None
        fingerprint = hashlib.sha256(data).digest()
        if fingerprint == self._fingerprint:
            return None
        self._fingerprint = fingerprint
        return data

    def _check_name(self, bundle: Bundle, path: Path) -> None:
        expected = self._expected_name or (self.bundle.name if self.bundle is not None else bundle.name)
        if bundle.name != expected:
            raise BundleError(
                "the file holds another bundle",
                where=str(path),
                expected=f"a bundle named {expected!r}",
                got=repr(bundle.name),
                hint="Serials count per bundle: one never takes the place of another. Written to the wrong file?",
            )

    def _check_order(self, bundle: Bundle) -> None:
        """A bundle never goes back: an older serial, or another content under the same one, is refused."""
        if self.bundle is None or bundle.serial > self.bundle.serial or bundle.digest == self.bundle.digest:
            return
        raise BundleError(
            "an older bundle than the one in force"
            if bundle.serial < self.bundle.serial
            else "another bundle with the serial of the one in force",
            where=str(self.path),
            expected=f"serial {self.bundle.serial + 1} or higher, or the bundle in force ({self.bundle.digest})",
            got=f"serial {bundle.serial} ({bundle.digest})",
            hint="Build on top of what is in force: trimtab bundle build REPOSITORY -o FILE --previous FILE_IN_FORCE",
        )


def _absent(failure: OSError) -> bool:
    return isinstance(failure, FileNotFoundError | NotADirectoryError)
