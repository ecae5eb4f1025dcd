"""What the leaf's pointer in a store says is to be served: exactly those versions, and the word that they are.

A leaf's word lets roots forget a bundle, so it must never serve what its word does not name. Before it loads a bundle
it says that it is about to, and looks once more whether the history has gone on; it says that it serves that bundle
alone when every version of it is loaded and every other one is not.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from trimtab.bundles.store.pointers import Pointer
from trimtab.errors import BundleError, StoreError, TrimtabError
from trimtab.serving.leaf.digests import contradiction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.loading.following import Follower, Held
    from trimtab.signature.model import Signature

log = logging.getLogger(__name__)


class StoreDigests:
    """The versions and digests that a leaf's pointer states. For one thread.

    follower: of the leaf's tier, used by nobody else. clock: seconds that never go back.
    instance: the name to acknowledge under, unlike every other leaf's; set it before the first `refresh`.
    """

    def __init__(self, follower: Follower, instance: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.instance = instance
        self._follower = follower
        self._clock = clock
        self._held: Held | None = None
        self._bundle: Bundle | None = None
        self._serving: Bundle | None = None
        self._entry = 0
        self._said: tuple[int, Pointer] | None = None
        self._spoke = False
        self._say_again_at = math.inf
        self._problems: dict[str, str] = {}
        self.missing: tuple[str, ...] = ()
        """The versions that the bundle states and that are not served yet."""

    @property
    def state(self) -> tuple[str | None, ...]:
        """Changes when what a version must be may have changed."""
        return (None if self._bundle is None else self._bundle.digest,)

    @property
    def entry(self) -> int:
        """The number of the last entry that this leaf follows in full; 0 before it does."""
        return self._entry

    def refresh(self) -> None:
        """Look at the store. What was good before stays where it fails; StoreError only if nothing ever was."""
        try:
            self._look()
        except TrimtabError as failure:
            if self._held is None:
                raise
            self._tell("store", f"the store cannot be followed; what is loaded stays: {failure}")
        else:
            self._tell("store", "")

    def wants(self, model: str, version: int) -> bool:
        """Whether a version is to be loaded, or stays until all that is to take its place is."""
        return any(self._stated(bundle, model, version) is not None for bundle in (self._bundle, self._serving))

    def check(self, model: str, version: int, signature: Signature) -> None:
        """BundleError unless the bundle states exactly this signature for this version."""
        stated = self._stated(self._bundle, model, version)
        if stated is None:
            raise BundleError(
                f"version {version} of {model!r} is not in the bundle that the leaf's pointer names",
                where=self._follower.follow.name,
                hint="Bring it there: trimtab rollout start",
            )
        if signature.digest != stated:
            raise contradiction(model, version, stated, signature.digest)

    def settle(self, served: Mapping[tuple[str, int], str]) -> bool:
        """Whether versions may go now that were wanted before: all of the bundle is served.

        served: the digests of what is served, by model and version.
        """
        self.missing = tuple(
            f"{model}:{version}"
            for model, bundled in ({} if self._bundle is None else self._bundle.models).items()
            for version, stated in bundled.versions.items()
            if served.get((model, int(version))) != stated.digest
        )
        if self.missing or self._serving is self._bundle:
            return False
        self._serving = self._bundle
        return True

    def confirm(self) -> None:
        """Say what is served, once it is all that the bundle states and nothing else. Tries again when that fails."""
        if self._held is None:
            return
        few = ", ".join(self.missing[:_FEW]) + (", …" if len(self.missing) > _FEW else "")
        self._tell("missing", few and f"not acknowledged: {len(self.missing)} versions are not served: {few}")
        if self._bundle is not self._serving:
            return
        if self._held.pointer.current == _digest(self._serving):
            self._entry = self._held.number
        try:
            self._say(self._entry, Pointer(_digest(self._serving)))
        except TrimtabError as failure:
            self._tell("word", f"what is served could not be acknowledged: {failure}")
        else:
            self._tell("word", "")

    def close(self) -> None:
        """Take the word back: nothing is served any more, nor will be."""
        if not self._spoke:
            return
        try:
            self._follower.withdraw(self.instance)
        except TrimtabError as failure:
            log.warning("the acknowledgment could not be withdrawn: %s", failure)

    def _look(self) -> None:
        for _ in range(_MOST_LOOKS):
            held = self._follower.look(whole=self._held is None)
            if held is self._held:
                return
            if held.pointer.current == _digest(self._serving) and self._said is not None:
                break
            if self._bundle is not self._serving and held.pointer.current != _digest(self._bundle):
                # What is loaded of a third bundle goes first: the word has no place for it.
                self._bundle = self._serving
                return
            self._say(self._entry, Pointer(_digest(self._serving), held.pointer.current))
            if not self._follower.moved():
                break
        else:
            raise StoreError("the history goes on faster than it can be followed", where=self._follower.follow.name)
        self._held = held
        self._bundle = next(iter(held.bundles.values()), None)
        if self._bundle is not None and self._bundle.digest == _digest(self._serving):
            self._bundle = self._serving

    def _say(self, entry: int, in_force: Pointer) -> None:
        """Acknowledge, unless that was said a short while ago."""
        settings = self._follower.store.settings
        now = self._clock()
        if not settings.acknowledge or ((entry, in_force) == self._said and now < self._say_again_at):
            return
        self._spoke, self._said = True, None  # a word whose answer is lost may be in the store
        self._follower.acknowledge(self.instance, entry, in_force)
        self._said = (entry, in_force)
        self._say_again_at = now + settings.lease_s / 3

    def _stated(self, bundle: Bundle | None, model: str, version: int) -> str | None:
        bundled = bundle.models.get(model) if bundle is not None else None
        stated = bundled.versions.get(str(version)) if bundled is not None else None
        return None if stated is None else stated.digest

    def _tell(self, about: str, problem: str) -> None:
        """Log what is wrong, once."""
        if problem and problem != self._problems.get(about):
            log.warning("%s", problem)
        self._problems[about] = problem


_MOST_LOOKS = 5
_FEW = 5


def _digest(bundle: Bundle | None) -> str | None:
    return None if bundle is None else bundle.digest
