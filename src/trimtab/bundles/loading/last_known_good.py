"""Keep what a root follows over its restarts: the history's entry, and beside it the bundles that the entry names.

Bundles are written first, each under its digest; the entry last, in one atomic step, with its very bytes in the store.
So a crash leaves the state before or the state after, an entry that says little new costs little, and the entry's hash
tells later whether the store still is the one that was followed.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trimtab.bundles.atomic import write_atomically
from trimtab.bundles.bundle import encode_bundle, read_bundle
from trimtab.bundles.loading.following import Held
from trimtab.bundles.store.entry import MAX_ENTRY_BYTES, decode_entry, encode_entry
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.bundles.store.pointers import Stage, Tier


def keep(folder: Path, held: Held, kept: Held | None) -> None:
    """Write what is held; nothing before the first entry. BundleError when that fails: what was kept before stays.

    kept: what was written, or read, last; its bundles are not written again. Bundles that the entry does not name are
    removed afterwards.
    """
    if held.entry is None:
        return
    wanted = {_file_name(digest) for digest in held.bundles}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for digest, bundle in held.bundles.items():
            if kept is None or digest not in kept.bundles:
                write_atomically(folder / _file_name(digest), encode_bundle(bundle))
        write_atomically(folder / _ENTRY, encode_entry(held.entry))
        for path in folder.glob("*.bundle.json"):
            if path.name not in wanted:
                with contextlib.suppress(OSError):
                    path.unlink()
    except OSError as failure:
        raise BundleError(where=str(folder), got=failure.strerror or str(failure)) from failure


def restore(folder: Path, name: str, tier: Tier, stage: Stage) -> Held | None:
    """What was kept there; None where nothing was. BundleError where it cannot be read, or is of another bundle."""
    path = folder / _ENTRY
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ENTRY_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise BundleError(where=str(path), got=failure.strerror or str(failure)) from None
    entry = decode_entry(data, str(path))
    pointer = entry.pointers.at(tier, stage)
    bundles = {digest: read_bundle(folder / _file_name(digest)) for digest in pointer.bundles}
    for digest, bundle in bundles.items():
        if (bundle.name, bundle.digest, entry.name) != (name, digest, name):
            raise BundleError(
                "another bundle lies there", where=str(folder), expected=f"{name!r} {digest}", got=f"{bundle.name!r}"
            )
    return Held(entry=entry, pointer=pointer, bundles=bundles)


def folder_of(state: Path, name: str, stage: Stage) -> Path:
    """Where in a state folder a followed bundle is kept."""
    return state / f"{name}{_suffix(stage)}"


def kept_names(state: Path, stage: Stage) -> list[str]:
    """The names of the bundles that are kept in a state folder, sorted."""
    return sorted(path.parent.name.removesuffix(_suffix(stage)) for path in state.glob(f"*{_suffix(stage)}/{_ENTRY}"))


_ENTRY = "entry.json"


def _suffix(stage: Stage) -> str:
    return f".{stage}.followed"


def _file_name(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}.bundle.json"
