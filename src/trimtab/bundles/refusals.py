"""Why a bundle was not built: each reason as an error of its own, and all of them as one.

A build reports everything that is wrong, not only the first thing, because a person fixes them together.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import msgspec

from trimtab.errors import BundleError, SignatureChangedError, TrimtabError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from trimtab.bundles.difference import InputChange


class InputsChangedError(SignatureChangedError):
    """Versions of a model whose inputs differ from those under which the model's name was published first.

    model: its name. reference: the version whose inputs the name stands for. versions: those that differ from it,
    all alike. changes: what differs, input by input.
    """

    def __init__(
        self,
        *,
        where: str,
        model: str,
        reference: str,
        versions: Sequence[str],
        changes: Sequence[InputChange],
        hint: str,
    ) -> None:
        self.model = model
        self.reference = reference
        self.versions = tuple(versions)
        self.changes = tuple(changes)
        super().__init__(_sentence(self), where=where, hint=hint)

    def as_dict(self) -> dict[str, Any]:
        """The error as an object, with the changes as data."""
        return {
            **super().as_dict(),
            "model": self.model,
            "reference": self.reference,
            "versions": list(self.versions),
            "changes": [msgspec.to_builtins(change) for change in self.changes],
        }


class RefusedBuildError(BundleError):
    """Several reasons at once. `refusals` holds them, one error each."""

    def __init__(self, refusals: Sequence[TrimtabError]) -> None:
        self.refusals = tuple(refusals)
        listed = "\n".join(f"{number}. {refusal}" for number, refusal in enumerate(refusals, 1))
        super().__init__(f"the bundle was not built, for {len(refusals)} reasons", hint=listed.replace("\n", "\n  "))

    def as_dict(self) -> dict[str, Any]:
        """The error as an object, with each reason as one of its own."""
        return {**super().as_dict(), "hint": "", "refusals": [refusal.as_dict() for refusal in self.refusals]}


class RefusedChangesError(RefusedBuildError, SignatureChangedError):
    """Several reasons at once, all of them changed signatures: a refusal on purpose, not a failure."""


def raise_refusals(refusals: Sequence[TrimtabError]) -> None:
    """Raise nothing, the one refusal, or all of them as one error."""
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        only_changes = all(isinstance(refusal, SignatureChangedError) for refusal in refusals)
        raise RefusedChangesError(refusals) if only_changes else RefusedBuildError(refusals)


def fork_name(model: str, taken: Collection[str]) -> str:
    """The next free name for a fork: ctr, ctr_v2, ctr_v3, ..."""
    match = re.fullmatch(r"(.+)_v([1-9][0-9]{0,8})", model)
    stem, number = (match[1], int(match[2])) if match else (model, 1)
    while (name := f"{stem}_v{number + 1}") in taken:
        number += 1
    return name


def fork_command(root: Path, model: str, fork: str, versions: Sequence[str]) -> str:
    """The shell command that gives versions of a model a name of their own, numbered from 1."""
    steps = [f"mkdir -p {shlex.quote(str(root / fork))}"]
    steps += [
        f"mv {shlex.quote(str(root / model / version))} {shlex.quote(str(root / fork / str(number)))}"
        for number, version in enumerate(versions, 1)
    ]
    return " && ".join(steps)


def _sentence(error: InputsChangedError) -> str:
    count = len(error.versions)
    subject = f"version {error.versions[0]}" if count == 1 else f"versions {', '.join(error.versions)}"
    verb = "has" if count == 1 else "have"
    changes = "".join(f"\n    {change}" for change in error.changes) or " which ones is no longer known"
    return f"{subject} of {error.model!r} {verb} other inputs than version {error.reference}:{changes}"
