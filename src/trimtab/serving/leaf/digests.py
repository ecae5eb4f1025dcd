"""What the deployed bundles say of each version's signature: the leaf loads nothing that contradicts them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from trimtab.bundles.loading.loader import BundleLoader
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trimtab.signature.model import Signature

log = logging.getLogger(__name__)


class Digests(Protocol):
    """What a leaf is told to serve. For one thread; in this order in each round."""

    @property
    def state(self) -> tuple[str | None, ...]:
        """Changes when what a version must be may have changed."""
        ...

    def refresh(self) -> None:
        """Look again at what the leaf is told by."""
        ...

    def wants(self, model: str, version: int) -> bool:
        """Whether a version of the repository is to be served; one that is not is unloaded."""
        ...

    def check(self, model: str, version: int, signature: Signature) -> None:
        """BundleError unless a version has the signature that it must have."""
        ...

    def settle(self, served: Mapping[tuple[str, int], str]) -> bool:
        """Told what is served, by its digests: whether versions are wanted no more that were until now."""
        ...

    def confirm(self) -> None:
        """Told that what is served is what is wanted, as far as it could be loaded."""
        ...

    def close(self) -> None:
        """Told that nothing is served any more."""
        ...


class BundleDigests:
    """The digests that a set of bundle files states. A file that turns bad or old leaves its last good one in force."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the bundles. BundleError when one cannot be read: a leaf told to check does not start unchecked."""
        self._paths = paths
        self._loader = BundleLoader(paths)
        self._errors: tuple[str, ...] = ()
        for status in self._loader.statuses:
            if status.serial is None:
                raise BundleError(status.error)

    @property
    def state(self) -> tuple[str | None, ...]:
        """Changes when what a version must be may have changed."""
        return tuple(status.digest for status in self._loader.statuses)

    def refresh(self) -> None:
        """Read again what changed on disk."""
        self._loader.refresh()
        errors = tuple(status.error for status in self._loader.statuses)
        if errors != self._errors:
            self._errors = errors
            for error in filter(None, errors):
                log.warning("the bundle that was good before stays in force: %s", error)

    def wants(self, model: str, version: int) -> bool:  # noqa: ARG002  # of the protocol
        """Everything that the repository holds: what the bundles do not state is refused with a reason."""
        return True

    def check(self, model: str, version: int, signature: Signature) -> None:
        """BundleError unless the bundles state exactly this signature for this version. Without bundles, all pass."""
        if not self._paths:
            return
        stated = self._loader.current.expected_digest(model, str(version))
        if stated is None:
            raise BundleError(
                f"version {version} of {model!r} has no signature in the bundle",
                where=", ".join(map(str, self._paths)),
                hint="Build the bundle again, so that roots know it too: trimtab bundle build",
            )
        if signature.digest != stated:
            raise contradiction(model, version, stated, signature.digest)

    def settle(self, served: Mapping[tuple[str, int], str]) -> bool:  # noqa: ARG002  # of the protocol
        """A bundle file never unloads what is served."""
        return False

    def confirm(self) -> None:
        """Nobody is told."""

    def close(self) -> None:
        """Nobody is told."""


def contradiction(model: str, version: int, stated: str, found: str) -> BundleError:
    """The error for an artifact whose signature has another digest than the bundle states."""
    return BundleError(
        f"the artifact of {model}:{version} is not the one that the bundle was built from",
        expected=f"a signature with the digest {stated}",
        got=found,
        hint="Was it replaced after the build? A changed artifact is a new version: give it the next number.",
    )
