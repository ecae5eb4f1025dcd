"""What the integers of a quantized value stand for: another scale, and the same bytes are other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.stability.change import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimtab.signature.model import Input, Output, Quantization
    from trimtab.stability.types import TypeChange


def quantization_changes(
    kind: str, old: Input | Output, new: Input | Output, subject: str, types: Iterable[TypeChange]
) -> Iterator[Seen]:
    """The change of one pair. kind: `INPUT` or `OUTPUT`. types: how its type changed.

    Integers of another dtype are other integers, which is what is said of them then.
    """
    if old.quantization != new.quantization and not _OTHER_BYTES.intersection(it.rule for it in types):
        sides = _shown(old.quantization), _shown(new.quantization)
        yield Seen(f"{kind}_SAME_QUANTIZATION", subject, "its integers stand for other numbers", *sides)


_OTHER_BYTES = frozenset({"SAME_DTYPE", "SAME_KIND"})


def _shown(quantization: Quantization | None) -> str:
    return "not quantized" if quantization is None else str(quantization)
