"""Where a forked model comes from: a small file of ours in its folder, which nobody needs in order to serve it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import Struct

from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_BYTES = 1 << 20


class Origin(Struct, frozen=True, kw_only=True):
    """The version that a version was copied from: its model and number, and the digests of its signature."""

    model: str
    version: int
    digest: str
    input_digest: str


class Lineage(Struct, frozen=True, kw_only=True):
    """The origins of a model's first versions, by version text.

    at: RFC 3339 in UTC. by, why: who forked it, and their words.
    """

    FILE_NAME: ClassVar[str] = "trimtab-lineage.json"

    lineage_version: int = 1
    model: str
    versions: dict[str, Origin]
    at: str
    by: str = ""
    why: str = ""

    @classmethod
    def of(cls, model: str, versions: Mapping[int, Origin], *, by: str, why: str) -> Lineage:
        """The lineage of a model that is forked now."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(model=model, versions={str(number): it for number, it in versions.items()}, at=at, by=by, why=why)


def write_lineage(folder: Path, lineage: Lineage) -> None:
    """Write the file into a model's folder that nobody reads yet, and flush it to the disk."""
    data = msgspec.json.format(msgspec.json.encode(lineage), indent=2) + b"\n"
    with (folder / Lineage.FILE_NAME).open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_lineage(folder: Path) -> Lineage | None:
    """The lineage of a model; None where it was not forked. BundleError for a file that is none of ours."""
    path = folder / Lineage.FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failure:
        raise BundleError(where=str(path), got=failure.strerror or str(failure)) from None
    try:
        return msgspec.json.decode(data, type=Lineage)
    except msgspec.DecodeError as failure:
        raise BundleError(str(failure), where=str(path)) from None
