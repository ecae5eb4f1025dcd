"""Look-up: the very table of docs/design.md, and an obvious model of it in Python under random bundles."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_making import bundle, bundles, digest_of, feature_names, model_names
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from trimtab import _kernel
from trimtab.bundles.bundle import Bundle, BundledModel
from trimtab.bundles.consolidated import ConsolidatedMap, Lookup
from trimtab.bundles.outcomes import MissPolicy, Outcome

ATTESTED = {7: ["age", "price"], 8: ["age", "price"]}
DIFFERING = {7: ["age", "price"], 8: ["age", "clicks"]}
UNCONFIRMED = "a store's lease has run out (policy lenient)"

CASES = {
    # (request says, map has) of the table: requests, with the outcome of each and the names that it may send
    ("model and version", "that version"): [
        ("attested", "7", Outcome.EXACT, {"age", "price"}, "7"),
        ("differing", "7", Outcome.EXACT, {"age", "price"}, "7"),
        ("differing", "8", Outcome.EXACT, {"age", "clicks"}, "8"),
    ],
    ("model, no version", "the model, attested stable"): [
        ("attested", "", Outcome.LATEST_ATTESTED_UNVERSIONED, {"age", "price"}, "8"),
    ],
    ("model, no version", "the model, versions that differ"): [
        ("differing", "", Outcome.UNION_UNVERSIONED, {"age", "price", "clicks"}, None),
    ],
    ("model and version", "the model but not that version, attested stable"): [
        ("attested", "9", Outcome.LATEST_ATTESTED_VERSION, {"age", "price"}, "8"),
        ("attested", "latest", Outcome.LATEST_ATTESTED_VERSION, {"age", "price"}, "8"),
    ],
    ("model and version", "the model but not that version, not attested"): [
        ("differing", "9", Outcome.UNKNOWN_VERSION, None, None),
    ],
    ("anything but a version that the map has", UNCONFIRMED): [
        ("attested", "", Outcome.UNCONFIRMED, None, None),
        ("attested", "9", Outcome.UNCONFIRMED, None, None),
        ("differing", "", Outcome.UNCONFIRMED, None, None),
        ("differing", "9", Outcome.UNCONFIRMED, None, None),
        ("differing", "\ud800", Outcome.UNCONFIRMED, None, None),
    ],
    ("unknown model, unreadable request, any internal error", ""): [
        ("nobody", "", Outcome.UNKNOWN_MODEL, None, None),
        ("nobody", "7", Outcome.UNKNOWN_MODEL, None, None),
        ("\ud800", "7", Outcome.UNKNOWN_MODEL, None, None),
    ],
}

ALLOWLIST_USED = {
    "that version's": {Outcome.EXACT},
    "the latest version's": {Outcome.LATEST_ATTESTED_UNVERSIONED, Outcome.LATEST_ATTESTED_VERSION},
    "the union of its versions (safe superset)": {Outcome.UNION_UNVERSIONED},
    "none: pass through": {Outcome.UNKNOWN_VERSION, Outcome.UNKNOWN_MODEL, Outcome.UNCONFIRMED},
}


def design_table() -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parents[2] / "docs" / "design.md").read_text().splitlines()
    begin = lines.index("| request says | map has | allowlist used |") + 2
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        says, has, used = (cell.strip() for cell in line.strip("|").split("|"))
        rows.append((says, has, used))
    return rows


@pytest.fixture(scope="module")
def designed() -> ConsolidatedMap:
    return ConsolidatedMap({"ads": bundle({"attested": ATTESTED, "differing": DIFFERING})})


def test_the_table_of_the_design_is_covered() -> None:
    assert [(says, has) for says, has, _ in design_table()] == list(CASES)


@pytest.mark.parametrize(("says", "has", "used"), design_table())
def test_lookup_as_designed(designed: ConsolidatedMap, says: str, has: str, used: str) -> None:
    for model, version, outcome, names, version_used in CASES[says, has]:
        found = (designed.exact_only if has == UNCONFIRMED else designed).lookup(model, version)
        assert found == Lookup(outcome, None if names is None else frozenset(names), version_used)
        assert outcome in ALLOWLIST_USED[used]
        assert outcome.passes_through == (used == "none: pass through")


def test_strict_uses_the_latest_where_lenient_passes_through(designed: ConsolidatedMap) -> None:
    found = designed.lookup("differing", "9", MissPolicy.STRICT)
    assert found == Lookup(Outcome.STRICT_LATEST, frozenset({"age", "clicks"}), "8")
    assert designed.lookup("differing", "\ud800", MissPolicy.STRICT) == found
    assert designed.lookup("nobody", "9", MissPolicy.STRICT).outcome is Outcome.UNKNOWN_MODEL
    assert designed.lookup("attested", "9", MissPolicy.STRICT).outcome is Outcome.LATEST_ATTESTED_VERSION


@pytest.mark.parametrize("policy", MissPolicy)
def test_without_confirmation_only_what_never_goes_stale_is_said(designed: ConsolidatedMap, policy: MissPolicy) -> None:
    unconfirmed = designed.exact_only
    for model, version in [("attested", "7"), ("differing", "7"), ("differing", "8"), ("nobody", ""), ("nobody", "7")]:
        assert unconfirmed.lookup(model, version, policy) == designed.lookup(model, version, policy)
    for model, version in [("attested", ""), ("attested", "9"), ("differing", ""), ("differing", "9")]:
        strict = designed.lookup(model, version, MissPolicy.STRICT)
        passed = Lookup(Outcome.UNCONFIRMED, None, None)
        assert unconfirmed.lookup(model, version, policy) == (strict if policy is MissPolicy.STRICT else passed)


def test_the_exact_only_map_is_the_same_map_but_for_its_answers(designed: ConsolidatedMap) -> None:
    unconfirmed = designed.exact_only
    assert unconfirmed is designed.exact_only is unconfirmed.exact_only
    assert unconfirmed.models is designed.models
    assert unconfirmed.bundles is designed.bundles
    assert unconfirmed.latest("attested") == "8"
    assert unconfirmed.expected_digest("differing", "7") == designed.expected_digest("differing", "7") is not None
    assert designed.lookup("attested").outcome is Outcome.LATEST_ATTESTED_UNVERSIONED


def test_every_outcome_of_the_kernel_has_a_name_and_only_python_has_one_more() -> None:
    assert {*_kernel.OUTCOMES, "internal_error"} == set(Outcome)
    assert {each for each in Outcome if each.trims} == set(Outcome) - {each for each in Outcome if each.passes_through}


def slow_lookup(maps: dict[str, Bundle], model: str, version: str, policy: MissPolicy, confirmed: bool) -> Lookup:
    """The design, said as plainly as possible."""
    having = [each for each in maps.values() if model in each.models and each.models[model].versions]
    if not having:
        return Lookup(Outcome.UNKNOWN_MODEL, None, None)
    names: dict[int, set[str]] = {}
    digests: dict[int, set[str]] = {}
    published: set[str] = set()
    for each in having:
        published |= each.models[model].published.keys()
        for number, stated in each.models[model].versions.items():
            names.setdefault(int(number), set()).update(each.allowlist_names(stated.allowlist))
            digests.setdefault(int(number), set()).add(stated.digest)
    stable = (
        all(each.models[model].attested_stable for each in having)
        and len(published) == 1
        and all(len(each) == 1 for each in digests.values())
        and len(set(map(frozenset, names.values()))) == 1
    )
    latest = max(names)
    if version in map(str, names):
        return Lookup(Outcome.EXACT, frozenset(names[int(version)]), version)
    if not confirmed and policy is MissPolicy.LENIENT:
        return Lookup(Outcome.UNCONFIRMED, None, None)
    if stable:
        outcome = Outcome.LATEST_ATTESTED_VERSION if version else Outcome.LATEST_ATTESTED_UNVERSIONED
        return Lookup(outcome, frozenset(names[latest]), str(latest))
    if not version:
        return Lookup(Outcome.UNION_UNVERSIONED, frozenset().union(*names.values()), None)
    if policy is MissPolicy.STRICT:
        return Lookup(Outcome.STRICT_LATEST, frozenset(names[latest]), str(latest))
    return Lookup(Outcome.UNKNOWN_VERSION, None, None)


@given(
    st.dictionaries(st.sampled_from(["ads", "home", "search"]), bundles, max_size=3),
    st.lists(
        st.tuples(
            model_names | st.just("nobody"),
            st.sampled_from(["", "1", "2", "7", "8", "10", "01", "9223372036854775807"]) | feature_names,
            st.sampled_from(MissPolicy),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_lookup_equals_the_obvious_model(maps: dict[str, Bundle], requests: list[tuple[str, str, MissPolicy]]) -> None:
    consolidated = ConsolidatedMap(maps)
    for request in requests:
        assert consolidated.lookup(*request) == slow_lookup(maps, *request, confirmed=True)
        assert consolidated.exact_only.lookup(*request) == slow_lookup(maps, *request, confirmed=False)


@given(st.dictionaries(st.sampled_from(["ads", "home"]), bundles, min_size=2))
def test_no_bundle_takes_a_name_away_from_another(maps: dict[str, Bundle]) -> None:
    together = ConsolidatedMap(maps)
    for alone in (ConsolidatedMap({name: each}) for name, each in maps.items()):
        for model, mapped in alone.models.items():
            for version in mapped.versions:
                allowed = alone.lookup(model, version).allowlist
                used = together.lookup(model, version).allowlist
                assert allowed is not None
                assert used is not None
                assert allowed <= used


def test_one_version_stated_twice_with_different_digests_gets_the_union() -> None:
    maps = ConsolidatedMap(
        {
            "ads": bundle({"ctr": {7: ["age", "price"]}, "only": {1: ["a"]}}),
            "home": bundle({"ctr": {7: ["age", "clicks"]}}, name="home"),
        }
    )
    assert maps.lookup("ctr", "7") == Lookup(Outcome.EXACT, frozenset({"age", "price", "clicks"}), "7")
    assert not maps.models["ctr"].attested_stable
    assert maps.expected_digest("ctr", "7") is None
    assert maps.notes == ("ctr:7: the bundles ads and home state different signatures; requests get the union of both",)
    assert maps.models["only"].attested_stable


def test_one_version_stated_twice_alike_is_one() -> None:
    maps = ConsolidatedMap({"ads": bundle({"ctr": {7: ["age"]}}), "home": bundle({"ctr": {7: ["age"], 8: ["age"]}})})
    assert maps.notes == ()
    assert maps.models["ctr"].attested_stable
    assert maps.models["ctr"].versions == ("7", "8")
    assert maps.expected_digest("ctr", "7") == digest_of(["age"], "")


def test_latest_is_the_highest_number() -> None:
    maps = ConsolidatedMap({"ads": bundle({"ctr": {9: ["a"], 10: ["b"]}})})
    assert maps.latest("ctr") == "10"
    assert maps.latest("nobody") is None
    assert maps.expected_digest("ctr", "11") is None
    assert maps.expected_digest("nobody", "1") is None


def test_a_model_with_only_a_past_is_unknown() -> None:
    past = BundledModel(attested_stable=True, versions={}, published={digest_of(1): "7"})
    gone = structs.replace(bundle({}), models={"ctr": past})
    assert ConsolidatedMap({"ads": gone}).lookup("ctr").outcome is Outcome.UNKNOWN_MODEL


def test_an_empty_map_passes_everything_through() -> None:
    assert ConsolidatedMap({}).lookup("ctr", "7").outcome is Outcome.UNKNOWN_MODEL


def test_equal_allowlists_are_compiled_once() -> None:
    shared = ["age", "price"]
    maps = ConsolidatedMap({"ads": bundle({"a": {1: shared}, "b": {1: shared}}), "home": bundle({"c": {1: shared}})})
    with pytest.raises(IndexError):
        maps.compiled.allowlist(1)
