"""What a store asks of the place that it lies in: few operations, each atomic by itself."""

from __future__ import annotations

from typing import Protocol


class Storage(Protocol):
    """A place for objects under keys such as `bundles/sha256/ab12….json`. StoreError when the place fails."""

    name: str
    """What errors call it: the folder, or the address without secrets."""

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
        """The keys below a prefix that ends in a slash, sorted."""
        ...

    def changed_at(self, key: str) -> float | None:
        """When the object was last written, in seconds by the place's own clock; None where there is none."""
        ...
