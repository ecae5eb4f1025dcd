"""One bundle that comes as a file: read again when it changes, checked, and kept over restarts.

A file that is corrupt, cut, missing or older than what is in force changes nothing. Last-known-good is written to the
state folder after every check has passed, and only then: it survives a restart, and an old bundle replayed later is
recognized by its serial.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trimtab.bundles.atomic import write_atomically
from trimtab.bundles.bundle import MAX_BUNDLE_BYTES, decode_bundle, encode_bundle, read_bundle
from trimtab.bundles.identity import FileIdentity
from trimtab.bundles.loading.status import BundleState, BundleStatus
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.bundles.bundle import Bundle

_SETTLED_AFTER_S = 3.0
"""A file whose time stamp is younger is read again though it looks the same: clocks of file systems are coarse."""


class FileSlot:
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

    @property
    def bundles(self) -> dict[str, Bundle]:
        """What is in force, by the name that the map is to know it by."""
        return {} if self.bundle is None else {self.name: self.bundle}

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
        """How the bundle stands."""
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
