"""From the name of a place to the store in it: a folder, or the address of an object store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.store import MARK, Store
from trimtab.errors import StoreError

if TYPE_CHECKING:
    from trimtab.bundles.store.storage import Storage


def open_store(place: str | os.PathLike[str]) -> Store:
    """The store at a folder or a URL. StoreError where there is none."""
    return Store(storage_at(place))


def storage_at(place: str | os.PathLike[str]) -> Storage:
    """What a store at that place reads and writes, whether or not one is there yet."""
    text = os.fspath(place)
    if "://" in text:
        raise StoreError(where=text, expected="a folder", got="an address")
    return LocalStorage(text)


def is_store(place: str | os.PathLike[str]) -> bool:
    """Whether a local path is a store."""
    return os.path.isfile(os.path.join(place, MARK))
