"""Say of an ONNX model what its file has no place for: other names, ranges, categories, stable ids, feature columns."""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from typing import TYPE_CHECKING, Any, TypedDict

from msgspec.structs import replace

from trimtab.errors import SignatureError
from trimtab.signature.model import Constraints, Feature, Input, Overload, Range, Signature
from trimtab.signature.types import Mapping, Optional, Sequence, Sparse, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as AnySequence

    from trimtab.signature.model import Output
    from trimtab.signature.types import Dim


class Details(TypedDict, total=False):
    """What a caller knows of an input, beyond what the graph says.

    range: the least and the greatest value; None for no limit. categories: the values that there are.
    id: a stable identity that survives renames. aliases: other names that requests may use.
    shape: names for sizes that the graph leaves open, `("batch", 4)`; it must fit the graph's.
    features: the names of a matrix's columns, in order. doc: what it is, for people. nullable: whether it may be null.
    """

    range: tuple[float | None, float | None]
    categories: AnySequence[str | int | float | bool]
    id: str
    aliases: AnySequence[str]
    shape: AnySequence[int | str | None]
    features: AnySequence[str | Feature]
    doc: str
    nullable: bool


def with_details(
    signature: Signature,
    *,
    input_names: AnySequence[str] | AnyMapping[str, str] | None = None,
    output_names: AnySequence[str] | AnyMapping[str, str] | None = None,
    dimension_names: AnyMapping[str, str] | None = None,
    dynamic: str | None = None,
    details: AnyMapping[str, Details] | None = None,
) -> Signature:
    """The signature under the given names, with the given details of its inputs. The arguments are those of `save`.

    SignatureError where a name or a detail belongs to nothing in the signature, or two inputs would share a name.
    """
    (overload, *others) = signature.entry_point().overloads
    inputs = _renamed(overload.inputs, input_names, "input_names")
    outputs = _renamed(overload.outputs, output_names, "output_names")
    overload = replace(overload, inputs=inputs, outputs=outputs)
    symbols = _machine_made(overload, dynamic) if dimension_names is None else dimension_names
    overload = _with_symbols(overload, symbols)
    overload = replace(overload, inputs=_detailed(overload.inputs, details or {}))
    default = signature.entry_point()
    entry_point = replace(default, overloads=(overload, *others))
    return replace(signature, entry_points=tuple(entry_point if it is default else it for it in signature.entry_points))


def _renamed(values: Any, names: AnySequence[str] | AnyMapping[str, str] | None, where: str) -> Any:
    """Inputs or outputs under new names; their paths keep the graph's."""
    if names is None:
        return values
    old = [it.name for it in values]
    by_old = _by_old_name(names, old, where)
    _check_known(by_old, old, where)
    new = [by_old.get(each, each) for each in old]
    repeated = sorted({each for each in new if new.count(each) > 1})
    if repeated and len(set(old)) == len(old):
        raise SignatureError(where=where, expected="each name once", got=f"{_listed(repeated)} twice")
    return tuple(_called(it, name) for it, name in zip(values, new, strict=True))


def _by_old_name(names: AnySequence[str] | AnyMapping[str, str], old: list[str], where: str) -> AnyMapping[str, str]:
    if isinstance(names, AnyMapping):
        return names
    if isinstance(names, str) or len(names) != len(old):
        raise SignatureError(
            where=where,
            expected=f"{len(old)} names, for {_listed(old)}",
            got=repr(names) if isinstance(names, str) else f"{len(names)}: {_listed([*names])}",
        )
    return dict(zip(old, names, strict=True))


def _called(value: Any, name: str) -> Any:
    """An input or output under another name, where it was."""
    if name == value.name:
        return value
    place = value.name if value.path is None else value.path
    return replace(value, name=name, path=None if place == name else place)


_MACHINE_MADE = re.compile(r"s\d+|unk__\d+|DynamicDimension\.\d+")
"""What torch, tf2onnx and skl2onnx's like call sizes that nobody named."""


def _machine_made(overload: Overload, name: str | None) -> dict[str, str]:
    """A name for the one leading size that all tensor inputs share, where an exporter made its present one up."""
    leading = {it.type.shape[0] for it in overload.inputs if isinstance(it.type, Tensor) and it.type.shape}
    only = leading.pop() if len(leading) == 1 else None
    return {only: name} if name and isinstance(only, str) and _MACHINE_MADE.fullmatch(only) else {}


