"""A store in a local directory, or one that is mounted.

An object is written to a temporary file in the folder `.partial` of the store, flushed to the disk, and linked to its
name: linking fails where the name is taken, which is the condition that everything rests on. When a call returns, the
folders on the way to the name are on the disk too, whoever made them.

Nothing in a store is reached through a link, so that what lies in it is what was put into it. The store's own folder
may be one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.bundles.store.storage import is_part, parts_of, parts_of_prefix
from trimtab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTIAL = ".partial"
"""The folder of unfinished files. What a crash leaves there harms nobody, and goes within the hour."""

LEFT_OVER_S = 3600.0
"""The age from which a file in `.partial` is taken for a crash's."""


class LocalStorage:
    """Objects as files below one folder."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self.name = str(root)

    def prepare(self) -> None:
        """Make the folder, and those above it, on the disk."""
        with self._failing():
            _make(self._root.absolute())

    def read(self, key: str, limit: int) -> bytes | None:
        """The file's bytes; None where there is none."""
        with self._failing(key):
            try:
                with self._way(parts_of(key)) as (folders, name):
                    return self._read(key, name, folders[-1], limit)
            except FileNotFoundError:
                return None

    def create(self, key: str, data: bytes) -> bool:
        """Link a finished file to the name, unless the name is taken."""
        parts = parts_of(key)
        if self.changed_at(key) is not None:
            with self._failing(key), self._way(parts) as (folders, _):
                self._flush(key, folders)  # whoever created it may not have come to that yet
            return False
        with self._failing(key), self._finished(data, 0o444) as (partial, temporary):
            _sweep(partial, temporary)
            with self._way(parts, make=True) as (folders, name):
                created = _link(partial, temporary, folders[-1], name)
                self._flush(key, folders)
        return created

    def replace(self, key: str, data: bytes) -> None:
        """Rename a finished file over the name."""
        with (
            self._failing(key),
            self._finished(data, 0o644) as (partial, temporary),
            self._way(parts_of(key), make=True) as (folders, name),
        ):
            os.replace(temporary, name, src_dir_fd=partial, dst_dir_fd=folders[-1])
            self._flush(key, folders)

    def delete(self, key: str) -> None:
        """Unlink the file."""
        with (
            self._failing(key),
            contextlib.suppress(FileNotFoundError),
            self._way(parts_of(key)) as (folders, name),
        ):
            os.unlink(name, dir_fd=folders[-1])
            self._flush(key, folders[-1:])

    def keys(self, prefix: str) -> list[str]:
        """The files below a folder, whose names are those of keys: no unfinished and no foreign files."""
        with self._failing(prefix), contextlib.suppress(FileNotFoundError):
            found = []
            with self._way([*parts_of_prefix(prefix), ""]) as (folders, _):
                for place, below, names, _ in os.fwalk(".", dir_fd=folders[-1], onerror=_raise_but_missing):
                    below[:] = filter(is_part, below)
                    way = prefix + place.removeprefix(".").removeprefix("/")
                    way = way if not way or way.endswith("/") else f"{way}/"
                    found += [f"{way}{each}" for each in names if is_part(each)]
            return sorted(found)
        return []

    def folders(self, prefix: str) -> list[str]:
        """The folders in a folder."""
        with (
            self._failing(prefix),
            contextlib.suppress(FileNotFoundError),
            self._way([*parts_of_prefix(prefix), ""]) as (folders, _),
            os.scandir(folders[-1]) as entries,
        ):
            return sorted(each.name for each in entries if is_part(each.name) and each.is_dir(follow_symlinks=False))
        return []

    def changed_at(self, key: str) -> float | None:
        """The file's time stamp, which the file system's clock made."""
        with self._failing(key):
            try:
                with self._way(parts_of(key)) as (folders, name):
                    return os.stat(name, dir_fd=folders[-1], follow_symlinks=False).st_mtime
            except FileNotFoundError:
                return None

    def leftovers(self) -> int:
        """How many unfinished files there are: those being written now, and what crashes left."""
        with self._failing(PARTIAL), contextlib.suppress(FileNotFoundError):
            return len(os.listdir(self._root / PARTIAL))
        return 0

    @contextlib.contextmanager
    def _way(self, parts: Sequence[str], *, make: bool = False) -> Iterator[tuple[list[int], str]]:
        """The folders on the way to a key, opened from the root down, and the name in the last of them."""
        with contextlib.ExitStack() as stack:
            try:
                folders = [_opened(stack, self._root, _FOLDER)]
            except NotADirectoryError:
                raise StoreError(where=self.name, expected="a folder", got="a file") from None
            for part in parts[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folders[-1])
                folders.append(_opened(stack, part, _FOLDER | os.O_NOFOLLOW, folders[-1]))
            yield folders, parts[-1]

    @contextlib.contextmanager
    def _finished(self, data: bytes, mode: int) -> Iterator[tuple[int, str]]:
        """A finished file on the disk, in the folder of those that nobody reads; gone afterwards."""
        with self._way([PARTIAL, secrets.token_hex(16)], make=True) as (folders, name):
            try:
                _write_through(name, data, folders[-1], mode)
                yield folders[-1], name
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folders[-1])

    def _read(self, key: str, name: str, folder: int, limit: int) -> bytes:
        with contextlib.ExitStack() as stack:
            # A pipe that somebody put there would never open, but for O_NONBLOCK.
            file = _opened(stack, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, folder)
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(where=f"{self.name}: {key}", expected="a file", got="something else")
            pieces, rest = [], limit + 1
            if status.st_size > limit:
                rest = 0
            while rest and (piece := os.read(file, min(rest, 1 << 20))):
                pieces.append(piece)
                rest -= len(piece)
        if not rest:
            raise StoreError(where=f"{self.name}: {key}", expected=f"at most {limit} bytes", got="more")
        return b"".join(pieces)

    def _flush(self, key: str, folders: Sequence[int]) -> None:
        """Put the names on the way to a key on the disk, the last one first."""
        try:
            for folder in reversed(folders):
                os.fsync(folder)
        except OSError as failure:
            raise StoreError(
                "done, but it could not be flushed to the disk",
                where=f"{self.name}: {key}",
                got=failure.strerror or str(failure),
                hint="After a power cut it may be undone. When the disk is well, run the same command again.",
            ) from failure

    @contextlib.contextmanager
    def _failing(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            raise StoreError(
                where=f"{self.name}: {key}" if key else self.name,
                got=failure.strerror or str(failure),
                hint=_HINTS.get(failure.errno or 0, ""),
            ) from failure


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_NO_LINKS = (
    "Nothing in a store is a symbolic link, but for the store's own folder: put the file or folder itself there."
)
_NO_HARD_LINKS = (
    "Does this file system know hard links? A store creates its objects by them: take a local disk, NFS, "
    "or the address of an object store (s3://, gs://, az://)."
)

_WRITERS = "Who publishes, moves, acknowledges, or asks how a rollout stands needs the right to write in the store."

_HINTS = {
    errno.ELOOP: _NO_LINKS,
    errno.ENOTDIR: _NO_LINKS,
    errno.EPERM: _NO_HARD_LINKS,
    errno.ENOTSUP: _NO_HARD_LINKS,
    errno.EXDEV: "A store lies in one file system: mount nothing inside of it.",
    errno.ENOSPC: "Nothing has changed in the store. Make room on its disk, and run the same command again.",
    errno.EDQUOT: "Nothing has changed in the store. Make room on its disk, and run the same command again.",
    errno.EACCES: f"Who uses a store needs the right to read all of it. {_WRITERS}",
    errno.EROFS: _WRITERS,
}


def _link(partial: int, temporary: str, folder: int, name: str) -> bool:
    """Give a finished file its name; False where the name is taken.

    A network file system may do so and lose its answer; asked again it says that the name is taken, by this very file.
    """
    try:
        os.link(temporary, name, src_dir_fd=partial, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        ours = os.stat(temporary, dir_fd=partial, follow_symlinks=False)
        return os.path.samestat(ours, os.stat(name, dir_fd=folder, follow_symlinks=False))
    return True


def _sweep(partial: int, temporary: str) -> None:
    """Remove what crashes left beside a file that was written just now."""
    now = os.stat(temporary, dir_fd=partial).st_mtime
    for name in os.listdir(partial):
        with contextlib.suppress(OSError):
            if now - os.stat(name, dir_fd=partial, follow_symlinks=False).st_mtime > LEFT_OVER_S:
                os.unlink(name, dir_fd=partial)


def _write_through(name: str, data: bytes, folder: int, mode: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Make a folder and those above it, each on the disk before anything is put into it."""
    if folder.is_dir():
        return
    _make(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    with contextlib.ExitStack() as stack:
        os.fsync(_opened(stack, folder.parent, _FOLDER))


def _opened(stack: contextlib.ExitStack, name: str | Path, flags: int, folder: int | None = None) -> int:
    """A descriptor that is closed with the stack."""
    descriptor = os.open(name, flags, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _raise_but_missing(failure: OSError) -> None:
    if not isinstance(failure, FileNotFoundError):
        raise failure
