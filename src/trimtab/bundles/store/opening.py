"""From the name of a place to the store in it: a folder, or the address of an object store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.store import MARK, Store

if TYPE_CHECKING:
    from trimtab.bundles.store.storage import Storage


def open_store(place: str | os.PathLike[str], timeout: float | None = None) -> Store:
    """The store at a folder or a URL. StoreError where there is none. timeout: as of `storage_at`."""
    return Store(storage_at(place, timeout))


def storage_at(place: str | os.PathLike[str], timeout: float | None = None) -> Storage:
    """What a store at that place reads and writes, whether or not one is there yet.

    timeout: seconds for one request to an object store; 30 where it is None. MissingExtraError where the place is an
    object store and obstore is not installed.
    """
    text = os.fspath(place)
    if "://" not in text:
        return LocalStorage(text)
    from trimtab.bundles.store.objects import TIMEOUT_S, object_storage

    return object_storage(text, TIMEOUT_S if timeout is None else timeout)


def is_store(place: str | os.PathLike[str]) -> bool:
    """Whether a local path is a store."""
    return os.path.isfile(os.path.join(place, MARK))
