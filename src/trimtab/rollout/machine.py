"""The moves of a rollout, as pure functions from what is in force and what is known to the next entry of the history.

Forward: roots of the canary take both bundles, leaves of the canary serve the pending one, the canary is analyzed,
roots of production take both, leaves of production serve the pending one, all roots drop the former one. Back, from
anywhere: roots take both where they no longer do, leaves serve the former one, roots drop the pending one.

What a move has to wait for is read off the pointers that it changes, and not listed by position:

- where a leaf's pointer changes, every root of that stage must have followed the entry that covers it;
- where a root's pointer drops a bundle, no leaf of that stage may say that it serves it, or is about to.

A root whose word is older than the store's lease is not awaited: it has no lease, and trims only what never goes stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.bundles.store.entry import Entry, Position, Rollout, first_entry, following
from trimtab.bundles.store.pointers import Pointer, Pointers, Stage, Tier
from trimtab.errors import MoveRefusedError
from trimtab.rollout.awaited import Awaited, AwaitedError, leaves_awaited, roots_awaited

if TYPE_CHECKING:
    from trimtab.bundles.store.entry import Analysis
    from trimtab.rollout.evidence import Evidence


def start(head: Entry | None, *, name: str, pending: str, by: str, why: str) -> Entry:
    """The first entry of a rollout: roots of the canary take the bundle in force and `pending`.

    head: the history's last entry, None where it has not begun. name: the bundle's. pending: a bundle's digest.
    Raises MoveRefusedError while another rollout is in motion, and where `pending` is what is in force.
    """
    pointers = Pointers() if head is None else head.pointers
    if head is not None and head.rollout is not None and not head.rollout.position.over:
        hint = _GO_ON_BACK if head.rollout.position.back else _FINISH
        raise _refused(
            head, f"a rollout of {_short(head.rollout.pending)} is in motion, at {head.rollout.position}", hint
        )
    current = pointers.root_production.current
    if pointers != _settled(current):
        raise _refused(head, "the pointers are not those of a rollout that is over", "Check it: trimtab store verify")
    if pending == current:
        raise _refused(head, "nothing to do: this bundle is in force", "Build another: trimtab bundle build")
    rollout = Rollout(
        started=1 if head is None else head.number + 1,
        current=current,
        pending=pending,
        position=Position.ROOT_CANARY,
    )
    moved = pointers.moved(Tier.ROOT, Stage.CANARY, _both(rollout))
    if head is None:
        return first_entry(name, by=by, why=why, move="start", pointers=moved, rollout=rollout)
    return following(head, by=by, why=why, move="start", pointers=moved, rollout=rollout)


def advance(
    head: Entry, evidence: Evidence, *, to: Position | None = None, analysis: Analysis | None = None, by: str, why: str
) -> Entry:
    """The next step forward.

    to: the one position that it may lead to; None for whichever is next. analysis: what lets the rollout pass its
    canary; asked for at LEAF_CANARY, and nowhere else.
    Raises MoveRefusedError where there is no next step, or another one, it is held, or the analysis is missing or not
    passed; AwaitedError where roots or leaves have not followed yet.
    """
    rollout = _in_motion(head)
    if rollout.held:
        raise _refused(head, f"the rollout is held: {rollout.held}", _RELEASE)
    position = _FORWARD.get(rollout.position)
    if position is None:
        raise _refused(head, f"the rollout is on its way back ({rollout.position})", _GO_ON_BACK)
    if to not in (None, position):
        raise _refused(head, f"the next step leads to {position}, and not to {to}", _NEXT)
    _check_analysis(head, analysis)
    pointers = _forward(head.pointers, position, rollout)
    _wait(head, position, awaited_for(head, position, pointers, evidence))
    moved = _at_position(rollout, position, analysis or rollout.analysis)
    return following(head, by=by, why=why, move="advance", pointers=pointers, rollout=moved)


def hold(head: Entry, *, by: str, why: str) -> Entry:
    """Keep the rollout from going forward until it is released; it may still go back. why: the reason, not empty."""
    rollout = _in_motion(head)
    if rollout.position.back:
        raise _refused(head, "the rollout is on its way back, which nothing holds", _GO_ON_BACK)
    if rollout.held:
        raise _refused(head, f"the rollout is held already: {rollout.held}", _RELEASE)
    if not why.strip():
        raise _refused(head, "nobody would know why it is held", "Say why: trimtab rollout hold --why TEXT")
    return following(head, by=by, why=why, move="hold", rollout=replace(rollout, held=why))


def release(head: Entry, *, by: str, why: str) -> Entry:
    """Let a held rollout go on."""
    rollout = _in_motion(head)
    if not rollout.held:
        raise _refused(head, "the rollout is not held", "Let it go on: trimtab rollout advance")
    return following(head, by=by, why=why, move="release", rollout=replace(rollout, held=""))


def go_back(head: Entry, evidence: Evidence, *, move: str = "abort", by: str, why: str) -> Entry:
    """The next step back towards the bundle that was in force before; a hold does not keep it.

    move: `abort`, which ends a rollout in motion, or `rollback`, which undoes one that has settled, too.
    Raises MoveRefusedError where nothing is to be undone; AwaitedError where roots or leaves have not followed yet.
    """
    position = next_position_back(head)
    rollout = head.rollout
    if position is None or rollout is None:
        raise _refused(head, "there is no rollout to undo", _NOTHING_TO_UNDO)
    if rollout.position is Position.SETTLED:
        if move == "abort":
            raise _refused(head, "the rollout has settled", "Undo it all the same: trimtab rollout rollback")
        if rollout.current is None:
            raise _refused(
                head, "no bundle was in force before this one", "Roll out a better one: trimtab rollout start BUNDLE"
            )
    pointers = _backward(head.pointers, position, rollout)
    _wait(head, position, awaited_for(head, position, pointers, evidence))
    moved = _at_position(rollout, position, rollout.analysis)
    return following(head, by=by, why=why, move=move, pointers=pointers, rollout=moved)


def next_position(head: Entry) -> Position | None:
    """Where the rollout goes next when it is let go on: forward, or further back; None when it is over."""
    if head.rollout is None or head.rollout.position.over:
        return None
    return _FORWARD.get(head.rollout.position) or next_position_back(head)


def next_position_back(head: Entry) -> Position | None:
    """Where the rollout goes next on its way back; None when there is nothing to undo."""
    rollout = head.rollout
    if rollout is None or rollout.position is Position.ROLLED_BACK:
        return None
    if rollout.position is Position.SETTLED:
        return Position.COVERING_BACK
    serving = [head.pointers.at(Tier.LEAF, stage).current for stage in Stage]
    return Position.LEAVES_BACK if rollout.pending in serving else Position.ROLLED_BACK


def awaited_next(head: Entry, evidence: Evidence, *, back: bool = False) -> tuple[Awaited, ...]:
    """Who has to follow before the next step can be made: forward, or back; empty when nobody is awaited."""
    position = next_position_back(head) if back else next_position(head)
    rollout = head.rollout
    if position is None or rollout is None:
        return ()
    step = _backward if position.back else _forward
    return awaited_for(head, position, step(head.pointers, position, rollout), evidence)


def awaited_for(head: Entry, position: Position, after: Pointers, evidence: Evidence) -> tuple[Awaited, ...]:
    """Who has to follow before the pointers may become `after`."""
    before = head.pointers
    found: list[Awaited] = []
    for stage in Stage:
        root, stays = before.at(Tier.ROOT, stage), after.at(Tier.ROOT, stage)
        if before.at(Tier.LEAF, stage) != after.at(Tier.LEAF, stage):
            found += roots_awaited(head, stage, root, evidence)
        if not stays.covers(root):
            found += leaves_awaited(stage, stays, evidence)
    if position is Position.ANALYZED:  # what no leaf serves is not analyzed
        found += leaves_awaited(Stage.CANARY, before.leaf_canary, evidence, serving=True)
    return tuple(found)


def _forward(before: Pointers, position: Position, rollout: Rollout) -> Pointers:
    match position:
        case Position.LEAF_CANARY:
            return before.moved(Tier.LEAF, Stage.CANARY, Pointer(rollout.pending))
        case Position.ROOT_PRODUCTION:
            return before.moved(Tier.ROOT, Stage.PRODUCTION, _both(rollout))
        case Position.LEAF_PRODUCTION:
            return before.moved(Tier.LEAF, Stage.PRODUCTION, Pointer(rollout.pending))
        case Position.SETTLED:
            return _settled(rollout.pending)
        case _:
            return before


def _backward(before: Pointers, position: Position, rollout: Rollout) -> Pointers:
    if position is Position.ROLLED_BACK:
        return _settled(rollout.current)
    moves = (Tier.ROOT, _both(rollout)) if position is Position.COVERING_BACK else (Tier.LEAF, Pointer(rollout.current))
    for stage in Stage:
        before = before.moved(moves[0], stage, moves[1])
    return before


def _both(rollout: Rollout) -> Pointer:
    return Pointer(rollout.current, rollout.pending)


def _settled(bundle: str | None) -> Pointers:
    each = Pointer(bundle)
    return Pointers(root_canary=each, leaf_canary=each, root_production=each, leaf_production=each)


_FORWARD = {
    Position.ROOT_CANARY: Position.LEAF_CANARY,
    Position.LEAF_CANARY: Position.ANALYZED,
    Position.ANALYZED: Position.ROOT_PRODUCTION,
    Position.ROOT_PRODUCTION: Position.LEAF_PRODUCTION,
    Position.LEAF_PRODUCTION: Position.SETTLED,
}


def _in_motion(head: Entry) -> Rollout:
    if head.rollout is None or head.rollout.position.over:
        raise _refused(head, f"no rollout is in motion: {_at(head)}", "Start one: trimtab rollout start BUNDLE")
    return head.rollout


def _check_analysis(head: Entry, analysis: Analysis | None) -> None:
    at_canary = head.rollout is not None and head.rollout.position is Position.LEAF_CANARY
    if not at_canary and analysis is not None:
        raise _refused(head, f"no analysis is asked for at {_at(head)}", "Advance without one: trimtab rollout advance")
    if not at_canary:
        return
    if analysis is None:
        raise _refused(head, "the canary was not analyzed", _ANALYZE)
    if analysis.verdict != "pass" and not analysis.without.strip():
        hint = _MEASURE_LONGER if analysis.verdict == "inconclusive" else _ABORT
        raise _refused(head, f"the verdict on the canary is {analysis.verdict!r}, not 'pass'", hint)


def _at_position(rollout: Rollout, position: Position, analysis: Analysis | None) -> Rollout:
    return replace(rollout, position=position, held="", analysis=analysis)


def _wait(head: Entry, position: Position, awaited: tuple[Awaited, ...]) -> None:
    if awaited:
        raise AwaitedError(
            f"the move to {position} has to wait for those who have not followed",
            where=_where(head),
            hint="\n  ".join([*map(str, awaited), "Or wait in the command: --wait SECONDS"]),
            awaited=awaited,
        )


def _refused(head: Entry | None, problem: str, hint: str) -> MoveRefusedError:
    return MoveRefusedError(problem, where=_where(head), hint=hint)


def _where(head: Entry | None) -> str:
    return "" if head is None else f"{head.name}, entry {head.number}"


def _at(head: Entry) -> str:
    return str(head.rollout.position) if head.rollout is not None else "its beginning"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


_FINISH = "Finish it (trimtab rollout advance), or undo it (trimtab rollout abort), then start this one."
_GO_ON_BACK = "Go on with it: trimtab rollout rollback"
_NEXT = "See how far it is: trimtab rollout status"
_NOTHING_TO_UNDO = (
    "See what is in force: trimtab rollout status. A bundle from before that one returns as a new one, built of its"
    " artifacts: trimtab bundle build"
)
_RELEASE = "Let it go on: trimtab rollout hold --release"
_ANALYZE = (
    "Compare it with the baseline and hand in the report: trimtab canary analyze CONFIG --report REPORT.json, then"
    " trimtab rollout advance --analysis REPORT.json. To answer for it yourself: --without-analysis --why TEXT"
)
_MEASURE_LONGER = "Measure longer, then hand in another report: trimtab canary analyze CONFIG --report REPORT.json"
_ABORT = "Undo the rollout: trimtab rollout abort"
