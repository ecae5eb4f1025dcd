"""One entry of a bundle's history: who moved what when and why, and everything that is in force since.

The history is the only thing in a store that grows, and its last entry the only thing that says what is in force.
An entry is created where none of its number exists, in one atomic step, so that of two who move at once one loses and
knows it, and a crash leaves the state before or the state after. Each entry names the hash of the one before it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from trimtab.bundles.store.pointers import Digest, Pointers  # noqa: TC001  # msgspec reads the annotations at run time
from trimtab.bundles.store.versioned import decode_versioned
from trimtab.errors import StoreError

ENTRY_VERSION = 1
"""The newest form of an entry that this code reads, and the one that it writes."""

MAX_ENTRY_BYTES = 1 << 20


class Position(StrEnum):
    """How far a rollout has come. Forward, in this order; the last three are the way back."""

    ROOT_CANARY = "root_canary"
    """Roots of the canary trim by current and pending."""
    LEAF_CANARY = "leaf_canary"
    """Leaves of the canary serve pending."""
    ANALYZED = "analyzed"
    """The canary was compared with the baseline, and passed."""
    ROOT_PRODUCTION = "root_production"
    """All roots trim by current and pending."""
    LEAF_PRODUCTION = "leaf_production"
    """All leaves serve pending."""
    SETTLED = "settled"
    """Roots trim by pending alone: done."""
    COVERING_BACK = "covering_back"
    """After it had settled: all roots trim by both again, before any leaf goes back."""
    LEAVES_BACK = "leaves_back"
    """All leaves serve current again."""
    ROLLED_BACK = "rolled_back"
    """Roots trim by current alone: undone."""

    @property
    def over(self) -> bool:
        """Whether nothing is in motion any more."""
        return self in (Position.SETTLED, Position.ROLLED_BACK)

    @property
    def back(self) -> bool:
        """Whether the rollout is on its way back, or has come there."""
        return self in (Position.COVERING_BACK, Position.LEAVES_BACK, Position.ROLLED_BACK)


class Analysis(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What let a rollout pass its canary: the verdict, and the hash of the report; or the words of who did without."""

    verdict: str
    report: str = ""
    without: str = ""


class Rollout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rollout that an entry belongs to.

    started: the number of its first entry, which names the rollout. current: what was in force before, None before the
    first. pending: what is to be. held: why it must not go on; empty when it may.
    """

    started: int
    current: Digest | None
    pending: Digest
    position: Position
    held: str = ""
    analysis: Analysis | None = None


_Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry.

    name: the bundle's. number: from 1, without gaps. previous: the hash of the entry before, empty for the first.
    at: RFC 3339 in UTC, by the clock of who wrote it: for people, nothing is decided by it. by, why: who, and their
    words. move: what was done, as one word (start, advance, hold, release, abort, rollback).
    """

    entry_version: int = ENTRY_VERSION
    name: _Name
    number: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    previous: str
    at: str
    by: str
    why: str
    move: str
    pointers: Pointers
    rollout: Rollout | None = None

    @property
    def hash(self) -> str:
        """`sha256:…` of the entry's bytes."""
        return f"sha256:{hashlib.sha256(encode_entry(self)).hexdigest()}"


def first_entry(name: str, *, by: str, why: str, move: str, pointers: Pointers, rollout: Rollout | None) -> Entry:
    """The entry that a history begins with."""
    return Entry(
        name=name, number=1, previous="", at=now(), by=by, why=why, move=move, pointers=pointers, rollout=rollout
    )


def following(
    entry: Entry, *, by: str, why: str, move: str, pointers: Pointers | None = None, rollout: Rollout | None = None
) -> Entry:
    """The entry after `entry`; pointers and rollout stay as they are where none are given."""
    return Entry(
        name=entry.name,
        number=entry.number + 1,
        previous=entry.hash,
        at=now(),
        by=by,
        why=why,
        move=move,
        pointers=pointers or entry.pointers,
        rollout=rollout or entry.rollout,
    )


def now() -> str:
    """The time of day as entries state it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode_entry(entry: Entry) -> bytes:
    """The entry as one line of canonical JSON. StoreError for texts that are no Unicode."""
    try:
        return msgspec.json.encode(entry, order="sorted") + b"\n"
    except UnicodeEncodeError as failure:
        raise StoreError(
            where=f"{entry.name}, entry {entry.number}",
            expected="texts in UTF-8 (who and why)",
            got=ascii(failure.object)[:200],
            hint="Say them in UTF-8: --by NAME, --why TEXT",
        ) from None


def readable(entry: Entry) -> bytes:
    """An entry's bytes, for a history that keeps them for good. StoreError for one that nobody could read again."""
    data = encode_entry(entry)
    where = f"{entry.name}, entry {entry.number}"
    if len(data) > MAX_ENTRY_BYTES:
        raise StoreError(
            where=where,
            expected=f"an entry of at most {MAX_ENTRY_BYTES} bytes",
            got=f"{len(data)}",
            hint="What takes so much room is who and why: say it shorter (--by, --why), and where the rest is to be"
            " found.",
        )
    decode_entry(data, where)
    return data


def decode_entry(data: bytes, where: str) -> Entry:
    """Read an entry. StoreError for anything that is not exactly what `encode_entry` writes."""
    if len(data) > MAX_ENTRY_BYTES:
        raise StoreError(where=where, expected=f"an entry of at most {MAX_ENTRY_BYTES} bytes", got=f"{len(data)}")
    text = data.removesuffix(b"\n")
    hint = "Written by a newer trimtab? Upgrade this one: pip install --upgrade trimtab"
    try:
        entry = decode_versioned(text, Entry, key="entry_version", version=ENTRY_VERSION, where=where, hint=hint)
    except StoreError as failure:  # of pointers that break their law, which do not know where they are
        raise (failure if failure.where.startswith(where) else failure.within(where)) from None
    if encode_entry(entry) != data:
        raise StoreError("the entry is not written as entries are", where=where, hint=_DAMAGED)
    return entry


_DAMAGED = "Was it edited by hand or damaged? `trimtab store verify` tells what of the store is sound."
