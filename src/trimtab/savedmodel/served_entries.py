"""A signature of a SavedModel as an entry point: what a request names, under the names that it uses.

Names, dtypes and shapes are the SignatureDef's, which TF1, C++ and TensorFlow Serving go by; where there is none, the
wrapper's. The wrapper's call says where each input sits in the call of the user's function, and which are used at all.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from trimtab.savedmodel.call_leaves import call_leaves, component_paths
from trimtab.savedmodel.function_spec import CallSpec, call_spec
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.twins import forwarded
from trimtab.savedmodel.value_types import info_type, leaf_type, literal
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Live, Output, Overload, Presence
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trimtab.savedmodel.examples import Examples
    from trimtab.savedmodel.flow import Dependencies, Flow
    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import SignatureDef, TensorInfo
    from trimtab.savedmodel.links import ConcreteFunction, PolymorphicFunction, ServedSignature
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.signature.types import Type

MAX_CANDIDATES = 64
"""How many traces are looked at to find the one that a signature was made from."""


MAX_FORWARDS = 16
"""How many functions that only call the next one are passed through."""


class ServedEntries:
    """The entry points of the signatures of one MetaGraph. What a reader of them should know is added to `notes`."""

    def __init__(self, meta_graph: MetaGraph, flow: Flow, notes: list[str]) -> None:
        self._notes = notes
        self._meta_graph = meta_graph
        self._flow = flow

    def entry_point(self, served: ServedSignature) -> EntryPoint:
        """The entry point of one signature."""
        definition = served.signature_def
        wrapper = served.wrapper
        function = wrapper.function_def if wrapper is not None else None
        if wrapper is not None and function is not None and served.bare is not None:
            place: _Place = _WrapperPlace(self, wrapper, function, served.bare.argument_keywords)
        elif definition is not None:
            place = _GraphPlace(self._meta_graph, self._flow, definition)
        else:
            place = _Place()
        overload = Overload(
            inputs=tuple(self._inputs(served, place)),
            outputs=tuple(Output(name=name, type=type_) for name, type_ in _outputs(served)),
        )
        return EntryPoint(name=served.key, overloads=(overload,))

    def _inputs(self, served: ServedSignature, place: _Place) -> Iterator[Input]:
        defaults = served.signature_def.defaults if served.signature_def is not None else {}
        for name, type_ in _declared(served).items():
            path = place.path(name)
            found = place.examples(name) if isinstance(type_, Tensor) and type_.dtype is DType.BYTES else None
            if found is not None:
                self._notes += found.notes(f"{served.key}: {name}")
            yield Input(
                name=name,
                type=type_,
                path=None if path == name else path,
                presence=Presence.DEFAULT if name in defaults else Presence.REQUIRED,
                default=literal(defaults[name]) if name in defaults else None,
                live=place.live(name),
                features=() if found is None else found.features,
            )

    def flow_of(self, name: str) -> Dependencies:
        """The dependencies of a function."""
        return self._flow.function(name)

    @property
    def library(self) -> Mapping[str, FunctionDef]:
        """The functions."""
        return self._meta_graph.library

    def argument_paths(self, function: FunctionDef, depth: int = 0) -> dict[int, str]:
        """By the arguments of a function that only calls another one, their paths in the call of the user's function.

        In a model that was loaded and saved again, the wrapper calls what calls the user's function.
        """
        call = next((node for node in function.node_def.values() if node.op in _WRAPPED_BY), None)
        callee = call.callees[0] if call is not None and call.callees else ""
        if call is None:
            return {}
        paths = dict(enumerate(self.paths_of(callee)))
        if not paths and depth < MAX_FORWARDS and forwarded(self.library, callee) is not None:
            paths = self.argument_paths(self.library[callee], depth + 1)
        positions = {argument.name: at for at, argument in enumerate(function.signature.input_arg)}
        given = [_origin(function, each) for each in call.input if not each.startswith("^")]
        return {positions[name]: paths[at] for at, name in enumerate(given) if name in positions and at in paths}

    def paths_of(self, callee: str) -> tuple[str, ...]:
        """Of each flat argument of a function, captures left out, its path in the user's call; none when unknown."""
        objects = self._meta_graph.object_graph_def
        if objects is None:
            return ()
        if callee in objects.concrete_functions:
            return self._paths(callee)
        found = {self._paths(name) for name in self._alike(callee)}
        return found.pop() if len(found) == 1 else ()

    def _alike(self, callee: str) -> list[str]:
        """The traces of the function that the callee is a copy of: by its Python name, and equal flat arguments."""
        own = self.library.get(callee)
        names = self._by_python_name.get(_python_name(callee), [])
        if own is None or len(names) > MAX_CANDIDATES:
            return []
        wanted = _flat_types(own)
        return [name for name in names if name in self.library and _flat_types(self.library[name]) == wanted]

    def _paths(self, name: str) -> tuple[str, ...]:
        args, kwargs = self._meta_graph.concrete_function(name).arguments
        leaves = call_leaves(args, kwargs, self._spec(name))
        return tuple(path for leaf in leaves for path in component_paths(leaf))

    def _spec(self, trace: str) -> CallSpec:
        objects = self._meta_graph.object_graph_def
        node_id = objects.listing(trace) if objects is not None else None
        function = objects.nodes[node_id].function if objects is not None and node_id is not None else None
        if function is None:
            return self._bare_specs.get(trace, _NONE)
        return call_spec(function.function_spec, f"{self._meta_graph.where}.object_graph_def.nodes[{node_id}]")

    @cached_property
    def _traced(self) -> dict[str, PolymorphicFunction]:
        return {name: each for each in self._meta_graph.functions.values() for name in reversed(each.trace_names)}

    @cached_property
    def _by_python_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._traced:
            found.setdefault(_python_name(name), []).append(name)
        return found

    @cached_property
    def _bare_specs(self) -> dict[str, CallSpec]:
        """How functions are called that are saved without a polymorphic function."""
        objects = self._meta_graph.object_graph_def
        found = {}
        for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
            bare = (
                objects.nodes[node_id].bare_concrete_function if objects and kind == "bare_concrete_function" else None
            )
            if bare is not None and bare.function_spec is not None and bare.concrete_function_name not in self._traced:
                where = f"{self._meta_graph.where}.object_graph_def.nodes[{node_id}]"
                found[bare.concrete_function_name] = call_spec(bare.function_spec, where)
        return found


