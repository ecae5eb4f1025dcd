"""The links of a MetaGraph backwards: what refers to a node of the object graph, and what to a function.

The model's own objects lead from a signature down to what it captures; here one goes up: from a variable to the
functions that capture it and the signatures that need it, from a FunctionDef to all that call or name it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.savedmodel.graph import FunctionDef
from trimtab.savedmodel.touring.places import Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.savedmodel.model import MetaGraph


class Reference(Struct, frozen=True, omit_defaults=True):
    """Something that refers to a node or a function: what it is, what it does with it, and where it lies."""

    what: str
    does: str
    where: str
    node_id: int | None = None
    function: str = ""


class References:
    """What refers to what in one MetaGraph. Each question costs one walk of the part that answers it, once."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._meta_graph = meta_graph
        self._places = Places(meta_graph)

    def captured_by(self, node_id: int) -> tuple[str, ...]:
        """The names of the concrete functions that are fed with the node at every call."""
        return self._capturing.get(node_id, ())

    def signatures_capturing(self, node_id: int) -> tuple[str, ...]:
        """The keys of the signatures that need the node."""
        capturing = set(self.captured_by(node_id))
        signatures = self._meta_graph.signatures.items() if capturing else ()
        return tuple(key for key, each in signatures if each.wrapper is not None and each.wrapper.name in capturing)

    def callers(self, function: str) -> tuple[str, ...]:
        """The names of the FunctionDefs that call the function."""
        return self._callers.get(function, ())

    def signatures_running(self, function: str) -> tuple[str, ...]:
        """The keys of the signatures whose wrapper is the function or calls it, directly or through others."""
        above, waiting = {function}, [function]
        while waiting:
            waiting = [caller for name in waiting for caller in self.callers(name) if caller not in above]
            above.update(waiting)
        signatures = self._meta_graph.signatures.items()
        return tuple(key for key, each in signatures if each.wrapper is not None and each.wrapper.name in above)

    def to_function(self, name: str) -> tuple[Reference, ...]:
        """All that names the function: traces, objects, its SavedConcreteFunction, its callers, calls in the graph."""
        return (
            *self._objects_naming.get(name, ()),
            *self._concrete(name),
            *(
                Reference(caller, "calls it", self._places.function(caller), function=caller)
                for caller in self.callers(name)
            ),
            *(
                Reference(node, "calls it in the graph", self._places.graph_node(node))
                for node in self._graph_callers.get(name, ())
            ),
        )

    def to_node(self, node_id: int) -> tuple[Reference, ...]:
        """The objects that have the node as a child, and the functions that capture it."""
        return (
            *self._parents.get(node_id, ()),
            *(
                Reference(name, "captures it", self._places.concrete_function(name), function=name)
                for name in self.captured_by(node_id)
            ),
        )

    def _concrete(self, name: str) -> Iterable[Reference]:
        objects = self._meta_graph.object_graph_def
        if objects is not None and name in objects.concrete_functions:
            where = self._places.concrete_function(name)
            yield Reference("SavedConcreteFunction", "structures its arguments", where, function=name)

    @cached_property
    def _capturing(self) -> Mapping[int, tuple[str, ...]]:
        objects = self._meta_graph.object_graph_def
        found: dict[int, list[str]] = {}
        for name in objects.concrete_functions if objects is not None else ():
            for node_id in dict.fromkeys(objects.concrete_functions[name].bound_inputs if objects else ()):
                found.setdefault(node_id, []).append(name)
        return {node_id: tuple(names) for node_id, names in found.items()}

    @cached_property
    def _callers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name, callees in self.callees.items():
            for callee in callees:
                found.setdefault(callee, []).append(name)
        return {callee: tuple(names) for callee, names in found.items()}

    @cached_property
    def callees(self) -> Mapping[str, tuple[str, ...]]:
        """By the name of each FunctionDef, those that it calls. Reads the whole library, and keeps nothing of it."""
        graph = self._meta_graph
        spans = graph.index.function.items()
        return {name: FunctionDef(graph.source, span, name).callees for name, span in spans}

    @cached_property
    def _graph_callers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for node in self._meta_graph.graph_def.node.values():
            for callee in dict.fromkeys(node.callees):
                found.setdefault(callee, []).append(node.name)
        return {callee: tuple(names) for callee, names in found.items()}

    @cached_property
    def _parents(self) -> Mapping[int, tuple[Reference, ...]]:
        objects = self._meta_graph.object_graph_def
        found: dict[int, list[Reference]] = {}
        for parent, children in enumerate(objects.children if objects is not None else ()):
            for name, child in children.items():
                what = self._path(parent)
                reference = Reference(what, f"has it as {name}", self._places.object(parent), node_id=parent)
                found.setdefault(child, []).append(reference)
        return {child: tuple(references) for child, references in found.items()}

    @cached_property
    def _objects_naming(self) -> Mapping[str, tuple[Reference, ...]]:
        """SavedFunctions and SavedBareConcreteFunctions by the functions that they name."""
        objects = self._meta_graph.object_graph_def
        found: dict[str, list[Reference]] = {}
        for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
            if objects is None or kind not in ("function", "bare_concrete_function"):
                continue
            where, what = self._places.object(node_id, kind), self._path(node_id)
            bare = objects.nodes[node_id].bare_concrete_function
            if bare is not None:
                reference = Reference(what, "is it as an object", where, node_id=node_id)
                found.setdefault(bare.concrete_function_name, []).append(reference)
            for position, name in enumerate(objects.traces[node_id], 1):
                does = f"tries it as trace {position} of {len(objects.traces[node_id])}"
                found.setdefault(name, []).append(Reference(what, does, where, node_id=node_id))
        return {name: tuple(references) for name, references in found.items()}

    def _path(self, node_id: int) -> str:
        objects = self._meta_graph.object_graph_def
        return objects.paths.get(node_id, f"nodes[{node_id}]").removeprefix("root.") if objects else ""
