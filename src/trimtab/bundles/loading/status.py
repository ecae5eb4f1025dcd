"""How each bundle of a root stands: what is in force, whether it follows a store, and what went wrong."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from enum import StrEnum

from msgspec import Struct


class BundleState(StrEnum):
    """What the last look at a bundle, in its file or store, came to."""

    LOADED = "loaded"
    """There is another bundle than before; it is in force."""

    UNCHANGED = "unchanged"
    """What was in force before still is what is there."""

    KEPT_LAST_KNOWN_GOOD = "kept_last_known_good"
    """What is there must not be loaded; what was good before is in force. `error` says why."""

    MISSING = "missing"
    """Nothing is in force for this bundle, so its models pass through untrimmed. `error` says why."""


class FollowStatus(Struct, frozen=True, kw_only=True):
    """How a bundle stands that follows a store.

    stage: whose pointer it follows. entry: the number of the last entry of the history that it follows, 0 before the
    first. pointer: that entry's pointer, as short digests of current and pending. instance: the name under which this
    root acknowledges. acknowledged: the number of the last entry that it acknowledged; None if it did not yet, or the
    store wants no acknowledgments. lease_s: for how many seconds more it may answer for requests that name no exact
    version; 0 when it may not.
    """

    stage: str
    entry: int
    pointer: str
    instance: str
    acknowledged: int | None
    lease_s: float


class BundleStatus(Struct, frozen=True, kw_only=True):
    """One bundle: what is in force, and how its file or store stands.

    serial, digest, loaded_at: of the bundle in force (of the current one, where there is a pending one too); None when
    there is none. error: why what is there, or the last-known-good, could not be used; empty when all is well.
    following: how it stands with its store; None for a file.
    """

    name: str
    state: BundleState
    serial: int | None = None
    digest: str | None = None
    error: str = ""
    loaded_at: datetime | None = None
    following: FollowStatus | None = None
