"""Why a bundle was not built: everything that is wrong as one error, because a person mends it together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.errors import BundleError, SignatureChangedError, TrimtabError
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trimtab.bundles.building.judging import Comparison, Judgement


class RefusedChangesError(SignatureChangedError):
    """Versions whose signatures changed more than the gate lets through: a refusal on purpose, not a failure."""

    def __init__(self, root: Path, judgement: Judgement) -> None:
        self.judgement = judgement
        refused = [each for each in judgement.comparisons if each.refused]
        models = len({each.model for each in refused})
        problem = f"the gate refuses {_count(len(refused), 'version')} of {_count(models, 'model')}"
        if not refused:
            problem = "the gate refuses the waivers"
        lines = [line for alike in _alike(refused) for line in _lines(alike)]
        lines += [f"{each.level} {each.rule}: {printable(each.sentence)}" for each in judgement.problems]
        super().__init__(problem, where=str(root), hint="\n  ".join(lines))

    def as_dict(self) -> dict[str, Any]:
        """The error as an object, with what was compared as data."""
        return {**super().as_dict(), "hint": "", **judgement_as_dict(self.judgement)}


class RefusedBuildError(BundleError):
    """Several reasons at once. `refusals` holds them, one error each."""

    def __init__(self, refusals: Sequence[TrimtabError]) -> None:
        self.refusals = tuple(refusals)
        listed = "\n".join(f"{number}. {refusal}" for number, refusal in enumerate(refusals, 1))
        super().__init__(f"the bundle was not built, for {len(refusals)} reasons", hint=listed.replace("\n", "\n  "))

    def as_dict(self) -> dict[str, Any]:
        """The error as an object, with each reason as one of its own."""
        return {**super().as_dict(), "hint": "", "refusals": [refusal.as_dict() for refusal in self.refusals]}


def raise_refusals(refusals: Sequence[TrimtabError]) -> None:
    """Raise nothing, the one refusal, or all of them as one error."""
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise RefusedBuildError(refusals)


def judgement_as_dict(judgement: Judgement) -> dict[str, Any]:
    """What the gate found, with the keys of `trimtab check --json`, and `comparisons`: what was held against what."""
    return {
        "refused": judgement.refused,
        "comparisons": [each.as_dict() for each in judgement.comparisons],
        "changes": [
            {**change.as_dict(), "version": str(each.version)}
            for each in judgement.comparisons
            for change in each.changes
        ],
        "waived": [{**each.change.as_dict(), "waiver": str(each.waiver)} for each in judgement.waived],
        "waivers": [each.as_dict() for each in judgement.problems],
    }


def comparison_lines(alike: Sequence[Comparison]) -> Iterator[str]:
    """What changed in versions that differ alike, for a person: rule by rule, with who breaks by it."""
    first = alike[0]
    versions = ", ".join(str(each.version) for each in alike)
    yield f"{printable(first.model)}:{versions} (against {first.against})"
    for name in dict.fromkeys(change.rule for change in first.changes):
        of_rule = [change for change in first.changes if change.rule == name]
        rule = of_rule[0].declaration
        yield f"  {of_rule[0].level} {name}"
        yield from (f"    {printable(change.where)}: {printable(change.sentence)}" for change in of_rule)
        yield f"    who breaks  {rule.breaks} ({rule.notice.value})"


def _alike(comparisons: Sequence[Comparison]) -> Iterator[Sequence[Comparison]]:
    """Versions of a model that differ alike from the same one."""
    groups: dict[object, list[Comparison]] = {}
    for each in comparisons:
        groups.setdefault((each.model, each.against, each.in_place, each.changes), []).append(each)
    yield from groups.values()


def _lines(alike: Sequence[Comparison]) -> Iterator[str]:
    yield from comparison_lines(alike)
    first = alike[0]
    fork = first.changes[0].fork
    if first.in_place:
        yield (
            f"  what to do  Roots keep what version {first.version} was published with, for good: put that"
            f" artifact back, and give the new one another name: {fork}"
        )
    else:
        remedies = {change.declaration.remedy for change in first.changes}
        cheaper = f"{remedies.pop()} Or: " if len(remedies) == 1 and all(remedies) else ""
        yield f"  what to do  {cheaper}Publish it under a new name: {fork}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
