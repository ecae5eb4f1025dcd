"""The rollouts of one bundle name in a store: what each command does, from the history's end to its next entry.

Nothing is kept but the history. A command that is killed has appended its entry or has not, and the next command goes
on from what it finds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trimtab.bundles.store.acknowledged import acknowledged, withdraw
from trimtab.bundles.store.claims import claimed
from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.rollout import machine
from trimtab.rollout.awaited import AwaitedError
from trimtab.rollout.evidence import gather, without_leaves
from trimtab.rollout.reports import check_report
from trimtab.rollout.starting import check_start

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.store.entry import Analysis, Entry
    from trimtab.bundles.store.store import Store
    from trimtab.rollout.evidence import Evidence
    from trimtab.rollout.reports import Report
    from trimtab.stability.configuration import Configuration

POLL_S = 1.0
"""How often the store is asked again by a command that waits."""


class Rollouts:
    """What may be done with one bundle name.

    by, why of every method: who does it and their words, for the history. Every method raises MoveRefusedError where
    the order or the gate does not allow the move, AwaitedError where somebody has to follow first, and StoreError where
    the store fails or somebody else moved at the same moment.

    moved: called with each entry when it is in the history. waiting: called with each refusal that is waited out, and
    for how many seconds at most.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        moved: Callable[[Entry], None] = lambda _entry: None,
        waiting: Callable[[AwaitedError, float], None] = lambda _refusal, _left: None,
    ) -> None:
        self.store = store
        self.name = name
        self._sleep = sleep
        self._moved = moved
        self._waiting = waiting

    @property
    def head(self) -> Entry | None:
        """The history's last entry: what is in force. None where it has not begun."""
        return self.store.head(self.name)

    def start(self, pending: Bundle, *, configuration: Configuration | None, by: str, why: str) -> tuple[Entry, bool]:
        """Begin to roll out a bundle that lies in the store; the history's last entry, and whether it is a new one.

        Nothing is begun where the bundle is in force already, or its rollout is under way: whoever repeats a start that
        was cut short finds it done. configuration: what the gate holds changed models to; None for no gate.
        """
        head = self.head
        if head is not None and _is_started(head, pending.digest):
            return head, False
        entry = machine.start(head, name=self.name, pending=pending.digest, by=by, why=why)
        with claimed(self.store, pending.digest):
            check_start(self.store, head, pending, configuration)
            return self._append(entry), True

    def reached(self, position: Position) -> Entry | None:
        """The history's last entry, where the rollout is at a position by it; None where it is not."""
        head = self.head
        return head if head is not None and head.rollout is not None and head.rollout.position is position else None

    def advance(
        self,
        *,
        to: Position | None = None,
        report: Report | None = None,
        without_analysis: bool = False,
        gone: Collection[str] = (),
        wait_s: float = 0.0,
        by: str,
        why: str,
    ) -> Entry:
        """Make the next step forward.

        to: make the step that leads there and no other. report: of the canary's analysis, where one is asked for.
        without_analysis: `why` says who answers for it instead. gone: names of leaves that have ended for good; they
        are no longer awaited. wait_s: for how long to wait for those who have not followed.
        """
        why = self._with_gone(gone, why)

        def move(head: Entry, evidence: Evidence) -> Entry:
            analysis = _analysis(head, evidence, report, without_analysis, why)
            return machine.advance(head, evidence, to=to, analysis=analysis, by=by, why=why)

        return self._wait(move, gone, wait_s)

    def hold(self, *, by: str, why: str) -> Entry:
        """Keep the rollout from going forward; it may still go back."""
        return self._append(machine.hold(self._required_head(), by=by, why=why))

    def release(self, *, by: str, why: str) -> Entry:
        """Let a held rollout go on."""
        return self._append(machine.release(self._required_head(), by=by, why=why))

    def go_back(
        self, move: str, *, gone: Collection[str] = (), wait_s: float = 0.0, by: str, why: str
    ) -> tuple[Entry, tuple[Entry, ...]]:
        """Make every step back that can be made; the history's last entry, and those that were appended.

        move: `abort`, for a rollout in motion, or `rollback`, for one that has settled, too. Raises AwaitedError where
        the next step has to wait, with those made so far in its `moved`; doing it again goes on.
        """
        why = self._with_gone(gone, why)
        made: list[Entry] = []
        deadline = time.monotonic() + wait_s
        while True:
            try:
                entry = self._wait(
                    lambda head, evidence: machine.go_back(head, evidence, move=move, by=by, why=why),
                    gone,
                    deadline - time.monotonic(),
                )
            except AwaitedError as refusal:
                refusal.moved = tuple(each.number for each in made)
                raise
            made.append(entry)
            if entry.rollout is not None and entry.rollout.position is Position.ROLLED_BACK:
                return entry, tuple(made)

    def _wait(self, move: Callable[[Entry, Evidence], Entry], gone: Collection[str], wait_s: float) -> Entry:
        """Make a move, or try again until there is no time left.

        The words of leaves that are gone are withdrawn last: what somebody answers for is in the history before.
        """
        deadline = time.monotonic() + wait_s
        while True:
            head = self._required_head()
            try:
                entry = self._append(move(head, without_leaves(gather(self.store, head), gone)))
            except AwaitedError as refusal:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                self._waiting(refusal, left)
                self._sleep(min(POLL_S, left))
            else:
                for stage in Stage:
                    for instance in gone:
                        withdraw(self.store, self.name, Tier.LEAF, stage, instance)
                return entry

    def _append(self, entry: Entry) -> Entry:
        other = entry if self.store.append(entry) else self.store.entry(self.name, entry.number)
        if other == entry:  # also where it was written, and the answer was lost
            self._moved(entry)
            return entry
        did = (
            "" if other is None else f"{other.move} by {other.by} at {other.at}" + (f": {other.why}" * bool(other.why))
        )
        raise StoreError(
            "somebody else was quicker",
            where=f"{self.store.name}: {self.name}, entry {entry.number}",
            expected="to be the only one who moves",
            got=did,
            hint="See what is in force now, and decide again: trimtab rollout status",
        )

    def _required_head(self) -> Entry:
        head = self.head
        if head is None:
            raise MoveRefusedError(
                "nothing was ever rolled out",
                where=f"{self.store.name}: {self.name}",
                hint="Begin: trimtab rollout start BUNDLE",
            )
        return head

    def _with_gone(self, gone: Collection[str], why: str) -> str:
        """What to write into the history of leaves that have ended. MoveRefusedError for what is no leaf."""
        leaves = {each for stage in Stage for each in self._instances(Tier.LEAF, stage)}
        for instance in gone:
            if instance not in leaves:
                raise self._unknown(instance, leaves)
        said = f"ended for good: {', '.join(gone)}" if gone else ""
        return "; ".join(part for part in (why, said) if part)

    def _instances(self, tier: Tier, stage: Stage) -> set[str]:
        return {each.instance for each in acknowledged(self.store, self.name, tier, stage)}

    def _unknown(self, instance: str, leaves: set[str]) -> MoveRefusedError:
        roots = {each for stage in Stage for each in self._instances(Tier.ROOT, stage)}
        if instance in roots:
            return MoveRefusedError(
                "nobody can answer for a root: while it holds its lease it trims",
                where=instance,
                hint=f"Wait until it is silent for longer than the lease ({self.store.settings.lease_s:g} s): --wait",
            )
        return MoveRefusedError(
            where="--gone",
            expected=f"a leaf that has acknowledged ({', '.join(sorted(leaves)) or 'none has'})",
            got=instance,
            hint="See who has: trimtab rollout status. One whose word was withdrawn already is awaited no longer.",
        )


def _is_started(head: Entry, pending: str) -> bool:
    """Whether a start of this bundle has nothing left to do."""
    if head.rollout is None or head.rollout.pending != pending:
        return False
    return not head.rollout.position.back


def _analysis(head: Entry, evidence: Evidence, report: Report | None, without: bool, why: str) -> Analysis | None:
    if report is not None:
        return check_report(report, head, evidence)
    if not without:
        return None
    from trimtab.bundles.store.entry import Analysis

    return Analysis(verdict="without", without=why)
