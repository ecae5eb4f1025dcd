"""One change between two signatures, under the rule that it breaks."""

from __future__ import annotations

from msgspec import Struct

from trimtab.findings import Finding
from trimtab.stability.rules import FORK, RULES, StabilityRule


class Seen(Struct, frozen=True):
    """What the comparison sees at one place.

    rule: the name of the rule that it breaks. subject: the place, from the outside in. problem: one clause.
    before, after: the two sides; empty where the subject was not, or is no longer, there.
    """

    rule: str
    subject: str
    problem: str
    before: str = ""
    after: str = ""


class Change(Finding, frozen=True):
    """A finding of the gate: `where` is the subject, `expected` what the old signature says, `got` what the new one.

    model: whose signature it is; empty where two signatures are compared by themselves. fork: the command that gives
    the new version a model name of its own; empty where its repository is not known.
    """

    model: str = ""
    fork: str = ""

    @property
    def declaration(self) -> StabilityRule:
        """The rule: its category, who breaks and how they notice."""
        return RULES[self.rule]

    @property
    def before(self) -> str:
        """The old side; empty where the subject was not there."""
        return self.expected

    @property
    def after(self) -> str:
        """The new side; empty where the subject is no longer there."""
        return self.got

    @property
    def remedy(self) -> str:
        """What to do about it, beginning with the cheaper way."""
        if not self.declaration.forks:
            return self.declaration.remedy
        fork = f"Publish it under a new name: {self.fork}" if self.fork else FORK
        return f"{self.declaration.remedy} Or: {fork}" if self.declaration.remedy else fork

    @property
    def sentence(self) -> str:
        """The problem with its two sides."""
        sides = " -> ".join(side for side in (self.before, self.after) if side)
        return f"{self.problem}: {sides}" if sides else self.problem

    @property
    def message(self) -> str:
        """Where, what changed, who breaks by it and what to do."""
        rule = self.declaration
        who = f"Who breaks: {rule.breaks} ({rule.notice.value}) What to do: {self.remedy}"
        return f"{self.where}: {self.sentence}. {who}"

    def as_dict(self) -> dict[str, str]:
        """The change as the object that `--json` prints."""
        rule = self.declaration
        facts = {
            "model": self.model,
            "rule": self.rule,
            "category": rule.category.value,
            "level": self.level.value,
            "subject": self.where,
            "problem": self.problem,
            "before": self.before,
            "after": self.after,
            "breaks": rule.breaks,
            "notice": rule.notice.value,
            "remedy": self.remedy,
            "fork": self.fork,
        }
        return {key: value for key, value in facts.items() if value}


def change_of(seen: Seen) -> Change:
    """What was seen, as a finding under its rule."""
    return Change(seen.rule, RULES[seen.rule].level, seen.subject, seen.problem, seen.before, seen.after)
