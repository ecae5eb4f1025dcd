"""What a bundle must be before it is rolled out: built on the one in force, at peace with the past, and past the gate.

A root that has lost touch with its store goes on trimming requests that name a version which it knows. That is safe
because a version never changes its inputs: not in the next bundle, not in one that was rolled back in between and that
some root still holds, not in a bundle of another name. Here that is held.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.stability.gate import Candidate, gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.bundle import Bundle, BundledVersion
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store
    from trimtab.stability.configuration import Configuration


def check_start(store: Store, head: Entry | None, pending: Bundle, configuration: Configuration | None) -> None:
    """Refuse, with MoveRefusedError, a bundle that must not follow what is in force.

    StoreError for one that is not in the store, or is damaged there.

    head: the history's last entry, None where it has not begun. configuration: what the gate holds models to; None for
    no gate, as of a bundle that was built without one.
    Reads the bundle itself, the one in force, those that were rolled back, and those in force under other names.
    """
    if not store.has_bundle(pending.digest):
        raise StoreError(
            "the bundle is not in the store, so no root could take it",
            where=f"{store.name}: bundle {pending.name}, serial {pending.serial}",
            hint="Publish it first: trimtab store publish BUNDLE",
        )
    store.bundle(pending.digest)  # what roots will read
    current = None if head is None else head.pointers.at(Tier.ROOT, Stage.PRODUCTION).current
    live = None if current is None else store.bundle(current)
    if live is not None:
        _check_built_on(live, pending)
    for known in _others(store, head, pending.name):
        _check_in_place(known, pending)
    if live is not None:
        _check_in_place(_Known(live, "the bundle in force"), pending)
        if configuration is not None:
            _check_gate(store, live, pending, configuration)


class _Known(Struct, frozen=True):
    """A bundle that some root may hold, and how to call it."""

    bundle: Bundle
    called: str


def _check_built_on(live: Bundle, pending: Bundle) -> None:
    """It carries on the history of published inputs, by which models are attested stable."""
    place = f"bundle {pending.name}, serial {pending.serial}"
    rebuild = (
        "Take the bundle in force out of the store, and build on it: trimtab bundle build REPOSITORY -o FILE"
        " --previous FILE_IN_FORCE. To go back to the one before: trimtab rollout rollback"
    )
    if pending.serial <= live.serial:
        raise MoveRefusedError(
            "the bundle is not built on the one in force",
            where=place,
            expected=f"serial {live.serial + 1} or higher",
            got=str(pending.serial),
            hint=rebuild,
        )
    for name, model in live.models.items():
        after = pending.models.get(name)
        lost = model.published.keys() - (after.published.keys() if after is not None else ())
        if lost:
            raise MoveRefusedError(
                "the bundle does not know what was published before, so it is not built on the one in force",
                where=f"{place}: {name}",
                expected=f"the inputs of version {model.published[min(lost)]} among those published",
                got="nothing of them",
                hint=rebuild,
            )


def _others(store: Store, head: Entry | None, name: str) -> Iterator[_Known]:
    """Bundles besides the one in force that a root may hold: those that were rolled back, and those of other names.

    What was in force before is covered by the one in force: that one was held to it when it was started. Each comes
    once, however often it was rolled back.
    """
    called: dict[str, str] = {}
    while head is not None and head.rollout is not None:
        if head.rollout.position is Position.ROLLED_BACK:
            called.setdefault(head.rollout.pending, f"the bundle that was rolled back (entry {head.rollout.started})")
        head = store.entry(head.name, head.rollout.started - 1) if head.rollout.started > 1 else None
    for other in store.names():
        entry = store.head(other) if other != name else None
        for digest in sorted(entry.pointers.bundles) if entry is not None else ():
            called.setdefault(digest, f"the bundle {other} of this store")
    for digest, words in called.items():
        yield _Known(store.bundle(digest), words)


def _check_in_place(known: _Known, pending: Bundle) -> None:
    """No version has other inputs than it had where it was known before."""
    for name, model in pending.models.items():
        before = known.bundle.models.get(name)
        for number, version in model.versions.items():
            was = before.versions.get(number) if before is not None else None
            if was is not None and was.input_digest != version.input_digest:
                raise MoveRefusedError(
                    f"version {number} of {name} changed its inputs in place",
                    where=f"bundle {pending.name}, serial {pending.serial}",
                    expected=f"the inputs that {known.called} has under that number ({was.input_digest[:19]})",
                    got=version.input_digest[:19],
                    hint="A root that is out of touch trims by what it knows of that version. Give it another number"
                    f" or a name of its own: trimtab fork REPOSITORY {name} NEW_NAME --version {number}",
                )


def _check_gate(store: Store, live: Bundle, pending: Bundle, configuration: Configuration) -> None:
    candidates = [
        Candidate(model, store.signature(was.digest), store.signature(new.digest))
        for model, was, new in _changed(live, pending)
    ]
    verdict = gate(candidates, configuration, datetime.datetime.now(datetime.UTC).date())
    standing = [change for change in verdict.changes if change.level == "error"]
    if standing:
        first = standing[0]
        more = f" (and {len(standing) - 1} more)" if len(standing) > 1 else ""
        raise MoveRefusedError(
            f"the gate refuses it: {first.rule}{more}",
            where=f"bundle {pending.name}, serial {pending.serial}: {first.model}: {first.where}",
            hint=f"All of it: trimtab check BUNDLE --against {store.name}"
            "\n  Where the bundle was built without the gate on purpose, start it so, too: --gate none",
        )


def _changed(live: Bundle, pending: Bundle) -> Iterator[tuple[str, BundledVersion, BundledVersion]]:
    """Versions whose signature differs from that of the live version which they replace or follow."""
    for name, model in pending.models.items():
        before = live.models.get(name)
        if before is None or not before.versions:
            continue
        for number, version in model.versions.items():
            follows = max((each for each in before.versions if int(each) <= int(number)), key=int, default="")
            was = before.versions[follows or min(before.versions, key=int)]
            if was.digest != version.digest:
                yield name, was, version
