"""Bundles of a few models, in one line each, and the question on which all rests: is a request trimmed wrongly?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.indices import Indices

Models = Mapping[str, Mapping[int, str]]
"""Inputs, one letter each, by model and version."""


def small_bundle(
    models: Models, *, name: str = "ads", serial: int = 1, after: Bundle | None = None, attest: bool = True
) -> Bundle:
    """A bundle whose input digests follow from the inputs. after: the bundle that it is built on."""
    names = sorted({letter for versions in models.values() for inputs in versions.values() for letter in inputs})
    lists = sorted({_indices(names, inputs) for versions in models.values() for inputs in versions.values()})
    past = {} if after is None else {model: each.published for model, each in after.models.items()}
    return Bundle(
        name=name,
        serial=serial,
        created="2026-01-02T03:04:05Z",
        names=tuple(names),
        allowlists=tuple(map(Indices, lists)),
        models={
            model: _model(
                {
                    str(version): BundledVersion(
                        digest=digest_of(model, inputs),
                        input_digest=digest_of(inputs),
                        allowlist=lists.index(_indices(names, inputs)),
                    )
                    for version, inputs in models.get(model, {}).items()
                },
                past.get(model, {}),
                attest,
            )
            for model in sorted({*models, *past})
        },
    )


def digest_of(*parts: str) -> str:
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def wrongly_trimmed(root: ConsolidatedMap, leaf: Bundle, questions: Iterable[tuple[str, str]]) -> str:
    """The first request of `questions` (model, version or none) that the root cuts too short for the leaf; or nothing.

    The truth about what a version consumes is its own allowlist in the leaf's bundle. A version that the leaf does not
    have it refuses; where none is named any of its versions may answer, for it may not have loaded all of them yet.
    """
    for model, version in questions:
        versions = leaf.models[model].versions if model in leaf.models else {}
        allowlist = root.lookup(model, version).allowlist
        for answering in versions if not version else versions.keys() & {version}:
            lost = set(leaf.allowlist_names(versions[answering].allowlist)) - (allowlist or set())
            if allowlist is not None and lost:
                asked = f"version {version}" if version else "no version"
                return f"{model}, {asked}: trimmed to {sorted(allowlist)}, version {answering} takes {sorted(lost)} too"
    return ""


def _indices(names: list[str], inputs: str) -> tuple[int, ...]:
    return tuple(sorted(names.index(letter) for letter in set(inputs)))


def _model(versions: dict[str, BundledVersion], past: Mapping[str, str], attest: bool) -> BundledModel:
    published = dict(past)
    for version, each in versions.items():
        published.setdefault(each.input_digest, version)
    return BundledModel(attested_stable=attest and len(published) == 1, versions=versions, published=published)
