"""How a rollout stands: its steps, what is in force, who has followed, and what the next move waits for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.store.entry import Analysis, Position
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.errors import StoreError
from trimtab.rollout import machine
from trimtab.rollout.awaited import MARGIN_S, Awaited
from trimtab.rollout.evidence import PLACES, gather

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.store.entry import Entry, Rollout
    from trimtab.bundles.store.pointers import Pointers
    from trimtab.bundles.store.store import Store
    from trimtab.rollout.evidence import Evidence


class Mark(StrEnum):
    """How a step stands."""

    DONE = "done"
    NOW = "now"
    HELD = "held"
    TO_COME = "to come"
    UNDOING = "undoing"
    UNDONE = "undone"


class Step(Struct, frozen=True):
    """One of the steps of a rollout."""

    name: str
    mark: Mark


class Follower(Struct, frozen=True, kw_only=True):
    """One instance's word. follows: it has what its pointer says. silent: a root whose lease must have run out."""

    tier: Tier
    stage: Stage
    instance: str
    entry: int
    in_force: Pointer
    age_s: float
    follows: bool
    silent: bool


class InForce(Struct, frozen=True, kw_only=True):
    """One pointer, with how many instances have acknowledged at all, and how many of them follow it."""

    tier: Tier
    stage: Stage
    pointer: Pointer
    acknowledged: int
    following: int


class RolloutStatus(Struct, frozen=True, kw_only=True):
    """Everything that `trimtab rollout status` tells.

    entry: the history's last. position: of the last rollout; empty where there was none. age_s, at_position_s: since it
    was started, and since it came to its position, by the store's clock. next: the position that comes next; empty when
    it is over. can_move: whether the move there may be made now; `needs` says what it needs besides those who are
    awaited. back: the position that going back would bring; empty where nothing is to be undone, and on the way back,
    where it is the next one. back_awaited: who has to follow before. notes: what whoever moves should know.
    serials: of the bundles named here.
    """

    name: str
    entry: int
    at: str
    by: str
    why: str
    position: str = ""
    held: str = ""
    started: int = 0
    started_by: str = ""
    started_why: str = ""
    age_s: float = 0.0
    at_position_s: float = 0.0
    current: str | None = None
    pending: str | None = None
    analysis: Analysis | None = None
    steps: tuple[Step, ...] = ()
    in_force: tuple[InForce, ...] = ()
    followers: tuple[Follower, ...] = ()
    next: str = ""
    can_move: bool = False
    needs: str = ""
    awaited: tuple[Awaited, ...] = ()
    back: str = ""
    back_awaited: tuple[Awaited, ...] = ()
    notes: tuple[str, ...] = ()
    serials: dict[str, int] = {}


def status(store: Store, name: str) -> RolloutStatus:
    """How the last rollout of a bundle name stands. StoreError where nothing was ever rolled out under it."""
    head = store.head(name)
    if head is None:
        raise StoreError(
            where=f"{store.name}: {name}",
            expected="a history",
            got="none",
            hint="Begin: trimtab rollout start BUNDLE",
        )
    evidence = gather(store, head)
    followers = tuple(_followers(head, evidence))
    rollout = head.rollout
    if rollout is None:
        return RolloutStatus(name=name, entry=head.number, at=head.at, by=head.by, why=head.why, followers=followers)
    first = store.entry(name, rollout.started) or head
    position = machine.next_position(head)
    awaited = machine.awaited_next(head, evidence)
    needs = _needs(head, rollout)
    back = _back(head, rollout)
    return RolloutStatus(
        name=name,
        entry=head.number,
        at=head.at,
        by=head.by,
        why=head.why,
        position=rollout.position,
        held=rollout.held,
        started=rollout.started,
        started_by=first.by,
        started_why=first.why,
        age_s=evidence.started_s,
        at_position_s=evidence.reached_s,
        current=rollout.current,
        pending=rollout.pending,
        analysis=rollout.analysis,
        steps=steps(rollout, head.pointers),
        in_force=tuple(_in_force(head, followers)),
        followers=followers,
        next=position or "",
        can_move=position is not None and not awaited and not needs,
        needs=needs,
        awaited=awaited,
        back=back,
        back_awaited=machine.awaited_next(head, evidence, back=True) if back else (),
        notes=tuple(_notes(position, evidence)),
        serials={digest: store.bundle(digest).serial for digest in sorted(_named(head))},
    )


