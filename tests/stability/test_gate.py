"""Configuration and waivers: what a repository holds its models to, and what somebody answers for."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signature_strategies import signatures
from trimtab.errors import ConfigurationError
from trimtab.findings import Level
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor
from trimtab.stability import Category
from trimtab.stability.configuration import Configuration, find_configuration, read_configuration
from trimtab.stability.gate import Candidate, Verdict, gate
from trimtab.stability.waivers import Waiver

TODAY = datetime.date(2026, 11, 21)

WHOLE = """
[stability]
category = "SCHEMA"

[stability.levels]
OUTPUT_NO_ADD = "warning"

[[stability.models]]
match = "ctr*"
category = "FEED"
levels = { INPUT_NO_ADD_REQUIRED = "note" }

[[stability.waivers]]
rule = "INPUT_NO_DELETE"
model = "ctr"
subject = "forward: input ag?"
reason = "No root sends it since May."
owner = "ads-ranking"
expires = 2027-01-31
"""


def signature(*names: str) -> Signature:
    overload = Overload(inputs=tuple(Input(name=name, type=Tensor()) for name in names))
    return Signature(entry_points=(EntryPoint(name="forward", overloads=(overload,)),), default_entry_point="forward")


def written(folder: Path, text: str) -> Path:
    path = folder / "trimtab.toml"
    path.write_text(text)
    return path


def waiver(**changed: object) -> Waiver:
    given = {"rule": "INPUT_NO_DELETE", "reason": "r", "owner": "o", "expires": TODAY, **changed}
    return Waiver(**given)  # type: ignore[arg-type]


def held(*waivers: Waiver, today: datetime.date = TODAY) -> Verdict:
    candidate = Candidate("ctr", signature("age", "item"), signature("item"))
    return gate([candidate], Configuration(waivers=waivers), today)


def test_a_whole_configuration(tmp_path: Path) -> None:
    read = read_configuration(written(tmp_path, WHOLE))
    assert read.category_of("ranker") is Category.SCHEMA
    assert read.category_of("ctr_v2") is Category.FEED
    assert read.waivers[0].expires == datetime.date(2027, 1, 31)
    deeper = tmp_path / "models" / "ctr"
    deeper.mkdir(parents=True)
    assert find_configuration(deeper) == read


def test_without_a_file_everything_is_frozen(tmp_path: Path) -> None:
    assert find_configuration(tmp_path) == Configuration(category=Category.FREEZE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[stability", "toml"),
        ('[stability]\ncategory = "LAX"', "LAX"),
        ("[stability]\ncatgory = 1", "catgory"),
        ('[stability.levels]\nINPUT_NO_DELET = "note"', "Did you mean INPUT_NO_DELETE"),
        ('[stabilty]\ncategory = "FEED"', "unknown field `stabilty`"),
        ('[[stability.waivers]]\nrule = "INPUT_NO_DELETE"', "reason"),
        ('[[stability.waivers]]\nrule = "X"\nreason = "r"\nowner = "o"\nexpires = 2027-01-31', "name of a rule"),
        ("[stability]\n" + "a = [" * 10_000, "toml"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?i){problem}"):
        read_configuration(written(tmp_path, text))


def test_levels_are_the_models() -> None:
    both = [Candidate(name, signature("age"), signature("age", "item")) for name in ("ctr", "ranker")]
    found = gate(both, Configuration(levels={"INPUT_NO_ADD_REQUIRED": Level.WARNING}), TODAY)
    assert [(each.model, each.level) for each in found.changes] == [("ctr", "warning"), ("ranker", "warning")]
    assert not found.refused


def test_a_waiver_lets_its_change_through() -> None:
    found = held(waiver(subject="forward: input age"))
    assert (found.changes, found.problems, found.refused) == ([], [], False)
    assert [each.change.where for each in found.waived] == ["forward: input age"]


@pytest.mark.parametrize(
    ("given_waiver", "rules"),
    [
        (waiver(model="other"), ["INPUT_NO_DELETE", "WAIVER_UNMATCHED"]),
        (waiver(subject="forward: input item"), ["INPUT_NO_DELETE", "WAIVER_UNMATCHED"]),
        (waiver(rule="OUTPUT_NO_DELETE"), ["INPUT_NO_DELETE", "WAIVER_UNMATCHED"]),
        (waiver(expires=TODAY - datetime.timedelta(days=1)), ["INPUT_NO_DELETE", "WAIVER_EXPIRED"]),
    ],
    ids=["another model", "another subject", "another rule", "past its day"],
)
def test_a_waiver_of_something_else_is_a_finding(given_waiver: Waiver, rules: list[str]) -> None:
    found = held(given_waiver)
    assert [each.rule for each in (*found.changes, *found.problems)] == rules
    assert found.refused


@given(signatures(), signatures(), st.sampled_from(Category))
def test_a_waiver_for_each_change_leaves_none(old: Signature, new: Signature, category: Category) -> None:
    bare = gate([Candidate("m", old, new)], Configuration(), TODAY, category)
    rules = {each.rule for each in bare.changes}
    waivers = tuple(waiver(rule=rule) for rule in sorted(rules))
    sifted = gate([Candidate("m", old, new)], Configuration(waivers=waivers), TODAY, category)
    assert (sifted.changes, sifted.problems) == ([], [])
    assert len(sifted.waived) == len(bare.changes)
