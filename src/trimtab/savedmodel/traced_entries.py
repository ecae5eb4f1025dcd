"""The functions of a SavedModel that has no signatures, as entry points: each trace is one overload, in trial order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.call_leaves import CallLeaf, call_leaves, returned_leaves
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.function_spec import CallSpec, call_spec
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import TensorSpec
from trimtab.savedmodel.value_types import leaf_type, literal
from trimtab.signature.model import EntryPoint, Input, Live, Output, Overload, Presence
from trimtab.signature.naming import input_names, output_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.flow import Flow
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.structure import Structure
    from trimtab.signature.model import Feature
    from trimtab.signature.types import Literal

MAX_FUNCTIONS = 20_000
"""How many traces are made into overloads."""


def traced_entry_points(meta_graph: MetaGraph, flow: Flow, notes: list[str]) -> list[EntryPoint]:
    """An entry point for each function that a user of the loaded model can reach and that has been traced.

    Functions under a name of the loader's own (`_create_resource`) and the signatures' wrappers are left out.
    notes: what a reader should know is added to it.
    """
    found = []
    count = 0
    for path, spec, traces in _functions(meta_graph):
        count += len(traces)
        if count > MAX_FUNCTIONS:
            raise ArtifactError(where=meta_graph.where, expected=f"at most {MAX_FUNCTIONS} traces", got="more")
        found.append(EntryPoint(name=path, overloads=tuple(_overload(trace, spec, flow, notes) for trace in traces)))
    return found


def _functions(meta_graph: MetaGraph) -> Iterator[tuple[str, CallSpec, list[ConcreteFunction]]]:
    """Object path, parameters and traces: of polymorphic functions, then of functions saved as they were traced."""
    objects = meta_graph.object_graph_def
    if objects is None:
        return
    for path, function in meta_graph.functions.items():
        if _is_users(path) and function.trace_names:
            yield path, function.spec, list(function.traces)
    of_functions = {
        child
        for node_id, kind in enumerate(objects.kinds)
        if kind == "function"
        for child in objects.children[node_id].values()
    }
    for node_id, kind in enumerate(objects.kinds):
        path = objects.paths.get(node_id, "nodes[").removeprefix("root.")
        if kind != "bare_concrete_function" or node_id in of_functions or not _is_users(path):
            continue
        bare = objects.nodes[node_id].bare_concrete_function
        if bare is not None and bare.concrete_function_name in objects.concrete_functions:
            where = f"{meta_graph.where}.object_graph_def.nodes[{node_id}]"
            spec = call_spec(bare.function_spec, where) if bare.function_spec is not None else CallSpec()
            yield path, spec, [meta_graph.concrete_function(bare.concrete_function_name)]


def _is_users(path: str) -> bool:
    """Whether no part of the path is the loader's or a library's own; methods like `__call__` are the user's."""
    parts = path.split(".")
    own = any(part.startswith("_") and not (part.startswith("__") and part.endswith("__")) for part in parts)
    return not own and parts[0] != "signatures" and not path.startswith("nodes[")


def _overload(trace: ConcreteFunction, spec: CallSpec, flow: Flow, notes: list[str]) -> Overload:
    args, kwargs = trace.arguments
    leaves = call_leaves(args, kwargs, spec)
    names = input_names([leaf.place for leaf in leaves])
    defaults = _defaults(spec)
    used, known = 0, False
    if trace.function_def is not None:
        dependencies = flow.function(trace.name)
        used, known = dependencies.used_mask, dependencies.known
    inputs = []
    for name, leaf in zip(names, leaves, strict=True):
        presence = Presence.REQUIRED
        if leaf.place.root in defaults and _same(leaf.argument, defaults[leaf.place.root]):
            presence = Presence.DEFAULT
        inputs.append(
            Input(
                name=name,
                type=leaf_type(leaf.value),
                path=None if leaf.place.path == name else leaf.place.path,
                presence=presence,
                default=_default(leaf, defaults) if presence is Presence.DEFAULT else None,
                live=_live(leaf, used) if known and leaf.width else Live.UNKNOWN,
                features=_features(trace, leaf, notes),
            )
        )
    return Overload(name=trace.name, inputs=tuple(inputs), outputs=tuple(_outputs(trace)))


def _outputs(trace: ConcreteFunction) -> Iterator[Output]:
    leaves = [(place, value) for place, value in returned_leaves(trace.outputs) if value is not None]
    for name, (place, value) in zip(output_names([place for place, _ in leaves]), leaves, strict=True):
        yield Output(name=name, type=leaf_type(value), path=None if place.path == name else place.path)


def _defaults(spec: CallSpec) -> dict[str, Structure]:
    last = spec.args[len(spec.args) - len(spec.defaults) :]
    return {**dict(zip(last, spec.defaults, strict=True)), **spec.kwonlydefaults}


def _same(argument: Structure, default: Structure) -> bool:
    """Whether the argument is the default: a literal of the same type, or a tensor like it."""
    if isinstance(default, TensorProto) and isinstance(argument, TensorSpec):
        return (dtype_name(default.dtype), default.tensor_shape.shape) == (argument.dtype, argument.shape)
    return repr(argument) == repr(default)  # not `==`: True is not 1 here, and NaN is itself


def _default(leaf: CallLeaf, defaults: dict[str, Structure]) -> Literal | None:
    value = leaf.value
    if isinstance(value, TensorSpec):
        value = defaults[leaf.place.root]
    return literal(value)


def _live(leaf: CallLeaf, used: int) -> Live:
    return Live.YES if used >> leaf.start & ((1 << leaf.width) - 1) else Live.NO


def _features(trace: ConcreteFunction, leaf: CallLeaf, notes: list[str]) -> tuple[Feature, ...]:
    if not isinstance(leaf.value, TensorSpec) or leaf.value.dtype != "string":
        return ()
    from trimtab.savedmodel.examples import examples_of

    found = examples_of(trace, leaf.start)
    notes += found.notes(f"{trace.name}: {leaf.place.path}")
    return found.features
