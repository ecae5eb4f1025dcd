"""What changed about one input, or about one feature inside an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trimtab.signature.dtypes import DType
from trimtab.signature.model import Constraints, Feature, Input, Learned, Presence, Range
from trimtab.signature.types import Literal, Ragged, Scalar, Sparse, Tensor
from trimtab.stability.change import Seen
from trimtab.stability.lists import list_changes
from trimtab.stability.plain import plain, text
from trimtab.stability.quantization import quantization_changes
from trimtab.stability.types import may_be_none, number_for_text, of_one_batch, type_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.stability.pairing import Pair
    from trimtab.stability.shapes import Symbols

Value: TypeAlias = Input | Feature


class Meant(NamedTuple):
    """What the types of a pair mean beyond what they say.

    exemplary: whether both are those of example inputs, whose leading size is the batch that happened to be used.
    open_is_number: whether the new one's format leaves the dtypes of numbers open, and says what is none.
    listed: whether they are given to what a request carries as a flat list of values.
    """

    exemplary: bool = False
    open_is_number: bool = False
    listed: bool = False


def value_changes(
    kind: str, pair: Pair[Input] | Pair[Feature], place: str, symbols: Symbols, meant: Meant
) -> Iterator[Seen]:
    """The changes of one pair. kind: `INPUT` or `FEATURE`. place: what the subject lies in."""
    old, new = pair.old, pair.new
    noun = kind.lower()
    if old is None:
        if new is not None:
            rule = f"{kind}_NO_ADD_{'REQUIRED' if must_be_sent(new) else 'OPTIONAL'}"
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
        *_range(old, new),
        *_categories(old, new),
        *_categorical(old, new, meant),
    ):
        yield Seen(f"{kind}_{rule}", subject, problem, before, after)
    type_ = of_one_batch(old.type, new.type) if meant.exemplary else new.type
    if type_ != new.type:
        sides = text(old.type), text(new.type)
        yield Seen(f"{kind}_BATCH_SEEN", subject, "the batch of the example changed", *sides)
    if meant.open_is_number and _listing(new) is None and not _is_categorical(new):
        type_ = number_for_text(old.type, type_)
    listed = list_changes(old.type, type_) if meant.listed else None
    types = [*(type_changes(old.type, type_, symbols) if listed is None else listed)]
    if isinstance(old, Input) and isinstance(new, Input):
        yield from quantization_changes(kind, old, new, subject, types)
    for change in types:
        rule = "SAME_KIND" if (kind, change.rule) == ("FEATURE", "SAME_CONSTANT") else change.rule
        sides = text(old.type), text(new.type)
        yield Seen(f"{kind}_{rule}", subject, change.problem, *sides)


def must_be_sent(value: Value) -> bool:
    """Whether a request without it is refused: not where the type allows None, nor for a constant in the artifact."""
    return value.presence is Presence.REQUIRED and not may_be_none(value.type) and not isinstance(value.type, Literal)


def describe(value: Value) -> str:
    """What a request must know of a value: type, presence, default, nullability, aliases."""
    facts = [text(value.type), str(value.presence)]
    if value.presence is Presence.DEFAULT and value.default is not None:
        facts[-1] = f"default {text(value.default)}"
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
        rule = "ID_NO_ADD" if old.id is None else "ID_STABLE"
        yield rule, "the stable id changed", old.id or "none", new.id or "none"


def _presence(old: Value, new: Value) -> Iterator[Aspect]:
    was_optional, is_optional = not must_be_sent(old), not must_be_sent(new)
    same_default = plain(old.default) == plain(new.default)
    if was_optional and not is_optional:
        if old.presence is not new.presence:  # else its type says so, which has a rule of its own
            yield "NOT_MADE_REQUIRED", "requests must carry it now", describe(old), describe(new)
    elif was_optional and not same_default:
        yield "SAME_DEFAULT", "the default changed", _default(old), _default(new)
    elif old.presence is not new.presence:
        yield "SAME_PRESENCE", "whether requests must carry it changed", describe(old), describe(new)
    elif not same_default:
        yield "SAME_PRESENCE", "a default is stated that no request gets", _default(old), _default(new)


def _default(value: Value) -> str:
    if value.default is None:
        return "known to the artifact alone" if value.presence is Presence.DEFAULT else "none"
    return text(value.default)


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


def _range(old: Value, new: Value) -> Iterator[Aspect]:
    before, after = _limits(old), _limits(new)
    promised, promises = (Range() if _only_seen(side) else _limits(side) for side in (old, new))
    if promised != promises:
        rule = "RANGE_NOT_WIDENED" if _within(promised, promises) else "RANGE_NOT_NARROWED"
        yield rule, "the range changed", _shown(promised), _shown(promises)
    elif before != after:
        yield "RANGE_SEEN", "the range seen in training changed", _shown(before), _shown(after)


def _limits(value: Value) -> Range:
    return (value.constraints and value.constraints.range) or Range()


def _only_seen(value: Value) -> bool:
    """Whether its constraints are what the training data held, which the model does not insist on."""
    return isinstance(value, Input) and value.learned.get("constraints") is Learned.EXAMPLE


def _codes_only_seen(value: Value) -> bool:
    """Whether its categories are codes that the training data held, and not the list that an encoder goes by."""
    return isinstance(value, Input) and _only_seen(value) and "type" not in value.learned


def _within(inner: Range, outer: Range) -> bool:
    """Whether every number of one range is in the other."""
    low = outer.minimum is None or (inner.minimum is not None and inner.minimum >= outer.minimum)
    high = outer.maximum is None or (inner.maximum is not None and inner.maximum <= outer.maximum)
    return low and high


def _shown(limits: Range) -> str:
    return "any" if limits == Range() else str(limits)


def _categories(old: Value, new: Value) -> Iterator[Aspect]:
    before, after = _listing(old), _listing(new)
    if before == after:
        return
    sides = _listed(before, after), _listed(after, before)
    if before is not None and after is not None and _codes_only_seen(old) and _codes_only_seen(new):
        yield "RANGE_SEEN", "the category codes seen in training changed", *sides
        return
    if after is not None and (before is None or not set(before) <= set(after)):
        yield "CATEGORY_NO_DELETE", "categories are gone", *sides
        return
    if before is None or after is None or set(before) != set(after):
        yield "CATEGORY_NO_ADD", "categories are new", *sides
    if before is not None and after is not None and after[: len(before)] != before:
        yield "CATEGORY_SAME_ORDER", "the categories have another order", *sides


def _categorical(old: Value, new: Value, meant: Meant) -> Iterator[Aspect]:
    """Whether its values are categories. A dtype that either side states tells by itself who is refused."""
    was, now = _is_categorical(old), _is_categorical(new)
    if was == now:
        return
    before, after = (_dtype(side) for side in (old, new))
    sides = _marked(old), _marked(new)
    if now and before not in _NO_FRACTIONS:
        yield "SAME_CATEGORICAL", "its values are categories now", *sides
    elif was and before is None and after is None and meant.open_is_number:
        yield "SAME_CATEGORICAL", "its values are numbers now", *sides
    else:
        yield "CATEGORY_NO_ADD", "whether its values are said to be categories changed", *sides


def _marked(value: Value) -> str:
    return f"{'categories' if _is_categorical(value) else 'any values'}, {text(value.type)}"


def _is_categorical(value: Value) -> bool:
    return value.constraints is not None and value.constraints.categorical


def _dtype(value: Value) -> DType | None:
    return value.type.dtype if isinstance(value.type, Tensor | Ragged | Sparse | Scalar) else None


_NO_FRACTIONS = frozenset(it for it in DType if it.startswith(("int", "uint", "bool", "string", "bytes")))


def _listing(value: Value) -> tuple[str, ...] | None:
    """The categories as text that tells 1 from True and "1"; None where any value is one."""
    listed = (value.constraints or Constraints()).categories
    return None if listed is None else tuple(map(plain, listed))


_SHOWN = 20


def _listed(categories: tuple[str, ...] | None, other: tuple[str, ...] | None) -> str:
    """The categories; of many, those that the other side does not have."""
    if categories is None:
        return "any"
    if len(categories) <= _SHOWN:
        return ", ".join(categories) or "none"
    known = set(other or ())
    shown = [each for each in categories if each not in known][:_SHOWN] or list(categories[:_SHOWN])
    return f"{', '.join(shown)} and {len(categories) - len(shown)} others"