STEPS = {
    Position.ROOT_CANARY: "root canary",
    Position.LEAF_CANARY: "leaf canary",
    Position.ANALYZED: "canary analysis",
    Position.ROOT_PRODUCTION: "root production",
    Position.LEAF_PRODUCTION: "leaf production",
}
"""The five steps, in their order."""


def steps(rollout: Rollout, pointers: Pointers) -> tuple[Step, ...]:
    """How each of the five steps stands."""
    if rollout.position.back:
        names = {f"{tier} {stage}": pointers.at(tier, stage) for tier, stage in PLACES}
        undoing = [name for name, pointer in names.items() if rollout.pending in pointer.bundles]
        return tuple(Step(name, Mark.UNDOING if name in undoing else Mark.UNDONE) for name in STEPS.values())
    reached = list(STEPS).index(rollout.position) if rollout.position in STEPS else len(STEPS)
    now = Mark.HELD if rollout.held else Mark.NOW
    return tuple(
        Step(name, Mark.DONE if number < reached else now if number == reached else Mark.TO_COME)
        for number, name in enumerate(STEPS.values())
    )


def _followers(head: Entry, evidence: Evidence) -> list[Follower]:
    return [
        Follower(
            tier=tier,
            stage=stage,
            instance=each.instance,
            entry=each.said.entry,
            in_force=each.said.in_force,
            age_s=each.age_s,
            follows=each.said.in_force == head.pointers.at(tier, stage),
            silent=tier is Tier.ROOT and each.age_s > evidence.lease_s + MARGIN_S,
        )
        for tier, stage in PLACES
        for each in evidence.words[tier, stage]
    ]


def _in_force(head: Entry, followers: tuple[Follower, ...]) -> list[InForce]:
    found = []
    for stage in Stage:
        for tier in Tier:
            there = [each for each in followers if (each.tier, each.stage) == (tier, stage)]
            found.append(
                InForce(
                    tier=tier,
                    stage=stage,
                    pointer=head.pointers.at(tier, stage),
                    acknowledged=len(there),
                    following=sum(each.follows for each in there),
                )
            )
    return found


def _needs(head: Entry, rollout: Rollout) -> str:
    if rollout.held:  # by the last entry: nothing goes on until it is released
        return f"to be released (trimtab rollout hold --release); held by {head.by} at {head.at[:19]}Z: {rollout.held}"
    if rollout.position is Position.LEAF_CANARY:
        return (
            "the report of the canary's analysis (trimtab canary analyze CONFIG --report REPORT.json, then trimtab"
            " rollout advance --analysis REPORT.json)"
        )
    return ""


def _back(head: Entry, rollout: Rollout) -> str:
    """Where `abort` or `rollback` would bring a rollout that is not on its way back."""
    if rollout.position.back or (rollout.position is Position.SETTLED and rollout.current is None):
        return ""
    return machine.next_position_back(head) or ""


_LEADS_ON = {Position.LEAF_CANARY: Stage.CANARY, Position.LEAF_PRODUCTION: Stage.PRODUCTION}
_RESTS_ON = {Position.ANALYZED: Stage.CANARY, Position.SETTLED: Stage.PRODUCTION}
"""Positions that wait for roots, and for leaves, with the stage where."""


def _notes(following: Position | None, evidence: Evidence) -> Iterator[str]:
    """That nobody is awaited where nobody has ever acknowledged: a root without --store looks like no root at all."""
    for tier, waits in ((Tier.ROOT, _LEADS_ON), (Tier.LEAF, _RESTS_ON)):
        stage = waits.get(following) if following is not None else None
        speaks = tier is Tier.LEAF or evidence.acknowledge
        if stage is not None and speaks and not evidence.words[tier, stage]:
            yield f"no {tier} of {stage} has acknowledged anything in this store, so that none is awaited"


def _named(head: Entry) -> set[str]:
    rollout = head.rollout
    both = {rollout.current, rollout.pending} if rollout is not None else set()
    return {*head.pointers.bundles, *(each for each in both if each is not None)}
