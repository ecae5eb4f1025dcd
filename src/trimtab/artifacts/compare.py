"""Compare the signature that an artifact declares with the one derived from its graph, and join the two.

The declared one is the contract: its names, its order, its constraints. The derived one is the check, and the source of
what the declared one leaves open: everything but names for a plain `module_info.json`, liveness for a full document.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from trimtab.artifacts.compare_names import join_names
from trimtab.artifacts.limits import check_count
from trimtab.artifacts.path_index import PathIndex, steps_below
from trimtab.artifacts.places import with_named_places
from trimtab.errors import ContradictionError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input, Learned, Live, Output, Overload, Presence, Signature
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Scalar, Sequence, Sparse, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as AnySequence

    from trimtab.artifacts.compare_names import Disagree
    from trimtab.signature.model import EntryPoint
    from trimtab.signature.path import Step

_HINT = "Which one is right? Correct the document, or embed the derived signature: trimtab embed ARTIFACT --derive"

MAX_CONTRADICTIONS = 1_000
"""How many contradictions are collected: who has so many needs no more."""


def reconcile(declared: Signature, derived: Signature, where: str) -> Signature:
    """The declared signature, completed by what only the graph knows. ContradictionError where they disagree."""
    return _join(declared, derived, where, _raise)


def contradictions(declared: Signature, derived: Signature, where: str) -> tuple[ContradictionError, ...]:
    """Every disagreement of the two, in the document's order; `reconcile` raises the first."""
    found: list[ContradictionError] = []

    def keep(contradiction: ContradictionError) -> None:
        found.append(contradiction)
        if len(found) == MAX_CONTRADICTIONS:
            raise contradiction  # ends the comparison

    with suppress(ContradictionError):
        _join(declared, derived, where, keep)
    return tuple(found)


def _raise(contradiction: ContradictionError) -> None:
    raise contradiction


def _join(declared: Signature, derived: Signature, where: str, disagree: Disagree) -> Signature:
    names_only = declared.provenance.format == "module_info"
    if names_only:
        joined = join_names(declared, derived, where, disagree)
    else:
        joined = replace(
            declared,
            entry_points=tuple(_entry_point(each, derived, where, disagree) for each in declared.entry_points),
        )
    notes = dict.fromkeys((*declared.provenance.notes, *derived.provenance.notes))
    provenance = replace(
        derived.provenance,
        learned=Learned.DECLARED if names_only else declared.provenance.learned,
        notes=tuple(notes),
    )
    return replace(joined, provenance=provenance)


def _entry_point(declared: EntryPoint, derived: Signature, where: str, disagree: Disagree) -> EntryPoint:
    for each in derived.entry_points:
        if each.name == declared.name:
            return replace(declared, overloads=_overloads(declared, each, f"{where}: {declared.name}", disagree))
    disagree(
        ContradictionError(
            f"the document declares the entry point {declared.name!r}, which the artifact does not have",
            where=where,
            expected=f"one of {_listed(repr(each.name) for each in derived.entry_points)}",
            got=repr(declared.name),
            hint=_HINT,
        )
    )
    return declared


def _overloads(declared: EntryPoint, derived: EntryPoint, where: str, disagree: Disagree) -> tuple[Overload, ...]:
    """Each overload joined with the derived one that it is: by name, by position, or else the first that it fits.

    What fits none is compared with the one that it contradicts least.
    """
    by_name = {each.name: each for each in reversed(derived.overloads) if each.name}
    pairs = 0
    joined: list[Overload] = []
    for position, overload in enumerate(declared.overloads):
        own = derived.overloads[position : position + 1]
        named = by_name.get(overload.name)
        best: tuple[Overload, list[ContradictionError]] | None = None
        for each in (*own, *derived.overloads) if named is None else (named,):
            pairs += _size(overload) + _size(each)
            check_count(pairs, _MAX_PAIRS, "values of overloads to compare", where)
            found: list[ContradictionError] = []
            attempt = _overload(overload, each, where, found.append)
            if best is None or len(found) < len(best[1]):
                best = attempt, found
            if not found:
                break
        joined.append(best[0] if best else overload)
        for contradiction in best[1] if best else ():
            disagree(contradiction)
    return tuple(joined)


_MAX_PAIRS = 400_000


def _size(overload: Overload) -> int:
    return 1 + len(overload.inputs) + len(overload.outputs)


def _overload(declared: Overload, derived: Overload, where: str, disagree: Disagree) -> Overload:
    if len(derived.inputs) == len(declared.inputs):
        derived = with_named_places(derived, [it.call_path for it in declared.inputs])
    graph = PathIndex((it.call_path, it) for it in derived.inputs)
    by_name = {it.name: it for it in derived.inputs}
    inputs = tuple(_input(value, graph, by_name, where, disagree) for value in declared.inputs)
    stated = PathIndex((it.call_path, it) for it in inputs)
    for value in derived.inputs:
        if value.presence is Presence.REQUIRED and stated.around_or_inside(value.call_path) is None:
            disagree(
                ContradictionError(
                    f"the artifact requires the input {value.name!r} ({value.type}), which the document does not "
                    "declare",
                    where=where,
                    expected=f"an input at {value.call_path}",
                    got=_listed(it.call_path for it in inputs) or "no inputs",
                    hint=_HINT,
                )
            )
    outputs = _outputs(declared.outputs, derived.outputs, where, disagree)
    return replace(declared, inputs=inputs, outputs=outputs)


