"""Remove from a store the bundles that nobody needs, with their attestations, and signatures that no bundle names.

What stays is in `trimtab.bundles.store.needed`, and besides it whatever is younger, or was in force more lately, than
the days that are asked for. A kill at any moment leaves a sound store: a bundle is there or is not, and one that the
end of a history names is never touched, whoever publishes, starts or rolls back meanwhile.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.bundles.store.at_once import at_once
from trimtab.bundles.store.claims import Mark, is_marked, marked, sweep
from trimtab.bundles.store.needed import Use, named_since, uses
from trimtab.errors import StoreError
from trimtab.signature.document import MAX_DOCUMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from trimtab.bundles.store.store import Store


class Prunable(Struct, frozen=True, kw_only=True):
    """A bundle that may go. age_s: since it was put into the store. until, dropped_s: as of `Use`."""

    digest: str
    name: str
    serial: int
    age_s: float
    until: tuple[str, int] | None
    dropped_s: float | None


class Pruned(Struct, frozen=True, kw_only=True):
    """What a prune found, and did.

    bundles: those that may go, or went. signatures: how many signature documents no bundle that stays names. kept: how
    many bundles stay. spared: digests of bundles that somebody began to use meanwhile, so that they stay.
    """

    bundles: tuple[Prunable, ...]
    signatures: int
    kept: int
    spared: tuple[str, ...] = ()


def prunable(store: Store, keep_s: float) -> Pruned:
    """What a prune would remove; nothing is written but the store's clock.

    keep_s: how old a bundle, and how long out of force, must be. StoreError where anything of the store cannot be read.
    """
    found = _Found(store, keep_s)
    orphans = found.orphans(found.staying)
    return Pruned(bundles=found.going, signatures=len(orphans), kept=len(found.staying))


def prune(store: Store, keep_s: float) -> Pruned:
    """Remove what nobody needs. Done again after a kill, it goes on. StoreError where the store fails."""
    sweep(store)
    found = _Found(store, keep_s)
    gone = tuple(each for each in found.going if _remove(store, each.digest, found.heads))
    spared = tuple(each.digest for each in found.going if each not in gone)
    staying = _bundles(store, store.bundles())
    removed = _remove_signatures(store, found.orphans(staying), frozenset(staying))
    return Pruned(bundles=gone, signatures=removed, kept=len(staying), spared=spared)


class _Found:
    """What a store holds at one moment, and what of it may go.

    going: those that may. staying: the others, by digest. heads: the histories' last entries at that moment.
    """

    def __init__(self, store: Store, keep_s: float) -> None:
        self._store = store
        self._keep_s = keep_s
        bundles = _bundles(store, store.bundles())
        known = uses(store)
        self._now = store.now()
        self.heads = known.heads
        found = (self._prunable(digest, each, known.of.get(digest, Use())) for digest, each in bundles.items())
        going = [each for each in found if each is not None]
        self.going = tuple(sorted(going, key=lambda each: (each.name, each.serial, each.digest)))
        gone = {each.digest for each in going}
        self.staying = {digest: bundle for digest, bundle in bundles.items() if digest not in gone}

    def orphans(self, staying: Mapping[str, _Bundle]) -> list[str]:
        """Signature documents, old enough, that none of some bundles names."""
        free = sorted(frozenset(self._store.signatures()) - _named(staying.values()))
        ages = at_once(free, lambda digest: self._age(_key("signatures", digest)))
        return [digest for digest, age_s in ages if age_s is not None and age_s > self._keep_s]

    def _prunable(self, digest: str, bundle: _Bundle, use: Use) -> Prunable | None:
        age_s = self._age(_key("bundles", digest))
        lately = use.dropped_s is not None and use.dropped_s <= self._keep_s
        if use.needed or lately or age_s is None or age_s <= self._keep_s:
            return None
        return Prunable(
            digest=digest,
            name=bundle.name,
            serial=bundle.serial,
            age_s=age_s,
            until=use.until,
            dropped_s=use.dropped_s,
        )

    def _age(self, key: str) -> float | None:
        written = self._store.storage.changed_at(key)
        return None if written is None else self._now - written


def _remove(store: Store, digest: str, heads: Mapping[str, int]) -> bool:
    """Remove a bundle; False where somebody began to use it since the histories were read up to `heads`."""
    with marked(store, digest, Mark.CONDEMNED):
        if is_marked(store, digest, Mark.CLAIMED):
            return False
        # After the look for claims: a claim that is gone again has left its entry in a history.
        if digest in named_since(store, heads):
            return False
        for key in store.storage.keys(f"attestations/sha256/{digest.removeprefix('sha256:')}/"):
            store.storage.delete(key)
        store.storage.delete(_key("bundles", digest))
    return True


def _remove_signatures(store: Store, orphans: list[str], known: frozenset[str]) -> int:
    """Remove documents, and put back those which a bundle names that came meanwhile. known: the bundles before.

    Whoever publishes puts the bundle there first and looks then whether its documents still are: so one of us sees it.
    """
    removed = 0
    for begin in range(0, len(orphans), _AT_A_TIME):
        some = orphans[begin : begin + _AT_A_TIME]
        documents = dict(
            at_once(some, lambda digest: store.storage.read(_key("signatures", digest), MAX_DOCUMENT_BYTES))
        )
        for _ in at_once(some, lambda digest: store.storage.delete(_key("signatures", digest))):
            pass
        wanted = _named(_bundles(store, frozenset(store.bundles()) - known).values()) & documents.keys()
        for digest in sorted(wanted):
            if (document := documents[digest]) is not None:
                store.put_document(digest, document)
        removed += len(some) - len(wanted)
    return removed


_AT_A_TIME = 256
"""So many documents are held in memory until it is known that nobody wants them."""


class _Bundle(NamedTuple):
    """What is held of a bundle: a store may have more of them than there is memory for."""

    name: str
    serial: int
    signatures: frozenset[str]


def _named(bundles: Iterable[_Bundle]) -> frozenset[str]:
    return frozenset[str]().union(*(bundle.signatures for bundle in bundles))


def _bundles(store: Store, digests: Collection[str]) -> dict[str, _Bundle]:
    """The bundles of digests, without those that somebody else removed meanwhile."""
    found = at_once(sorted(digests), lambda digest: _bundle(store, digest))
    return {digest: bundle for digest, bundle in found if bundle is not None}


def _bundle(store: Store, digest: str) -> _Bundle | None:
    try:
        bundle = store.bundle(digest)
    except StoreError:
        if store.has_bundle(digest):
            raise
        return None
    versions = (version for model in bundle.models.values() for version in model.versions.values())
    # Bundles that follow one another name nearly the same signatures: all of them share the texts.
    return _Bundle(bundle.name, bundle.serial, frozenset(sys.intern(version.digest) for version in versions))


def _key(kind: str, digest: str) -> str:
    return f"{kind}/sha256/{digest.removeprefix('sha256:')}.json"
