"""No request is trimmed wrongly, whatever happens in whichever order: every state is walked, and each guard is needed.

One root and one leaf stand for any number of them: what another root or leaf does can only keep publishers from moving,
so that whatever goes wrong between two of many goes wrong between these two alone. Two of each are walked all the same.
Larger walks, which take minutes: python tests/rollout/larger_walks.py
"""

from __future__ import annotations

from typing import Any

import pytest
from explicit_state import walk
from protocol_bundles import A, B
from protocol_model import Delivery
from small_bundles import small_bundle, wrongly_trimmed

from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.store.pointers import Stage

CANARY, PRODUCTION = Stage.CANARY, Stage.PRODUCTION
BOTH = (CANARY, PRODUCTION)

WALKS: dict[str, tuple[dict[str, Any], int]] = {
    "a rollout, and back": ({"again": False, "holds": True}, 50_000),
    "one rollout after another": ({"hesitating": False}, 50_000),
    "roots that do not acknowledge": ({"again": False, "acknowledge": False}, 50_000),
    "the first rollout": ({"again": False, "from_nothing": True, "hesitating": False}, 20_000),
    "a store that is set back": ({"again": False, "set_back": True}, 20_000),
    "two roots and two leaves": ({"again": False, "faults": 0, "roots": BOTH, "leaves": BOTH}, 5_000),
    "two roots and two leaves of one stage": (
        {"again": False, "faults": 0, "roots": (CANARY, CANARY), "leaves": (CANARY, CANARY)},
        10_000,
    ),
}
"""What is walked, and how many states that is at least: a model that gets stuck would be safe, too."""


@pytest.mark.parametrize(("options", "at_least"), WALKS.values(), ids=WALKS.keys())
def test_no_request_is_trimmed_wrongly(options: dict[str, Any], at_least: int) -> None:
    walked = walk(Delivery({"A": A, "B": B}, **options))
    assert not walked.wrong, f"\n{walked}"
    assert walked.states >= at_least


ONCE = {"again": False}
GUARDS: dict[str, dict[str, Any]] = {
    # what publishers wait for, and in which order they move
    "roots are awaited": ONCE,
    "leases are awaited": {**ONCE, "acknowledge": False},
    "leaves are awaited": ONCE,
    "root leads": ONCE,
    "leaves go back before roots": ONCE,
    "roots cover before leaves go back": ONCE,
    "a margin beyond the lease": ONCE,
    "a word lives as long as a lease": ONCE,
    # what roots do
    "both bundles while in transition": ONCE,
    "only exact answers without a lease": ONCE,
    "a lease ends with its process": ONCE,
    "confirmed before the lease": ONCE,
    "older requests drain before the word": ONCE,
    "kept before it is acknowledged": {**ONCE, "set_back": True},
    "roots refuse to go back": {**ONCE, "set_back": True},
    # what leaves do
    "leaves speak before they serve": ONCE,
    "leaves confirm before they serve": ONCE,
}


@pytest.mark.parametrize(("guard", "options"), GUARDS.items(), ids=GUARDS.keys())
def test_without_a_guard_a_request_is_trimmed_wrongly(guard: str, options: dict[str, Any]) -> None:
    walked = walk(Delivery({"A": A, "B": B}, without=frozenset({guard}), **options))
    assert walked.wrong
    assert walked.trace


def test_without_the_gate_a_request_is_trimmed_wrongly() -> None:
    """A version that changes its inputs in place: a root without a lease still trims by what it knew of it."""
    walked = walk(Delivery({"A": {"ctr": {1: "x"}}, "B": {"ctr": {1: "xy"}}}, again=False))
    assert "version 1: trimmed to ['x']" in walked.wrong
    assert any("lease" in what for what in walked.trace)


def test_models_that_never_change_need_no_order() -> None:
    """Attested stable: whichever of the two bundles a root has, it trims right for whichever the leaf has."""
    same = {"A": {"ctr": {1: "x"}}, "B": {"ctr": {1: "x", 2: "x"}}}
    walked = walk(Delivery(same, without=frozenset({"root leads", "roots are awaited"}), again=False))
    assert not walked.wrong, f"\n{walked}"


def test_the_shortest_way_is_told_step_by_step() -> None:
    walked = walk(Delivery({"A": A, "B": B}, without=frozenset({"root leads"}), **ONCE))
    assert str(walked).splitlines() == [
        "  1  publisher: start B: leaf_canary (root canary A, leaf canary B, root production A, leaf production A)",
        "  2  leaf 1 reads B",
        "  3  leaf 1 acknowledges that it is about to serve B",
        "  4  leaf 1 confirms that nothing moved",
        "     root 1 by A, leaf 1 with B: added, no version: trimmed to ['x'], version 2 takes ['y'] too",
    ]


@pytest.mark.parametrize("root", [A, B], ids="AB")
@pytest.mark.parametrize("leaf", [A, B], ids="AB")
def test_exact_answers_never_go_stale(root: dict[str, dict[int, str]], leaf: dict[str, dict[int, str]]) -> None:
    served = small_bundle(leaf)
    questions = [(model, version) for model, each in served.models.items() for version in ("", "999", *each.versions)]
    assert not wrongly_trimmed(ConsolidatedMap({"ads": small_bundle(root)}).exact_only, served, questions)
