"""How rules word shapes, dtypes and lists in what they expected and got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.savedmodel.graph_protos import Shape

_LONGEST = 12


def shape_words(shape: Shape | str) -> str:
    """`[?, 3]`, or what stands where no shape is written down."""
    return shape if isinstance(shape, str) else shape_text(shape)


def listed(names: Iterable[str]) -> str:
    """`[a, b]`, the first dozen."""
    every = list(names)
    more = [f"... {len(every) - _LONGEST} more"] if len(every) > _LONGEST else []
    return f"[{', '.join([*every[:_LONGEST], *more])}]"


def dtypes_listed(codes: Iterable[int]) -> str:
    """The dtypes of these numbers as a list."""
    return listed(dtype_name(code) for code in codes)
