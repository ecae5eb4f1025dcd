"""What is remembered of publishers, roots and leaves while every state is walked, and what an append does to it.

Numbers of entries are kept only as far as anything depends on them, so that unlimited histories are finitely many
states: 2 is the history's end, 1 an entry since the root's pointer last changed, 0 an older one.
"""

from __future__ import annotations

from typing import NamedTuple

END, SINCE, BEFORE = 2, 1, 0
AHEAD = 3
"""An entry that the store, set back to an older copy, does not have any more."""
LONG_AGO = -1
"""Read before the pointer last changed, and so long ago that no lease may be counted from then."""


class Known(NamedTuple):
    """A pointer, and of which entry."""

    pointer: int
    entry: int


class Root(NamedTuple):
    """held: in memory; None while it does not run. disk: its last-known-good. seen: read, and not in force yet.
    word: the entry that it acknowledged; None without a word, or with one that is older than a lease. lease: by which
    entry; None without one. under_way: the map by which a request was trimmed that no leaf has answered yet. Of several
    requests one is watched, whichever: that the others are under way as well only keeps the root from speaking.
    """

    held: Known | None
    disk: Known
    seen: Known | None = None
    word: int | None = None
    lease: int | None = None
    under_way: int | None = None


class Leaf(NamedTuple):
    """serving: a bundle's number; None for none. disk: the one that it may start again with. word: the bundles that
    its acknowledgment names. target: what it is about to serve, whether that was read at the history's end, and what it
    does next. While it switches it may answer with either.
    """

    serving: int | None
    disk: int | None
    word: frozenset[int] | None = None
    target: tuple[int | None, bool, str] | None = None


class World(NamedTuple):
    """head, decided: entries, by number; decided is what somebody is about to append. old: by stage, whether the
    root's last move is older than a lease. set_back: the store is an older copy now.
    """

    head: int
    roots: tuple[Root, ...]
    leaves: tuple[Leaf, ...]
    decided: int | None = None
    old: tuple[bool, bool] = (True, True)
    set_back: bool = False


def answering(leaf: Leaf) -> set[int]:
    """The bundles that it may answer with now."""
    switching = leaf.target is not None and leaf.target[2] == "switch"
    both = (leaf.serving, leaf.target[0] if leaf.target is not None and switching else None)
    return {bundle for bundle in both if bundle is not None}


def root_after(root: Root, moved: bool) -> Root:
    """After an entry was appended; moved: whether it changed the root's pointer."""

    def older(entry: int) -> int:
        return min(entry, BEFORE if moved else SINCE)

    def later(known: Known) -> Known:
        return Known(known.pointer, older(known.entry))

    return Root(
        held=root.held and later(root.held),
        disk=later(root.disk),
        seen=root.seen and later(root.seen),
        word=None if root.word is None else older(root.word),
        lease=None if root.lease is None else older(root.lease),
        under_way=root.under_way,
    )


def long_ago(root: Root) -> Root:
    if root.seen is None or root.seen.entry != BEFORE:
        return root
    return root._replace(seen=Known(root.seen.pointer, LONG_AGO))


def leaf_after(leaf: Leaf) -> Leaf:
    if leaf.target is None or leaf.target[2] not in ("speak", "confirm"):
        return leaf
    return leaf._replace(target=(leaf.target[0], False, leaf.target[2]))
