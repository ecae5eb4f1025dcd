"""The index beside a bundle: what every artifact said when it was last read, so that it is not read again.

`ads.json` has `ads.index.sqlite`: by version of a model the identity of its files and the hash of its signature
document, and every document by its hash. All of it follows from the artifacts: whoever deletes the file loses time and
the signatures of versions that are gone, nothing else. So nothing in it is believed unseen (each row carries a seal
over what it says), and a file that is damaged, of another schema, locked or somebody else's is treated as none.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from trimtab.errors import SignatureError
from trimtab.signature.document import decode_document

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.signature.model import Signature

APPLICATION_ID = 0x7472_696D
"""What SQLite's header says the file is: "trim"."""

SCHEMA = 1

_Column: TypeAlias = Literal["digest", "input_digest", "document_hash"]

UNREADABLE = (sqlite3.Error, ValueError)
"""What reading a damaged database raises: the text of an error may be damaged too, and then is no UTF-8."""

PATIENCE_S = 1.0
"""How long a file that somebody else writes is waited for."""


def index_path(bundle_path: Path) -> Path:
    """Where the index of a bundle file lies: beside it."""
    return bundle_path.with_name(bundle_path.name.removesuffix(".json") + ".index.sqlite")


class SignatureIndex:
    """An index. None of its methods raises for what the file holds: what cannot be read is not there.

    To be used from one thread at a time; close it, or use it in a `with` statement.
    """

    def __init__(self, connection: sqlite3.Connection | None, note: str = "") -> None:
        self._connection = connection
        self.note = note
        """Why the file could not be used, for a person; empty when it could, or when there was none."""

    @classmethod
    def beside(cls, bundle_path: Path) -> SignatureIndex:
        """The index beside a bundle file, for reading; an empty one where there is none that can be read."""
        path = index_path(bundle_path)
        if not os.path.isfile(path):  # which also says no to names that no file can have
            return cls(None)
        try:
            # Not mode=ro: what a build that was killed left half written is only undone by who may write.
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE_S, check_same_thread=False
            )
        except UNREADABLE as failure:
            return cls(None, f"{path}: {failure}")
        if not is_ours(connection):
            connection.close()
            return cls(None, f"{path}: not an index of this schema")
        return cls(connection)

    def document(self, digest: str) -> bytes | None:
        """The signature document of a signature's digest, or None."""
        return self._document("digest", digest)

    def signature(self, digest: str) -> Signature | None:
        """A signature of that digest, or None."""
        return _decoded(self._document("digest", digest))

    def signature_of_inputs(self, input_digest: str) -> Signature | None:
        """A signature whose inputs have that digest, or None."""
        return _decoded(self._document("input_digest", input_digest))

    def signature_of_document(self, document_hash: bytes) -> Signature | None:
        """The signature of the document with that SHA-256, or None."""
        return _decoded(self._document("document_hash", document_hash))

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _document(self, column: _Column, value: str | bytes) -> bytes | None:
        """The newest document for a value, if its row says what it said when it was written."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(_QUERIES[column], (value,)).fetchone()
        except UNREADABLE:
            return None
        if row is None:
            return None
        facts, written_seal, document = list(row[:-2]), row[-2], row[-1]
        return document if intact(facts, written_seal, document) else None


_QUERY = "SELECT document_hash, digest, input_digest, format, names, seal, document FROM signatures WHERE"
_QUERIES: dict[_Column, str] = {
    "digest": f"{_QUERY} digest = ? ORDER BY rowid DESC LIMIT 1",
    "input_digest": f"{_QUERY} input_digest = ? ORDER BY rowid DESC LIMIT 1",
    "document_hash": f"{_QUERY} document_hash = ?",
}


def seal(*columns: object) -> bytes:
    """What a row carries so that it is believed: a hash over its other columns, but for the document's own."""
    return hashlib.blake2b(repr(columns).encode(), digest_size=16).digest()


def intact(facts: list[object], written_seal: object, document: object) -> bool:
    """Whether a row of signatures says what was written, and its document is what it was."""
    if seal(*facts) != written_seal or not isinstance(document, bytes):
        return False
    return hashlib.sha256(document).digest() == facts[0]


def _decoded(document: bytes | None) -> Signature | None:
    try:
        return None if document is None else decode_document(document, just_encoded=True)
    except SignatureError:
        return None  # written by a newer or an older trimtab


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether a database is an index of this schema; False where it cannot be read."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
    except UNREADABLE:
        return False
    return (application, schema) == (APPLICATION_ID, SCHEMA)
