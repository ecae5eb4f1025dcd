"""A store in a local directory, or one that is mounted.

An object is written to a temporary file in the folder `.partial` of the store, flushed to the disk, and linked to its
name: linking fails where the name is taken, which is the condition that everything rests on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTIAL = ".partial"


class LocalStorage:
    """Objects as files below one folder."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self.name = str(root)

    def read(self, key: str, limit: int) -> bytes | None:
        """The file's bytes; None where there is none."""
        with self._failing(key):
            try:
                with (self._root / key).open("rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                return None
        if len(data) > limit:
            raise StoreError(where=f"{self.name}: {key}", expected=f"at most {limit} bytes", got="more")
        return data

    def create(self, key: str, data: bytes) -> bool:
        """Link a finished file to the name, unless the name is taken."""
        path = self._root / key
        with self._failing(key), self._partial(data) as partial:
            _make_folder(path.parent)
            try:
                os.link(partial, path)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Rename a finished file over the name."""
        path = self._root / key
        with self._failing(key), self._partial(data) as partial:
            _make_folder(path.parent)
            os.replace(partial, path)
            _sync_folder(path.parent)

    def delete(self, key: str) -> None:
        """Unlink the file."""
        with self._failing(key), contextlib.suppress(FileNotFoundError):
            os.unlink(self._root / key)

    def keys(self, prefix: str) -> list[str]:
        """The files below a folder."""
        with self._failing(prefix):
            folder = self._root / prefix
            found = [
                Path(place, name).relative_to(self._root).as_posix()
                for place, _, names in os.walk(folder, onerror=_raise_but_missing)
                for name in names
            ]
        return sorted(found)

    def changed_at(self, key: str) -> float | None:
        """The file's time stamp, which the file system's clock made."""
        with self._failing(key):
            try:
                return os.stat(self._root / key).st_mtime
            except FileNotFoundError:
                return None

    @contextlib.contextmanager
    def _partial(self, data: bytes) -> Iterator[Path]:
        """A finished file under a name that nobody reads, on the disk; gone afterwards."""
        folder = self._root / _PARTIAL
        folder.mkdir(exist_ok=True)
        path = folder / secrets.token_hex(16)
        try:
            _write_through(path, data)
            yield path
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    @contextlib.contextmanager
    def _failing(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            raise StoreError(where=f"{self.name}: {key}", got=failure.strerror or str(failure)) from failure


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on the disk before anything is put into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_but_missing(failure: OSError) -> None:
    if not isinstance(failure, FileNotFoundError):
        raise failure
