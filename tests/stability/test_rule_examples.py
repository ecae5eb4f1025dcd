"""Every rule has an example: two versions of a model, and all that is found between them.

tests/data/stability/RULE/ holds before.* and after.*, findings.json, and where it is about waivers a trimtab.toml.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.cli.main import main
from trimtab.signature.document import decode_document
from trimtab.stability import RULES, Category, diff

FOLDER = Path(__file__).parents[1] / "data" / "stability"
BY_THE_GATE = ("SIGNATURE_PRESENT", "SIGNATURE_MATCHES_GRAPH", "WAIVER_EXPIRED", "WAIVER_UNMATCHED")
"""What two signatures cannot show: the gate says it of artifacts and of its configuration."""

OTHERS_TOO = {"INPUT_SAME_WIDTH": ["FEATURE_NO_ADD_OPTIONAL"], "WAIVER_EXPIRED": ["INPUT_NO_DELETE"]}
"""A column more is a feature more; a waiver that is past its day covers a change."""

STATED = ("rule", "subject", "problem", "before", "after")
"""What a findings.json states of each change."""

BY_SIGNATURES = [name for name in RULES if name not in BY_THE_GATE]


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert {path.name for path in FOLDER.iterdir()} == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_an_example_is_about_its_rule(name: str) -> None:
    found = [each["rule"] for each in expected(name)]
    assert sorted(found) == sorted([name, *OTHERS_TOO.get(name, [])])


@pytest.mark.parametrize("name", BY_SIGNATURES)
def test_a_change_is_found_in_the_categories_of_its_rule(name: str) -> None:
    old, new = (decode_document((FOLDER / name / f"{side}.json").read_bytes()) for side in ("before", "after"))
    for category in Category:
        found = [
            {key: value for key, value in change.as_dict().items() if key in STATED}
            for change in diff(old, new, category)
        ]
        assert found == [each for each in expected(name) if category in RULES[each["rule"]].categories], category


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("name", BY_THE_GATE)
def test_the_gate_finds_what_signatures_cannot_show(
    name: str, category: Category, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = FOLDER / name
    before, after = (str(next(folder.glob(f"{side}.*"))) for side in ("before", "after"))
    code = main(["check", after, "--against", before, "--model", "ctr", "--category", category, "--json"])
    printed = json.loads(capsys.readouterr().out)
    found = sorted(each["rule"] for each in (*printed["changes"], *printed["waivers"]))
    wanted = [each["rule"] for each in expected(name)]
    assert found == sorted(each for each in wanted if category in RULES[each].categories)
    assert code == (100 if RULES[name].level == "error" else 0)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_a_person_needs_at_night(name: str) -> None:
    rule = RULES[name]
    for sentence in (rule.law, rule.breaks, rule.remedy, rule.why):
        assert not sentence or (sentence.endswith(".") and sentence[0].isupper() and "  " not in sentence), sentence
    assert rule.remedy or rule.forks
    assert rule.breaks.startswith("Nobody") == (rule.notice == "nothing breaks")


def expected(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((FOLDER / name / "findings.json").read_text())
    return found
