"""What each root and leaf says that it has in force: the evidence by which a move may follow another.

A root that acknowledges an entry has put its bundles in force and kept them on its disk, so that it does not fall back
behind that entry even when it starts again.

An acknowledgment is written first and confirmed after: only when the history's end, read once more after the word was
written, is still the entry acknowledged, may the root renew its lease or the leaf begin to serve. Whoever moves writes
the entry first and reads the acknowledgments after. So either the mover sees the word, or the instance sees the move.
A leaf acknowledges what it is about to serve before it serves it: what it has as current, what it loads as pending.

Nothing here trusts a root's or leaf's clock: when an acknowledgment was
written is asked of the store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trimtab.bundles.store.entry import MAX_ENTRY_BYTES
from trimtab.bundles.store.pointers import Pointer  # noqa: TC001  # msgspec reads the annotations at run time
from trimtab.errors import StoreError
from trimtab.signature import strict_json

if TYPE_CHECKING:
    from trimtab.bundles.store.pointers import Stage, Tier
    from trimtab.bundles.store.store import Store


class Acknowledgment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One instance's word. entry: the number of the last entry that it follows. in_force: what it holds since."""

    entry: int
    in_force: Pointer


class Acknowledged(Struct, frozen=True, kw_only=True):
    """An acknowledgment with whose it is, and its age in seconds by the store's clock."""

    instance: str
    said: Acknowledgment
    age_s: float


def acknowledge(store: Store, name: str, tier: Tier, stage: Stage, *, instance: str, said: Acknowledgment) -> None:
    """Write what an instance has in force. instance: a name of its own, such as its host's."""
    store.storage.replace(_key(name, tier, stage, instance), msgspec.json.encode(said, order="sorted") + b"\n")


def withdraw(store: Store, name: str, tier: Tier, stage: Stage, instance: str) -> None:
    """Take an instance's word away: it has ended, or somebody answers for it that it has."""
    store.storage.delete(_key(name, tier, stage, instance))


def acknowledged(store: Store, name: str, tier: Tier, stage: Stage) -> list[Acknowledged]:
    """The word of every instance, sorted by instance. What cannot be read raises StoreError: silence is no consent."""
    storage = store.storage
    prefix = f"acknowledged/{name}/{tier}/{stage}/"
    now = store.now()
    found = []
    for key in storage.keys(prefix):
        data, written = storage.read(key, MAX_ENTRY_BYTES), storage.changed_at(key)
        if data is None or written is None:
            continue  # withdrawn since the keys were listed
        said = decode_acknowledgment(data, f"{store.name}: {key}")
        found.append(
            Acknowledged(instance=key.removeprefix(prefix).removesuffix(".json"), said=said, age_s=now - written)
        )
    return found


def decode_acknowledgment(data: bytes, where: str) -> Acknowledgment:
    """Read what an instance wrote. StoreError for anything else."""
    try:
        return msgspec.convert(strict_json.parse(data, where=where, error=StoreError), Acknowledgment)
    except msgspec.ValidationError as failure:
        raise StoreError(
            str(failure),
            where=where,
            hint="Was it damaged? The instance writes it again while it runs; of one that has ended, remove it.",
        ) from None


def _key(name: str, tier: Tier, stage: Stage, instance: str) -> str:
    if not _INSTANCE.fullmatch(instance):
        raise StoreError(expected="the name of an instance: letters, digits, dots, dashes", got=repr(instance)[:100])
    return f"acknowledged/{name}/{tier}/{stage}/{instance}.json"


_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
