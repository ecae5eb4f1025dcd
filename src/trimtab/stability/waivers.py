"""Waivers: changes that somebody answers for, until a day.

A waiver names the rule, the model, the subject, why, who and until when. One that is past its day, or that matches
nothing, is a finding itself: lists of exceptions that nobody prunes grow until they except everything.
"""

from __future__ import annotations

import datetime  # noqa: TC003  # msgspec reads the annotations at run time
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.findings import Finding
from trimtab.stability.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from trimtab.stability.change import Change

UNMATCHED = "WAIVER_UNMATCHED"
EXPIRED = "WAIVER_EXPIRED"


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change that is let through.

    rule: the rule's name. model, subject: patterns as of the shell (`*`, `?`, `[…]`) over the model's name and the
    change's subject. expires: the last day on which it counts.
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


def sift(
    changes: Sequence[Change],
    waivers: Sequence[Waiver],
    today: datetime.date,
    models: Collection[str] | None = None,
) -> Sifted:
    """Apply waivers to the changes of several models.

    Waivers are judged over all of them: one that covers no change at all is reported. models: where given, the only
    models that were looked at, so that nothing is said of a waiver that is for none of them.
    """
    index = WaiverIndex(waivers)
    standing, waived = [], []
    used: set[int] = set()
    for change in changes:
        covering = sorted(index.covering(change))
        used.update(covering)
        valid = [waivers[number] for number in covering if today <= waivers[number].expires]
        if valid:
            waived.append(Waived(change, valid[0]))
        else:
            standing.append(change)
    problems = [
        Finding(
            EXPIRED,
            RULES[EXPIRED].level,
            "trimtab.toml",
            f"the waiver {waiver} is past its day ({waiver.expires}): remove it, or renew it with a reason that holds"
            " today",
        )
        for waiver in waivers
        if waiver.expires < today and _is_for_any(waiver, models)
    ]
    problems += [
        Finding(UNMATCHED, RULES[UNMATCHED].level, "trimtab.toml", f"the waiver {waiver} covers no change: remove it")
        for number, waiver in enumerate(waivers)
        if number not in used and waiver.expires >= today and _is_for_any(waiver, models)
    ]
    return Sifted(standing, waived, problems)


class WaiverIndex:
    """Waivers by what they cover, so that thousands of them are not each asked about each of thousands of changes."""

    def __init__(self, waivers: Sequence[Waiver]) -> None:
        self._waivers = waivers
        self._exact: dict[tuple[str, str, str], list[int]] = {}
        self._patterns: dict[str, list[int]] = {}
        for number, waiver in enumerate(waivers):
            model, subject = _text_of(waiver.model), _text_of(waiver.subject)
            if model is None or subject is None:
                self._patterns.setdefault(waiver.rule, []).append(number)
            else:
                self._exact.setdefault((waiver.rule, model, subject), []).append(number)

    def covering(self, change: Change) -> Iterator[int]:
        """The numbers of the waivers that cover a change."""
        yield from self._exact.get((change.rule, change.model, change.where), ())
        yield from (each for each in self._patterns.get(change.rule, ()) if self._waivers[each].covers(change))

    def lets_through(self, change: Change, today: datetime.date) -> bool:
        """Whether a waiver that is not past its day covers a change."""
        return any(today <= self._waivers[number].expires for number in self.covering(change))


def literally(text: str) -> str:
    """The pattern that matches this text and no other."""
    return re.sub(r"[*?[]", r"[\g<0>]", text)


def _text_of(pattern: str) -> str | None:
    """The only text that a pattern matches; None where it may match several."""
    text = re.sub(r"\[([*?[])\]", r"\1", pattern)
    return text if literally(text) == pattern else None


def _is_for_any(waiver: Waiver, models: Collection[str] | None) -> bool:
    return models is None or any(fnmatchcase(each, waiver.model) for each in models)
