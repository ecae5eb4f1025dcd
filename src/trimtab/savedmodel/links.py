"""What links the five places: from a signature's key to its wrapper, callee, function, trace and captures, and back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.captures import Capture, captures
from trimtab.savedmodel.function_spec import CallSpec, call_spec
from trimtab.savedmodel.model import INIT_OPS
from trimtab.savedmodel.object_protos import SavedFunction
from trimtab.savedmodel.structure import structure
from trimtab.savedmodel.twins import MAX_DEPTH, forwarded, twins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimtab.savedmodel.dispatching.outcome import Dispatch
    from trimtab.savedmodel.graph import FunctionDef
    from trimtab.savedmodel.graph_protos import SignatureDef
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.object_protos import SavedBareConcreteFunction, SavedConcreteFunction
    from trimtab.savedmodel.structure import Structure


class ConcreteFunction:
    """One function of fixed arguments: a FunctionDef (place 1) and its SavedConcreteFunction (place 5), if it has one.

    A function that only other functions call has no SavedConcreteFunction: it takes flat tensors and captures nothing.
    """

    def __init__(self, meta_graph: MetaGraph, name: str) -> None:
        self.meta_graph = meta_graph
        self.name = name

    @property
    def function_def(self) -> FunctionDef | None:
        """Its FunctionDef; None when the name dangles."""
        return self.meta_graph.library.get(self.name)

    @property
    def saved(self) -> SavedConcreteFunction | None:
        """Its SavedConcreteFunction."""
        objects = self.meta_graph.object_graph_def
        return objects.concrete_functions.get(self.name) if objects else None

    @cached_property
    def arguments(self) -> tuple[tuple[Structure, ...], dict[str, Structure]]:
        """The structured arguments, positional and by keyword. ArtifactError when the proto holds anything else."""
        if self.saved is None:
            return (), {}
        value = structure(self.saved.canonicalized_input_signature)
        match value:
            case (tuple(args), dict(kwargs)):
                return args, kwargs
        raise ArtifactError(
            where=f"{self.where}.canonicalized_input_signature",
            expected="a tuple of positional arguments and a dict of keyword arguments",
            got=repr(value)[:80],
        )

    @cached_property
    def outputs(self) -> Structure:
        """The structured results."""
        return None if self.saved is None else structure(self.saved.output_signature)

    @cached_property
    def captures(self) -> tuple[Capture, ...]:
        """What it captures, in the order of its last arguments."""
        return captures(self.meta_graph, self.name)

    @cached_property
    def traces(self) -> tuple[tuple[PolymorphicFunction, int], ...]:
        """The polymorphic functions that list it, with its position in the trial order of each."""
        return tuple(
            (function, position)
            for function in self.meta_graph.functions.values()
            for position, name in enumerate(function.trace_names)
            if name == self.name
        )

    @property
    def where(self) -> str:
        """Its place in the proto."""
        return f"{self.meta_graph.where}.object_graph_def.concrete_functions[{self.name!r}]"

    def __repr__(self) -> str:
        return f"ConcreteFunction({self.name!r})"


class PolymorphicFunction:
    """A `tf.function` (place 3): its parameters and its traces, in the order in which they are tried."""

    def __init__(self, meta_graph: MetaGraph, node_id: int, path: str, trace_names: tuple[str, ...]) -> None:
        self.meta_graph = meta_graph
        self.node_id = node_id
        self.path = path
        self.trace_names = trace_names

    @cached_property
    def saved(self) -> SavedFunction:
        """The message."""
        objects = self.meta_graph.object_graph_def
        return (objects.nodes[self.node_id].function if objects else None) or SavedFunction()

    @cached_property
    def spec(self) -> CallSpec:
        """Its parameters."""
        return call_spec(self.saved.function_spec, self.where)

    @cached_property
    def traces(self) -> tuple[ConcreteFunction, ...]:
        """Its traces in trial order."""
        return tuple(ConcreteFunction(self.meta_graph, name) for name in self.trace_names)

    @property
    def where(self) -> str:
        """Its place in the proto."""
        return f"{self.meta_graph.where}.object_graph_def.nodes[{self.node_id}]"

    def dispatch(self, /, *args: Any, **kwargs: Any) -> Dispatch:
        """What TensorFlow does when it has loaded the model and this function is called so.

        args, kwargs: Python values, nested as they are; NumPy arrays and scalars; TensorFlow's own tensors; specs,
        each of which stands for a tensor inside a graph.
        Returns the trace that runs and what it is fed, or TensorFlow's own refusal: neither is an error of ours.
        ConversionError when an argument is too large or of a kind that cannot be described, ArtifactError when the
        model contradicts itself so that TensorFlow does not load it.
        """
        from trimtab.savedmodel.dispatching.polymorphic import dispatch

        return dispatch(self, args, kwargs)

    def __repr__(self) -> str:
        return f"PolymorphicFunction({self.path!r}{self.spec})"


class ServedSignature:
    """A signature under its key: what TF1 and C++ serve (place 2) and what TF2 serves (place 4); one of them may lack.

    node_id: of the SavedBareConcreteFunction in the `signatures` map; None when the key is not there.
    """

    def __init__(self, meta_graph: MetaGraph, key: str, node_id: int | None) -> None:
        self.meta_graph = meta_graph
        self.key = key
        self.node_id = node_id

    @property
    def signature_def(self) -> SignatureDef | None:
        """Its SignatureDef."""
        return self.meta_graph.signature_def.get(self.key)

    @property
    def bare(self) -> SavedBareConcreteFunction | None:
        """Its SavedBareConcreteFunction; None too when the map's child is a node of another kind or does not exist."""
        objects = self.meta_graph.object_graph_def
        if objects is None or self.node_id is None or not 0 <= self.node_id < len(objects.nodes):
            return None
        return objects.nodes[self.node_id].bare_concrete_function

    @cached_property
    def wrapper(self) -> ConcreteFunction | None:
        """The function that takes the signature's inputs as keywords and returns a dict."""
        return None if self.bare is None else ConcreteFunction(self.meta_graph, self.bare.concrete_function_name)

    @cached_property
    def callee(self) -> str | None:
        """The function that the wrapper calls: the user's body."""
        definition = self.wrapper.function_def if self.wrapper else None
        return next(iter(definition.callees), None) if definition else None

    @cached_property
    def forwards(self) -> tuple[str, ...]:
        """The callee, and below it what it does nothing but call, as in a model that was loaded and saved again."""
        found = [] if self.callee is None else [self.callee]
        while 0 < len(found) < MAX_DEPTH and (below := forwarded(self.meta_graph.library, found[-1])):
            if below in found:
                break
            found.append(below)
        return tuple(found)

    @cached_property
    def traces(self) -> tuple[tuple[PolymorphicFunction, int], ...]:
        """The traces that the callee is, with their positions in the trial order: by name, or else by an equal body.

        Of what the callee forwards to, the first that is a trace counts. Traces that capture what the wrapper captures
        win over those that do not. Empty when nothing that the signature runs is registered as a trace.
        """
        places = self.meta_graph.trace_places
        for name in self.forwards:
            if name in places:
                return (places[name],)
            if found := twins(self.meta_graph.library, name, places):
                alike = (places[each] for each in self._capturing_alike(found))
                return tuple(sorted(alike, key=lambda place: (place[0].node_id, place[1])))
        return ()

    def _capturing_alike(self, names: tuple[str, ...]) -> tuple[str, ...]:
        wrapper = self.wrapper.saved if self.wrapper else None
        objects = self.meta_graph.object_graph_def
        if wrapper is None or objects is None:
            return names
        known = objects.concrete_functions
        alike = [name for name in names if name in known and known[name].bound_inputs == wrapper.bound_inputs]
        return tuple(alike) or names

    def call(self, /, *args: Any, **kwargs: Any) -> Dispatch:
        """What TensorFlow 2 does when this signature is called so. See `PolymorphicFunction.dispatch`.

        There is one function to run, and no trial: the refusal says how binding fails, or what running it refuses.
        """
        from trimtab.savedmodel.dispatching.lookup import call_signature

        return call_signature(self, args, kwargs)

    def __repr__(self) -> str:
        return f"ServedSignature({self.key!r})"


