"""What differs between the inputs of two signatures, worded for the person who must decide what to do.

Two inputs are equal exactly when `input_digest` says so: a difference is empty only if the input digests agree. Rules,
levels and waivers are not here: this is the comparison that the build's gate needs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from trimtab.signature.canonical import input_digest
from trimtab.signature.model import EntryPoint, Feature, Input, Overload, Presence, Signature
from trimtab.signature.render import printable
from trimtab.stability.values import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class ChangeKind(StrEnum):
    """What happened to an input."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class InputChange(Struct, frozen=True, kw_only=True):
    """One change: the input's name, where it is, both sides as text (None: absent there), and who breaks by it.

    place: empty for the default entry point; otherwise which entry point, overload or feature.
    """

    kind: ChangeKind
    name: str
    before: str | None
    after: str | None
    breaks: str
    place: str = ""

    def __str__(self) -> str:
        subject = f'{self.kind} "{printable(self.name)}"' + (f" ({printable(self.place)})" if self.place else "")
        sides = " -> ".join(printable(side) for side in (self.before, self.after) if side is not None)
        return f"{subject}: {sides}. {self.breaks}"


def input_changes(before: Signature, after: Signature) -> tuple[InputChange, ...]:
    """Every change from the inputs of `before` to those of `after`; empty exactly when their input digests agree."""
    if before.input_digest == after.input_digest:
        return ()
    changes = tuple(_changes(before, after))
    return changes or tuple(_changes_between_inputs(before, after))


def name_changes(before: Sequence[str], after: Sequence[str]) -> tuple[InputChange, ...]:
    """Names added and removed, for when one of the two signatures is no longer at hand."""
    added = [
        InputChange(kind=ChangeKind.ADDED, name=name, before=None, after="now expected", breaks=_ADDED_UNKNOWN)
        for name in sorted(set(after) - set(before))
    ]
    removed = [
        InputChange(kind=ChangeKind.REMOVED, name=name, before="was expected", after=None, breaks=_REMOVED)
        for name in sorted(set(before) - set(after))
    ]
    return (*added, *removed)


_ADDED_REQUIRED = (
    "Roots that trim by the old allowlist drop it, callers of the old versions do not send it: the leaf refuses them."
)
_ADDED_OPTIONAL = "Roots that trim by the old allowlist drop it: the model scores without it, and nobody notices."
_ADDED_UNKNOWN = "Roots that trim by the old allowlist drop it."
_REMOVED = "Roots still send it: bytes for nothing, and leaves that refuse unknown inputs (Triton, TF Serving) refuse."
_CHANGED = "Callers still send the old form: the leaf refuses it, or reads it wrongly where it casts."


def _changes(before: Signature, after: Signature) -> Iterator[InputChange]:
    sides = (dict(_overloads(before)), dict(_overloads(after)))
    for place in sorted(sides[0].keys() | sides[1].keys()):
        yield from _in_overload(place, *(_by_name(side.get(place, Overload())) for side in sides))


def _overloads(signature: Signature) -> Iterator[tuple[str, Overload]]:
    """Overloads by what pairs them: the default entry points whatever their names, others by name, then position."""
    for entry_point in signature.entry_points:
        default = entry_point.name == signature.default_entry_point
        for number, overload in enumerate(entry_point.overloads):
            entry = "" if default else f"entry point {entry_point.name}"
            trace = f"overload {number + 1}" if len(entry_point.overloads) > 1 else ""
            yield ", ".join(part for part in (entry, trace) if part), overload


def _by_name(overload: Overload) -> dict[str, Input]:
    """Inputs by name; of several with one name, later ones also by their path."""
    named: dict[str, Input] = {}
    for value in overload.inputs:
        named[value.name if value.name not in named else f"{value.name} at {value.call_path}"] = value
    return named


def _in_overload(place: str, before: dict[str, Input], after: dict[str, Input]) -> Iterator[InputChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            breaks = _ADDED_REQUIRED if new.presence is Presence.REQUIRED else _ADDED_OPTIONAL
            yield InputChange(
                kind=ChangeKind.ADDED, name=name, before=None, after=describe(new), breaks=breaks, place=place
            )
        elif new is None and old is not None:
            yield InputChange(
                kind=ChangeKind.REMOVED, name=name, before=describe(old), after=None, breaks=_REMOVED, place=place
            )
        elif old is not None and new is not None and _alone(old) != _alone(new):
            yield from _in_input(place, name, old, new)


def _in_input(place: str, name: str, old: Input, new: Input) -> Iterator[InputChange]:
    """The input itself, or else the features inside it."""
    if _alone(structs.replace(old, features=())) != _alone(structs.replace(new, features=())):
        yield InputChange(
            kind=ChangeKind.CHANGED,
            name=name,
            before=describe(old),
            after=describe(new),
            breaks=_CHANGED,
            place=place,
        )
    features = tuple({each.name: _as_input(each) for each in side.features} for side in (old, new))
    within = f"{place}, inside {name}" if place else f"inside {name}"
    yield from _in_overload(within, *features)


def _as_input(feature: Feature) -> Input:
    return Input(
        name=feature.name,
        type=feature.type,
        presence=feature.presence,
        default=feature.default,
        nullable=feature.nullable,
        aliases=feature.aliases,
    )


def _alone(value: Input) -> str:
    """The input digest of a signature with this one input: equal exactly when the inputs are equal by themselves."""
    entry_point = EntryPoint(name="", overloads=(Overload(inputs=(value,)),))
    return input_digest(Signature(entry_points=(entry_point,), default_entry_point=""))


def _changes_between_inputs(before: Signature, after: Signature) -> Iterator[InputChange]:
    """No input differs by itself: then the dimensions that inputs share do, or the number or order of overloads."""
    texts = [
        {
            (place, name): describe(value)
            for place, overload in _overloads(side)
            for name, value in _by_name(overload).items()
        }
        for side in (before, after)
    ]
    differing = [key for key in texts[0] if texts[1].get(key, texts[0][key]) != texts[0][key]]
    for place, name in differing:
        yield InputChange(
            kind=ChangeKind.CHANGED,
            name=name,
            before=texts[0][place, name],
            after=texts[1][place, name],
            breaks="Inputs share their dimensions otherwise than before: a request of the old form is refused.",
            place=place,
        )
    if not differing:
        yield InputChange(
            kind=ChangeKind.CHANGED,
            name=before.default_entry_point,
            before=f"{_count(before)} overloads",
            after=f"{_count(after)} overloads, or others in another order",
            breaks="Another overload may answer a request than before.",
        )


def _count(signature: Signature) -> int:
    return sum(len(entry_point.overloads) for entry_point in signature.entry_points)
