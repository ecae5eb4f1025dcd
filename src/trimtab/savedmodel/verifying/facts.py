"""What the rules look at: a MetaGraph's functions with their flat arguments and results, made once for all rules."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from trimtab.savedmodel.index import MAX_PARTS
from trimtab.savedmodel.links import ConcreteFunction
from trimtab.savedmodel.message import fields
from trimtab.savedmodel.structure import SPECS, TensorSpec, children, components
from trimtab.savedmodel.twins import stem, twins
from trimtab.savedmodel.verifying.alignment import Restored, node_of_tensor, restored
from trimtab.savedmodel.verifying.checkpoint import read_checkpoint
from trimtab.savedmodel.verifying.tensors import ANY, Bodies, constant_type
from trimtab.source.wire import BYTES, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.errors import ArtifactError
    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import ArgDef, Shape
    from trimtab.savedmodel.model import MetaGraph, SavedModel
    from trimtab.savedmodel.object_protos import (
        FunctionSpec,
        SavedBareConcreteFunction,
        SavedObject,
        StructuredValue,
    )
    from trimtab.savedmodel.objects import ObjectGraph
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.verifying.checkpoint import Checkpoint
    from trimtab.savedmodel.verifying.tensors import Body, Tensor

MAX_LEAVES = 100_000
"""How many leaves a structure has before it is taken for a bomb."""

MAX_COMPARED_NODES = 100_000
"""How many nodes are compared to find functions of equal bodies, in all."""


class Flat(NamedTuple):
    """One flat argument or result as the structured declaration has it.

    path: where it stands, in words. keys: the keys and positions that lead to it. whole: it is a dense tensor itself,
    and not one component of a composite, whose shapes are no more than what the composite's shape tells.
    """

    path: str
    keys: tuple[str | int, ...]
    spec: TensorSpec
    whole: bool


class Captured(NamedTuple):
    """A capture: the entry of `bound_inputs` at `where` feeds the function's argument with the node."""

    where: str
    function: Function
    argument: ArgDef
    node_id: int
    node: SavedObject


class Function(ConcreteFunction):
    """A concrete function that has both its SavedConcreteFunction and its FunctionDef."""

    def __init__(self, meta_graph: MetaGraph, name: str, definition: FunctionDef) -> None:
        super().__init__(meta_graph, name)
        self.definition = definition
        self.body_where = f"{meta_graph.where}.graph_def.library.function[{name!r}]"

    @cached_property
    def inputs(self) -> tuple[Flat, ...]:
        """The flat arguments as declared: captures are not among them."""
        args, kwargs = self.arguments
        return (*flat(args, "args"), *flat(kwargs, "kwargs"))

    @cached_property
    def results(self) -> tuple[Flat, ...]:
        """The flat results as declared."""
        return tuple(flat(self.outputs, "output"))

    @cached_property
    def bound(self) -> tuple[int, ...]:
        """The ids of the captured nodes."""
        return self.saved.bound_inputs if self.saved is not None else ()

    @cached_property
    def input_args(self) -> tuple[ArgDef, ...]:
        """The FunctionDef's own arguments, captures last."""
        return self.definition.signature.input_arg

    @property
    def complete(self) -> bool:
        """Whether declared arguments and captures are as many as the FunctionDef takes."""
        return len(self.inputs) + len(self.bound) == len(self.input_args)

    @cached_property
    def argument_names(self) -> tuple[str | None, ...]:
        """The name that the user gave each argument of the FunctionDef; None where it does not say."""
        found: list[str | None] = []
        for position in range(len(self.input_args)):
            attribute = self.definition.arg_attr.get(position, {}).get("_user_specified_name")
            text = attribute.s if attribute is not None else None
            found.append(None if text is None else text.decode("utf-8", "replace"))
        return tuple(found)