class _Place:
    """Where the inputs of one signature go. Here: nowhere that is known."""

    def path(self, _name: str) -> str | None:
        """The input's path in the user's call, or None."""
        return None

    def live(self, _name: str) -> Live:
        """Whether anything depends on the input."""
        return Live.UNKNOWN

    def examples(self, _name: str) -> Examples | None:
        """What is done with the strings of the input, if that is known."""
        return None


class _WrapperPlace(_Place):
    """In the wrapper, whose arguments are the inputs in the order of `keywords`, and then the captures."""

    def __init__(
        self, entries: ServedEntries, wrapper: ConcreteFunction, function: FunctionDef, keywords: Sequence[str]
    ) -> None:
        self._entries = entries
        self._wrapper = wrapper
        self._function = function
        self._position = {name: at for at, name in enumerate(keywords) if at < len(function.signature.input_arg)}

    def path(self, name: str) -> str | None:
        return self._paths.get(self._position.get(name, -1))

    def live(self, name: str) -> Live:
        if name not in self._position or not self._dependencies.known:
            return Live.UNKNOWN
        return Live.YES if self._dependencies.used_mask >> self._position[name] & 1 else Live.NO

    def examples(self, name: str) -> Examples | None:
        from trimtab.savedmodel.examples import examples_of  # only for inputs of strings

        return examples_of(self._wrapper, self._position[name]) if name in self._position else None

    @cached_property
    def _dependencies(self) -> Dependencies:
        return self._entries.flow_of(self._function.name)

    @cached_property
    def _paths(self) -> dict[int, str]:
        return self._entries.argument_paths(self._function)


