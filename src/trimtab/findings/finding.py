"""Findings: what a check has against its subject, and the rules that find it.

A rule is a declaration (id, level, docstring) and a small function that yields what it sees. The docstring is the
rule's page: its first line is the law, then who breaks it and what to do instead. Checks of several kinds share this
module, so that their findings read alike, print alike and exit alike.
"""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

_Subject = ParamSpec("_Subject")


class Level(StrEnum):
    """How much a finding weighs: an error refuses, a warning refuses where asked to, a note never does."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Problem(Struct, frozen=True):
    """What a rule sees, before it is known whose it is.

    where: the place, from the outside in. problem: one clause. expected, got: the two sides, worded for a person.
    """

    where: str
    problem: str
    expected: str = ""
    got: str = ""


class Finding(Struct, frozen=True):
    """A problem under the rule that saw it."""

    rule: str
    level: Level
    where: str
    problem: str
    expected: str = ""
    got: str = ""

    def __str__(self) -> str:
        return f"{self.level} {self.rule} at {self.where}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The problem with its two sides, as one sentence."""
        sides = f"expected {self.expected}" + (f", got {self.got}" if self.got else "") if self.expected else ""
        got = f"got {self.got}" if self.got and not sides else ""
        return ": ".join(part for part in (self.problem, sides or got) if part) + "."

    @property
    def message(self) -> str:
        """Where, and the sentence: what a report of another tool says of it."""
        return f"{self.where}: {self.sentence}"

    def as_dict(self) -> dict[str, str]:
        """The finding as the object that `--json` prints."""
        facts = {
            "rule": self.rule,
            "level": self.level.value,
            "where": self.where,
            "problem": self.problem,
            "expected": self.expected,
            "got": self.got,
        }
        return {key: value for key, value in facts.items() if value}


class Rule(Generic[_Subject]):
    """A rule: calling it with its subject gives the findings."""

    def __init__(self, name: str, level: Level, check: Callable[_Subject, Iterable[Problem]]) -> None:
        self.name = name
        self.level = level
        self.page = inspect.cleandoc(check.__doc__ or "")
        self._check = check

    @property
    def law(self) -> str:
        """The first paragraph of its page: what must hold."""
        return " ".join(self.page.partition("\n\n")[0].split())

    def __call__(self, *subject: _Subject.args, **options: _Subject.kwargs) -> Iterator[Finding]:
        """The findings, one by one."""
        for problem in self._check(*subject, **options):
            yield Finding(self.name, self.level, problem.where, problem.problem, problem.expected, problem.got)

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {self.level.value})"


def rule(name: str, *, level: Level = Level.ERROR) -> Callable[[Callable[_Subject, Iterable[Problem]]], Rule[_Subject]]:
    """Declare the function below as the rule `name`, in capitals with underscores."""

    def declare(check: Callable[_Subject, Iterable[Problem]]) -> Rule[_Subject]:
        return Rule(name, level, check)

    return declare


def rules_of(*modules: ModuleType) -> dict[str, Rule[Any]]:
    """Every rule that the modules declare, by name, in the order in which they stand."""
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Rule))
    return {each.name: each for each in found}


def worst(findings: Iterable[Finding]) -> Level | None:
    """The gravest level among the findings; None without any."""
    levels = {finding.level for finding in findings}
    return next((level for level in Level if level in levels), None)
