"""The chain of one signature: from its key through the five places to what it captures, in the order they are used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.touring.functions import captured_value
from trimtab.savedmodel.touring.story import SignatureTour, Step, TraceReference, Value
from trimtab.savedmodel.touring.wording import (
    argument_text,
    argument_type,
    arguments,
    constant,
    count,
    damage,
    in_words,
    tensor_info_names,
    tensor_info_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import SignatureDef, TensorInfo
    from trimtab.savedmodel.links import ServedSignature
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.touring.places import Places
    from trimtab.savedmodel.touring.story import CapturedValue, Declared

MAX_CALLEES = 200
"""How many functions are followed that a signature calls, directly or through others."""

_MAX_ARGUMENTS = 100


class Chain:
    """Tells the signatures of one MetaGraph."""

    def __init__(self, meta_graph: MetaGraph, places: Places) -> None:
        self._meta_graph = meta_graph
        self._places = places

    def summary(self, signature: ServedSignature) -> SignatureTour:
        """Only the key, who serves it, and what it takes and gives."""
        definition = signature.signature_def
        if definition is not None:
            inputs, outputs = _values(definition.inputs), _values(definition.outputs)
        else:
            inputs, outputs = _wrapper_values(signature)
        return SignatureTour(signature.key, _served_by(signature), inputs, outputs, told=False)

    def tour(self, signature: ServedSignature) -> SignatureTour:
        """The whole chain. A part that contradicts the protos' own rules is told as a step of its own, `damage`."""
        steps: list[Step] = []
        for part in (self._session_steps, self._object_steps, self._structure, self._calls, self._trace_steps):
            steps += self._told(part, signature)
        captured = self._captured(signature)
        summary = self.summary(signature)
        return SignatureTour(
            summary.key,
            summary.served_by,
            summary.inputs,
            summary.outputs,
            steps=(*steps, *map(_capture_step, captured)),
            traces=self._traces(signature),
            captures=captured,
            declared=self._declared(signature),
        )

    def _told(self, part: Callable[[ServedSignature], Iterator[Step]], signature: ServedSignature) -> Iterator[Step]:
        """The steps of one part, up to where it is damaged."""
        try:
            yield from part(signature)
        except ArtifactError as error:
            where = error.where.removeprefix(f"{self._meta_graph.source.name}: ")
            yield Step("damage", where, damage(error))

    def _captured(self, signature: ServedSignature) -> tuple[CapturedValue, ...]:
        try:
            found = signature.wrapper.captures if signature.wrapper is not None else ()
        except ArtifactError:  # the part that tells the arguments says so
            return ()
        return tuple(captured_value(each, self._places) for each in found)

    def _declared(self, signature: ServedSignature) -> tuple[Declared, ...]:
        from trimtab.savedmodel.touring.agreement import declared_values

        try:
            return tuple(declared_values(signature, self._places, self._graph_call(signature)))
        except ArtifactError:  # the parts that tell the copies say so
            return ()

    def _session_steps(self, signature: ServedSignature) -> Iterator[Step]:
        """What TF1 and C++ see."""
        definition = signature.signature_def
        if definition is not None:
            yield self._signature_def(signature.key, definition)
            if not self._meta_graph.is_tf2:
                yield from self._graph_ends(definition)

    def _signature_def(self, key: str, definition: SignatureDef) -> Step:
        facts = []
        for way, arrow, infos in (("feed", "->", definition.inputs), ("fetch", "<-", definition.outputs)):
            for name, info in sorted(infos.items()):
                facts.append(f"{way} {name}: {tensor_info_type(info)} {arrow} {self._tensors(info)}")
        facts += [f"default {name} = {constant(value)}" for name, value in sorted(definition.defaults.items())]
        title = f"what TF1 and C++ feed and fetch; method {definition.method_name or '(none)'}"
        return Step("SignatureDef", self._places.signature_def(key), title, tuple(facts))

    def _tensors(self, info: TensorInfo) -> str:
        """The tensors of the graph with the ops that make them."""
        return ", ".join(self._tensor(name) for name in tensor_info_names(info)) or "nothing"

    def _tensor(self, name: str) -> str:
        node = self._meta_graph.graph_def.node.get(TensorName.parse(name).node)
        if node is None:
            return f"{name} (not in the graph)"
        callees = "".join(f" calls {callee}" for callee in node.callees[:1])
        return f"{name} ({'' if callees else node.op}{callees.strip()})"

    def _graph_ends(self, definition: SignatureDef) -> Iterator[Step]:
        """The nodes of a TF1 graph that are fed and fetched."""
        for infos, way in ((definition.inputs, "fed"), (definition.outputs, "fetched")):
            for name, info in sorted(infos.items()):
                for tensor in tensor_info_names(info):
                    node = self._meta_graph.graph_def.node.get(TensorName.parse(tensor).node)
                    if node is None:
                        yield Step(
                            "NodeDef", self._places.graph_node(tensor), f"{tensor}: no such node; {way} as {name}"
                        )
                        continue
                    from_nodes = f" from {', '.join(node.input[:4])}" if node.input else ""
                    yield Step(
                        "NodeDef",
                        self._places.graph_node(node.name),
                        f"{node.op} {node.name}{from_nodes}; {way} as {name}",
                    )

    def _object_steps(self, signature: ServedSignature) -> Iterator[Step]:
        objects = self._meta_graph.object_graph_def
        node_id = signature.node_id
        if objects is None or node_id is None:
            return
        map_id = objects.children[0]["signatures"]
        yield Step(
            "signatures map",
            f"{self._places.object(map_id)}.children",
            f'TF2\'s signatures["{signature.key}"] is node {node_id}',
            node_id=map_id,
        )
        bare = signature.bare
        if bare is None:
            kind = objects.kinds[node_id] if 0 <= node_id < len(objects.nodes) else "missing"
            title = f"the node is {kind or 'of no kind'}, not a SavedBareConcreteFunction: TF2 cannot call it"
            yield Step("SavedBareConcreteFunction", self._places.object(node_id), title, node_id=node_id)
            return
        positional = bare.allowed_positional_arguments
        keywords = ", ".join(bare.argument_keywords[:_MAX_ARGUMENTS]) or "none"
        yield Step(
            "SavedBareConcreteFunction",
            self._places.object(node_id, "bare_concrete_function"),
            f"makes {bare.concrete_function_name} callable",
            (f"keywords {keywords}; of these {positional} may be given by position",),
            node_id=node_id,
            function=bare.concrete_function_name,
        )

    def _structure(self, signature: ServedSignature) -> Iterator[Step]:
        wrapper = signature.wrapper
        if wrapper is None:
            return
        where = self._places.concrete_function(wrapper.name)
        saved = wrapper.saved
        if saved is None:
            yield Step("SavedConcreteFunction", where, "missing: TF2 cannot load the model", function=wrapper.name)
            return
        positional, by_keyword = wrapper.arguments
        taken = [
            *map(in_words, positional),
            *(f"{name}: {in_words(each)}" for name, each in sorted(by_keyword.items())),
        ]
        bound = ", ".join(map(str, saved.bound_inputs)) or "none"
        facts = (
            f"takes {', '.join(taken) or 'nothing'}",
            f"returns {in_words(wrapper.outputs)}",
            f"bound inputs: {'nodes ' if saved.bound_inputs else ''}{bound}",
        )
        yield Step(
            "SavedConcreteFunction", where, "structured arguments, results and captures", facts, function=wrapper.name
        )

    def _calls(self, signature: ServedSignature) -> Iterator[Step]:
        """The wrapper's FunctionDef and those that it calls, depth first, each once."""
        wrapper = signature.wrapper.name if signature.wrapper is not None else ""
        waiting = [(wrapper, 0)] if signature.wrapper is not None else []
        seen = {wrapper}
        told = 0
        while waiting:
            name, depth = waiting.pop()
            definition = self._meta_graph.library.get(name)
            where = self._places.function(name)
            if definition is None:
                yield Step("FunctionDef", where, f"{name}: not in the library", depth=depth, function=name)
                continue
            told += 1
            callees = [each for each in definition.callees if each not in seen]
            if told >= MAX_CALLEES:
                title = f"{name}; {count(len(waiting) + len(callees), 'more function')} below are not followed"
                yield Step("FunctionDef", where, title, depth=depth, function=name)
                return
            yield self._function_def(definition, where, depth)
            seen.update(callees)
            waiting += [(each, depth + 1) for each in reversed(callees)]

    def _function_def(self, definition: FunctionDef, where: str, depth: int) -> Step:
        signature = definition.signature
        given = [f"{each.name}: {argument_type(each)}" for each in signature.input_arg]
        results = [f"{each.name}: {argument_type(each)}" for each in signature.output_arg]
        facts = [f"({_some(given)}) -> ({_some(results)})"]
        callees = definition.callees
        if callees:
            facts.append(f"calls {_some(list(callees), 6)}")
        what = "wrapper: keywords in, a dict out" if depth == 0 else count(len(definition.node_def), "node")
        return Step("FunctionDef", where, f"{definition.name} ({what})", tuple(facts), depth, function=definition.name)

    def _traces(self, signature: ServedSignature) -> tuple[TraceReference, ...]:
        try:
            found = signature.traces
        except ArtifactError:  # the part that tells them says so
            return ()
        return tuple(
            TraceReference(
                function.path,
                position,
                function.trace_names[position],
                twin=function.trace_names[position] not in signature.forwards,
            )
            for function, position in found
        )

    def _trace_steps(self, signature: ServedSignature) -> Iterator[Step]:
        if signature.wrapper is None:
            return
        found = signature.traces
        if not found:
            yield self._unregistered(signature)
            return
        for function, position in found:
            name = function.trace_names[position]
            total = len(function.trace_names)
            called = f"{function.path}{function.spec.text(in_words)}"
            how = (
                ""
                if name in signature.forwards
                else f"; the same body as {self._twin_of(signature, name)}, under another name"
            )
            trace = function.traces[position]
            facts = []
            if trace.saved is not None:
                taken = ", ".join(argument_text(each) for each in arguments(function.spec, *trace.arguments))
                facts = [f"takes ({taken})", f"returns {in_words(trace.outputs)}"]
            yield Step(
                "SavedFunction",
                self._places.object(function.node_id, "function"),
                f"{called}, trace {position + 1} of {total} in trial order: {name}{how}",
                (*facts, f"its SavedConcreteFunction: {self._places.concrete_function(name)}"),
                node_id=function.node_id,
                function=name,
            )

    def _twin_of(self, signature: ServedSignature, trace: str) -> str:
        from trimtab.savedmodel.twins import stem

        alike = (name for name in signature.forwards if stem(name) == stem(trace))
        return next(alike, signature.callee or "")

    def _unregistered(self, signature: ServedSignature) -> Step:
        """What runs is listed by no SavedFunction; perhaps another object of the graph is it."""
        callee = signature.callee
        if callee is None:
            return Step("SavedFunction", "", "none: the wrapper calls no function")
        for node_id, name in self._bare_nodes.items():
            if name == callee:
                path = self._path(node_id)
                return Step(
                    "SavedFunction",
                    self._places.object(node_id, "bare_concrete_function"),
                    f"none: {callee} is not a registered trace; {path} (node {node_id}) is the same function",
                    node_id=node_id,
                    function=callee,
                )
        title = f"none: {callee} is not a registered trace; TF2 reaches it through this signature alone"
        return Step("SavedFunction", "", title, function=callee)

    @cached_property
    def _bare_nodes(self) -> dict[int, str]:
        objects = self._meta_graph.object_graph_def
        if objects is None:
            return {}
        found = {}
        for node_id, kind in enumerate(objects.kinds):
            bare = objects.nodes[node_id].bare_concrete_function if kind == "bare_concrete_function" else None
            if bare is not None:
                found[node_id] = bare.concrete_function_name
        return found

    def _path(self, node_id: int) -> str:
        objects = self._meta_graph.object_graph_def
        return objects.paths.get(node_id, f"nodes[{node_id}]").removeprefix("root.") if objects else ""

    def _graph_call(self, signature: ServedSignature) -> NodeDef | None:
        """The node of the graph by which TF1 runs the signature: the one that makes what is fetched."""
        definition = signature.signature_def
        if definition is None or signature.wrapper is None:
            return None
        for info in definition.outputs.values():
            for tensor in tensor_info_names(info):
                node = self._meta_graph.graph_def.node.get(TensorName.parse(tensor).node)
                if node is not None and signature.wrapper.name in node.callees:
                    return node
        return None


