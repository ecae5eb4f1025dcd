"""How a bundle is started while another is pruned: each says what it is about to do before it looks at the other.

Whoever starts a bundle claims it, and then looks whether it is condemned; whoever prunes condemns it, and then looks
for claims, and after that at the histories once more. So of two who meet at one bundle at least one sees the other: a
start refuses, or the prune lets it be. The end of a history never names what is gone.

Marks are objects of their own, each by one command. Those that a kill left behind go after an hour.
"""

from __future__ import annotations

import contextlib
import secrets
from enum import StrEnum
from typing import TYPE_CHECKING

from trimtab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.store.store import Store

LEFT_OVER_S = 3600.0
"""The age from which a mark is taken for a kill's. No command is between its mark and its end for nearly so long."""


class Mark(StrEnum):
    """What is about to happen to a bundle; the folder of such marks."""

    CLAIMED = "claimed"
    CONDEMNED = "condemned"


@contextlib.contextmanager
def claimed(store: Store, digest: str) -> Iterator[None]:
    """Keep a bundle from being pruned while the block runs. StoreError where it is being pruned already."""
    with marked(store, digest, Mark.CLAIMED):
        if is_marked(store, digest, Mark.CONDEMNED):
            raise StoreError(
                "the bundle is being pruned",
                where=f"{store.name}: {digest}",
                hint="Wait until that is done (trimtab store prune), then publish the bundle and start it again. Of a"
                " prune that was killed the mark counts for an hour.",
            )
        yield


@contextlib.contextmanager
def marked(store: Store, digest: str, mark: Mark) -> Iterator[None]:
    """A mark at a bundle while the block runs."""
    key = f"{_folder(mark, digest)}{secrets.token_hex(16)}.json"
    store.storage.create(key, b"{}\n")
    try:
        yield
    finally:
        store.storage.delete(key)


def is_marked(store: Store, digest: str, mark: Mark) -> bool:
    """Whether somebody who may still be at it has marked a bundle so."""
    keys = store.storage.keys(_folder(mark, digest))
    return bool(keys) and not all(left_over for _, left_over in _aged(store, keys))


def sweep(store: Store) -> None:
    """Remove the marks that kills left behind."""
    for mark in Mark:
        for key, left_over in _aged(store, store.storage.keys(f"{mark}/")):
            if left_over:
                store.storage.delete(key)


def _aged(store: Store, keys: list[str]) -> Iterator[tuple[str, bool]]:
    """Marks that are still there, each with whether a kill must have left it."""
    now = store.now() if keys else 0.0
    for key in keys:
        written = store.storage.changed_at(key)
        if written is not None:
            yield key, now - written > LEFT_OVER_S


def _folder(mark: Mark, digest: str) -> str:
    return f"{mark}/sha256/{digest.removeprefix('sha256:')}/"
