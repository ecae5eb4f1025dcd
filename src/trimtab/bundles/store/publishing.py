"""Publish a bundle: its signatures first and then the bundle itself, so that a bundle in a store is never without them.

A publish that was cut short is simply done again. What lies in the store already is not written twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.bundles.store.at_once import at_once
from trimtab.errors import SignatureError
from trimtab.signature.document import decode_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set
    from typing import TypeAlias

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.store.store import Store

    Document: TypeAlias = Callable[[str], bytes | None]
    Progress: TypeAlias = Callable[[int, int], None]


class Published(NamedTuple):
    """What publishing did. new: whether the bundle was not there before. signatures: how many signatures it names.

    written: how many of their documents were put into the store. missing: the digests of those which are not there,
    and for which there was no document, sorted.
    """

    new: bool
    signatures: int
    written: int
    missing: tuple[str, ...]


def publish(store: Store, bundle: Bundle, document: Document, progress: Progress | None = None) -> Published:
    """Put a bundle and the documents of its signatures into a store; nothing is in force by that.

    document: gives the signature document of a digest, None where it has none; asked in the caller's thread. progress:
    called with how many signatures are done, and of how many. Raises StoreError where the store fails.
    """
    named = {version.digest for model in bundle.models.values() for version in model.versions.values()}
    missing: list[str] = []
    written = 0
    there = _there(store, named) & named
    wanted = sorted(named - there)
    put = at_once(_documents(wanted, document, missing), lambda pair: store.put_document(*pair))
    for done, (_, new) in enumerate(put, 1):
        written += new
        if progress is not None:
            progress(done + len(missing), len(wanted))
    new = store.put_bundle(bundle)
    # A prune may have taken what was there before it saw the bundle that names it.
    pruned = sorted(there - _there(store, there))
    written += sum(store.put_document(*pair) for pair in _documents(pruned, document, missing))
    return Published(new, len(named), written, tuple(sorted(missing)))


_FEW = 50
"""So many objects are sooner asked for one by one than listed among all."""


def _there(store: Store, digests: Set[str]) -> frozenset[str]:
    """Which signatures a store has, of those asked for."""
    if len(digests) > _FEW:
        return frozenset(store.signatures())
    return frozenset(digest for digest, there in at_once(sorted(digests), store.has_signature) if there)


def _documents(digests: list[str], document: Document, missing: list[str]) -> Iterator[tuple[str, bytes]]:
    """The digests with their documents, sound ones; the others go to `missing`."""
    for digest in digests:
        data = document(digest)
        if data is not None and _is_of(data, digest):
            yield digest, data
        else:
            missing.append(digest)


def _is_of(document: bytes, digest: str) -> bool:
    try:
        return decode_document(document).digest == digest
    except SignatureError:
        return False
