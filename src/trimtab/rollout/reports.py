"""The report of a canary's analysis, as far as a rollout depends on it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trimtab.bundles.store.entry import Analysis, Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.observing.canary.report_file import decode_report, read_report_file

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.bundles.store.entry import Entry
    from trimtab.rollout.evidence import Evidence


class Report(Struct, frozen=True, kw_only=True):
    """What a report says.

    verdict: pass, fail or inconclusive. bundle: the digest of the bundle that it is about. made_at: RFC 3339.
    hash: `sha256:…` of its bytes. where: the file, for errors.
    """

    verdict: str
    bundle: str
    made_at: str
    hash: str = ""
    where: str = ""


def read_report(path: Path) -> Report:
    """Read a report's file. StoreError for anything that is no report."""
    data = read_report_file(path)
    report = decode_report(data, Report, where=path)
    return msgspec.structs.replace(report, hash=f"sha256:{hashlib.sha256(data).hexdigest()}", where=str(path))


def check_report(report: Report, head: Entry, evidence: Evidence) -> Analysis:
    """Hold a report to the rollout that it is to let through; what is written of it into the history.

    It must be about the pending bundle, and made after the leaves of the canary were moved to it, by the store's clock:
    before that they served the other one. Raises MoveRefusedError. The verdict is the machine's to judge.
    """
    if head.rollout is None or head.rollout.position is not Position.LEAF_CANARY:
        return Analysis(verdict=report.verdict, report=report.hash)
    if report.bundle != head.rollout.pending:
        raise MoveRefusedError(
            "the report is about another bundle",
            where=report.where,
            expected=head.rollout.pending,
            got=report.bundle or "none",
            hint="Analyze this rollout: trimtab canary analyze CONFIG --store PLACE --report REPORT.json",
        )
    moved = evidence.moved.get((Tier.LEAF, Stage.CANARY))
    if moved is not None and _seconds(report) <= moved.at_s:
        raise MoveRefusedError(
            "the report was made before the canary served the pending bundle",
            where=report.where,
            expected=f"a time after {datetime.fromtimestamp(moved.at_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
            got=report.made_at,
            hint="Analyze the canary now: trimtab canary analyze CONFIG --report REPORT.json",
        )
    return Analysis(verdict=report.verdict, report=report.hash)


def _seconds(report: Report) -> float:
    try:
        made = datetime.fromisoformat(report.made_at)
    except ValueError:
        made = None
    if made is None or made.tzinfo is None:
        raise StoreError(
            where=f"{report.where}: made_at", expected="a time with its zone (RFC 3339)", got=report.made_at[:80]
        )
    return made.timestamp()
