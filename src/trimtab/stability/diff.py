"""Every change between two signatures, under the rule that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.signature.canonical import features_are_columns
from trimtab.stability.category import Category
from trimtab.stability.change import Seen, change_of
from trimtab.stability.pairing import (
    paired_entry_points,
    paired_features,
    paired_inputs,
    paired_outputs,
    paired_overloads,
)
from trimtab.stability.rules import RULES
from trimtab.stability.shapes import Symbols
from trimtab.stability.types import type_changes
from trimtab.stability.values import value_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimtab.signature.model import EntryPoint, Input, Output, Overload, Signature
    from trimtab.stability.change import Change
    from trimtab.stability.pairing import Pair

POSITIONAL = frozenset({"torchscript", "pt2"})
"""Formats whose models are called by position, so that the order of their inputs is a part of the contract."""


def diff(old: Signature, new: Signature, category: Category = Category.FREEZE) -> list[Change]:
    """The changes from `old` to `new` that break a rule of the category, in the order of the old signature.

    Empty for equal contracts; under FREEZE empty for nothing else. Whether a change matters to anybody is what the
    category says: FEED for requests that were made for the old version, SCHEMA for all that a caller relies on.
    """
    if old.digest == new.digest and not _order_counts(old, new):
        return []
    changes = [change_of(each) for each in _all_changes(old, new)]
    if not changes and old.digest != new.digest:
        changes = [change_of(Seen("SIGNATURE_SAME_DIGEST", "signature", "the digest changed", old.digest, new.digest))]
    return [change for change in changes if category.includes(RULES[change.rule].category)]


def _order_counts(old: Signature, new: Signature) -> bool:
    return {old.provenance.format, new.provenance.format} <= POSITIONAL


def _all_changes(old: Signature, new: Signature) -> Iterator[Seen]:
    positional = _order_counts(old, new)
    pairs = paired_entry_points(old, new)
    for pair in pairs:
        if pair.new is None and pair.old is not None:
            yield Seen(
                "ENTRY_POINT_NO_DELETE",
                f"entry point {pair.old.name}",
                "the entry point is gone",
                _names(pair.old.input_names),
            )
        elif pair.old is None and pair.new is not None:
            yield Seen(
                "ENTRY_POINT_NO_ADD",
                f"entry point {pair.new.name}",
                "the entry point is new",
                "",
                _names(pair.new.input_names),
            )
        elif pair.old is not None and pair.new is not None:
            if pair.old.name != pair.new.name:
                yield Seen(
                    "ENTRY_POINT_NO_DELETE",
                    f"entry point {pair.old.name}",
                    "the default entry point is called otherwise",
                    pair.old.name,
                    pair.new.name,
                )
            yield from _overload_changes(pair.old.name, pair.old.overloads, pair.new.overloads, positional=positional)
    if old.default_entry_point != new.default_entry_point and not _renamed_default(old, new, pairs):
        yield Seen(
            "ENTRY_POINT_SAME_DEFAULT",
            "signature",
            "another entry point is the default",
            old.default_entry_point,
            new.default_entry_point,
        )


def _renamed_default(old: Signature, new: Signature, pairs: list[Pair[EntryPoint]]) -> bool:
    """Whether the two defaults are one entry point under two names, which is reported as such."""
    return any(
        pair.old is not None
        and pair.new is not None
        and (pair.old.name, pair.new.name) == (old.default_entry_point, new.default_entry_point)
        for pair in pairs
    )


def _overload_changes(
    entry_point: str, old: tuple[Overload, ...], new: tuple[Overload, ...], *, positional: bool
) -> Iterator[Seen]:
    pairs = paired_overloads(old, new)
    several = len(old) > 1 or len(new) > 1
    order = []
    for number, pair in enumerate(pairs):
        place = f"{entry_point}, overload {pair.old.name if pair.old is not None and pair.old.name else number + 1}"
        if pair.new is None:
            yield Seen("OVERLOAD_NO_DELETE", place, "the overload is gone", _inputs_of(pair.old))
        elif pair.old is None:
            yield Seen("OVERLOAD_NO_ADD", place, "the overload is new", "", _inputs_of(pair.new))
        else:
            order.append(next(index for index, each in enumerate(new) if each is pair.new))
            yield from _signature_changes(place if several else entry_point, pair.old, pair.new, positional=positional)
    if order != sorted(order):
        before, after = (", ".join(str(each + 1) for each in orders) for orders in (sorted(order), order))
        yield Seen(
            "OVERLOAD_SAME_ORDER", f"entry point {entry_point}", "overloads are tried in another order", before, after
        )


def _signature_changes(place: str, old: Overload, new: Overload, *, positional: bool) -> Iterator[Seen]:
    inputs, outputs = paired_inputs(old.inputs, new.inputs), paired_outputs(old.outputs, new.outputs)
    symbols = Symbols(old, new, inputs, outputs)
    for pair in inputs:
        yield from value_changes("INPUT", pair, f"{place}: ", symbols)
        if pair.old is not None and pair.new is not None:
            yield from _input_alone(pair.old, pair.new, f"{place}: input {pair.old.name}", symbols)
    if positional:
        yield from _order_changes(place, old, inputs, new)
    for output in outputs:
        yield from _output_changes(output, place, symbols)


def _input_alone(old: Input, new: Input, subject: str, symbols: Symbols) -> Iterator[Seen]:
    """What only inputs have: a place in the call, and features inside."""
    if old.call_path != new.call_path and (old.path or new.path):
        yield Seen("INPUT_SAME_PATH", subject, "it has another place in the call", old.call_path, new.call_path)
    pairs = paired_features(old.features, new.features)
    for pair in pairs:
        yield from value_changes("FEATURE", pair, f"{subject}, ", symbols)
    if features_are_columns(old) and features_are_columns(new):
        columns = [{each.name: number for number, each in enumerate(side.features)} for side in (old, new)]
        for pair in pairs:
            if pair.old is None or pair.new is None:
                continue
            was, now = columns[0][pair.old.name], columns[1][pair.new.name]
            if was != now:
                subject_of = f"{subject}, feature {pair.old.name}"
                yield Seen("FEATURE_SAME_POSITION", subject_of, "it moved", f"column {was}", f"column {now}")


def _order_changes(place: str, old: Overload, pairs: list[Pair[Input]], new: Overload) -> Iterator[Seen]:
    positions = {id(each): number for number, each in enumerate(new.inputs)}
    order = [positions[id(pair.new)] for pair in pairs if pair.old is not None and pair.new is not None]
    if order != sorted(order):
        before, after = (_names(value.name for value in side.inputs) for side in (old, new))
        yield Seen("INPUT_SAME_ORDER", place, "the arguments changed places", before, after)


def _output_changes(pair: Pair[Output], place: str, symbols: Symbols) -> Iterator[Seen]:
    old, new = pair.old, pair.new
    if old is None:
        if new is not None:
            yield Seen("OUTPUT_NO_ADD", f"{place}: output {new.name}", "the output is new", "", str(new.type))
        return
    subject = f"{place}: output {old.name}"
    if new is None:
        yield Seen("OUTPUT_NO_DELETE", subject, "the output is gone", str(old.type))
        return
    if old.name != new.name:
        yield Seen("OUTPUT_NO_RENAME", subject, "it is called otherwise", old.name, new.name)
    if old.id != new.id:
        yield Seen("OUTPUT_SAME_ID", subject, "the stable id changed", old.id or "none", new.id or "none")
    if old.return_path != new.return_path and (old.path is not None or new.path is not None):
        yield Seen(
            "OUTPUT_SAME_PATH", subject, "it has another place in what is returned", old.return_path, new.return_path
        )
    for change in type_changes(old.type, new.type, symbols):
        rule = "SAME_SHAPE" if change.rule == "SHAPE_NOT_NARROWED" else change.rule
        yield Seen(f"OUTPUT_{rule}", subject, change.problem, str(old.type), str(new.type))


def _inputs_of(overload: Overload | None) -> str:
    return _names(value.name for value in overload.inputs) if overload is not None else ""


_SHOWN = 20


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f", … ({len(listed)})" if len(listed) > _SHOWN else "") or "no inputs"
