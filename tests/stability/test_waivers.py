"""Waivers: what counts as one, which changes they cover, and what is proposed."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signature_strategies import signatures
from trimtab.errors import ConfigurationError
from trimtab.findings import Level
from trimtab.signature.model import Signature
from trimtab.stability import RULES, Change
from trimtab.stability.configuration import Configuration, read_configuration
from trimtab.stability.gate import Candidate, gate, judged
from trimtab.stability.proposing import appended, as_toml, proposed
from trimtab.stability.waivers import EXPIRED, UNMATCHED, Waiver, literally, sift

TODAY = datetime.date(2026, 11, 21)
LATER = TODAY + datetime.timedelta(days=31)

any_text = st.text(st.sampled_from("*?[]!-\\\"'\n\t\0\x7f#") | st.characters(), max_size=10)
rules = st.sampled_from(sorted(RULES))
changes = st.builds(
    lambda rule, where, model: Change(rule, Level.ERROR, where, "p", model=model), rules, any_text, any_text
)


def waiver(**changed: object) -> Waiver:
    given = {"rule": "INPUT_NO_DELETE", "reason": "r", "owner": "o", "expires": TODAY, **changed}
    return Waiver(**given)  # type: ignore[arg-type]


def read(text: str, folder: Path) -> Configuration:
    path = folder / "trimtab.toml"
    path.write_text(text)
    return read_configuration(path)


# --- proposals


@given(st.lists(changes, max_size=5))
def test_what_is_proposed_and_taken_up_leaves_nothing_refused(found: list[Change]) -> None:
    """The round trip: to TOML, filled in, read again. Past its day everything is refused again."""
    text = as_toml(proposed(found, TODAY)).replace('reason = ""', 'reason = "r"').replace('owner = ""', 'owner = "o"')
    tables = tomllib.loads(text).get("stability", {}).get("waivers", [])
    waivers = tuple(msgspec.convert(each, Waiver) for each in tables)
    verdict = judged(found, Configuration(waivers=waivers), TODAY + datetime.timedelta(days=30))
    assert (verdict.changes, verdict.problems) == ([], [])
    late = judged(found, Configuration(waivers=waivers), LATER)
    assert late.changes == found
    assert [each.rule for each in late.problems] == [EXPIRED] * len(waivers)


def test_waivers_of_models_that_were_not_looked_at_are_passed_over() -> None:
    """A release of one model does not wait for what others let run out."""
    late, unused = (
        Waiver(rule="INPUT_NO_DELETE", reason="r", owner="o", expires=expires, model="ctr*")
        for expires in (TODAY - datetime.timedelta(days=1), TODAY)
    )
    for models, said in ((None, [EXPIRED, UNMATCHED]), (["ctr_v2"], [EXPIRED, UNMATCHED]), (["ranker"], [])):
        assert [each.rule for each in sift([], [late, unused], TODAY, models).problems] == said


@settings(max_examples=30)
@given(signatures(), signatures())
def test_proposals_of_real_changes_are_one_for_each(old: Signature, new: Signature) -> None:
    found = gate([Candidate("m", old, new)], Configuration(), TODAY).changes
    refused = {(each.rule, each.where) for each in found if each.level is Level.ERROR}
    assert len(proposed(found, TODAY)) == len(refused)
    tables = tomllib.loads(as_toml(proposed(found, TODAY))).get("stability", {}).get("waivers", [])
    assert len(tables) == len(refused)


def test_only_what_refuses_is_proposed_and_each_once() -> None:
    one = Change("INPUT_NO_DELETE", Level.ERROR, "forward: input age", "gone", model="ctr")
    mild = Change("OUTPUT_NO_ADD", Level.WARNING, "forward: output x", "new", model="ctr")
    assert as_toml(proposed([one, mild, one], TODAY)) == (
        '# gone\n[[stability.waivers]]\nrule = "INPUT_NO_DELETE"\nmodel = "ctr"\nsubject = "forward: input age"\n'
        'reason = ""\nowner = ""\nexpires = 2026-12-21\n'
    )


@pytest.mark.parametrize(
    ("subject", "other"),
    [("input x[0]", "input x0"), ("input [a-z]*", "input bcd"), ("input ?", "input b"), ("input *", "input [*]")],
)
def test_a_proposal_is_for_its_subject_and_model_alone(subject: str, other: str) -> None:
    def change(where: str, model: str) -> Change:
        return Change("INPUT_NO_DELETE", Level.ERROR, where, "gone", model=model)

    (waiver,) = proposed([change(subject, subject)], TODAY)
    assert waiver.covers(change(subject, subject))
    assert not waiver.covers(change(other, subject))
    assert not waiver.covers(change(subject, other))


def test_a_proposal_is_not_accepted_by_itself(tmp_path: Path) -> None:
    change = Change("INPUT_NO_DELETE", Level.ERROR, "forward: input age", "gone", model="ctr")
    with pytest.raises(ConfigurationError, match=r"(?s)waivers\]\] 1: a waiver without reason and owner.*of ctr"):
        read(as_toml(proposed([change], TODAY)), tmp_path)


@pytest.mark.parametrize(("key", "value"), [("reason", ""), ("reason", " \\n"), ("owner", ""), ("owner", "\\t")])
def test_a_waiver_needs_a_reason_and_an_owner(tmp_path: Path, key: str, value: str) -> None:
    keys = {"rule": "INPUT_NO_DELETE", "reason": "r", "owner": "o", key: value}
    text = "\n".join(f'{name} = "{text}"' for name, text in keys.items())
    with pytest.raises(ConfigurationError, match=f"a waiver without {key}"):
        read(f"[[stability.waivers]]\n{text}\nexpires = 2027-01-31\n", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        '[stability]\ncategory = "FEED"\n\n\n',
        '[other]\nx = 1\n[[stability.waivers]]\nrule = "X"',
    ],
)
def test_waivers_are_appended_and_what_was_there_stays(text: str) -> None:
    change = Change("INPUT_NO_DELETE", Level.ERROR, "s", "gone", model="ctr")
    joined = appended(text, proposed([change], TODAY), "trimtab.toml")
    assert joined.startswith(text.rstrip())
    before, after = (tomllib.loads(it).get("stability", {}).get("waivers", []) for it in (text, joined))
    assert after[:-1] == before


@pytest.mark.parametrize(
    "text", ["stability = {}", "[stability]\nwaivers = []", "[stability]\nwaivers = 7", "stability = 1"]
)
def test_waivers_that_cannot_follow_are_refused(text: str) -> None:
    change = Change("INPUT_NO_DELETE", Level.ERROR, "s", "gone", model="ctr")
    with pytest.raises(ConfigurationError, match="cannot be appended"):
        appended(text, proposed([change], TODAY), "trimtab.toml")
    with pytest.raises(ConfigurationError):
        appended("[x", proposed([change], TODAY), "trimtab.toml")


# --- what waivers cover


@given(any_text, any_text)
def test_a_literal_pattern_matches_its_text_alone(text: str, other: str) -> None:
    covered = waiver(subject=literally(text))
    assert covered.covers(Change("INPUT_NO_DELETE", Level.ERROR, text, "p"))
    assert covered.covers(Change("INPUT_NO_DELETE", Level.ERROR, other, "p")) == (text == other)


@given(
    st.lists(changes, max_size=4),
    st.lists(
        st.builds(
            lambda rule, model, subject, days: waiver(
                rule=rule, model=model, subject=subject, expires=TODAY + datetime.timedelta(days=days)
            ),
            rules,
            any_text | any_text.map(literally) | st.just("*"),
            any_text | any_text.map(literally) | st.just("*"),
            st.integers(-1, 1),
        ),
        max_size=4,
    ),
)
def test_the_index_finds_what_asking_each_waiver_would(found: list[Change], waivers: list[Waiver]) -> None:
    sifted = sift(found, waivers, TODAY)
    valid = [[it for it in waivers if it.covers(change) and it.expires >= TODAY] for change in found]
    assert sifted.changes == [change for change, let in zip(found, valid, strict=True) if not let]
    assert [each.waiver for each in sifted.waived] == [let[0] for let in valid if let]
    unmatched = [str(it) for it in waivers if it.expires >= TODAY and not any(it.covers(change) for change in found)]
    assert sum(it.rule == UNMATCHED for it in sifted.problems) == len(unmatched)


def test_thousands_of_waivers_are_not_each_asked_about_thousands_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = Waiver.covers
    monkeypatch.setattr(Waiver, "covers", lambda self, change: asked.append(1) or real(self, change))
    found = [Change("INPUT_NO_DELETE", Level.ERROR, f"s[{number}]", "p", model="m") for number in range(3000)]
    waivers = [waiver(model="m", subject=literally(each.where)) for each in found]
    assert sift(found, waivers, TODAY).changes == []
    assert not asked


def test_nothing_is_said_of_waivers_of_models_that_were_not_looked_at() -> None:
    others = [waiver(model="ranker"), waiver(model="r*"), waiver(model="ctr"), waiver()]
    verdict = judged([], Configuration(waivers=tuple(others)), TODAY, {"ctr"})
    assert [each.rule for each in verdict.problems] == [UNMATCHED, UNMATCHED]
    assert len(judged([], Configuration(waivers=tuple(others)), TODAY).problems) == 4


def test_the_level_of_a_waivers_problem_is_configured_like_any_other(tmp_path: Path) -> None:
    configured = read('[stability.levels]\nWAIVER_UNMATCHED = "error"\n', tmp_path)
    configured = msgspec.structs.replace(configured, waivers=(waiver(),))
    assert judged([], configured, TODAY).refused
    assert not judged([], Configuration(waivers=(waiver(),)), TODAY).refused
