"""Findings as other tools read them: annotations of GitHub, SARIF, JUnit, and GitLab's code quality.

Sources: the workflow commands of GitHub (`::error file=…::…`), SARIF 2.1.0 of OASIS, the XML that JUnit's Ant task
writes and every CI system reads, and GitLab's Code Quality report format.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from trimtab.findings.finding import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trimtab.findings.finding import Finding


class Described(Protocol):
    """What a report needs to know of a rule."""

    @property
    def law(self) -> str:
        """What must hold."""

    @property
    def page(self) -> str:
        """The rule's page."""


class Checked(Struct, frozen=True):
    """One file, or one entry of a file, that was checked, and what was found.

    path: as the reader of the report finds the file. entry: which part of it, such as a model's version in a bundle.
    """

    path: str
    findings: Sequence[Finding]
    entry: str = ""

    def text(self, finding: Finding) -> str:
        """What a report says of a finding."""
        return f"{self.entry}: {finding.message}" if self.entry else finding.message

    def fingerprint(self, finding: Finding, before: int = 0) -> str:
        """What stays the same from run to run, so that a finding is known again: not its sides, which may move.

        before: how many findings of its rule and place come before it; GitLab shows one of each fingerprint.
        """
        parts = (self.path, *([self.entry] if self.entry else []), finding.rule, finding.where)
        counted = (*parts, str(before)) if before else parts
        return hashlib.sha256("\0".join(counted).encode("utf-8", "replace")).hexdigest()[:32]

    def fingerprinted(self) -> Iterator[tuple[Finding, str]]:
        """The findings, each with a fingerprint of its own."""
        seen: Counter[tuple[str, str]] = Counter()
        for each in self.findings:
            key = each.rule, each.where
            yield each, self.fingerprint(each, seen[key])
            seen[key] += 1


def as_github(checked: Sequence[Checked], rules: Mapping[str, Described]) -> str:
    """One workflow command per finding, which GitHub shows at the file."""
    del rules
    lines = [
        f"::{_GITHUB[it.level]} file={_property(file.path)},title={_property(it.rule)}::{_message(file.text(it))}"
        for file in checked
        for it in file.findings
    ]
    return "\n".join(lines)


def as_sarif(checked: Sequence[Checked], rules: Mapping[str, Described]) -> str:
    """A SARIF log with one run."""
    named = sorted({it.rule for file in checked for it in file.findings})
    run = {
        "tool": {
            "driver": {
                "name": "trimtab",
                "rules": [
                    {
                        "id": name,
                        "shortDescription": {"text": rules[name].law if name in rules else name},
                        "help": {"text": rules[name].page if name in rules else name},
                    }
                    for name in named
                ],
            }
        },
        "results": [
            {
                "ruleId": it.rule,
                "ruleIndex": named.index(it.rule),
                "level": it.level.value,
                "message": {"text": file.text(it)},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": _uri(file.path)},
                            "region": {"startLine": 1},  # GitHub takes no location without one
                        },
                        "logicalLocations": [{"fullyQualifiedName": f"{file.entry}: {it.where}".removeprefix(": ")}],
                    }
                ],
                "partialFingerprints": {"trimtab/v1": fingerprint},
            }
            for file in checked
            for it, fingerprint in file.fingerprinted()
        ],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, ensure_ascii=False, indent=2)


def as_junit(checked: Sequence[Checked], rules: Mapping[str, Described]) -> str:
    """A test suite per file; a test case per rule that found something, or one that passed."""
    del rules
    suites = []
    for file in checked:
        failed = [it for it in file.findings if it.level is Level.ERROR]
        cases = [
            f'    <testcase classname="{_xml(file.path)}" name="{_xml(f"{it.rule} at {it.where}")}">\n'
            + (
                f'      <failure type="{_xml(it.rule)}" message="{_xml(it.problem)}">{_xml(file.text(it))}</failure>\n'
                if it.level is Level.ERROR
                else f"      <system-out>{_xml(f'{it.level}: {file.text(it)}')}</system-out>\n"
            )
            + "    </testcase>"
            for it in file.findings
        ] or [f'    <testcase classname="{_xml(file.path)}" name="{_xml(file.entry or "signature")}"/>']
        name = f"{file.path} {file.entry}".rstrip()
        suites.append(
            f'  <testsuite name="{_xml(name)}" tests="{len(cases)}" failures="{len(failed)}" errors="0">\n'
            + "\n".join(cases)
            + "\n  </testsuite>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="trimtab">\n' + "\n".join(suites) + "\n</testsuites>"
    )


def as_gitlab(checked: Sequence[Checked], rules: Mapping[str, Described]) -> str:
    """GitLab's Code Quality report."""
    del rules
    issues = [
        {
            "description": file.text(it),
            "check_name": it.rule,
            "fingerprint": fingerprint,
            "severity": _GITLAB[it.level],
            "location": {"path": file.path, "lines": {"begin": 1}},
        }
        for file in checked
        for it, fingerprint in file.fingerprinted()
    ]
    return json.dumps(issues, ensure_ascii=False, indent=2)


REPORTS: dict[str, Callable[[Sequence[Checked], Mapping[str, Described]], str]] = {
    "github": as_github,
    "sarif": as_sarif,
    "junit": as_junit,
    "gitlab": as_gitlab,
}
"""By the name of the form, the function that writes it."""


_GITHUB = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
_GITLAB = {Level.ERROR: "critical", Level.WARNING: "minor", Level.NOTE: "info"}


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path.replace("\\", "/"), errors="surrogateescape")


def _xml(text: str) -> str:
    """Text as XML 1.0 can hold it: escaped, and without the characters that it forbids."""
    kept = "".join(char if _allowed(char) else "\N{REPLACEMENT CHARACTER}" for char in text)
    return escape(kept, quote=True)


def _allowed(char: str) -> bool:
    code = ord(char)
    return char in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