def _input(
    declared: Input, graph: PathIndex[Input], by_name: dict[str, Input], where: str, disagree: Disagree
) -> Input:
    if declared.path is None and graph.at(declared.name) is None and declared.name in by_name:
        declared = replace(
            declared, path=by_name[declared.name].path
        )  # stated by name alone: the graph knows the place
    match = graph.around_or_inside(declared.call_path)
    if match is None:
        disagree(
            ContradictionError(
                f"the document declares the input {declared.name!r}, which the artifact does not have",
                where=where,
                expected=f"one of {_listed(graph.paths) or 'no inputs'}",
                got=declared.call_path,
                hint=_HINT,
            )
        )
        return declared
    below = steps_below(match.call_path, declared.call_path)
    if match.learned.get("type") is not Learned.EXAMPLE and below is not None:
        _check_type(declared.type, match.type, below, f"{where}: input {declared.name!r}", disagree)
    if below is not None and not below:
        declared = _with_quantization(declared, match, f"{where}: input {declared.name!r}", disagree)
    if declared.live is Live.UNKNOWN and match.live is not Live.UNKNOWN and not below:
        return replace(declared, live=match.live, learned={**declared.learned, "live": Learned.DERIVED})
    return declared


def _outputs(
    declared: AnySequence[Output], derived: AnySequence[Output], where: str, disagree: Disagree
) -> tuple[Output, ...]:
    if not derived:
        return tuple(declared)  # not known, rather than none: every model returns something
    outputs = []
    graph = PathIndex((it.return_path, it) for it in derived)
    by_name = {it.name: it for it in derived}
    for position, output in enumerate(declared):
        match = graph.at(output.return_path) or by_name.get(output.name)
        below: AnySequence[Step] | None = ()
        if match is None and (match := graph.around_or_inside(output.return_path)) is not None:
            below = steps_below(match.return_path, output.return_path)
        if match is None and len(declared) == len(derived):
            match = derived[position]
        if match is None:
            disagree(
                ContradictionError(
                    f"the document declares the output {output.name!r}, which the artifact does not have",
                    where=where,
                    expected=f"one of {_listed(by_name) or 'no outputs'}",
                    got=output.return_path or output.name,
                    hint=_HINT,
                )
            )
        elif match.learned.get("type") is not Learned.EXAMPLE and below is not None:
            _check_type(output.type, match.type, below, f"{where}: output {output.name!r}", disagree)
        outputs.append(
            output
            if match is None or below is None or below
            else _with_quantization(output, match, f"{where}: output {output.name!r}", disagree)
        )
    return tuple(outputs)


def _with_quantization(declared: _Value, derived: Input | Output, where: str, disagree: Disagree) -> _Value:
    """The declared value with what the graph says of its integers, which the document may leave out."""
    stated, actual = declared.quantization, derived.quantization
    if actual is None or stated == actual:
        return declared
    if stated is not None:
        _contradict(f"quantized: {stated}", f"quantized: {actual}", where, disagree)
        return declared
    return replace(declared, quantization=actual)


_Value = TypeVar("_Value", Input, Output)


def _listed(names: Iterable[str]) -> str:
    """The first of the names: there may be thousands, and as many errors that list them."""
    first = [*islice(names, _LISTED + 1)]
    return ", ".join(first[:_LISTED])[:300] + (", …" if len(first) > _LISTED else "")


_LISTED = 24


def _check_type(declared: Type, derived: Type, below: AnySequence[Step], where: str, disagree: Disagree) -> None:
    for _ in below:  # the declared value lies inside of a container that the graph leaves open
        derived = derived.element if isinstance(derived, Optional) else derived
        if isinstance(derived, Mapping):
            derived = derived.value
        elif isinstance(derived, Sequence):
            derived = derived.element
        elif isinstance(derived, Opaque):
            return
    if _clash(declared, derived):
        _contradict(declared, derived, where, disagree)


def _contradict(declared: object, derived: object, where: str, disagree: Disagree) -> None:
    disagree(
        ContradictionError(
            "the document and the artifact's graph disagree",
            where=where,
            expected=f"{derived} as in the graph",
            got=f"{declared} in the document",
            hint=_HINT,
        )
    )


def _clash(declared: Type, derived: Type) -> bool:
    """Whether no value can be of both types. What either side leaves open does not clash."""
    declared = declared.element if isinstance(declared, Optional) else declared
    derived = derived.element if isinstance(derived, Optional) else derived
    match declared, derived:
        case (Opaque(), _) | (_, Opaque()):
            return False
        case (Tensor(), Tensor()):
            return _dtypes_clash(declared.dtype, derived.dtype) or _shapes_clash(declared.shape, derived.shape)
        case (Sparse(), Sparse()):
            return _dtypes_clash(declared.dtype, derived.dtype) or _shapes_clash(declared.shape, derived.shape)
        case (Scalar(), Scalar()):
            return _dtypes_clash(declared.dtype, derived.dtype)
        case (Literal(), Literal()):
            return declared != derived
        case (Sequence(), Sequence()):
            return _clash(declared.element, derived.element)
        case (Mapping(), Mapping()):
            return declared.key != derived.key or _clash(declared.value, derived.value)
    return type(declared) is not type(derived)


_TEXT = (DType.STRING, DType.BYTES)


def _dtypes_clash(declared: DType | None, derived: DType | None) -> bool:
    return (
        declared is not None
        and derived is not None
        and declared is not derived
        and not (declared in _TEXT and derived in _TEXT)
    )


def _shapes_clash(declared: tuple[int | str | None, ...] | None, derived: tuple[int | str | None, ...] | None) -> bool:
    if declared is None or derived is None:
        return False
    if len(declared) != len(derived):
        return True
    # A symbol says that a size varies, so it contradicts a fixed one. A fixed one only narrows a symbol.
    return any(
        isinstance(graph, int) and stated is not None and stated != graph
        for stated, graph in zip(declared, derived, strict=True)
    )
