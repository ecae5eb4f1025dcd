"""Put a bundle together: names and allowlists numbered, each once, and on top the models, those of the past too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.indices import Indices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trimtab.bundles.building.signature_facts import SignatureFacts


def assemble(
    name: str,
    models: Mapping[str, Mapping[int, SignatureFacts]],
    previous: Bundle | None,
    held: Collection[str],
) -> Bundle:
    """The bundle of these models.

    previous: whose history of published inputs is carried over, and whose serial is followed. held: the models whose
    inputs the gate holds, so that they are attested stable where only one input digest was ever published.
    """
    names_of = {facts.input_digest: facts.names for versions in models.values() for facts in versions.values()}
    names = sorted(set().union(*names_of.values()))
    number = {each: index for index, each in enumerate(names)}
    numbered = {digest: Indices(map(number.__getitem__, listed)) for digest, listed in names_of.items()}
    allowlists = sorted(set(numbered.values()))
    place = {allowlist: index for index, allowlist in enumerate(allowlists)}
    places = {digest: place[allowlist] for digest, allowlist in numbered.items()}
    history = {} if previous is None else {model: each.published for model, each in previous.models.items()}
    return Bundle(
        name=name,
        serial=1 if previous is None else previous.serial + 1,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        names=tuple(names),
        allowlists=tuple(allowlists),
        models={
            model: _bundled(models.get(model, {}), history.get(model, {}), places, held=model in held)
            for model in sorted({*models, *history})
        },
    )


def _bundled(
    versions: Mapping[int, SignatureFacts], history: Mapping[str, str], places: Mapping[str, int], *, held: bool
) -> BundledModel:
    published = dict(history)
    for number, facts in versions.items():
        published.setdefault(facts.input_digest, str(number))
    return BundledModel(
        attested_stable=held and len(published) == 1,
        versions={
            str(number): BundledVersion(
                digest=facts.digest,
                input_digest=facts.input_digest,
                allowlist=places[facts.input_digest],
                format=facts.format,
            )
            for number, facts in versions.items()
        },
        published=published,
    )