def _capture_step(held: CapturedValue) -> Step:
    title = f"{held.path or 'an object that no path reaches'}: {held.kind or 'missing node'} {held.type}".strip()
    named = f' "{held.name}"' if held.name else ""
    fact = f'fed to the argument "{held.argument}", number {held.position}'
    return Step("capture", held.where, title + named, (fact,), node_id=held.node_id)


def _served_by(signature: ServedSignature) -> tuple[str, ...]:
    loaders = (("TF2", signature.bare is not None), ("TF1 and C++", signature.signature_def is not None))
    return tuple(loader for loader, serves in loaders if serves)


def _values(infos: dict[str, TensorInfo]) -> tuple[Value, ...]:
    return tuple(Value(name, _type(info)) for name, info in sorted(infos.items()))


def _type(info: TensorInfo) -> str:
    try:
        return tensor_info_type(info)
    except ArtifactError as error:
        return f"damaged: {damage(error)}"


def _wrapper_values(signature: ServedSignature) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    if signature.wrapper is None:
        return (), ()
    try:
        _, by_keyword = signature.wrapper.arguments
        outputs = signature.wrapper.outputs
    except ArtifactError:
        return (), ()
    given = tuple(Value(name, in_words(each)) for name, each in sorted(by_keyword.items()))
    results = outputs if isinstance(outputs, dict) else {}
    return given, tuple(Value(name, in_words(each)) for name, each in sorted(results.items()))


def _some(items: list[str], most: int = _MAX_ARGUMENTS) -> str:
    more = f", … {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
