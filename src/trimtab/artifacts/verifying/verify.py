"""Run every rule over an artifact; over a SavedModel, its own rules too."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trimtab.artifacts.read import opened
from trimtab.artifacts.verifying import document_rules, value_rules
from trimtab.artifacts.verifying.facts import Facts, gather
from trimtab.errors import ArtifactError
from trimtab.findings import Finding, Level, Rule, rules_of, worst
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trimtab.source.bytes import ByteSource

ARTIFACT_RULES = rules_of(document_rules, value_rules)
"""The rules for artifacts of any format, by name."""

MAX_FINDINGS = 1_000
"""How many findings are reported of one rule: who has so many needs no more."""

_SAVED_MODEL = "savedmodel"


class Verification(Struct, frozen=True, kw_only=True):
    """What verifying an artifact came to.

    format: as in `Provenance.format`. document: where its signature document lies, empty without one.
    graph: whether the artifact says something of its inputs and outputs itself.
    findings: gravest first; empty where nothing is against it.
    """

    artifact: str
    format: str
    document: str
    graph: bool
    findings: tuple[Finding, ...]


def rules() -> dict[str, Rule[Any]]:
    """Every rule by name: those for all artifacts, then those for SavedModels."""
    from trimtab.savedmodel.verifying import RULES

    return {**ARTIFACT_RULES, **RULES}


def verify_artifact(
    artifact: str | os.PathLike[str],
    *,
    only: Collection[str] = (),
    ignore: Collection[str] = (),
    notes: bool = False,
) -> Verification:
    """Check a model file or folder: its document against its graph, its names and constraints.

    artifact: as for `read_signature`. A SavedModel is checked by its own rules too (`trimtab.savedmodel.verify`).
    only, ignore: names of rules; without `only` every rule but notes runs. notes: run the rules that only note, too.
    Raises RefusedArtifactError for kinds that are not read on purpose and carry no document, and ArtifactError for what
    cannot be read at all. Nothing is executed or unpickled; no weights are read, but for a document beside a file,
    whose digest is checked.
    """
    with opened(artifact) as (format_, source):
        name = source.name if source.remote else os.fspath(artifact)  # of a URL, without what is secret in it
        own = _savedmodel_findings(source, only, ignore, notes=notes) if format_.name == _SAVED_MODEL else ()
        try:
            facts = gather(format_, source)
        except ArtifactError:
            if worst(own) is not Level.ERROR:
                raise
            return Verification(artifact=name, format=format_.name, document="", graph=False, findings=own)
    return Verification(
        artifact=name,
        format=facts.format,
        document=facts.document.place,
        graph=facts.derived is not None,
        findings=_gravest_first((*_findings(facts, only, ignore, notes=notes), *own)),
    )


def _findings(facts: Facts, only: Collection[str], ignore: Collection[str], *, notes: bool) -> list[Finding]:
    wanted = only or {name for name, each in ARTIFACT_RULES.items() if notes or each.level is not Level.NOTE}
    names = [name for name in ARTIFACT_RULES if name in wanted and name not in ignore]
    return [finding for name in names for finding in islice(ARTIFACT_RULES[name](facts), MAX_FINDINGS)]


def _savedmodel_findings(
    source: ByteSource, only: Collection[str], ignore: Collection[str], *, notes: bool
) -> tuple[Finding, ...]:
    from trimtab.savedmodel.model import SavedModel
    from trimtab.savedmodel.verifying import RULES, verify

    chosen = [name for name in only if name in RULES]
    if only and not chosen:
        return ()
    # By its path, what lies beside the proto is looked at too.
    model = source.name if isinstance(source, LocalFile) else SavedModel(source)
    return verify(model, only=chosen, ignore=ignore, notes=notes)


def _gravest_first(findings: Collection[Finding]) -> tuple[Finding, ...]:
    order: Mapping[Level, int] = {level: index for index, level in enumerate(Level)}
    return tuple(sorted(findings, key=lambda finding: order[finding.level]))
