"""Every change between two signatures, under the rule that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.signature.canonical import features_are_columns
from trimtab.signature.model import Learned
from trimtab.signature.types import Literal
from trimtab.stability.category import Category
from trimtab.stability.change import Seen, change_of
from trimtab.stability.columns import column_changes
from trimtab.stability.dispatch import other_answers
from trimtab.stability.lists import holds_lists
from trimtab.stability.order import input_order_changes, names, output_order_changes
from trimtab.stability.outputs import output_changes
from trimtab.stability.pairing import (
    Pair,
    paired_entry_points,
    paired_features,
    paired_inputs,
    paired_outputs,
    paired_overloads,
)
from trimtab.stability.places import place_changes
from trimtab.stability.plain import text
from trimtab.stability.rules import RULES
from trimtab.stability.shapes import Symbols
from trimtab.stability.values import Meant, describe, value_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import EntryPoint, Feature, Input, Output, Overload, Signature
    from trimtab.stability.change import Change
    from trimtab.stability.shapes import Sides


def diff(old: Signature, new: Signature, category: Category = Category.FREEZE) -> list[Change]:
    """The changes from `old` to `new` that break a rule of the category, in the order of the old signature.

    Under FREEZE empty for equal contracts and for nothing else, but that models which are called by position must keep
    their inputs' and outputs' order too, which the digest does not hold. Whether a change matters to anybody is what
    the category says: FEED for requests that were made for the old version, SCHEMA for all that a caller relies on.
    Cost: linear in the number of inputs, features and outputs. Never raises.
    """
    formats = {old.provenance.format, new.provenance.format}
    if old.digest == new.digest:
        changes = [change_of(each) for each in _order_changes(old, new, formats)]
    else:
        changes = [change_of(each) for each in (*_all_changes(old, new), *_order_changes(old, new, formats))]
        if not changes:
            changes = [
                change_of(Seen("SIGNATURE_SAME_DIGEST", "signature", "the digest changed", old.digest, new.digest))
            ]
    return [change for change in changes if category.includes(RULES[change.rule].category)]


def _all_changes(old: Signature, new: Signature) -> Iterator[Seen]:
    pairs = paired_entry_points(old, new)
    whole = _Whole(
        new.allowlist,
        one_format=old.provenance.format == new.provenance.format,
        open_is_number=new.provenance.format in _NUMBERS_AND_CATEGORIES,
    )
    for pair in pairs:
        if pair.new is None and pair.old is not None:
            subject, gone = f"entry point {pair.old.name}", names(pair.old.input_names)
            yield Seen("ENTRYPOINT_NO_DELETE", subject, "the entry point is gone", gone)
        elif pair.old is None and pair.new is not None:
            subject, added = f"entry point {pair.new.name}", names(pair.new.input_names)
            yield Seen("ENTRYPOINT_NO_ADD", subject, "the entry point is new", "", added)
        elif pair.old is not None and pair.new is not None:
            if pair.old.name != pair.new.name:
                rule = "ENTRYPOINT_NO_RENAME" if whole.one_format else "ENTRYPOINT_SAME_NAME"
                subject, problem = f"entry point {pair.old.name}", "the default entry point is called otherwise"
                yield Seen(rule, subject, problem, pair.old.name, pair.new.name)
            yield from _overload_changes(pair.old.name, pair.old.overloads, pair.new.overloads, whole)
    if old.default_entry_point != new.default_entry_point and not _renamed_default(old, new, pairs):
        sides = old.default_entry_point, new.default_entry_point
        yield Seen("ENTRYPOINT_SAME_DEFAULT", "signature", "another entry point is the default", *sides)


class _Whole(NamedTuple):
    """What the comparison of parts must know of the two signatures.

    allowlist: of the new one. one_format: whether both are of one, which is asked of every name and place that a format
    gives by itself. open_is_number: see `Meant`.
    """

    allowlist: frozenset[str]
    one_format: bool
    open_is_number: bool


_NUMBERS_AND_CATEGORIES = frozenset({"xgboost", "lightgbm", "catboost"})
"""Formats that know numbers, whose dtype they do not state, and categories or texts, of which they say so."""


def _renamed_default(old: Signature, new: Signature, pairs: list[Pair[EntryPoint]]) -> bool:
    """Whether the two defaults are one entry point under two names, which is reported as such."""
    return any(
        pair.old is not None
        and pair.new is not None
        and (pair.old.name, pair.new.name) == (old.default_entry_point, new.default_entry_point)
        for pair in pairs
    )


def _overload_changes(
    entry_point: str, old: tuple[Overload, ...], new: tuple[Overload, ...], whole: _Whole
) -> Iterator[Seen]:
    order, added_at = [], []
    places = {id(each): number for number, each in enumerate(new)}
    for place, pair in _placed_overloads(entry_point, old, new):
        if pair.new is None and pair.old is not None:
            yield Seen("OVERLOAD_NO_DELETE", place, "the overload is gone", _call(pair.old))
        elif pair.old is None and pair.new is not None:
            added_at.append(places[id(pair.new)])
            yield Seen("OVERLOAD_NO_ADD", place, "the overload is new", "", _call(pair.new))
        elif pair.old is not None and pair.new is not None:
            order.append(places[id(pair.new)])
            yield from _signature_changes(place, pair.old, pair.new, whole)
    matters = other_answers(order, added_at, new)
    if matters or order != sorted(order):
        before, after = (", then ".join(map(_call, side)) for side in (old, new))
        rule, problem = (
            "OVERLOAD_SAME_ORDER" if matters else "OVERLOAD_SAME_PLACE",
            "overloads are tried in another order",
        )
        yield Seen(rule, f"entry point {entry_point}", problem, before, after)


def _placed_overloads(
    entry_point: str, old: tuple[Overload, ...], new: tuple[Overload, ...]
) -> Iterator[tuple[str, Pair[Overload]]]:
    """The overloads of two entry points, paired, each with the words that say which one it is.

    Not its name, which TensorFlow gives anew whenever it traces: waivers name these words.
    """
    several = len(old) > 1 or len(new) > 1
    numbers = {id(each): number for side in (new, old) for number, each in enumerate(side, 1)}
    for pair in paired_overloads(old, new):
        it = pair.old if pair.old is not None else pair.new
        yield f"{entry_point}, overload {numbers[id(it)]}" if several else entry_point, pair


def _call(overload: Overload) -> str:
    """An overload as a call: its inputs with their types."""
    return f"({names(f'{value.name}: {text(value.type)}' for value in overload.inputs)})"


def _signature_changes(place: str, old: Overload, new: Overload, whole: _Whole) -> Iterator[Seen]:
    inputs = [(pair, _features_of(pair)) for pair in paired_inputs(old.inputs, new.inputs)]
    outputs = paired_outputs(old.outputs, new.outputs)
    values: list[Pair[Input] | Pair[Feature]] = []
    for pair, features in inputs:
        values += [pair, *features]
    symbols = Symbols(old.dimensions, new.dimensions, map(_types, values), map(_types, outputs))
    for pair, features in inputs:
        if pair.old is not None and pair.new is None and _still_sent(pair.old, whole.allowlist):
            problem = "the input is gone, but its name is not"
            yield Seen("INPUT_NO_DELETE_UNLESS_TRIMMED", f"{place}: input {pair.old.name}", problem, describe(pair.old))
            continue
        meant = Meant(exemplary=_from_examples(pair, "type"), open_is_number=whole.open_is_number)
        yield from value_changes("INPUT", pair, f"{place}: ", symbols, meant)
        if pair.old is not None and pair.new is not None:
            subject = f"{place}: input {pair.old.name}"
            yield from place_changes("INPUT", pair.old, pair.new, subject, one_format=whole.one_format)
            yield from _features_changes(pair.old, pair.new, features, subject, symbols, whole=whole)
    for output in outputs:
        yield from output_changes(output, place, symbols)
        if output.old is not None and output.new is not None:
            subject = f"{place}: output {output.old.name}"
            yield from place_changes("OUTPUT", output.old, output.new, subject, one_format=whole.one_format)


def _still_sent(gone: Input, allowlist: frozenset[str]) -> bool:
    """Whether requests still carry an input that is gone, after they were trimmed by the new version's allowlist."""
    return not isinstance(gone.type, Literal) and not allowlist.isdisjoint((gone.name, *gone.aliases))