class Facts:
    """A MetaGraph under verification.

    directory: the SavedModel's, None when it was not read from one. errors: what could not be read.
    """

    def __init__(self, model: SavedModel, meta_graph: MetaGraph, directory: str | None) -> None:
        self.model = model
        self.meta_graph = meta_graph
        self.directory = directory
        self.errors: list[ArtifactError] = []
        self.bodies = Bodies(meta_graph)
        self.where = meta_graph.where
        self._traces_of: dict[str, list[Function]] = {}
        self._nodes_left = MAX_COMPARED_NODES

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """What the variables' files hold; None when they are not at hand."""
        return None if self.directory is None else read_checkpoint(self.directory)

    @property
    def is_only(self) -> bool:
        """Whether the model has no other MetaGraph."""
        return len(self.model.meta_graphs) == 1

    @property
    def objects(self) -> ObjectGraph | None:
        """The object graph; None in a TF1 model."""
        return self.meta_graph.object_graph_def

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The concrete functions of which both halves exist, by name."""
        if self.objects is None:
            return {}
        library = self.meta_graph.library
        return {
            name: Function(self.meta_graph, name, library[name])
            for name in self.objects.concrete_functions
            if name in library
        }

    def all_bodies(self) -> Iterator[Body]:
        """The graph, and every function of the library."""
        yield self.bodies.graph
        yield from (self.bodies.function(name) for name in self.meta_graph.library)

    def function_bodies(self) -> Iterator[tuple[Body, FunctionDef]]:
        """Every function of the library, as both."""
        yield from ((self.bodies.function(name), self.meta_graph.library[name]) for name in self.meta_graph.library)

    @property
    def function_count(self) -> int:
        """How many functions the library's proto holds, those of repeated names included."""
        return self._library_outline[0]

    def node_count(self, name: str) -> int:
        """How many nodes a function's proto holds, those of repeated names included."""
        span = self.meta_graph.index.function[name]
        data = self.meta_graph.source.read(span.start, span.end - span.start)
        return sum(number == 3 for number, _, _, _ in fields(data, 0, len(data), name))

    @property
    def gradient_functions(self) -> frozenset[str]:
        """The functions that the library registers as gradients."""
        return self._library_outline[1]

    @cached_property
    def _library_outline(self) -> tuple[int, frozenset[str]]:
        span = self.meta_graph.index.library
        count = 0
        names: set[str] = set()
        wire = Wire(self.meta_graph.source, max_fields=4 * MAX_PARTS)
        for field in wire.fields(span.start, span.end) if span is not None else ():
            count += field.number == 1
            if field.number in (2, 3) and field.wire_type == BYTES:
                inner = wire.fields(field.start, field.end)
                names.update(wire.text(each, limit=64 << 10) for each in inner if each.wire_type == BYTES)
        return count, frozenset(names)

    @cached_property
    def captured(self) -> frozenset[int]:
        """The nodes that functions capture."""
        return frozenset(node_id for function in self.functions.values() for node_id in function.bound)

    @cached_property
    def calls(self) -> dict[str, list[NodeDef]]:
        """By the name of a function, the nodes of the graph that call it with just its arguments."""
        found: dict[str, list[NodeDef]] = {}
        graph = self.bodies.graph
        for node in graph.nodes.values():
            found.setdefault(graph.callee(node), []).append(node)
        return found

    @cached_property
    def named_nodes(self) -> dict[int, str]:
        """By node id, how to name an object to a person."""
        return dict(self.objects.paths) if self.objects is not None else {}

    def node_name(self, node_id: int) -> str:
        """A node as its object path and its id."""
        path = self.named_nodes.get(node_id)
        return f"{path} (node {node_id})" if path else f"node {node_id}"

    def node_where(self, node_id: int) -> str:
        """The place of a node."""
        return f"{self.where}.object_graph_def.nodes[{node_id}]"

    @cached_property
    def signature_nodes(self) -> frozenset[int]:
        """The nodes of the signatures."""
        signatures = self.meta_graph.signatures.values()
        return frozenset(signature.node_id for signature in signatures if signature.node_id is not None)

    @cached_property
    def restored(self) -> list[Restored]:
        """What the restore function assigns to which tensors of the graph."""
        return restored(self)

    @cached_property
    def node_of_tensor(self) -> dict[str, int]:
        """By the name of a node of the graph, the object that its first output stands for."""
        return node_of_tensor(self)

    def traces_of(self, name: str) -> list[Function]:
        """The concrete functions that a function of the library is or has an equal body with."""
        if name in self.functions:
            return [self.functions[name]]
        if name not in self._traces_of:
            library = self.meta_graph.library
            alike = self._by_stem.get((stem(name), len(library[name].signature.input_arg))) if name in library else None
            self._nodes_left -= len(alike or ()) * (1 + len(library[name].node_def) if name in library else 1)
            same = twins(library, name, alike) if alike and self._nodes_left > 0 else ()
            self._traces_of[name] = [self.functions[each] for each in same]
        return self._traces_of[name]

    @cached_property
    def _by_stem(self) -> dict[tuple[str, int], list[str]]:
        """The concrete functions by what of their names is not a number, and how many arguments they take."""
        found: dict[tuple[str, int], list[str]] = {}
        for name, function in self.functions.items():
            found.setdefault((stem(name), len(function.input_args)), []).append(name)
        return found

    def named_functions(self) -> Iterator[tuple[int, str]]:
        """Every name of a concrete function that a node states, with the node's id."""
        objects = self.objects
        for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
            assert objects is not None
            if kind == "function":
                yield from ((node_id, name) for name in objects.traces[node_id])
            elif kind == "bare_concrete_function":
                bare = objects.nodes[node_id].bare_concrete_function
                if bare is not None:
                    yield node_id, bare.concrete_function_name

    def bare_functions(self) -> Iterator[tuple[int, SavedBareConcreteFunction]]:
        """Every SavedBareConcreteFunction with its node's id."""
        objects = self.objects
        for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
            assert objects is not None
            bare = objects.nodes[node_id].bare_concrete_function if kind == "bare_concrete_function" else None
            if bare is not None:
                yield node_id, bare

    def function_specs(self) -> Iterator[tuple[str, FunctionSpec]]:
        """Every FunctionSpec, of a SavedFunction or repeated by a bare function, with its place."""
        for function in self.meta_graph.functions.values():
            yield f"{function.where}.function.function_spec", function.saved.function_spec
        for node_id, bare in self.bare_functions():
            if bare.function_spec is not None:
                yield f"{self.node_where(node_id)}.bare_concrete_function.function_spec", bare.function_spec

    def structured_values(self) -> Iterator[tuple[str, StructuredValue]]:
        """Every structured value of a FunctionSpec or a SavedConcreteFunction, with its place."""
        for where, proto in self.function_specs():
            yield f"{where}.fullargspec", proto.fullargspec
            yield f"{where}.input_signature", proto.input_signature
        for function in self.functions.values():
            if function.saved is not None:
                yield f"{function.where}.canonicalized_input_signature", function.saved.canonicalized_input_signature
                yield f"{function.where}.output_signature", function.saved.output_signature

    def declared(self) -> Iterator[tuple[Function, str, Flat, ArgDef, Shape | str]]:
        """Every declared argument and result of a function, with the FunctionDef's and its shape there."""
        for function in self.functions.values():
            body = self.bodies.function(function.name)
            signature = function.definition.signature
            if function.complete:
                for each, argument in zip(function.inputs, signature.input_arg, strict=False):
                    shape = body.arguments[argument.name].shape
                    yield function, "canonicalized_input_signature", each, argument, shape
            if len(function.results) == len(signature.output_arg):
                for each, argument in zip(function.results, signature.output_arg, strict=True):
                    tensor = body.tensor(function.definition.ret.get(argument.name, ""))
                    yield function, "output_signature", each, argument, ANY if tensor is None else tensor.shape

    def captures(self) -> Iterator[Captured]:
        """Every capture of a node that exists."""
        objects = self.objects
        for function in self.functions.values():
            taken = function.input_args[max(0, len(function.input_args) - len(function.bound)) :]
            if objects is None or len(taken) != len(function.bound):
                continue
            for position, (node_id, argument) in enumerate(zip(function.bound, taken, strict=True)):
                if 0 <= node_id < len(objects.nodes):
                    where = f"{function.where}.bound_inputs[{position}]"
                    yield Captured(where, function, argument, node_id, objects.nodes[node_id])

    @cached_property
    def constants(self) -> dict[int, Tensor]:
        """The type of each SavedConstant whose node exists, by node id."""
        found = {}
        objects = self.objects
        for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
            constant = objects.nodes[node_id].constant if objects is not None and kind == "constant" else None
            node = self.bodies.graph.nodes.get(constant.operation) if constant is not None else None
            value = constant_type(node) if node is not None else None
            if value is not None:
                found[node_id] = value
        return found


def flat(value: Structure, path: str) -> list[Flat]:
    """The tensors in a structure in TensorFlow's order, literals left out; MAX_LEAVES of them at most."""
    found: list[Flat] = []
    waiting: list[tuple[Structure, tuple[str | int, ...]]] = [(value, ())]
    while waiting and len(found) < MAX_LEAVES:
        item, keys = waiting.pop()
        if isinstance(item, SPECS):
            place = path + "".join(f"[{key!r}]" for key in keys)
            whole = isinstance(item, TensorSpec)
            found += [Flat(place, keys, spec, whole) for spec in components(item)[:MAX_LEAVES]]
            continue
        inside = children(item)
        waiting += [(child, (*keys, key)) for key, child in reversed(inside or [])]
    return found
