"""Waivers: changes that somebody answers for, until a day.

A waiver names the rule, the model, the subject, why, who and until when. One that is past its day, or that matches
nothing, is a finding itself: lists of exceptions that nobody prunes grow until they except everything.
"""

from __future__ import annotations

import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.stability.change import Change

UNMATCHED = "WAIVER_UNMATCHED"
EXPIRED = "WAIVER_EXPIRED"


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change that is let through.

    rule: the rule's name. model, subject: patterns as of the shell (`*`, `?`) over the model's name and the change's
    subject. expires: the last day on which it counts.
    """

    rule: str
    reason: str
    owner: str
    expires: datetime.date
    model: str = "*"
    subject: str = "*"

    def covers(self, change: Change) -> bool:
        """Whether the change is of this waiver, whatever the day."""
        return (
            self.rule == change.rule
            and fnmatchcase(change.model, self.model)
            and fnmatchcase(change.where, self.subject)
        )

    def __str__(self) -> str:
        return f"{self.rule} of {self.model}, {self.subject} ({self.owner}: {self.reason})"


class Waived(Struct, frozen=True):
    """A change, and the waiver that lets it through."""

    change: Change
    waiver: Waiver


class Sifted(Struct, frozen=True):
    """Changes after waivers: those that stand, those let through, and what is wrong with the waivers themselves."""

    changes: list[Change]
    waived: list[Waived]
    problems: list[Finding]


def sift(changes: Sequence[Change], waivers: Sequence[Waiver], today: datetime.date) -> Sifted:
    """Apply waivers to the changes of several models.

    Waivers are judged over all of them: one that covers no change at all is reported.
    """
    standing, waived = [], []
    used: set[int] = set()
    for change in changes:
        covering = [number for number, waiver in enumerate(waivers) if waiver.covers(change)]
        used.update(covering)
        valid = [waivers[number] for number in covering if today <= waivers[number].expires]
        if valid:
            waived.append(Waived(change, valid[0]))
        else:
            standing.append(change)
    problems = [
        Finding(EXPIRED, Level.ERROR, "trimtab.toml", f"the waiver {waiver} is past its day", got=str(waiver.expires))
        for waiver in waivers
        if waiver.expires < today
    ]
    problems += [
        Finding(UNMATCHED, Level.WARNING, "trimtab.toml", f"the waiver {waiver} covers no change: remove it")
        for number, waiver in enumerate(waivers)
        if number not in used and waiver.expires >= today
    ]
    return Sifted(standing, waived, problems)
