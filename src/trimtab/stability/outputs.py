"""What changed about one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.stability.change import Seen
from trimtab.stability.plain import text
from trimtab.stability.quantization import quantization_changes
from trimtab.stability.types import may_be_none, type_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Output
    from trimtab.stability.pairing import Pair
    from trimtab.stability.shapes import Symbols


def output_changes(pair: Pair[Output], place: str, symbols: Symbols) -> Iterator[Seen]:
    """The changes of one pair. place: the entry point, and the overload where there are several."""
    old, new = pair.old, pair.new
    if old is None:
        if new is not None:
            yield Seen("OUTPUT_NO_ADD", f"{place}: output {new.name}", "the output is new", "", text(new.type))
        return
    subject = f"{place}: output {old.name}"
    if new is None:
        yield Seen("OUTPUT_NO_DELETE", subject, "the output is gone", text(old.type))
        return
    if old.name != new.name:
        yield Seen("OUTPUT_NO_RENAME", subject, "it is called otherwise", old.name, new.name)
    if old.id != new.id:
        rule = "OUTPUT_ID_NO_ADD" if old.id is None else "OUTPUT_ID_STABLE"
        yield Seen(rule, subject, "the stable id changed", old.id or "none", new.id or "none")
    types = text(old.type), text(new.type)
    if may_be_none(new.type) and not may_be_none(old.type):
        yield Seen("OUTPUT_NOT_MADE_NULLABLE", subject, "it may be null now", *types)
    elif may_be_none(old.type) and not may_be_none(new.type):
        yield Seen("OUTPUT_NOT_MADE_NON_NULLABLE", subject, "it may no longer be null", *types)
    changes = [*type_changes(old.type, new.type, symbols, returned=True)]
    yield from quantization_changes("OUTPUT", old, new, subject, changes)
    for change in changes:
        rule = "SAME_KIND" if change.rule == "SAME_CONSTANT" else change.rule
        yield Seen(f"OUTPUT_{rule}", subject, change.problem, *types)
