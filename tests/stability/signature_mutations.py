"""Every way to change one field of a signature's contract, as a Hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Output,
    Overload,
    Presence,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Ragged, Scalar, Sequence, Sparse, Tensor, Type

Mutation = tuple[str, Callable[[], Signature]]


def mutations(signature: Signature) -> Iterator[Mutation]:
    """Each changes one field, and is named after it; none keeps the contract."""
    names = [each.name for each in signature.entry_points]
    for number, entry_point in enumerate(signature.entry_points):
        for what, changed in _of_entry_point(entry_point):
            yield what, lambda number=number, changed=changed: _with(signature, number, changed)  # type: ignore[misc]
        if len(names) > 1 and entry_point.name != signature.default_entry_point:
            yield "default entry point", lambda name=entry_point.name: _default(signature, name)  # type: ignore[misc]
            rest = tuple(each for each in signature.entry_points if each is not entry_point)
            yield (
                "entry point deleted",
                lambda rest=rest: Signature(  # type: ignore[misc]
                    entry_points=rest,
                    default_entry_point=signature.default_entry_point,
                    provenance=signature.provenance,
                ),
            )
    added = EntryPoint(name="\0new", overloads=(Overload(),))
    yield (
        "entry point added",
        lambda: Signature(
            entry_points=(*signature.entry_points, added),
            default_entry_point=signature.default_entry_point,
            provenance=signature.provenance,
        ),
    )


def _with(signature: Signature, number: int, changed: EntryPoint) -> Signature:
    entry_points = list(signature.entry_points)
    default = signature.default_entry_point
    if entry_points[number].name == default:
        default = changed.name
    entry_points[number] = changed
    return Signature(entry_points=tuple(entry_points), default_entry_point=default, provenance=signature.provenance)


def _default(signature: Signature, name: str) -> Signature:
    return Signature(entry_points=signature.entry_points, default_entry_point=name, provenance=signature.provenance)


def _of_entry_point(it: EntryPoint) -> Iterator[tuple[str, EntryPoint]]:
    yield "entry point name", replace(it, name=it.name + "\0x")
    yield "overload added", replace(it, overloads=(*it.overloads, Overload(inputs=(Input(name="\0", type=Tensor()),))))
    if len(it.overloads) > 1:
        yield "overload deleted", replace(it, overloads=it.overloads[1:])
        yield "overloads reordered", replace(it, overloads=tuple(reversed(it.overloads)))
    for number, overload in enumerate(it.overloads):
        for what, changed in _of_overload(overload):
            overloads = (*it.overloads[:number], changed, *it.overloads[number + 1 :])
            yield what, replace(it, overloads=overloads)


def _of_overload(it: Overload) -> Iterator[tuple[str, Overload]]:
    yield "input added", replace(it, inputs=(*it.inputs, Input(name="\0new", type=Tensor())))
    optional = Input(name="\0new", type=Tensor(), presence=Presence.OPTIONAL)
    yield "optional input added", replace(it, inputs=(*it.inputs, optional))
    yield "output added", replace(it, outputs=(*it.outputs, Output(name="\0new", type=Tensor())))
    for symbol, limits in it.dimensions.items():
        high = 10**6 if limits.maximum is None else limits.maximum + 1
        dimensions = {**it.dimensions, symbol: Range(minimum=limits.minimum, maximum=high)}
        yield "dimension bounds", replace(it, dimensions=dimensions)
    for number, value in enumerate(it.inputs):
        rest = (*it.inputs[:number], *it.inputs[number + 1 :])
        yield "input deleted", replace(it, inputs=rest)
        for what, changed in _of_value(value):
            yield f"input {what}", replace(it, inputs=(*it.inputs[:number], changed, *it.inputs[number + 1 :]))
    for number, output in enumerate(it.outputs):
        yield "output deleted", replace(it, outputs=(*it.outputs[:number], *it.outputs[number + 1 :]))
        for what, changed_output in _of_output(output):
            outputs = (*it.outputs[:number], changed_output, *it.outputs[number + 1 :])
            yield f"output {what}", replace(it, outputs=outputs)


def _of_value(it: Any) -> Iterator[tuple[str, Any]]:
    yield "name", replace(it, name=it.name + "\0x")
    yield "id", replace(it, id=(it.id or "") + "x")
    yield "alias added", replace(it, aliases=(*it.aliases, it.name + "\0alias"))
    if it.aliases:
        yield "alias deleted", replace(it, aliases=tuple(each for each in it.aliases if each != it.aliases[0]))
    yield "nullable", replace(it, nullable=not it.nullable)
    for presence in Presence:
        if presence is not it.presence:
            yield "presence", replace(it, presence=presence)
    yield "default", replace(it, default=Literal("\0") if it.default is None else None)
    limits = it.constraints or Constraints()
    if limits.range is None:
        yield "range", replace(it, constraints=replace(limits, range=Range(minimum=0)))
    else:
        high = 0 if limits.range.maximum is None else limits.range.maximum + 1
        yield "range", replace(it, constraints=replace(limits, range=replace(limits.range, maximum=high)))
    categories = (*(limits.categories or ()), "\0new")
    yield "categories", replace(it, constraints=replace(limits, categories=categories))
    for what, type_ in of_type(it.type):
        yield what, replace(it, type=type_)
    if isinstance(it, Input):
        yield "path", replace(it, path=f"{it.call_path}\0x")
        yield "feature added", replace(it, features=(*it.features, Feature(name="\0new", type=Tensor())))
        for number, feature in enumerate(it.features):
            rest = it.features[number + 1 :]
            yield "feature deleted", replace(it, features=(*it.features[:number], *rest))
            for what, changed in _of_value(feature):
                yield f"feature {what}", replace(it, features=(*it.features[:number], changed, *rest))


def _of_output(it: Output) -> Iterator[tuple[str, Output]]:
    yield "name", replace(it, name=it.name + "\0x")
    yield "id", replace(it, id=(it.id or "") + "x")
    yield "path", replace(it, path=f"{it.return_path}\0x")
    for what, type_ in of_type(it.type):
        yield what, replace(it, type=type_)


def of_type(it: Type) -> Iterator[tuple[str, Type]]:
    """Other types, each unlike this one in one respect."""
    yield "kind", Opaque("another") if not isinstance(it, Opaque) else Scalar(DType.BOOL)
    match it:
        case Tensor() | Sparse() | Ragged():
            yield "dtype", replace(it, dtype=DType.INT8 if it.dtype is not DType.INT8 else DType.INT16)
            if it.shape is None:
                yield "rank", replace(it, shape=())
            else:
                yield "rank", replace(it, shape=(*it.shape, 7))
                for axis, dim in enumerate(it.shape):
                    for other in (5 if dim != 5 else 6, None if dim is not None else "another"):
                        yield "size", replace(it, shape=(*it.shape[:axis], other, *it.shape[axis + 1 :]))
            if isinstance(it, Ragged):
                yield "ragged rank", replace(it, ragged_rank=it.ragged_rank + 1)
        case Scalar():
            yield "dtype", Scalar(DType.INT8 if it.dtype is not DType.INT8 else DType.INT16)
        case Literal():
            yield "constant", Literal("\0another")
        case Sequence() | Optional():
            for what, inner in of_type(it.element):
                yield what, replace(it, element=inner)
        case Mapping():
            yield "key", replace(it, key=DType.INT8 if it.key is not DType.INT8 else DType.INT16)
            for what, inner in of_type(it.value):
                yield what, replace(it, value=inner)
