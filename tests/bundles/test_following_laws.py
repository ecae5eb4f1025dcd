"""One law over every history of a store and of those who follow it.

No request is ever trimmed by an allowlist that drops a feature which the version that answers it consumes: whoever is
killed at whatever operation, hangs for however long, loses its disk or its answers, and whatever clock is wrong.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeAlias
from unittest import mock

import pytest
from faulty_world import AFTER_WORD, BUNDLES, INPUTS, WORD, Plan, Step, World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

roots, leaves = st.integers(0, 2), st.integers(0, 1)
bundles = st.integers(0, len(BUNDLES) - 1)
steps = st.builds(
    Step,
    st.sampled_from(["advance", "advance", "advance", "advance", "start", "start", "rollback", "hold", "release"]),
    bundles,
    st.sampled_from([0.0, 0.0, 0.0, 3.0, 12.0]),
    st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 4), max_size=2)),
    st.booleans(),
)
rollouts = st.builds(
    lambda which, length, but, quick, wait, back: [
        Step("start", which, wait, but, quick),
        *[Step("advance", 0, wait, but, quick)] * length,
        *[Step("rollback", 0, wait, but, quick)] * back,
    ],
    bundles,
    st.integers(0, 6),
    st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 4), max_size=2)),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 12.0]),
    st.integers(0, 3),
)
histories = st.one_of(rollouts, st.lists(steps, min_size=1, max_size=4))
plans = st.lists(
    st.one_of(
        st.builds(Plan, st.integers(0, 9), st.sampled_from(["slow request", "slow answer"]), histories.map(tuple)),
        st.builds(Plan, st.integers(0, 9), st.sampled_from(["fails", "lost", "killed"]), st.just(())),
    ),
    max_size=2,
)
broken_versions = st.one_of(
    st.just(frozenset[tuple[str, int]]()), st.frozensets(st.sampled_from([*INPUTS]), max_size=2)
)
places = st.sampled_from([0, 0, 0, *range(1, 8), WORD, WORD, AFTER_WORD, AFTER_WORD])
lengths = st.sampled_from([*range(6), 6, 6, 6, 6])
overtaking = st.builds(
    lambda which, forward, back, wait: [
        *[Step("rollback", 0, wait)] * back,
        Step("start", which, wait),
        *[Step("advance", 0, wait)] * forward,
    ],
    bundles,
    lengths,
    st.sampled_from([0, 0, 1, 2, 3]),
    st.sampled_from([0.0, 12.0]),
)
Overtaking: TypeAlias = list[Step]
Broken: TypeAlias = frozenset[tuple[str, int]]
garbage = st.sampled_from([b"", b"{}", b"\xff"])


class AnythingGoesWrong(RuleBasedStateMachine):
    """Roots, leaves and publishers in any order, with anything going wrong in between."""

    @initialize(acknowledge=st.sampled_from([True, True, True, False]), first=bundles)
    def begin(self, acknowledge: bool, first: int) -> None:
        self.no_waiting_for_disks = mock.patch("os.fsync")  # nothing here cuts the power
        self.no_waiting_for_disks.start()
        self.world = World(Path(tempfile.mkdtemp(prefix="trimtab-world-")), acknowledge=acknowledge)
        for number in range(3):
            self.world.look(number, [])
        for number in range(2):
            self.world.step(number, frozenset(), [])
        self.world.go([Step("start", first), *[Step("advance")] * 5])

    @rule(number=roots, plans=plans)
    def a_root_looks_or_starts(self, number: int, plans: list[Plan]) -> None:
        self.world.look(number, plans)

    @rule(number=roots)
    def a_root_is_killed(self, number: int) -> None:
        self.world.kill_root(number)

    @rule(number=roots, plans=plans)
    def a_root_stops(self, number: int, plans: list[Plan]) -> None:
        self.world.stop_root(number, plans)

    @rule(number=roots, file=st.integers(0, 9), content=garbage)
    def a_disk_is_damaged(self, number: int, file: int, content: bytes) -> None:
        self.world.damage_disk(number, file, content)

    @rule(number=leaves, broken=broken_versions, plans=plans)
    def a_leaf_looks_or_starts(self, number: int, broken: Broken, plans: list[Plan]) -> None:
        self.world.step(number, broken, plans)

    @rule(number=leaves, same_name=st.booleans())
    def a_leaf_is_killed(self, number: int, same_name: bool) -> None:
        self.world.kill_leaf(number, same_name=same_name)

    @rule(number=leaves, plans=plans)
    def a_leaf_stops(self, number: int, plans: list[Plan]) -> None:
        self.world.stop_leaf(number, plans)

    @rule()
    def somebody_answers_for_leaves_that_ended(self) -> None:
        self.world.answer_for_ghosts()

    @rule(step=steps, plans=plans)
    def somebody_moves(self, step: Step, plans: list[Plan]) -> None:
        self.world.move(step.move, step.which, plans)

    @rule(steps=histories, broken=broken_versions)
    def rollouts_come_some_way(self, steps: list[Step], broken: Broken) -> None:
        self.world.go(steps, broken)

    @rule(which=bundles, length=st.integers(0, 6))
    def a_rollout_goes_well_so_far(self, which: int, length: int) -> None:
        self.world.go([Step("start", which), *[Step("advance")] * length])

    @rule(left=st.integers(0, 4), before=st.sampled_from(["runs", "killed", "stopped"]), which=bundles,
          length=lengths, at=places, slow=st.sampled_from(["slow request", "slow answer"]),
          on=overtaking, broken=broken_versions)  # fmt: skip
    def one_is_slow_and_overtaken(
        self, left: int, before: str, which: int, length: int, at: int, slow: str, on: Overtaking, broken: Broken
    ) -> None:
        self.world.go([Step("start", which), *[Step("advance")] * length])
        self.world.end_process(left, before)
        plans = [Plan(at, slow, tuple(step._replace(but=frozenset({left})) for step in on))]
        if left < len(self.world.roots):
            self.world.look(left, plans)
        else:
            self.world.step(left - len(self.world.roots), broken, plans)
        self.world.go([Step("advance", quick=True)])

    @rule(left=st.integers(0, 4), which=bundles, length=lengths, on=overtaking)
    def one_is_down_and_comes_back_without_a_store(self, left: int, which: int, length: int, on: Overtaking) -> None:
        self.world.go([Step("start", which), *[Step("advance")] * length])
        self.world.end_process(left, "killed")
        self.world.go(on)
        if left < len(self.world.roots):
            self.world.look(left, [Plan(0, "fails")])
        else:
            self.world.step(left - len(self.world.roots), frozenset(), [Plan(0, "fails")])

    @rule(seconds=st.sampled_from([0.5, 3, 9, 31]))
    def time_goes_on(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(which=st.integers(0, 99), content=garbage)
    def the_store_is_damaged(self, which: int, content: bytes) -> None:
        self.world.damage_store(which, content)

    @rule()
    def the_store_is_mended(self) -> None:
        self.world.mend_store()

    @precondition(lambda self: self.world.damaged is None)
    @rule(which=st.integers(0, 99))
    def an_older_store_is_restored(self, which: int) -> None:
        self.world.restore_older_store(which)

    @invariant()
    def nothing_is_trimmed_that_is_consumed(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.end()
            self.no_waiting_for_disks.stop()


# A process that is killed in a thread of its own ends that thread by SystemExit, which pytest remarks on.
THREAD_KILLED = r"ignore:(?s).*\bSystemExit\b:pytest.PytestUnhandledThreadExceptionWarning"

TestAnythingGoesWrong = pytest.mark.filterwarnings(THREAD_KILLED)(AnythingGoesWrong.TestCase)
TestAnythingGoesWrong.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
