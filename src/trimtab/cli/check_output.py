"""What `trimtab check` prints: for a person, as one JSON object, or in the forms of other tools."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trimtab.cli.change_forms import as_json, as_report, change_lines, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.bundles.comparing.checking import Held
    from trimtab.bundles.comparing.versions import Version
    from trimtab.findings import Finding
    from trimtab.findings.reports import Checked
    from trimtab.stability import Change
    from trimtab.stability.gate import Verdict


class Outcome(NamedTuple):
    """All that was found. notes: what a person should know of it. configured_by: the configuration's file."""

    held: Sequence[Held]
    verdict: Verdict
    notes: Sequence[str]
    configured_by: str


def as_printed(form: str, outcome: Outcome) -> str:
    """The outcome in one of the forms of `--format`."""
    if form == "json":
        return as_json(_facts(outcome))
    if form == "text":
        return "\n".join(_lines(outcome))
    return as_report(form, list(_checked(outcome)))


def _facts(outcome: Outcome) -> dict[str, object]:
    verdict = outcome.verdict
    return {
        "refused": verdict.refused,
        "compared": [
            {"model": it.model, "new": it.new.name, "old": None if it.old is None else it.old.name}
            for it in (each.successor for each in outcome.held)
        ],
        "changes": [
            {**change.as_dict(), "new": held.successor.new.name}
            for held, changes in _standing(outcome)
            for change in changes
        ],
        "waived": [{**each.change.as_dict(), "waiver": str(each.waiver)} for each in verdict.waived],
        "waivers": [each.as_dict() for each in verdict.problems],
        "errors": [
            {"model": each.successor.model, "new": each.successor.new.name, "error": each.error.as_dict()}
            for each in outcome.held
            if each.error is not None
        ],
        "notes": list(outcome.notes),
    }


def _standing(outcome: Outcome) -> Iterator[tuple[Held, list[Change]]]:
    """Each version with those of its changes that no waiver lets through."""
    standing = {id(change) for change in outcome.verdict.changes}
    for held in outcome.held:
        yield held, [change for change in held.changes if id(change) in standing]


def _lines(outcome: Outcome) -> Iterator[str]:
    from trimtab.signature.render import printable

    verdict = outcome.verdict
    for held, changes in _standing(outcome):
        if changes:
            old = held.successor.old
            against = f" against {old.name}" if old is not None else ""
            yield printable(f"{held.successor.model}: {held.successor.new.name}{against}")
            yield from change_lines(changes)
    if verdict.changes:
        yield summary(verdict.changes)
    yield from (printable(f"{each.level} {each.rule}: {each.sentence}") for each in verdict.problems)
    yield from (printable(f"waived: {each.change.where}: {each.waiver}") for each in verdict.waived)
    failed = [each for each in outcome.held if each.error is not None]
    for each in failed:
        yield "\n".join(map(printable, f"error: {each.error}".split("\n")))
    yield from (printable(f"note: {each}") for each in outcome.notes)
    yield f"{', '.join(_counts(outcome.held))}: {_conclusion(outcome)}"


def _counts(held: Sequence[Held]) -> Iterator[str]:
    failed = sum(each.error is not None for each in held)
    first = sum(each.successor.old is None and each.error is None for each in held)
    yield f"{len(held) - first - failed:,} compared"
    if first:
        yield f"{first:,} without a version before"
    if failed:
        yield f"{failed:,} not readable"


def _conclusion(outcome: Outcome) -> str:
    if outcome.verdict.refused:
        return "refused"
    return "nothing else is refused" if any(each.error is not None for each in outcome.held) else "nothing is refused"


def _checked(outcome: Outcome) -> Iterator[Checked]:
    from trimtab.findings.reports import Checked

    for held, changes in _standing(outcome):
        findings: list[Finding] = [*changes]
        if held.error is not None:
            findings.append(_unreadable(held))
        version = held.successor.new
        entry = f"{held.successor.model}:{version.number}" if version.number else held.successor.model
        yield Checked(_file(version), findings, entry)
    if outcome.verdict.problems:
        yield Checked(outcome.configured_by, outcome.verdict.problems)


def _unreadable(held: Held) -> Finding:
    from trimtab.findings import Finding, Level

    first, _, _ = str(held.error).partition("\n")
    return Finding("NOT_READABLE", Level.ERROR, "signature", first.rstrip("."))


def _file(version: Version) -> str:
    """The file that a report shows a finding at, relative where it can be: an artifact, or the bundle or store."""
    from trimtab.bundles.comparing.versions import InArtifact, InBundle, InStore

    source = version.source
    if isinstance(source, InBundle):
        path = source.bundle
    elif isinstance(source, InStore):
        path = source.store
    else:
        path = source.path if isinstance(source, InArtifact) else version.name
    if os.path.isabs(path) and os.path.commonpath((path, os.getcwd())) == os.getcwd():
        return os.path.relpath(path)
    return path if "://" in path else os.path.normpath(path)
