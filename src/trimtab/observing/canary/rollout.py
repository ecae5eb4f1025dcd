"""Which canary a store's rollout is at, and since when: so that nothing from before it began is held for its own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from trimtab.bundles.store.entry import Position
from trimtab.errors import StoreError
from trimtab.observing.canary.analyzing import Subject

if TYPE_CHECKING:
    from trimtab.bundles.store.entry import Rollout
    from trimtab.bundles.store.store import Store


def canary_of(store: Store, name: str = "") -> Subject:
    """The bundle that the canary's leaves serve on trial, and when they were told to, by the store's history.

    name: the bundle's; the only one of the store when empty. StoreError where no canary is running.
    """
    name = name or _only_name(store)
    head = store.head(name)
    rollout = head.rollout if head is not None else None
    if head is None or rollout is None or not _on_trial(rollout):
        raise StoreError(
            "no canary is running",
            where=f"{store.name}: {name}",
            expected=f"a rollout at {Position.LEAF_CANARY}",
            got="none" if rollout is None else f"one at {rollout.position}",
            hint=f"Bring one there: trimtab rollout status --name {name}",
        )
    began = head
    while began.number > rollout.started and (before := store.entry(name, began.number - 1)) is not None:
        if before.rollout is None or not _on_trial(before.rollout):
            break
        began = before
    return Subject(bundle=rollout.pending, since=datetime.fromisoformat(began.at).timestamp())


def _on_trial(rollout: Rollout) -> bool:
    return rollout.position in (Position.LEAF_CANARY, Position.ANALYZED)


def _only_name(store: Store) -> str:
    names = store.names()
    if len(names) == 1:
        return names[0]
    raise StoreError(
        where=store.name,
        expected="one bundle name",
        got=", ".join(names) or "none",
        hint="Say which with --name." if names else "Begin with: trimtab rollout start",
    )
