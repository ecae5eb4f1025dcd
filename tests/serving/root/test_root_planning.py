"""Plans follow the map in force, and what is known of a leaf outlives a map that is only not confirmed for a while."""

from __future__ import annotations

import pytest
from small_world import ITEM, SHOP, USER, bundle_of, digest_of

from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.outcomes import MissPolicy
from trimtab.serving.root.planning import Planner
from trimtab.serving.root.request import ModelRef

VIEWS = {view.name: view for view in (ITEM, SHOP, USER)}
MAP = ConsolidatedMap({"ranking": bundle_of({"ctr": {"1": ["price"], "2": ["price", "age"]}})})
NEXT = ConsolidatedMap({"ranking": bundle_of({"ctr": {"2": ["price", "age"]}}, serial=2)})


class InForce:
    def __init__(self, current: ConsolidatedMap) -> None:
        self.current = current


PLANS = [
    # asked for, policy: outcome and allowlist with a lease, and without
    ("1", "lenient", ("exact", {"price"}), ("exact", {"price"})),
    ("", "lenient", ("union_unversioned", {"price", "age"}), ("unconfirmed", None)),
    ("3", "lenient", ("unknown_version", None), ("unconfirmed", None)),
    ("", "strict", ("union_unversioned", {"price", "age"}), ("union_unversioned", {"price", "age"})),
    ("3", "strict", ("strict_latest", {"price", "age"}), ("strict_latest", {"price", "age"})),
]


@pytest.mark.parametrize(("version", "policy", "leased", "unleased"), PLANS)
def test_without_a_lease_everything_is_fetched_and_sent_but_for_versions_of_the_map(
    version: str, policy: str, leased: tuple[str, set[str] | None], unleased: tuple[str, set[str] | None]
) -> None:
    maps = InForce(MAP)
    planner = Planner(VIEWS, maps, MissPolicy(policy))
    for current, expected in ((MAP, leased), (MAP.exact_only, unleased), (MAP, leased)):
        maps.current = current
        plan = planner.plan(ModelRef("ctr", version))
        assert (plan.outcome, plan.allowlist) == expected
        every = {name: tuple(feature.name for feature in view.features) for name, view in VIEWS.items()}
        if plan.allowlist is None:
            assert (plan.wanted, plan.inputs) == (every, None)
        assert planner.expected_digest("ctr", "1") == digest_of("ctr:1")


def test_a_suspicion_lasts_until_the_bundles_change() -> None:
    maps, ctr = InForce(MAP), ModelRef("ctr", "1")
    planner = Planner(VIEWS, maps)
    assert planner.plan(ctr).outcome == "exact"
    assert planner.distrust(ctr)
    for current in (MAP, MAP.exact_only, MAP):
        maps.current = current
        assert planner.plan(ctr).outcome == "digest_mismatch"
        assert not planner.distrust(ctr)
    maps.current = NEXT
    assert planner.plan(ModelRef("ctr", "2")).outcome == "exact"
    assert planner.distrust(ctr)
