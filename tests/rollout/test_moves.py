"""The moves of a rollout, as a table: what each makes of the pointers, whom it awaits, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimtab.bundles.store.acknowledged import Acknowledged, Acknowledgment
from trimtab.bundles.store.entry import Analysis, Entry, Position
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.errors import MoveRefusedError
from trimtab.rollout import machine
from trimtab.rollout.awaited import AwaitedError
from trimtab.rollout.evidence import Evidence, Moved, Place

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
NAMES = {A: "A", B: "B", C: "C"}
PASS = Analysis(verdict="pass", report=C)
LEASE_S = 600.0
WHO = {"by": "ada", "why": "because"}


def evidence(
    words: dict[Place, list[tuple[str, int, Pointer, float]]] | None = None,
    *,
    moved: dict[Place, Moved] | None = None,
    acknowledge: bool = True,
) -> Evidence:
    """What instances said: name, entry, what is in force, and how many seconds ago."""
    return Evidence(
        lease_s=LEASE_S,
        acknowledge=acknowledge,
        words={
            place: tuple(
                Acknowledged(instance=name, said=Acknowledgment(entry=entry, in_force=pointer), age_s=age)
                for name, entry, pointer, age in said
            )
            for place, said in (words or {}).items()
        },
        moved=moved or {},
    )


NOBODY = evidence()


def settled(pending: str = A) -> Entry:
    return forward(machine.start(None, name="ads", pending=pending, **WHO), Position.SETTLED)


def forward(head: Entry, to: Position) -> Entry:
    while head.rollout is not None and head.rollout.position is not to:
        analysis = PASS if head.rollout.position is Position.LEAF_CANARY else None
        head = machine.advance(head, NOBODY, analysis=analysis, **WHO)
    return head


def rollout(to: Position = Position.ROOT_CANARY) -> Entry:
    """A rollout of B after A, brought to a position."""
    return forward(machine.start(settled(), name="ads", pending=B, **WHO), to)


def in_force(entry: Entry) -> str:
    """The four pointers in four words: root and leaf of the canary, root and leaf of production."""
    places = [(tier, stage) for stage in Stage for tier in Tier]
    return " ".join("+".join(NAMES[each] for each in entry.pointers.at(*place).bundles) or "-" for place in places)


FORWARD = {
    Position.ROOT_CANARY: "A+B A A A",
    Position.LEAF_CANARY: "A+B B A A",
    Position.ANALYZED: "A+B B A A",
    Position.ROOT_PRODUCTION: "A+B B A+B A",
    Position.LEAF_PRODUCTION: "A+B B A+B B",
    Position.SETTLED: "B B B B",
}


@pytest.mark.parametrize(("position", "pointers"), FORWARD.items())
def test_forward(position: Position, pointers: str) -> None:
    entry = rollout(position)
    assert in_force(entry) == pointers
    assert entry.rollout is not None
    assert (entry.rollout.started, entry.rollout.current, entry.rollout.pending) == (7, A, B)
    assert entry.number == 7 + list(FORWARD).index(position)


BACK = {
    Position.ROOT_CANARY: ["rolled_back: A A A A"],
    Position.LEAF_CANARY: ["leaves_back: A+B A A A", "rolled_back: A A A A"],
    Position.ANALYZED: ["leaves_back: A+B A A A", "rolled_back: A A A A"],
    Position.ROOT_PRODUCTION: ["leaves_back: A+B A A+B A", "rolled_back: A A A A"],
    Position.LEAF_PRODUCTION: ["leaves_back: A+B A A+B A", "rolled_back: A A A A"],
    Position.SETTLED: ["covering_back: A+B B A+B B", "leaves_back: A+B A A+B A", "rolled_back: A A A A"],
}


@pytest.mark.parametrize(("position", "path"), BACK.items())
def test_back_from_anywhere(position: Position, path: list[str]) -> None:
    head, came = rollout(position), []
    while machine.next_position_back(head) is not None:
        head = machine.go_back(head, NOBODY, move="rollback", **WHO)
        assert head.rollout is not None
        came.append(f"{head.rollout.position}: {in_force(head)}")
    assert came == path
    assert machine.start(head, name="ads", pending=B, **WHO).number == head.number + 1


def test_a_first_rollout_goes_back_to_nothing() -> None:
    head = forward(machine.start(None, name="ads", pending=A, **WHO), Position.LEAF_CANARY)
    assert in_force(head) == "A A - -"
    for _ in range(2):
        head = machine.go_back(head, NOBODY, **WHO)
    assert in_force(head) == "- - - -"


Move = Callable[[], Entry]
REFUSED: dict[str, tuple[Move, str]] = {
    "start what is in force": (lambda: machine.start(settled(), name="ads", pending=A, **WHO), "is in force"),
    "start twice": (lambda: machine.start(rollout(), name="ads", pending=C, **WHO), "is in motion"),
    "advance when over": (lambda: machine.advance(settled(), NOBODY, **WHO), "no rollout is in motion"),
    "advance while held": (
        lambda: machine.advance(machine.hold(rollout(), by="ada", why="lunch"), NOBODY, **WHO),
        "held: lunch",
    ),
    "advance on the way back": (
        lambda: machine.advance(machine.go_back(rollout(Position.LEAF_CANARY), NOBODY, **WHO), NOBODY, **WHO),
        "on its way back",
    ),
    "advance without analysis": (
        lambda: machine.advance(rollout(Position.LEAF_CANARY), NOBODY, **WHO),
        "was not analyzed",
    ),
    "advance with a failed analysis": (
        lambda: machine.advance(rollout(Position.LEAF_CANARY), NOBODY, analysis=Analysis(verdict="fail"), **WHO),
        "rollout abort",
    ),
    "advance with an inconclusive analysis": (
        lambda: machine.advance(
            rollout(Position.LEAF_CANARY), NOBODY, analysis=Analysis(verdict="inconclusive"), **WHO
        ),
        "Measure longer",
    ),
    "an analysis too early": (lambda: machine.advance(rollout(), NOBODY, analysis=PASS, **WHO), "no analysis is asked"),
    "hold nothing": (lambda: machine.hold(settled(), **WHO), "no rollout is in motion"),
    "hold without a word": (lambda: machine.hold(rollout(), by="ada", why=" "), "Say why"),
    "hold twice": (lambda: machine.hold(machine.hold(rollout(), **WHO), **WHO), "held already"),
    "hold the way back": (
        lambda: machine.hold(machine.go_back(rollout(Position.LEAF_CANARY), NOBODY, **WHO), **WHO),
        "on its way back",
    ),
    "release what is not held": (lambda: machine.release(rollout(), **WHO), "not held"),
    "abort what has settled": (lambda: machine.go_back(rollout(Position.SETTLED), NOBODY, **WHO), "rollout rollback"),
    "roll back the first": (
        lambda: machine.go_back(settled(), NOBODY, move="rollback", **WHO),
        "no bundle was in force before",
    ),
    "roll back twice": (
        lambda: machine.go_back(machine.go_back(rollout(), NOBODY, **WHO), NOBODY, **WHO),
        "no rollout to undo",
    ),
}


@pytest.mark.parametrize(("move", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(move: Move, says: str) -> None:
    with pytest.raises(MoveRefusedError, match=says):
        move()


def test_a_hold_is_released_and_does_not_keep_from_going_back() -> None:
    held = machine.hold(rollout(Position.LEAF_CANARY), by="ada", why="lunch")
    assert held.rollout is not None
    assert held.rollout.held == "lunch"
    released = machine.release(held, **WHO)
    assert forward(released, Position.SETTLED).pointers == rollout(Position.SETTLED).pointers
    back = machine.go_back(held, NOBODY, **WHO)
    assert back.rollout is not None
    assert (back.rollout.position, back.rollout.held) == (Position.LEAVES_BACK, "")


ROOT, LEAF = (Tier.ROOT, Stage.CANARY), (Tier.LEAF, Stage.CANARY)
MOVED = {ROOT: Moved(7, 0.0, 5.0)}
ROOTS = [
    ("follows", (7, Pointer(A, B), 1.0), False),
    ("followed later entries", (8, Pointer(A, B), 1.0), False),
    ("holds the old bundle", (6, Pointer(A), 1.0), True),
    ("holds the old bundle, at the end of its lease", (6, Pointer(A), LEASE_S + 1), True),
    ("holds the old bundle, without a lease", (6, Pointer(A), LEASE_S + 1.1), False),
    ("says the entry and has another bundle", (7, Pointer(B), 1.0), True),
    ("had the same two bundles once before", (6, Pointer(A, B), 1.0), True),
    ("has a word from the future", (6, Pointer(A), -3600.0), True),
]


@pytest.mark.parametrize(("root", "awaited"), [each[1:] for each in ROOTS], ids=[each[0] for each in ROOTS])
def test_a_leaf_waits_for_roots(root: tuple[int, Pointer, float], awaited: bool) -> None:
    known = evidence({ROOT: [("root-1", *root)]}, moved=MOVED)
    head = rollout()
    assert [each.instance for each in machine.awaited_next(head, known)] == ["root-1"] * awaited
    if awaited:
        with pytest.raises(AwaitedError, match="root root-1"):
            machine.advance(head, known, **WHO)
    else:
        assert in_force(machine.advance(head, known, **WHO)) == FORWARD[Position.LEAF_CANARY]


@pytest.mark.parametrize(("age_s", "awaited"), [(0.0, True), (LEASE_S + 1, True), (LEASE_S + 1.1, False)])
def test_without_acknowledgments_a_leaf_waits_for_the_lease_of_all_roots(age_s: float, awaited: bool) -> None:
    known = evidence(moved={ROOT: Moved(7, 0.0, age_s)}, acknowledge=False)
    assert bool(machine.awaited_next(rollout(), known)) is awaited


@pytest.mark.parametrize(
    ("in_force", "awaited"),
    [(Pointer(B), False), (Pointer(A), True), (Pointer(A, B), True), (Pointer(), False)],
)
@pytest.mark.parametrize("stage", Stage)
def test_roots_drop_a_bundle_when_no_leaf_speaks_of_it(in_force: Pointer, awaited: bool, stage: Stage) -> None:
    known = evidence({(Tier.LEAF, stage): [("leaf-1", 11, in_force, 1e9)]})
    head = rollout(Position.LEAF_PRODUCTION)
    assert [each.instance for each in machine.awaited_next(head, known)] == ["leaf-1"] * awaited
    if awaited:
        with pytest.raises(AwaitedError, match="--gone leaf-1"):
            machine.advance(head, known, **WHO)


def test_the_canary_is_analyzed_when_its_leaves_serve_the_pending_bundle() -> None:
    head = rollout(Position.LEAF_CANARY)
    loading = evidence({LEAF: [("leaf-1", 8, Pointer(A, B), 1.0)]})
    with pytest.raises(AwaitedError, match="leaf-1"):
        machine.advance(head, loading, analysis=PASS, **WHO)
    with pytest.raises(AwaitedError, match="leaf-1"):
        machine.advance(head, loading, analysis=Analysis(verdict="without", without="I looked"), **WHO)
    serving = evidence({LEAF: [("leaf-1", 8, Pointer(B), 1.0)]})
    assert machine.advance(head, serving, analysis=PASS, **WHO).rollout.analysis == PASS  # type: ignore[union-attr]


def test_going_back_awaits_leaves_before_roots_drop_the_pending_bundle() -> None:
    back = machine.go_back(rollout(Position.LEAF_PRODUCTION), NOBODY, **WHO)
    with pytest.raises(AwaitedError, match="leaf-1"):
        machine.go_back(back, evidence({LEAF: [("leaf-1", 11, Pointer(B), 1.0)]}), **WHO)
    with pytest.raises(AwaitedError, match="leaf-1"):
        machine.go_back(back, evidence({LEAF: [("leaf-1", 13, Pointer(B, A), 1.0)]}), **WHO)
    assert in_force(machine.go_back(back, evidence({LEAF: [("leaf-1", 1, Pointer(A), 1e9)]}), **WHO)) == "A A A A"


def test_going_back_from_settled_awaits_roots_before_leaves() -> None:
    covering = machine.go_back(rollout(Position.SETTLED), NOBODY, move="rollback", **WHO)
    number = covering.number
    known = evidence({ROOT: [("root-1", number - 1, Pointer(B), 1.0)]}, moved={ROOT: Moved(number, 0.0, 1.0)})
    with pytest.raises(AwaitedError, match="root-1"):
        machine.go_back(covering, known, move="rollback", **WHO)


def test_awaited_as_an_object() -> None:
    known = evidence({ROOT: [("root-1", 6, Pointer(A), 1.0)]}, moved=MOVED)
    with pytest.raises(AwaitedError) as caught:
        machine.advance(rollout(), known, **WHO)
    (awaited,) = caught.value.as_dict()["awaited"]
    assert (awaited["instance"], awaited["entry"], awaited["expires_s"]) == ("root-1", 6, LEASE_S)
