"""What a store asks of the place that it lies in: few operations, each atomic by itself."""

from __future__ import annotations

import re
from typing import Protocol

from trimtab.errors import StoreError


class Storage(Protocol):
    """A place for objects under keys such as `bundles/sha256/ab12….json`. StoreError when the place fails."""

    name: str
    """What errors call it: the folder, or the address without secrets."""

    def prepare(self) -> None:
        """Make the place fit to begin a store in it. StoreError where it cannot keep what a store rests on."""
        ...

    def read(self, key: str, limit: int) -> bytes | None:
        """The object; None where there is none. StoreError for one of more than `limit` bytes."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object where none is, whole or not at all, and durably. False where there is one already."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Write an object, whole or not at all, in place of any that is there."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix that ends in a slash (all keys, where it is empty), sorted. No others' files."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """What the keys below a prefix go on with, up to the next slash, sorted, each once."""
        ...

    def changed_at(self, key: str) -> float | None:
        """When the object was last written, in seconds by the place's own clock; None where there is none."""
        ...


def parts_of(key: str) -> list[str]:
    """The parts of a key between its slashes. StoreError for what is no key: nothing leads out of the place."""
    if not is_key(key):
        raise StoreError(
            expected="a key: letters, digits, dots, dashes, and slashes between such parts", got=repr(key)[:200]
        )
    return key.split("/")


def parts_of_prefix(prefix: str) -> list[str]:
    """The parts of a prefix, which is empty or ends in a slash. StoreError for what is none."""
    if not prefix:
        return []
    if not prefix.endswith("/"):
        raise StoreError(expected="a prefix that ends in a slash", got=repr(prefix)[:200])
    return parts_of(prefix[:-1])


def is_key(text: str) -> bool:
    """Whether a store may use a text as a key. What a place holds under other names is not the store's."""
    return len(text) <= _MAX_KEY and _KEY.fullmatch(text) is not None


def is_part(text: str) -> bool:
    """Whether a text may stand between the slashes of a key."""
    return _PART.fullmatch(text) is not None


_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,249}")
_KEY = re.compile(rf"{_PART.pattern}(/{_PART.pattern})*")
_MAX_KEY = 800
