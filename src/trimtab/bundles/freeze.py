"""The gate FREEZE: every version ever published under a model's name takes the same inputs.

Why so strict: during a rollout a root may hold one version's allowlist while a leaf serves another, and a request that
names no version gets whichever is latest. Only if all agree is that safe. What changed belongs under a new name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.difference import input_changes, name_changes
from trimtab.bundles.refusals import InputsChangedError, fork_command, fork_name
from trimtab.bundles.request_names import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trimtab.bundles.bundle import Bundle, BundledModel
    from trimtab.bundles.difference import InputChange
    from trimtab.signature.model import Signature


def changed_inputs(
    root: Path, models: Mapping[str, Mapping[int, Signature]], previous: Bundle | None
) -> list[InputsChangedError]:
    """One refusal for each model and each input signature other than the one that the model's name stands for.

    root: the repository's folder, for the commands that the refusals suggest. models: signatures by model and version.
    previous: the bundle that tells what was published before.
    """
    taken = {*models, *(previous.models if previous is not None else ())}
    refusals = []
    for name, versions in models.items():
        if not versions:
            continue
        known = previous.models.get(name) if previous is not None else None
        model = _Model(root=root, name=name, versions=versions, known=known, previous=previous)
        for numbers in model.differing():
            fork = fork_name(name, taken)
            taken.add(fork)
            refusals.append(model.refusal(numbers, fork))
    return refusals


class _Model(Struct, frozen=True, kw_only=True):
    """One model of the repository beside what is known of its past."""

    root: Path
    name: str
    versions: Mapping[int, Signature]
    known: BundledModel | None
    previous: Bundle | None

    @property
    def published(self) -> Mapping[str, str]:
        return self.known.published if self.known is not None else {}

    @property
    def frozen(self) -> str:
        """The input digest that the name stands for: the earliest published one, or that of the lowest version."""
        if self.published:
            return min(self.published, key=lambda digest: int(self.published[digest]))
        return self.versions[min(self.versions)].input_digest

    def differing(self) -> list[list[int]]:
        """Versions that must go, grouped by equal inputs; all of them when the name was used for several before."""
        groups: dict[str, list[int]] = {}
        for number in sorted(self.versions):
            groups.setdefault(self.versions[number].input_digest, []).append(number)
        if len(self.published) > 1 and groups.keys() == {self.frozen}:
            return list(groups.values())
        return [numbers for digest, numbers in groups.items() if digest != self.frozen]

    def refusal(self, numbers: list[int], fork: str) -> InputsChangedError:
        texts = [str(number) for number in numbers]
        reference, changes, past = self._compared(numbers[0])
        command = fork_command(self.root, self.name, fork, texts)
        return InputsChangedError(
            where=str(self.root / self.name / texts[0]),
            model=self.name,
            reference=reference,
            versions=texts,
            changes=changes,
            hint=f"A changed signature is a new model. Fork it, then build again: {command}{past}",
        )

    def _compared(self, number: int) -> tuple[str, tuple[InputChange, ...], str]:
        """The version to compare with, what changed since, and what to add where only the past has that version."""
        after = self.versions[number]
        siblings = [each for each in self.versions if self.versions[each].input_digest == self.frozen]
        if after.input_digest != self.frozen and siblings:
            reference = max((each for each in siblings if each < number), default=min(siblings))
            return str(reference), input_changes(self.versions[reference], after), ""
        digest = next(each for each in (self.frozen, *self.published) if each != after.input_digest)
        names = self._names_published(digest)
        changes = () if names is None else name_changes(names, sorted(request_names(after)))
        return self.published[digest], changes, _PAST

    def _names_published(self, digest: str) -> tuple[str, ...] | None:
        if self.known is None or self.previous is None:
            return None
        for version in self.known.versions.values():
            if version.input_digest == digest:
                return self.previous.allowlist_names(version.allowlist)
        return None


_PAST = (
    "\n  The version with the other inputs was published before and its artifact is no longer in the repository, so"
    " only names can be compared. If it never reached a root, build into a new file: the history starts afresh."
    " To build without the gate: --gate none"
)