def _with_symbols(overload: Overload, names: AnyMapping[str, str]) -> Overload:
    if not names:
        return overload

    def in_text(text: str) -> str:
        return names.get(text) or re.sub(r"[A-Za-z_]\w*", lambda found: names.get(found.group(), found.group()), text)

    def in_dim(dim: Dim) -> Dim:
        return in_text(dim) if isinstance(dim, str) else dim

    def in_value(value: Any) -> Any:
        return replace(value, type=_with_dims(value.type, in_dim))

    inputs: tuple[Input, ...] = tuple(map(in_value, overload.inputs))
    outputs: tuple[Output, ...] = tuple(map(in_value, overload.outputs))
    _check_known(names, sorted(_symbols(overload)), "dimension_names")
    limits = {in_text(text): limit for text, limit in overload.dimensions.items()}
    return replace(overload, inputs=inputs, outputs=outputs, dimensions=limits)


def _symbols(overload: Overload) -> set[str]:
    """Every symbol in the shapes, and every text that holds some."""
    found: set[str] = set()

    def note(dim: Dim) -> Dim:
        if isinstance(dim, str):
            found.update((dim, *re.findall(r"[A-Za-z_]\w*", dim)))
        return dim

    for type_ in (*(it.type for it in overload.inputs), *(it.type for it in overload.outputs)):
        _with_dims(type_, note)
    return found


def _with_dims(type_: Type, change: Callable[[Dim], Dim]) -> Type:
    """A type with its sizes changed, at whatever depth."""
    if isinstance(type_, Tensor | Sparse) and type_.shape:
        return replace(type_, shape=tuple(map(change, type_.shape)))
    if isinstance(type_, Sequence | Optional):
        return replace(type_, element=_with_dims(type_.element, change))
    if isinstance(type_, Mapping):
        return replace(type_, value=_with_dims(type_.value, change))
    return type_


def _detailed(inputs: tuple[Input, ...], details: AnyMapping[str, Details]) -> tuple[Input, ...]:
    _check_known(details, [it.name for it in inputs], "details")
    return tuple(_with(it, details[it.name]) if it.name in details else it for it in inputs)


def _with(value: Input, details: Details) -> Input:
    where = f"details of input {value.name!r}"
    _check_known(details, sorted(Details.__optional_keys__), where)
    if "shape" in details:
        value = replace(value, type=_shaped(value.type, tuple(details["shape"]), where))
    if "features" in details:
        value = replace(value, features=_columns(value.type, details["features"], where))
    if "range" in details or "categories" in details:
        value = replace(value, constraints=_constraints(value.constraints or Constraints(), details))
    return replace(
        value,
        id=details.get("id", value.id),
        aliases=tuple(details.get("aliases", value.aliases)),
        doc=details.get("doc", value.doc),
        nullable=details.get("nullable", value.nullable),
    )


def _constraints(before: Constraints, details: Details) -> Constraints:
    if "range" in details:
        minimum, maximum = details["range"]
        before = replace(before, range=Range(minimum=minimum, maximum=maximum))
    return replace(before, categories=tuple(details["categories"])) if "categories" in details else before


def _shaped(type_: Type, shape: tuple[Dim, ...], where: str) -> Type:
    if not isinstance(type_, Tensor | Sparse) or (type_.shape is not None and len(type_.shape) != len(shape)):
        raise SignatureError(where=where, expected=f"a shape for {type_}", got=str(list(shape)))
    return replace(type_, shape=shape)


def _columns(type_: Type, names: AnySequence[str | Feature], where: str) -> tuple[Feature, ...]:
    width = type_.shape[-1] if isinstance(type_, Tensor) and type_.shape else None
    if not isinstance(type_, Tensor) or (isinstance(width, int) and width != len(names)):
        raise SignatureError(where=where, expected=f"a name for each column of {type_}", got=f"{len(names)} names")
    column = Tensor(type_.dtype, type_.shape[:-1] if type_.shape else None)
    return tuple(Feature(name=it, type=column) if isinstance(it, str) else it for it in names)


def _check_known(names: AnyMapping[str, Any], known: list[str], where: str) -> None:
    unknown = [each for each in names if each not in known]
    if unknown:
        raise SignatureError(where=where, expected=f"one of {_listed(known)}", got=_listed(unknown))


def _listed(names: list[str]) -> str:
    return (", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")) or "nothing"
