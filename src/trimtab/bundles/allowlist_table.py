"""The allowlists of several bundles over one table of names, each distinct one once: what a map is compiled from.

Lists stay numbers from a bundle's document to the kernel. Bundles that name the same features, as those of one root
mostly do, need not even be renumbered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from trimtab.bundles.bundle import Bundle


class AllowlistTable:
    """Allowlists by their places.

    names: of all bundles, sorted, each once. packed: the lists in the order of their places, each as ascending
    positions in `names`, big-endian words of four bytes.
    """

    def __init__(self, bundles: Mapping[str, Bundle]) -> None:
        distinct = list({id(bundle.names): bundle.names for bundle in bundles.values()}.values())
        one_for_all = all(names == distinct[0] for names in distinct[1:])
        self.names: tuple[str, ...] = (distinct or [()])[0] if one_for_all else tuple(sorted(set().union(*distinct)))
        self.packed: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._places_of = {name: self._numbered(bundle) for name, bundle in bundles.items()}

    def of(self, bundle: str, allowlist: int) -> int:
        """The place of an allowlist, given the name that its bundle goes by, and its index there."""
        return self._places_of[bundle][allowlist]

    def union(self, places: Collection[int]) -> int:
        """The place of the union of some allowlists, at least one."""
        distinct = set(places)
        if len(distinct) == 1:
            return distinct.pop()
        allowed = np.zeros(len(self.names), bool)
        for place in distinct:
            allowed[np.frombuffer(self.packed[place], _PACKED)] = True
        return self._place(np.flatnonzero(allowed).astype(_PACKED).tobytes())

    def _numbered(self, bundle: Bundle) -> list[int]:
        """The places of a bundle's allowlists."""
        packed: Iterable[bytes] = (allowlist.packed for allowlist in bundle.allowlists)
        if bundle.names != self.names:
            numbers = self._numbers(bundle.names)
            packed = (numbers[np.frombuffer(each, _PACKED)].tobytes() for each in packed)
        return [self._place(each) for each in packed]

    def _numbers(self, names: tuple[str, ...]) -> NDArray[np.uint32]:
        """Where each name is in the whole table; ascending, as both are sorted."""
        return np.searchsorted(np.array(self.names, object), np.array(names, object)).astype(_PACKED)

    def _place(self, packed: bytes) -> int:
        place = self._places.setdefault(packed, len(self.packed))
        if place == len(self.packed):
            self.packed.append(packed)
        return place


_PACKED = np.dtype(">u4")
