"""What the deployed bundles say of each version's signature: the leaf loads nothing that contradicts them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trimtab.bundles.loader import BundleLoader
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trimtab.signature.model import Signature

log = logging.getLogger(__name__)


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
            raise BundleError(
                f"the artifact of {model}:{version} is not the one that the bundle was built from",
                expected=f"a signature with the digest {stated}",
                got=signature.digest,
                hint="Was it replaced after the build? A changed artifact is a new version: give it the next number.",
            )
