"""The names of what can happen to a request at look-up, one per counted case.

The same words are labels of metrics, fields of `--json` output and the kernel's own `OUTCOMES`.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How the allowlist of a request was chosen, or why there is none and the request passes through untrimmed."""

    EXACT = "exact"
    """The request names a version that the map has: that version's allowlist."""

    LATEST_ATTESTED_UNVERSIONED = "latest_attested_unversioned"
    """No version named, the model is attested stable: the latest version's allowlist."""

    UNION_UNVERSIONED = "union_unversioned"
    """No version named, the versions differ: the union of all their allowlists, a safe superset."""

    LATEST_ATTESTED_VERSION = "latest_attested_version"
    """A version that the map does not have, the model is attested stable: the latest version's allowlist."""

    STRICT_LATEST = "strict_latest"
    """Policy strict, where lenient would say `unknown_version`: the latest version's allowlist."""

    UNKNOWN_VERSION = "unknown_version"
    """A version that the map does not have, the model is not attested stable: passed through."""

    UNCONFIRMED = "unconfirmed"
    """No version that the map has, and the map could not be confirmed with its store for longer than its lease: passed
    through. What is the latest version, or which versions there are, may have changed meanwhile."""

    UNKNOWN_MODEL = "unknown_model"
    """A model that the map does not have: passed through."""

    MALFORMED = "malformed"
    """The bytes are not a request of the expected protocol: passed through."""

    MISALIGNED = "misaligned"
    """The request's parallel fields do not pair up with its inputs: passed through."""

    INTERNAL_ERROR = "internal_error"
    """Trimming itself failed: passed through. Never the kernel's answer; a count above zero is a bug to report."""

    @property
    def trims(self) -> bool:
        """Whether an allowlist was in force."""
        return self in _TRIMS

    @property
    def passes_through(self) -> bool:
        """Whether the request is sent on as it came, for want of an allowlist."""
        return self not in _TRIMS


_TRIMS = frozenset(
    {
        Outcome.EXACT,
        Outcome.LATEST_ATTESTED_UNVERSIONED,
        Outcome.UNION_UNVERSIONED,
        Outcome.LATEST_ATTESTED_VERSION,
        Outcome.STRICT_LATEST,
    }
)


class MissPolicy(StrEnum):
    """What a root does when a known model is asked for in a version that its map does not have. Set per leaf."""

    LENIENT = "lenient"
    """Pass the request through, unless the model is attested stable. Right where the leaf ignores unknown inputs."""

    STRICT = "strict"
    """Use the latest version's allowlist. Right where the leaf refuses unknown inputs, as Triton and TF Serving do.

    It also answers from a map that is not confirmed: to pass through is no safe answer here, the leaf would refuse
    every such request.
    """
