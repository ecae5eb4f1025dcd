"""Write the index beside a bundle while a build goes on.

Every few hundred versions are one transaction, so that a build that is killed left an index of what it had read. What
cannot be opened is made anew; what somebody else holds locked is left to him, and this build reads everything.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import TYPE_CHECKING

import msgspec

from trimtab.bundles.building.index import (
    APPLICATION_ID,
    PATIENCE_S,
    SCHEMA,
    UNREADABLE,
    SignatureIndex,
    intact,
    is_ours,
    seal,
)
from trimtab.bundles.building.reader_fingerprint import reader_fingerprint
from trimtab.bundles.building.signature_facts import SignatureFacts, shared
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TABLES = (
    "CREATE TABLE readers (fingerprint TEXT NOT NULL)",
    "CREATE TABLE versions (name TEXT PRIMARY KEY, identity BLOB NOT NULL, document_hash BLOB NOT NULL,"
    " seal BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE signatures (document_hash BLOB UNIQUE NOT NULL, digest TEXT NOT NULL, input_digest TEXT NOT NULL,"
    " format TEXT NOT NULL, names BLOB NOT NULL, seal BLOB NOT NULL, document BLOB NOT NULL)",
    "CREATE INDEX signatures_by_digest ON signatures (digest)",
    "CREATE INDEX signatures_by_input_digest ON signatures (input_digest)",
)

_BATCH = 500


class IndexUnusableError(BundleError):
    """The index failed in the middle of a build, which then begins again. damaged: it is the file that is bad."""

    def __init__(self, failure: Exception) -> None:
        self.damaged = not _is_of_the_place(failure)
        super().__init__(str(failure))


class BuildIndex(SignatureIndex):
    """The index that a build reads from and writes to.

    What is told to it is written in batches, in transactions of milliseconds: several builds may share a file.
    IndexUnusableError, from `known`, `flush` and whatever writes, when the file fails.
    """

    def __init__(self, connection: sqlite3.Connection, note: str = "") -> None:
        super().__init__(connection, note)
        self._writing = connection
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        self._remembered: set[bytes] = set()

    @classmethod
    def open(cls, path: Path | None) -> BuildIndex:
        """The index at `path`, made or made anew where it must be; one of this build alone where that cannot be done.

        path: None for one of this build alone.
        """
        if path is None:
            return cls.temporary()
        try:
            return cls(_opened(path))
        except UNREADABLE as failure:
            if _is_of_the_place(failure):
                return cls.temporary(f"{path}: the index is not used: {failure}")
        discard_index(path)
        try:
            return cls(_opened(path))
        except UNREADABLE as failure:
            return cls.temporary(f"{path}: the index is not used: {failure}")

    @classmethod
    def temporary(cls, note: str = "") -> BuildIndex:
        """An index of this build alone."""
        connection = sqlite3.connect("", isolation_level=None)  # in a file that is nobody's, where memory is short
        _create(connection, "")
        return cls(connection, note)

    def known(self) -> dict[str, tuple[bytes, SignatureFacts]]:
        """By "MODEL/VERSION", the identity under which a version was read, and what it said."""
        try:
            facts = {each.document_hash: each for each in self._intact_facts()}
            rows = self._writing.execute("SELECT name, identity, document_hash, seal FROM versions").fetchall()
        except UNREADABLE as failure:
            raise IndexUnusableError(failure) from failure
        return {
            name: (identity, facts[document_hash])
            for name, identity, document_hash, written_seal in rows
            if document_hash in facts and seal(name, identity, document_hash) == written_seal
        }

    def _intact_facts(self) -> Iterator[SignatureFacts]:
        """Those whose row says what was written, and whose document is what it was."""
        for *columns, written_seal, document in self._writing.execute(
            "SELECT document_hash, digest, input_digest, format, names, seal, document FROM signatures"
            " WHERE document_hash IN (SELECT document_hash FROM versions)"
        ):
            if intact(columns, written_seal, document):
                document_hash, digest, input_digest, format_, names = columns
                yield SignatureFacts(
                    document_hash=document_hash,
                    digest=digest,
                    input_digest=input_digest,
                    format=format_,
                    names=shared(_NAMES.decode(names)),
                )

    def remember(self, facts: SignatureFacts, document: bytes) -> None:
        """Keep a document."""
        if facts.document_hash in self._remembered:
            return
        self._remembered.add(facts.document_hash)
        names = msgspec.json.encode(facts.names)
        columns = (facts.document_hash, facts.digest, facts.input_digest, facts.format, names)
        self._write(
            "INSERT OR REPLACE INTO signatures VALUES (?, ?, ?, ?, ?, ?, ?)", *columns, seal(*columns), document
        )

    def trust(self, name: str, identity: bytes, facts: SignatureFacts) -> None:
        """From now on, do not read the version "MODEL/VERSION" again as long as it has this identity."""
        columns = (name, identity, facts.document_hash)
        self._write("INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", *columns, seal(*columns))

    def forget(self, name: str) -> None:
        """The version is gone, or must be read again."""
        self._write("DELETE FROM versions WHERE name = ?", name)

    def flush(self) -> None:
        """Write to the disk what is not there yet."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            for statement, row in pending:
                self._writing.execute(statement, row)
            self._writing.execute("COMMIT")
        except UNREADABLE as failure:
            raise IndexUnusableError(failure) from failure

    def _write(self, statement: str, *row: object) -> None:
        self._pending.append((statement, row))
        if len(self._pending) >= _BATCH:
            self.flush()


_NAMES = msgspec.json.Decoder(list[str])


def check_index_path(path: Path) -> None:
    """Raise BundleError where `path` is a file that is no index: one that is to be written anew is not a model."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BundleError(where=str(path), expected="a file for the index", got="something that is no file")
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as failure:
        raise BundleError(where=str(path), expected="a file for the index", got=failure.strerror or "") from None
    if head and head[_ID_AT:] != APPLICATION_ID.to_bytes(4, "big"):
        raise BundleError(
            where=str(path),
            expected="an index, or no file",
            got="a file of another kind",
            hint="Name another file; this one is left as it is.",
        )


_ID_AT = 68
_HEADER_BYTES = 72
"""Where SQLite's header holds the application id (https://www.sqlite.org/fileformat.html), and where that ends."""


def _opened(path: Path) -> sqlite3.Connection:
    """The database at `path` with our tables. sqlite3.Error where it cannot be."""
    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    try:
        fingerprint = reader_fingerprint()
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            _create(connection, fingerprint)
        elif not is_ours(connection):
            raise sqlite3.DatabaseError("not an index of this schema")
        elif connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the index is damaged")
        elif connection.execute("SELECT fingerprint FROM readers").fetchall() != [(fingerprint,)]:
            connection.execute("DELETE FROM versions")
            connection.execute("DELETE FROM readers")
            connection.execute("INSERT INTO readers VALUES (?)", (fingerprint,))
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection, fingerprint: str) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    for table in _TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO readers VALUES (?)", (fingerprint,))


def _is_of_the_place(failure: Exception) -> bool:
    """Whether the file may be good, and it is the place, or somebody else at work on it, that does not let us."""
    code = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return code in (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM),
    )


def discard_index(path: Path) -> None:
    """Remove an index that cannot be used, as far as that is possible."""
    for each in (path, path.with_name(f"{path.name}-journal")):
        with contextlib.suppress(OSError):
            os.unlink(each)
