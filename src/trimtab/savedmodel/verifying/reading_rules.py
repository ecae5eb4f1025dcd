"""The rule for what cannot be read: the other rules stop where they meet it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.verifying.facts import Facts


@rule("PART_UNREADABLE")
def part_unreadable(facts: Facts) -> Iterator[Problem]:
    """Every part of the proto that other rules look at can be read: well-formed, in UTF-8, of sane sizes and shapes.

    Rules that meet such a part say nothing about the rest: repair it and verify again.
    Who breaks: everybody who reads the part; TensorFlow may end with an error that names nothing.
    Instead: write the part again with what wrote the model.
    """
    for error in facts.errors:
        place = error.where if facts.where.partition(":")[0] in error.where else f"{facts.where}: {error.where}"
        yield Problem(place, error.problem or "cannot be read", error.expected, error.got)
