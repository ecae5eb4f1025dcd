"""Run every rule over every MetaGraph of a SavedModel."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.findings import Finding, Level, rules_of
from trimtab.savedmodel.model import SavedModel, load
from trimtab.savedmodel.verifying import (
    capture_rules,
    checkpoint_rules,
    function_rules,
    graph_rules,
    object_rules,
    reading_rules,
    signature_def_rules,
    signature_rules,
    spec_rules,
    trace_rules,
)
from trimtab.savedmodel.verifying.budget import unchecked
from trimtab.savedmodel.verifying.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

RULES = rules_of(
    signature_def_rules,
    signature_rules,
    spec_rules,
    function_rules,
    trace_rules,
    capture_rules,
    object_rules,
    checkpoint_rules,
    graph_rules,
    reading_rules,
)
"""Every rule by name. What the others could not read is reported by the last."""

_LAST = "PART_UNREADABLE"

MAX_FINDINGS = 1_000
"""How many findings are reported of one rule in one MetaGraph: who has so many needs no more."""

MAX_ERRORS = 4
"""How many rules meet what cannot be read in a MetaGraph before the others are left out: each would read it again."""


def verify(
    model: str | os.PathLike[str] | SavedModel,
    *,
    only: Collection[str] = (),
    ignore: Collection[str] = (),
    notes: bool = False,
) -> tuple[Finding, ...]:
    """What is wrong with a SavedModel: where its places contradict each other, the graph or the checkpoint.

    model: its directory or proto, or one that is loaded. Files beside the proto are looked at where they exist.
    only, ignore: names of rules; without `only` every rule but notes runs. What they cannot read is always reported.
    notes: also what is as TensorFlow wrote it, and yet surprises.
    Returns the findings, gravest first; none for a model that TensorFlow wrote and nobody changed. Without `only`, a
    model of more nodes than are checked in a few seconds (`budget.MAX_WORK`, more for large files) is not checked:
    the one finding, a PART_UNREADABLE, says so.
    ArtifactError when the model cannot be read at all; a part that cannot be is a finding.
    """
    if not isinstance(model, SavedModel):
        with load(model) as opened:
            return verify(opened, only=only, ignore=ignore, notes=notes)
    wanted = only or {name for name, each in RULES.items() if notes or each.level is not Level.NOTE}
    names = [name for name in RULES if (name in wanted or name == _LAST) and name not in ignore]
    directory = _directory(model)
    found: dict[Finding, None] = {}
    too_much = None if only else unchecked(model)
    if too_much is not None:
        facts = Facts(model, model.meta_graphs[0], directory)
        facts.errors.append(too_much)
        return tuple(_run(_LAST, facts)) if _LAST in names else ()
    for meta_graph in model.meta_graphs:
        facts = Facts(model, meta_graph, directory)
        for name in names:
            if len(facts.errors) < MAX_ERRORS or name == _LAST:
                found.update(dict.fromkeys(_run(name, facts)))
    order = list(Level)
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def _directory(model: SavedModel) -> str | None:
    """Where the files beside the proto lie; None when the model was not read from a file."""
    return os.path.dirname(os.path.abspath(model.name)) if os.path.isfile(model.name) else None


def _run(name: str, facts: Facts) -> Iterator[Finding]:
    try:
        yield from islice(RULES[name](facts), MAX_FINDINGS)
    except ArtifactError as error:
        facts.errors.append(error)