def served_signatures(meta_graph: MetaGraph) -> Mapping[str, ServedSignature]:
    """Every signature of either kind by key: first those of the `signatures` map, then what only TF1 sees."""
    objects = meta_graph.object_graph_def
    in_map: Mapping[str, int] = {}
    if objects is not None and len(objects.nodes):
        signature_map = objects.nodes.outline(0).children.get("signatures", -1)
        in_map = objects.nodes.outline(signature_map).children if 0 <= signature_map < len(objects.nodes) else {}
    keys = dict.fromkeys((*in_map, *(key for key in meta_graph.signature_def if key not in INIT_OPS)))
    return {key: ServedSignature(meta_graph, key, in_map.get(key)) for key in keys}


def polymorphic_functions(meta_graph: MetaGraph) -> Mapping[str, PolymorphicFunction]:
    """Every SavedFunction by object path, nested at any depth; one that nothing reaches is called by its node."""
    objects = meta_graph.object_graph_def
    if objects is None:
        return {}
    found = {}
    for node_id, kind in enumerate(objects.kinds):
        if kind == "function":
            path = objects.paths.get(node_id, f"nodes[{node_id}]").removeprefix("root.")
            found[path] = PolymorphicFunction(meta_graph, node_id, path, objects.traces[node_id])
    return found


def find_function(meta_graph: MetaGraph, path: str) -> PolymorphicFunction:
    """The polymorphic function at an object path: any path that leads to it, not only the shortest."""
    functions = meta_graph.functions
    short = path.removeprefix("root.")
    if short in functions:
        return functions[short]
    objects = meta_graph.object_graph_def
    node_id = objects.find(short) if objects is not None else None
    for function in functions.values():
        if function.node_id == node_id:
            return function
    import difflib  # only for who mistypes

    near = difflib.get_close_matches(short, functions, n=3) or list(functions)[:10]
    raise ArtifactError(
        "no polymorphic function has this path",
        where=meta_graph.where,
        expected=f"one of {', '.join(map(repr, near))}" if near else "a model with functions",
        got=repr(path),
        hint="List them all: trimtab tour MODEL",
    )


def concrete_function(meta_graph: MetaGraph, name: str) -> ConcreteFunction:
    """The concrete function of that name. ArtifactError when neither the library nor the object graph knows it."""
    objects = meta_graph.object_graph_def
    if name in meta_graph.library or (objects is not None and name in objects.concrete_functions):
        return ConcreteFunction(meta_graph, name)
    import difflib  # only for who mistypes

    near = difflib.get_close_matches(name, list(meta_graph.library), n=3)
    raise ArtifactError(
        "no function has this name",
        where=meta_graph.where,
        expected=f"one of {', '.join(map(repr, near))}" if near else "the name of a FunctionDef",
        got=repr(name),
    )
