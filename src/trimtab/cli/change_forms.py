"""How changes of signatures are printed: for a person, and in the forms that `--format` names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trimtab.findings.reports import Checked
    from trimtab.stability import Change

FORMS = ("text", "json", "github", "sarif", "junit", "gitlab")


def change_lines(changes: Sequence[Change]) -> Iterator[str]:
    """The changes for a person: rule by rule, what changed, who breaks by it and what to do."""
    from trimtab.signature.render import printable

    by_rule: dict[str, list[Change]] = {}
    for change in changes:
        by_rule.setdefault(change.rule, []).append(change)
    for name, of_rule in by_rule.items():
        rule = of_rule[0].declaration
        yield f"{of_rule[0].level} {name}"
        yield from (f"    {printable(each.where)}: {printable(each.sentence)}" for each in of_rule)
        yield f"  who breaks  {rule.breaks} ({rule.notice.value})"
        yield f"  what to do  {printable(of_rule[0].remedy)}"


def summary(changes: Sequence[Change]) -> str:
    """How many changes there are, and where to read on."""
    return (
        f"{len(changes)} change{'s' if len(changes) > 1 else ''}. What a rule is about: trimtab rules {changes[0].rule}"
    )


def as_json(facts: Mapping[str, object]) -> str:
    """An indented object. A name with bytes that are no text is written in escapes."""
    return json.dumps(facts, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace").decode()


def as_report(form: str, checked: Sequence[Checked]) -> str:
    """The report in a form of other tools."""
    from trimtab.findings.reports import REPORTS
    from trimtab.stability import RULES

    return REPORTS[form](checked, RULES).encode("utf-8", "backslashreplace").decode()
