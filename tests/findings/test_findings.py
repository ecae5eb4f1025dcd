"""Rules and findings by themselves: declared once, worded alike."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from trimtab.findings import Finding, Level, Problem, rule, rules_of, worst


@rule("NUMBER_IS_EVEN", level=Level.WARNING)
def number_is_even(number: int) -> Iterator[Problem]:
    """A number is even,
    and stays so.

    Who breaks: nobody.
    """
    if number % 2:
        yield Problem("here", "is odd", expected="an even number", got=str(number))


def test_a_rule_gives_its_findings_its_name_and_level() -> None:
    assert list(number_is_even(2)) == []
    assert list(number_is_even(3)) == [
        Finding("NUMBER_IS_EVEN", Level.WARNING, "here", "is odd", "an even number", "3")
    ]


def test_the_page_begins_with_the_law() -> None:
    assert number_is_even.law == "A number is even, and stays so."
    assert number_is_even.page.endswith("Who breaks: nobody.")


def test_rules_are_found_in_the_modules_that_declare_them() -> None:
    module = ModuleType("some_rules")
    module.number_is_even = number_is_even  # type: ignore[attr-defined]
    module.other = 3  # type: ignore[attr-defined]
    assert rules_of(module) == {"NUMBER_IS_EVEN": number_is_even}


@pytest.mark.parametrize(
    ("expected", "got", "text"),
    [
        ("", "", "error R at a: is wrong."),
        ("x", "", "error R at a: is wrong: expected x."),
        ("x", "y", "error R at a: is wrong: expected x, got y."),
        ("", "y", "error R at a: is wrong: got y."),
    ],
)
def test_a_finding_reads_as_one_sentence(expected: str, got: str, text: str) -> None:
    finding = Finding("R", Level.ERROR, "a", "is wrong", expected, got)
    assert str(finding) == text
    assert finding.as_dict() == {
        key: value
        for key, value in (
            ("rule", "R"),
            ("level", "error"),
            ("where", "a"),
            ("problem", "is wrong"),
            ("expected", expected),
            ("got", got),
        )
        if value
    }


def test_the_worst_of_several() -> None:
    findings = [Finding("R", level, "a", "b") for level in (Level.NOTE, Level.ERROR, Level.WARNING)]
    assert worst(findings) is Level.ERROR
    assert worst([]) is None