def _from_examples(pair: Pair[Input], fact: str) -> bool:
    """Whether a fact of both inputs is known from example inputs alone."""
    return all(it is not None and it.learned.get(fact) is Learned.EXAMPLE for it in (pair.old, pair.new))


def _features_of(pair: Pair[Input]) -> list[Pair[Feature]]:
    return (
        paired_features(pair.old.features, pair.new.features) if pair.old is not None and pair.new is not None else []
    )


def _types(pair: Pair[Input] | Pair[Feature] | Pair[Output]) -> Sides:
    return pair.old.type if pair.old is not None else None, pair.new.type if pair.new is not None else None


def _features_changes(
    old: Input, new: Input, features: list[Pair[Feature]], subject: str, symbols: Symbols, *, whole: _Whole
) -> Iterator[Seen]:
    columns = features_are_columns(old) and features_are_columns(new)
    if columns and bool(old.features) != bool(new.features):
        rule, problem = (
            ("INPUT_COLUMNS_STILL_NAMED", "its columns are no longer named")
            if old.features
            else ("INPUT_COLUMNS_NOT_NAMED", "its columns are named now")
        )
        yield Seen(rule, subject, problem, *(names(it.name for it in side.features) for side in (old, new)))
        return
    meant = Meant(
        exemplary=_from_examples(Pair(old, new), "features"),
        open_is_number=whole.open_is_number,
        listed=holds_lists(old) and holds_lists(new),
    )
    for pair in features:
        yield from value_changes("FEATURE", pair, f"{subject}, ", symbols, meant)
    if columns:
        yield from column_changes(old, new, features, subject)


def _order_changes(old: Signature, new: Signature, formats: set[str]) -> Iterator[Seen]:
    """The changes of order that whoever passes or reads values by position would feel."""
    for entry_points in paired_entry_points(old, new):
        if entry_points.old is None or entry_points.new is None:
            continue
        name, before, after = entry_points.old.name, entry_points.old.overloads, entry_points.new.overloads
        for place, pair in _placed_overloads(name, before, after):
            if pair.old is not None and pair.new is not None:
                yield from input_order_changes(place, pair.old.inputs, pair.new.inputs, formats)
                yield from output_order_changes(place, pair.old.outputs, pair.new.outputs, formats)