class _GraphPlace(_Place):
    """In the graph of a TF1 model, where inputs are fed and outputs fetched by the names of tensors."""

    def __init__(self, meta_graph: MetaGraph, flow: Flow, definition: SignatureDef) -> None:
        self._meta_graph = meta_graph
        self._flow = flow
        self._definition = definition

    def live(self, name: str) -> Live:
        if not self._dependencies.known:
            return Live.UNKNOWN
        return Live.YES if name in self._used else Live.NO

    def examples(self, name: str) -> Examples | None:
        from trimtab.savedmodel.examples import Body, examples

        fed = [tensor for owner, tensor in self._feeds if owner == name]
        needed = self._needed
        if self._flow.nodes_left <= 0:
            return None
        return examples(self._meta_graph.library, Body(needed, (), tuple(self._fetches)), fed)

    @cached_property
    def _feeds(self) -> list[tuple[str, str]]:
        return [(name, each) for name, info in self._definition.inputs.items() for each in _tensors(info)]

    @cached_property
    def _fetches(self) -> list[str]:
        return [each for info in self._definition.outputs.values() for each in _tensors(info)]

    @cached_property
    def _dependencies(self) -> Dependencies:
        needed = self._needed
        if self._flow.nodes_left <= 0:
            from trimtab.savedmodel.flow import Dependencies  # only for graphs too large to be followed

            return Dependencies(known=False)
        return self._flow.graph(needed, [tensor for _, tensor in self._feeds], self._fetches)

    @cached_property
    def _used(self) -> frozenset[str]:
        """The inputs of which any tensor is used."""
        return frozenset(self._feeds[at][0] for at in self._dependencies.used)

    @cached_property
    def _needed(self) -> dict[str, NodeDef]:
        """The nodes that the fetches need when the feeds are fed: other signatures share the graph."""
        nodes = self._meta_graph.graph_def.node
        fed = {TensorName.parse(tensor)[::2] for _, tensor in self._feeds}
        waiting = [each for each in map(TensorName.parse, self._fetches) if each[::2] not in fed]
        found: dict[str, NodeDef] = {}
        while waiting and self._flow.nodes_left > 0:
            name = waiting.pop().node
            if name in nodes and name not in found:
                self._flow.nodes_left -= 1
                found[name] = nodes[name]
                waiting += [each for each in map(TensorName.parse, nodes[name].input) if each[::2] not in fed]
        return found


_NONE = CallSpec()
_WRAPPED_BY = ("PartitionedCall", "StatefulPartitionedCall")


def _declared(served: ServedSignature) -> dict[str, Type]:
    """The inputs by name: in the order of the wrapper's arguments, and then what only the SignatureDef has."""
    keywords = served.bare.argument_keywords if served.bare is not None else ()
    if served.signature_def is not None:
        infos = served.signature_def.inputs
        names = [*(name for name in keywords if name in infos), *sorted(infos)]
        return {name: info_type(infos[name]) for name in names}
    specs = dict(served.wrapper.arguments[1]) if served.wrapper is not None else {}
    return {raw: leaf_type(spec) for raw, (_, spec) in zip(keywords, sorted(specs.items()), strict=False)}


def _outputs(served: ServedSignature) -> list[tuple[str, Type]]:
    """The outputs by name; their order is nobody's."""
    if served.signature_def is not None:
        return [(name, info_type(info)) for name, info in sorted(served.signature_def.outputs.items())]
    results = served.wrapper.outputs if served.wrapper is not None else None
    return [(name, leaf_type(spec)) for name, spec in sorted(results.items())] if isinstance(results, dict) else []


def _tensors(info: TensorInfo) -> list[str]:
    """The tensors of the graph that one input or output is made of."""
    if info.coo_sparse is not None:
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    if info.composite_tensor is not None:
        return [each for component in info.composite_tensor.components for each in _tensors(component)]
    return [info.name] if info.name else []


def _origin(function: FunctionDef, name: str) -> str:
    """The argument that a tensor in a wrapper is, where nothing is between but copies."""
    for _ in range(len(function.node_def) + 1):
        node = function.node_def.get(TensorName.parse(name).node)
        if node is None or node.op != "Identity" or not node.input:
            break
        name = node.input[0]
    return TensorName.parse(name).node


def _python_name(function: str) -> str:
    """`predict` of `__inference_predict_57`."""
    match = re.fullmatch(r"(?:__inference_)?(.*?)(?:_\d+)?", function, re.DOTALL)
    return match.group(1) if match else function


def _flat_types(function: FunctionDef) -> tuple[tuple[int, ...], tuple[int, ...]]:
    signature = function.signature
    return tuple(each.type for each in signature.input_arg), tuple(each.type for each in signature.output_arg)
