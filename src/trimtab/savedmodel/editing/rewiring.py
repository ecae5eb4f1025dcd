"""What edits do to a wrapper: rename, drop, bind, widen, select. Each gives a new wrapper, or says why it cannot."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing import widening
from trimtab.savedmodel.editing.constants import constant, zeros
from trimtab.savedmodel.editing.names import check_inputs, check_text
from trimtab.savedmodel.editing.wrapper import Constant, Input
from trimtab.savedmodel.flow import unused_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Argument, Wrapper
    from trimtab.savedmodel.graph_protos import Shape


def rename_inputs(wrapper: Wrapper, names: Mapping[str, str], where: str) -> Wrapper:
    """Other names for inputs, all at once, so that two may swap theirs."""
    names = {_input(wrapper, old, where).name: new for old, new in names.items()}
    renamed = [names.get(each.name, each.name) for each in wrapper.inputs]
    _require_distinct(renamed, "input", where)
    check_inputs(where, renamed)
    return _on_inputs(wrapper, lambda each: replace(each, name=names.get(each.name, each.name)))


def rename_outputs(wrapper: Wrapper, names: Mapping[str, str], where: str) -> Wrapper:
    """Other names for outputs, all at once."""
    for old, new in names.items():
        _require(old, [each.key for each in wrapper.outputs], "output", where)
        check_text(where, new)
        if not new:
            raise ArtifactError(where=where, expected=f"a name for the output {old!r}", got="none")
    outputs = tuple(replace(each, key=names.get(each.key, each.key)) for each in wrapper.outputs)
    _require_distinct([each.key for each in outputs], "output", where)
    return replace(wrapper, outputs=outputs)


def subset_outputs(wrapper: Wrapper, keys: Sequence[str], where: str) -> Wrapper:
    """Only these outputs."""
    for key in keys:
        _require(key, [each.key for each in wrapper.outputs], "output", where)
    if not keys:
        raise ArtifactError(
            where=where,
            expected="at least one output",
            got="none",
            hint="TensorFlow serves no function without outputs.",
        )
    return replace(wrapper, outputs=tuple(each for each in wrapper.outputs if each.key in keys))


def bind_inputs(wrapper: Wrapper, values: Mapping[str, Any], where: str) -> Wrapper:
    """These inputs fixed to values, as constants inside the wrapper. They are no inputs any more."""
    constants = {}
    for name, value in values.items():
        given = _input(wrapper, name, where)
        tensor = constant(value, given.dtype, given.shape, f"{where}, input {name!r}")
        constants[given.name] = Constant(given.dtype, tensor)
    return _on_inputs(wrapper, lambda each: constants.get(each.name, each))


def drop_inputs(draft: Draft, wrapper: Wrapper, names: Iterable[str], where: str) -> Wrapper:
    """Without these inputs, which nothing may depend on: the function is given zeros in their place.

    ArtifactError when the function, or one that it calls, uses one of them.
    """
    dropped = [_input(wrapper, name, where).name for name in names]
    unused = set(unused_arguments(draft.meta_graph, wrapper.callee))
    for name in dropped:
        positions = [at for at, each in enumerate(wrapper.arguments) if isinstance(each, Input) and each.name == name]
        if not unused.issuperset(positions):
            droppable = sorted(
                each.name for at, each in enumerate(wrapper.arguments) if isinstance(each, Input) and at in unused
            )
            raise ArtifactError(
                f"the input {name!r} is used: an output or an effect depends on it",
                where=where,
                expected=f"one of the unused inputs {', '.join(map(repr, droppable))}"
                if droppable
                else "an unused input",
                got=repr(name),
                hint="Bind it to a constant instead, if it is always the same.",
            )
    return _on_inputs(
        wrapper, lambda each: Constant(each.dtype, zeros(each.dtype, each.shape)) if each.name in dropped else each
    )


def widen_inputs(draft: Draft, wrapper: Wrapper, shapes: Mapping[str, Shape], where: str) -> Wrapper:
    """Other shapes for inputs: see `widening`."""
    return widening.widen_inputs(
        draft, wrapper, {_input(wrapper, name, where).name: shape for name, shape in shapes.items()}, where
    )


def _input(wrapper: Wrapper, name: str, where: str) -> Input:
    """The input of that name, or else of that alias."""
    for each in wrapper.inputs:
        if each.name == name:
            return each
    for each in wrapper.inputs:
        if each.alias == name:
            return each
    _require(name, [each.name for each in wrapper.inputs], "input", where)
    raise AssertionError(name)


def _on_inputs(wrapper: Wrapper, change: Callable[[Input], Argument]) -> Wrapper:
    return wrapper.with_arguments(change(each) if isinstance(each, Input) else each for each in wrapper.arguments)


def _require(name: str, known: Iterable[str], what: str, where: str) -> None:
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3) or names[:10]
        raise ArtifactError(
            f"no {what} has this name",
            where=where,
            expected=f"one of {', '.join(map(repr, near))}" if names else f"a signature with {what}s",
            got=repr(name),
        )


def _require_distinct(names: Sequence[str], what: str, where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArtifactError(
            f"two {what}s of one name", where=where, got=", ".join(map(repr, twice)), hint="Rename the other one too."
        )
