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
    from trimtab.bundles.store.entry import Entry, Rollout
    from trimtab.bundles.store.store import Store
    from trimtab.rollout.evidence import Evidence


class Mark(StrEnum):
    """How a step stands."""

    DONE = "done"
    NOW = "now"
    HELD = "held"
    TO_COME = "to come"
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

    entry: the history's last. position: of the last rollout; empty where there was none. age_s: since it was started,
    by the store's clock. next: the position that comes next; empty when it is over. can_move: whether the move there
    may be made now; `needs` says what it needs besides those who are awaited. serials: of the bundles named here.
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
    needs = _needs(rollout)
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
        current=rollout.current,
        pending=rollout.pending,
        analysis=rollout.analysis,
        steps=steps(rollout),
        in_force=tuple(_in_force(head, followers)),
        followers=followers,
        next=position or "",
        can_move=position is not None and not awaited and not needs,
        needs=needs,
        awaited=awaited,
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


def steps(rollout: Rollout) -> tuple[Step, ...]:
    """How each of the five steps stands."""
    if rollout.position.back:
        return tuple(Step(name, Mark.UNDONE) for name in STEPS.values())
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


def _needs(rollout: Rollout) -> str:
    if rollout.held:
        return f"to be released (trimtab rollout hold --release); held: {rollout.held}"
    if rollout.position is Position.LEAF_CANARY:
        return "the report of the canary's analysis (trimtab rollout advance --analysis REPORT.json)"
    return ""


def _named(head: Entry) -> set[str]:
    rollout = head.rollout
    both = {rollout.current, rollout.pending} if rollout is not None else set()
    return {*head.pointers.bundles, *(each for each in both if each is not None)}
