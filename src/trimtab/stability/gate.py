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
    from collections.abc import Collection, Iterable

    from trimtab.signature.model import Signature
    from trimtab.stability.category import Category
    from trimtab.stability.configuration import Configuration


class Candidate(Struct, frozen=True):
    """A new version of a model, and the version that it is held against.

    old: None for the first version of its model. new: its signature, or what is wrong with it (`without_signature`,
    `contradicted`). fork: the command that gives it a model name of its own (`trimtab.bundles.forking.fork`); empty
    where its repository is not known.
    """

    model: str
    old: Signature | None
    new: Signature | Seen
    fork: str = ""


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
    changes = [change for each in candidates for change in weighed_changes(each, configuration, category)]
    return judged(changes, configuration, today)


def weighed_changes(
    candidate: Candidate, configuration: Configuration, category: Category | None = None
) -> list[Change]:
    """The changes of one candidate, at the levels that the configuration gives its model; waivers are not asked."""
    found = changes_of(candidate, category or configuration.category_of(candidate.model))
    return [configuration.weighed(change) for change in found]


def changes_of(candidate: Candidate, category: Category) -> list[Change]:
    """The changes of one candidate that the category counts. What is wrong with its signature always counts."""
    if isinstance(candidate.new, Seen):
        found = [change_of(candidate.new)]
    else:
        found = diff(candidate.old, candidate.new, category) if candidate.old is not None else []
    return [replace(change, model=candidate.model, fork=candidate.fork) for change in found]


def judged(
    changes: Iterable[Change],
    configuration: Configuration,
    today: datetime.date,
    models: Collection[str] | None = None,
) -> Verdict:
    """The verdict on the weighed changes of all models that were held.

    models: the names of the models that were held where that is not all that the configuration is for: nothing is then
    said of a waiver that is for none of them, be it unmatched or past its day.
    """
    sifted = sift(list(changes), configuration.waivers, today, models)
    problems = [configuration.weighed(problem) for problem in sifted.problems]
    return Verdict(sifted.changes, sifted.waived, problems)
