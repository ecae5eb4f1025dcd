"""The model versions that a leaf serves, as one immutable table that is swapped when the repository changes."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from trimtab.serving.leaf.refusals import UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from trimtab.bundles.identity import FileIdentity
    from trimtab.converting.converter import FeatureConverter
    from trimtab.observing.leaf_metrics import VersionMetrics
    from trimtab.serving.leaf.engines.engine import Engine
    from trimtab.signature.model import Signature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedModel:
    """One model version, loaded.

    outputs: every output name that requests may ask for; empty where only the model knows (a mapping).
    headers: the response metadata that goes with each of its answers.
    """

    name: str
    version: int
    path: Path
    identity: tuple[tuple[str, FileIdentity], ...]
    signature: Signature
    converter: FeatureConverter
    engine: Engine
    metrics: VersionMetrics
    outputs: frozenset[str]
    headers: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class RefusedVersion:
    """A version in the repository that is not served, and why."""

    model: str
    version: int
    reason: str


class ModelTable:
    """Look-up of served versions. Immutable; the latest version of a model is its highest number."""

    def __init__(self, models: Iterable[ServedModel] = (), refused: Iterable[RefusedVersion] = ()) -> None:
        by_name: dict[str, dict[str, ServedModel]] = {}
        for model in sorted(models, key=lambda it: (it.name, it.version)):
            by_name.setdefault(model.name, {})[str(model.version)] = model
        self.by_name: Mapping[str, Mapping[str, ServedModel]] = by_name
        self.refused = tuple(refused)
        self._latest = {name: [*versions.values()][-1] for name, versions in by_name.items()}

    def find(self, name: str, version: str = "") -> ServedModel:
        """The version that a request means; without a version, the latest. UnknownModelError says what there is."""
        if not version:
            latest = self._latest.get(name)
            if latest is not None:
                return latest
        elif name in self.by_name and version in self.by_name[name]:
            return self.by_name[name][version]
        raise self._unknown(name, version)

    def all(self) -> list[ServedModel]:
        """Every served version, by model name and version number."""
        return [model for versions in self.by_name.values() for model in versions.values()]

    def _unknown(self, name: str, version: str) -> UnknownModelError:
        reasons = [it.reason for it in self.refused if it.model == name and version in ("", str(it.version))]
        why = f"Version {version or 'any'} is in the repository and was refused: {reasons[0]}" if reasons else ""
        if name in self.by_name:
            served = ", ".join(self.by_name[name])
            return UnknownModelError(
                where=f"model {name[:_LONGEST]!r}",
                expected=f"a served version ({served})",
                got=version[:_LONGEST],
                hint=why,
            )
        near = get_close_matches(name[:_LONGEST], self.by_name, n=1)
        some = ", ".join([*self.by_name][:_MOST]) + (", …" if len(self.by_name) > _MOST else "")
        return UnknownModelError(
            "no such model",
            expected=f"one of {some}" if some else "a model of the repository, which is empty",
            got=repr(name[:_LONGEST]),
            hint=why or (f"Is {near[0]!r} meant?" if near else ""),
        )


_LONGEST = 120
_MOST = 20
