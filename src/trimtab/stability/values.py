"""What changed about one input, or about one feature inside an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from trimtab.signature.model import Constraints, Feature, Input, Presence
from trimtab.stability.change import Seen
from trimtab.stability.types import may_be_none, type_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Range
    from trimtab.stability.pairing import Pair
    from trimtab.stability.shapes import Symbols

Value: TypeAlias = Input | Feature


def value_changes(kind: str, pair: Pair[Input] | Pair[Feature], place: str, symbols: Symbols) -> Iterator[Seen]:
    """The changes of one pair. kind: `INPUT` or `FEATURE`. place: what the subject lies in."""
    old, new = pair.old, pair.new
    noun = kind.lower()
    if old is None:
        if new is not None:
            required = new.presence is Presence.REQUIRED
            rule = f"{kind}_NO_ADD_{'REQUIRED' if required else 'OPTIONAL'}"
            yield Seen(rule, f"{place}{noun} {new.name}", f"the {noun} is new", "", describe(new))
        return
    subject = f"{place}{noun} {old.name}"
    if new is None:
        yield Seen(f"{kind}_NO_DELETE", subject, f"the {noun} is gone", describe(old))
        return
    for rule, problem, before, after in (
        *_names(old, new),
        *_presence(old, new),
        *_null(old, new),
        *_constraints(old.constraints or Constraints(), new.constraints or Constraints()),
    ):
        yield Seen(f"{kind}_{rule}", subject, problem, before, after)
    for change in type_changes(old.type, new.type, symbols):
        yield Seen(f"{kind}_{change.rule}", subject, change.problem, str(old.type), str(new.type))


def describe(value: Value) -> str:
    """What a request must know of a value: type, presence, default, nullability, aliases."""
    facts = [str(value.type), str(value.presence)]
    if value.presence is Presence.DEFAULT and value.default is not None:
        facts[-1] = f"default {str(value.default).removeprefix('= ')}"
    if value.nullable:
        facts.append("nullable")
    if value.aliases:
        facts.append(f"also called {', '.join(sorted(value.aliases))}")
    return ", ".join(facts)


Aspect: TypeAlias = tuple[str, str, str, str]
"""Rule without its kind, problem, before, after."""


def _names(old: Value, new: Value) -> Iterator[Aspect]:
    accepted = {new.name, *new.aliases}
    if old.name != new.name:
        rule = "SAME_NAME" if old.name in accepted else "NO_RENAME"
        yield rule, "it is called otherwise", old.name, new.name
    gone = sorted(set(old.aliases) - accepted)
    if gone:
        yield "ALIAS_NO_DELETE", "aliases are gone", ", ".join(gone), ""
    added = sorted(set(new.aliases) - {old.name, *old.aliases})
    if added:
        yield "ALIAS_NO_ADD", "aliases are new", "", ", ".join(added)
    if old.id != new.id:
        yield "SAME_ID", "the stable id changed", old.id or "none", new.id or "none"


def _presence(old: Value, new: Value) -> Iterator[Aspect]:
    if old.presence is not new.presence:
        rule = "NOT_MADE_REQUIRED" if new.presence is Presence.REQUIRED else "SAME_PRESENCE"
        yield rule, "whether requests must carry it changed", describe(old), describe(new)
    if repr(old.default) != repr(new.default) and old.presence is new.presence:
        yield "SAME_DEFAULT", "the default changed", str(old.default or "none"), str(new.default or "none")


def _null(old: Value, new: Value) -> Iterator[Aspect]:
    (before, was), (after, now) = map(_nulls, (old, new))
    if before and not after:
        yield "NOT_MADE_NON_NULLABLE", "it may no longer be null", was, now
    elif after and not before:
        yield "NOT_MADE_NULLABLE", "it may be null now", was, now
    elif was != now:
        yield "NOT_MADE_NULLABLE", "null is allowed in another way", was, now


def _nulls(value: Value) -> tuple[bool, str]:
    """Whether a value may be null, and how that is said."""
    ways = [
        way for way, given in (("nullable", value.nullable), ("of an optional type", may_be_none(value.type))) if given
    ]
    return bool(ways), " and ".join(ways) or "not nullable"


def _constraints(old: Constraints, new: Constraints) -> Iterator[Aspect]:
    if old.range != new.range:
        narrowed = new.range is not None and (old.range is None or not _within(old.range, new.range))
        rule = "RANGE_NOT_NARROWED" if narrowed else "RANGE_NOT_WIDENED"
        yield rule, "the range changed", str(old.range or "any"), str(new.range or "any")
    before, after = _categories(old), _categories(new)
    if before != after:
        gone = after is not None and (before is None or not set(before) <= set(after))
        rule = "CATEGORY_NO_DELETE" if gone else "CATEGORY_NO_ADD"
        yield rule, "the categories changed", _listed(before), _listed(after)


def _within(inner: Range, outer: Range) -> bool:
    """Whether every number of one range is in the other."""
    low = outer.minimum is None or (inner.minimum is not None and inner.minimum >= outer.minimum)
    high = outer.maximum is None or (inner.maximum is not None and inner.maximum <= outer.maximum)
    return low and high


def _categories(constraints: Constraints) -> tuple[str, ...] | None:
    """The categories as text that tells 1 from True and "1"."""
    return None if constraints.categories is None else tuple(map(repr, constraints.categories))


_SHOWN = 20


def _listed(categories: tuple[str, ...] | None) -> str:
    if categories is None:
        return "any"
    return ", ".join(categories[:_SHOWN]) + (", …" if len(categories) > _SHOWN else "") or "none"
