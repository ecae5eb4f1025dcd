"""The one family of errors, and the one shape of their messages.

Every refusal says where, what was expected, what came and what to do. The same facts are fields of the exception, so
that a caller never parses a message.
"""

from __future__ import annotations

from typing import Any


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose.

    where: the place, from the outside in (file, entry, field); empty when the caller knows it.
    expected, got: the two sides, already worded for a person.
    hint: what to do about it, as one or more full sentences.
    """

    def __init__(
        self, problem: str = "", *, where: str = "", expected: str = "", got: str = "", hint: str = ""
    ) -> None:
        self.problem = problem
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self._message())

    def _message(self) -> str:
        sentence = self.problem
        if self.expected:
            sides = f"expected {self.expected}" + (f", got {self.got}" if self.got else "")
            sentence = f"{sentence}: {sides}" if sentence else sides
        elif self.got:
            sentence = f"{sentence}: got {self.got}" if sentence else f"got {self.got}"
        if sentence and not sentence.endswith((".", "?", "!")):
            sentence += "."
        place = f"{self.where}: " if self.where else ""
        return f"{place}{sentence}" + (f"\n  {self.hint}" if self.hint else "")

    def within(self, place: str) -> TrimtabError:
        """The same error seen from one level further out: `place` is put before `where`."""
        cls = type(self)
        outer = cls.__new__(cls)
        outer.__dict__.update(self.__dict__)
        outer.where = f"{place}: {self.where}" if self.where else place
        Exception.__init__(outer, outer._message())
        return outer

    def as_dict(self) -> dict[str, Any]:
        """The error as the object that `--json` prints under `"error"`."""
        facts = {
            "kind": type(self).__name__,
            "problem": self.problem,
            "where": self.where,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }
        return {key: value for key, value in facts.items() if value}


class SignatureError(TrimtabError):
    """A signature or a signature document that contradicts itself or its schema."""


class ArtifactError(TrimtabError):
    """A model file that cannot be read or written: damaged, hostile, or of an unknown kind."""


class RefusedArtifactError(ArtifactError):
    """A model file of a known kind that trimtab does not read on purpose, for example a pickle."""


class ContradictionError(ArtifactError):
    """The signature that an artifact declares and the one derived from its graph do not agree.

    others: further contradictions that the same comparison found; the message tells of the first alone.
    """

    others: tuple[ContradictionError, ...] = ()


class BundleError(TrimtabError):
    """A bundle that cannot be built, or must not be loaded."""


class SignatureChangedError(BundleError):
    """A version of a model whose input signature differs from the other versions of that model."""


class StoreError(TrimtabError):
    """A store of bundles that cannot be read or written, holds what does not fit together, or is asked for too much."""


class MoveRefusedError(StoreError):
    """A move of a rollout that the order, the gate or the roots and leaves themselves do not allow yet."""


class ConfigurationError(TrimtabError):
    """A configuration file that cannot be read, or says something that trimtab does not know."""


class ConversionError(TrimtabError):
    """A score request that does not fit the signature of the model it names."""


class MissingExtraError(TrimtabError, ImportError):
    """An optional dependency is not installed; the message carries the exact command that installs it."""


class LossyExportWarning(UserWarning):
    """An artifact's format loses something that the model says: the message names it and what to do."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional `package` that cannot be imported."""
    return MissingExtraError(
        f"{purpose} needs the package {package!r}, which is not installed",
        hint=f"Install it with: pip install 'trimtab[{extra}]'",
    )
