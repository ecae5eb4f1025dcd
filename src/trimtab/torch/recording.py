"""Which entries of its dict arguments a module reads: seen in one call, through dicts that take notes.

A module that takes a dict of features is given all that there are and reads some. Those are what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.signature.path import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def recorded(value: Any) -> Any:
    """The value with every plain dict in it that has only text for keys replaced by one that takes notes."""
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return RecordingDict({key: recorded(item) for key, item in value.items()})
    if type(value) in (list, tuple):
        return type(value)(map(recorded, value))
    return value


def reduced(value: Any) -> Any:
    """What was recorded, as plain values, without the entries that were not read."""
    if isinstance(value, RecordingDict):
        return {key: reduced(item) for key, item in dict.items(value) if key in value.read}
    if type(value) in (list, tuple):
        return type(value)(map(reduced, value))
    return value


def differences(value: Any, path: str) -> Iterator[tuple[str, bool]]:
    """The place of each entry that was there and not read (False), or asked for and not there (True)."""
    if isinstance(value, RecordingDict):
        present = dict.fromkeys(dict.keys(value))
        for key in present:
            if key not in value.read:
                yield f"{path}{Key(key)}", False
        for key in sorted(value.read - present.keys(), key=str):
            yield f"{path}{Key(str(key))}", True
        for key, item in dict.items(value):
            yield from differences(item, f"{path}{Key(key)}")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            yield from differences(item, f"{path}{Key(index)}")


class RecordingDict(dict[Any, Any]):
    """A dict that notes which keys are read. Whoever walks over it, copies, counts or compares it reads all of them."""

    def __init__(self, entries: Mapping[Any, Any]) -> None:
        super().__init__(entries)
        self.read: set[Any] = set()

    def _all(self) -> None:
        self.read.update(super().keys())

    def __getitem__(self, key: Any) -> Any:
        """The value; its key is read, whether it is there or not."""
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value or the default; the key is read."""
        self.read.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        """Whether there is such a key; it is read."""
        self.read.add(key)
        return super().__contains__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """Take a value out; its key is read."""
        self.read.add(key)
        return super().pop(key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value, put there where there is none; the key is read."""
        self.read.add(key)
        return super().setdefault(key, default)

    def __iter__(self) -> Iterator[Any]:
        """All keys."""
        self._all()
        return super().__iter__()

    def __reversed__(self) -> Iterator[Any]:
        """All keys, the last one first."""
        self._all()
        return super().__reversed__()

    def __len__(self) -> int:
        """How many there are, which every key has a part in."""
        self._all()
        return super().__len__()

    def keys(self) -> Any:
        """All keys."""
        self._all()
        return super().keys()

    def values(self) -> Any:
        """All values."""
        self._all()
        return super().values()

    def items(self) -> Any:
        """All entries."""
        self._all()
        return super().items()

    def copy(self) -> dict[Any, Any]:
        """A plain dict with all entries."""
        self._all()
        return super().copy()

    def popitem(self) -> tuple[Any, Any]:
        """Any entry."""
        self._all()
        return super().popitem()

    def __eq__(self, other: object) -> bool:
        """Whether all entries are equal."""
        self._all()
        return super().__eq__(other)

    def __or__(self, other: Any) -> Any:
        """The union."""
        self._all()
        return super().__or__(other)

    def __ror__(self, other: Any) -> Any:
        """The union."""
        self._all()
        return super().__ror__(other)

    def __bool__(self) -> bool:
        """Whether there is any entry."""
        return bool(len(self))

    __hash__ = None
