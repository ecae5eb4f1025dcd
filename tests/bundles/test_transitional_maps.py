"""Current and pending in one map: whichever of the two a leaf serves, no request loses what that leaf would read."""

from __future__ import annotations

from bundle_making import bundle, bundles, model_names, version_numbers
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from trimtab.bundles.bundle import Bundle
from trimtab.bundles.consolidated import ConsolidatedMap, Lookup
from trimtab.bundles.outcomes import MissPolicy, Outcome

requests = st.tuples(model_names, st.just("") | version_numbers.map(str), st.sampled_from(MissPolicy))
some_requests = st.lists(requests, min_size=1, max_size=10)


def one_digest_for_all(original: Bundle) -> Bundle:
    """As if every input digest were the same: two bundles then attest one contract, and may list other names for it."""
    same = "sha256:" + 64 * "0"
    models = {
        name: structs.replace(
            model,
            attested_stable=True,
            published={same: "1"},
            versions={text: structs.replace(each, input_digest=same) for text, each in model.versions.items()},
        )
        for name, model in original.models.items()
        if len({each.allowlist for each in model.versions.values()}) == 1
    }
    return structs.replace(original, models=models)


any_bundle = bundles | bundles.map(one_digest_for_all)


def read_by(serving: Bundle, model: str, version: str) -> frozenset[str] | None:
    """What a leaf reads of a request, serving every version of a bundle and the latest one where none is named."""
    served = serving.models[model].versions if model in serving.models else {}
    answering = version or max(served, key=int, default="")
    return frozenset(serving.allowlist_names(served[answering].allowlist)) if answering in served else None


def keeps(found: Lookup, names: frozenset[str] | None) -> bool:
    return found.allowlist is None or names is None or names <= found.allowlist


@given(any_bundle, any_bundle, some_requests)
def test_a_pair_loses_nothing_that_either_leaf_reads(
    current: Bundle, pending: Bundle, asked: list[tuple[str, str, MissPolicy]]
) -> None:
    both = ConsolidatedMap({"ads": current, "ads pending": pending})
    for model, version, policy in asked:
        for answering in (both, both.exact_only):
            found = answering.lookup(model, version, policy)
            assert keeps(found, read_by(current, model, version))
            assert keeps(found, read_by(pending, model, version))


@given(any_bundle, any_bundle, some_requests)
def test_a_pair_drops_nothing_that_either_map_keeps(
    current: Bundle, pending: Bundle, asked: list[tuple[str, str, MissPolicy]]
) -> None:
    """But for a version that only the other one has, of which the other one alone knows what it reads."""
    both = ConsolidatedMap({"ads": current, "ads pending": pending})
    for model, version, policy in asked:
        found = both.lookup(model, version, policy)
        for each in (current, pending):
            alone = ConsolidatedMap({"ads": each}).lookup(model, version, policy)
            if alone.outcome is Outcome.EXACT or not version:
                assert keeps(found, alone.allowlist)


@given(any_bundle, any_bundle, some_requests)
def test_it_does_not_matter_which_one_is_pending(
    one: Bundle, other: Bundle, asked: list[tuple[str, str, MissPolicy]]
) -> None:
    maps = [ConsolidatedMap({"ads": first, "ads pending": second}) for first, second in ((one, other), (other, one))]
    for request in asked:
        assert maps[0].lookup(*request) == maps[1].lookup(*request)
        assert maps[0].expected_digest(*request[:2]) == maps[1].expected_digest(*request[:2])


truths = st.dictionaries(
    model_names,
    st.dictionaries(version_numbers, st.frozensets(st.sampled_from("abcde"), max_size=4), min_size=1),
    min_size=1,
    max_size=3,
)


def some_of(truth: dict[str, dict[int, frozenset[str]]], draw: st.DrawFn, attested: bool | None) -> Bundle:
    """A bundle with some of the versions that were ever published: a version is what it is, whoever has it."""
    chosen = {
        model: {number: names for number, names in versions.items() if draw(st.booleans())}
        for model, versions in truth.items()
    }
    return bundle({model: versions for model, versions in chosen.items() if versions}, attested=attested)


@given(st.data(), truths, st.sampled_from([None, False]), some_requests)
def test_without_a_lease_no_later_bundle_makes_a_map_wrong(
    data: st.DataObject,
    truth: dict[str, dict[int, frozenset[str]]],
    attested: bool | None,
    asked: list[tuple[str, str, MissPolicy]],
) -> None:
    seen_last, served_now = (some_of(truth, data.draw, attested) for _ in range(2))
    stale = ConsolidatedMap({"ads": seen_last}).exact_only
    for model, version, _ in asked:
        found = stale.lookup(model, version)
        assert keeps(found, read_by(served_now, model, version))
        assert found.outcome in (Outcome.EXACT, Outcome.UNCONFIRMED, Outcome.UNKNOWN_MODEL)


def test_one_contract_listed_in_two_ways_gets_the_union() -> None:
    """Two versions of one input digest, which two releases of trimtab listed otherwise: neither list is for both."""
    current, pending = (
        one_digest_for_all(bundle({"ctr": {version: names}}, attested=True))
        for version, names in ((7, ["age"]), (8, ["price"]))
    )
    both = ConsolidatedMap({"ads": current, "ads pending": pending})
    assert both.lookup("ctr") == Lookup(Outcome.UNION_UNVERSIONED, frozenset({"age", "price"}), None)
    assert both.lookup("ctr", "7").allowlist == {"age"}
    assert not both.models["ctr"].attested_stable
