"""Hold new versions of models against what is live: changes, weighed by the configuration and sifted by waivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trimtab.findings import Finding, Level, worst
from trimtab.stability.change import Change, Seen, change_of
from trimtab.stability.diff import diff
from trimtab.stability.waivers import Waived, sift

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from trimtab.signature.model import Signature
    from trimtab.stability.category import Category
    from trimtab.stability.configuration import Configuration


class Candidate(Struct, frozen=True):
    """A new version of a model, and the version that it is held against.

    new: its signature, or what is wrong with it (`without_signature`, `contradicted`).
    """

    model: str
    old: Signature
    new: Signature | Seen


def without_signature(problem: str) -> Seen:
    """Of a version whose artifact states no signature and holds no document."""
    return Seen("SIGNATURE_PRESENT", "signature", "there is none", "a signature", problem)


def contradicted(declared: str, graph: str) -> Seen:
    """Of a version whose document and graph disagree: what each of them says."""
    return Seen("SIGNATURE_MATCHES_GRAPH", "signature", "the document contradicts the graph", graph, declared)


class Verdict(Struct, frozen=True):
    """What the gate found.

    changes: those that stand, the models' order kept. waived: those let through. problems: of the waivers themselves.
    """

    changes: list[Change]
    waived: list[Waived]
    problems: list[Finding]

    @property
    def refused(self) -> bool:
        """Whether anything of level error stands."""
        return worst([*self.changes, *self.problems]) is Level.ERROR


def gate(
    candidates: Iterable[Candidate],
    configuration: Configuration,
    today: datetime.date,
    category: Category | None = None,
) -> Verdict:
    """Hold candidates against what they are to replace.

    category: instead of the one that the configuration gives each model.
    """
    changes = []
    for each in candidates:
        held_to = category or configuration.category_of(each.model)
        found = [change_of(each.new)] if isinstance(each.new, Seen) else diff(each.old, each.new, held_to)
        changes += [configuration.weighed(replace(change, model=each.model)) for change in found]
    sifted = sift(changes, configuration.waivers, today)
    return Verdict(sifted.changes, sifted.waived, sifted.problems)
