"""Rules of place 2 against places 4, 5 and 1: a SignatureDef, the wrapper behind the same key, and the graph between.

TensorFlow 2 ignores SignatureDefs; TensorFlow 1, C++ and servers ignore the object graph. Nobody else compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.links import ConcreteFunction
from trimtab.savedmodel.shapes import is_subtype
from trimtab.savedmodel.structure import SPECS, NamedTuple, components, type_spec
from trimtab.savedmodel.verifying.alignment import MAX_COPIES
from trimtab.savedmodel.verifying.function_rules import normal
from trimtab.savedmodel.verifying.tensors import CALLS, compatible
from trimtab.savedmodel.verifying.words import listed, shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import SignatureDef, TensorInfo
    from trimtab.savedmodel.links import ServedSignature
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.verifying.facts import Facts, Function


@rule("SIGNATURE_DEF_MISSING")
def signature_def_missing(facts: Facts) -> Iterator[Problem]:
    """Every signature that TensorFlow 2 sees has a SignatureDef under the same key.

    Who breaks: servers, C++ and TensorFlow 1: for them the signature is not there.
    Instead: add the SignatureDef, or remove the key from the map of the signatures.
    """
    for signature in facts.meta_graph.signatures.values():
        if signature.signature_def is None:
            yield Problem(
                f"{facts.where}.signature_def", "a signature that only TensorFlow 2 sees", got=repr(signature.key)
            )


@rule("SIGNATURE_NODE_MISSING")
def signature_node_missing(facts: Facts) -> Iterator[Problem]:
    """Every SignatureDef of a model with an object graph is a child of the map of the signatures too.

    Who breaks: TensorFlow 2 and converters: for them the signature is not there.
    Instead: add the SavedBareConcreteFunction, or remove the SignatureDef.
    """
    for signature in facts.meta_graph.signatures.values() if facts.objects is not None else ():
        if signature.node_id is None:
            where = f"{facts.where}.object_graph_def.nodes"
            yield Problem(where, "a signature that TensorFlow 2 does not see", got=repr(signature.key))


@rule("SIGNATURE_FORM")
def signature_form(facts: Facts) -> Iterator[Problem]:
    """The function behind a signature takes tensors by keyword only and returns a dict of at least one.

    Who breaks: callers in TensorFlow 2: the signature cannot be called as signatures are.
    Instead: expose the function through a wrapper of that form.
    """
    for signature, wrapper in _wrapped(facts):
        args, kwargs = wrapper.arguments
        if args or not all(isinstance(each, SPECS) for each in kwargs.values()):
            where = f"{wrapper.where}.canonicalized_input_signature"
            got = f"{len(args)} positional and the keywords {listed(sorted(kwargs))}"
            yield Problem(where, f"signature {signature.key!r} takes", "tensors by keyword", got)
        outputs = wrapper.outputs
        if (
            not isinstance(outputs, dict)
            or not outputs
            or not all(isinstance(each, SPECS) for each in outputs.values())
        ):
            got = listed(sorted(outputs)) if isinstance(outputs, dict) else type(outputs).__name__
            where = f"{wrapper.where}.output_signature"
            yield Problem(where, f"signature {signature.key!r} returns", "a dict of tensors", got)


@rule("SIGNATURE_NAMES")
def signature_names(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef and the wrapper behind the same key have inputs and outputs of the same names.

    Names that are no identifiers are cleaned on the wrapper's side (`a/b` is `a_b`).
    Who breaks: a request that is right for a server is wrong in TensorFlow 2, and the other way round.
    Instead: rename in both places; the order of arguments is that of the sorted names, so permute them with it.
    """
    for signature, wrapper in _wrapped(facts):
        declared = signature.signature_def
        if declared is None:
            continue
        outputs = wrapper.outputs if isinstance(wrapper.outputs, dict) else {}
        pairs = (("inputs", declared.inputs, wrapper.arguments[1]), ("outputs", declared.outputs, outputs))
        for field, there, here in pairs:
            if sorted(map(normal, there)) != sorted(map(normal, here)):
                where = f"{facts.where}.signature_def[{signature.key!r}].{field}"
                expected = f"{listed(sorted(here))}, as {wrapper.name!r}"
                yield Problem(where, "the names", expected, listed(sorted(there)))


@rule("SIGNATURE_SPEC")
def signature_spec(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef and the wrapper behind the same key declare the same dtypes and shapes.

    Who breaks: two readers of one model tell two signatures.
    Instead: make both what the wrapper's FunctionDef takes and gives.
    """
    for signature, wrapper in _wrapped(facts):
        declared = signature.signature_def
        if declared is None:
            continue
        outputs = wrapper.outputs if isinstance(wrapper.outputs, dict) else {}
        for field, infos, specs in (
            ("inputs", declared.inputs, wrapper.arguments[1]),
            ("outputs", declared.outputs, outputs),
        ):
            by_name = {normal(name): spec for name, spec in specs.items()}
            for name, info in infos.items():
                spec = by_name.get(normal(name))
                where = f"{facts.where}.signature_def[{signature.key!r}].{field}[{name!r}]"
                if spec is not None and len(by_name) == len(specs):
                    yield from _same_spec(where, info, spec, refined=field == "outputs")


def _same_spec(where: str, info: TensorInfo, spec: Structure, *, refined: bool) -> Iterator[Problem]:
    """refined: the graph may know more of the shape than the wrapper does."""
    if not isinstance(spec, SPECS):
        return
    parts = [each for each in components(spec) if each.dtype != "variant"]
    if info.composite_tensor is not None:
        infos = info.composite_tensor.components
        stated = info.composite_tensor.type_spec
        if stated is None or type_spec(stated) != spec:
            got = "none" if stated is None else str(type_spec(stated))
            yield Problem(where, "the type_spec", f"{spec}, as the wrapper's", got)
        if parts and len(infos) != len(parts):
            yield Problem(where, "the number of components", str(len(parts)), str(len(infos)))
        for part, each in zip(parts, infos, strict=False):
            if part.dtype != dtype_name(each.dtype) or not compatible(part.shape, each.tensor_shape.shape):
                got = f"{dtype_name(each.dtype)} {shape_words(each.tensor_shape.shape)}"
                yield Problem(where, "a component", str(part), got)
    elif info.name is not None and len(parts) == 1:
        got = f"{dtype_name(info.dtype)} {shape_words(info.tensor_shape.shape)}"
        same = parts[0].shape == info.tensor_shape.shape or (
            refined and is_subtype(info.tensor_shape.shape, parts[0].shape)
        )
        if parts[0].dtype != dtype_name(info.dtype) or not same:
            yield Problem(where, "the tensor", f"{parts[0]}, as the wrapper's spec", got)


@rule("SIGNATURE_FEED")
def signature_feed(facts: Facts) -> Iterator[Problem]:
    """What a SignatureDef feeds under a name is what the wrapper takes under that name.

    TensorFlow 2 binds inputs to the wrapper's arguments in the order of the sorted names; the graph passes placeholders
    to them by position.
    Who breaks: TensorFlow 1, C++ and servers compute with inputs that have changed places.
    Instead: feed the placeholder that stands at the argument's position in the graph's call.
    """
    for signature, wrapper, call in _called(facts):
        declared = signature.signature_def
        assert declared is not None
        passed = [TensorName.parse(each)[:3:2] for each in facts.bodies.graph.data_inputs(call)]
        places = _places(wrapper.arguments[1])
        for name, info in declared.inputs.items():
            place = places.get(normal(name))
            if place is None or place[1] != 1 or info.name is None or place[0] >= len(passed):
                continue
            position = place[0]
            if TensorName.parse(info.name)[:3:2] != passed[position]:
                where = f"{facts.where}.signature_def[{signature.key!r}].inputs[{name!r}]"
                node, index = passed[position]
                expected = f"'{node}:{index}', which the call {call.name!r} passes as argument {position}"
                yield Problem(where, "the tensor", expected, repr(info.name))


@rule("SIGNATURE_FETCH")
def signature_fetch(facts: Facts) -> Iterator[Problem]:
    """What a SignatureDef fetches under a name is what the wrapper returns under that name.

    TensorFlow 2 names the wrapper's results in the order of the sorted names; SignatureDefs name outputs of the call.
    Who breaks: one of the two worlds gets the right numbers under the wrong name.
    Instead: fetch `call:i`, with i the position of the name among the sorted names.
    """
    calls = {signature.key: (wrapper, call) for signature, wrapper, call in _called(facts)}
    for signature, wrapper in _wrapped(facts):
        declared = signature.signature_def
        outputs = wrapper.outputs
        if declared is None or not isinstance(outputs, dict):
            continue
        where = f"{facts.where}.signature_def[{signature.key!r}].outputs"
        if signature.key not in calls:
            problem = "none of them is an output of a call of the wrapper"
            yield Problem(where, problem, f"a call of {wrapper.name!r}", listed(_fetches(declared)))
            continue
        call = calls[signature.key][1]
        places = _places(outputs)
        for name, info in declared.outputs.items():
            place = places.get(normal(name))
            if place is None:
                continue
            parts = [info.name or ""]
            if info.composite_tensor is not None:
                parts = [each.name or "" for each in info.composite_tensor.components]
            if info.coo_sparse is not None or len(parts) != place[1]:
                continue
            for offset, part in enumerate(parts):
                if _source(facts, part) != (call.name, place[0] + offset):
                    expected = f"'{call.name}:{place[0] + offset}', where the wrapper returns it"
                    yield Problem(f"{where}[{name!r}]", "the tensor", expected, repr(part))


@rule("SIGNATURE_ORDER")
def signature_order(facts: Facts) -> Iterator[Problem]:
    """The arguments of a signature's wrapper stand in the order of their sorted names.

    Who breaks: TensorFlow 2 binds by that order: inputs of one type change places without any error.
    Instead: permute `input_arg`, `arg_attr`, `_input_shapes` and the graph's call, or make a new wrapper.
    """
    for signature, wrapper in _wrapped(facts):
        keys = sorted(wrapper.arguments[1])
        given = wrapper.argument_names[: len(keys)]
        known = wrapper.complete and len(keys) == len(wrapper.inputs)
        if known and None not in given and [normal(key) for key in keys] != [normal(name or "") for name in given]:
            where = f"{wrapper.body_where}.signature.input_arg"
            expected = f"{listed(keys)}, the inputs of signature {signature.key!r}"
            yield Problem(where, "the names of the arguments", expected, listed(name or "" for name in given))


@rule("SIGNATURE_LABELS", level=Level.WARNING)
def signature_labels(facts: Facts) -> Iterator[Problem]:
    """A signature that uses the names of the function that it exposes uses each for the same thing.

    Who breaks: whoever knows the function and calls the signature: two inputs or two outputs have changed places.
    Instead: if it is on purpose, use other names.
    """
    for signature, wrapper in _wrapped(facts):
        body = facts.bodies.function(wrapper.name)
        calls = [node for node in body.nodes.values() if node.op in CALLS]
        traces = facts.traces_of(body.callee(calls[0])) if len(calls) == 1 else []
        outputs = wrapper.outputs
        if not traces or not isinstance(outputs, dict) or len(outputs) != len(wrapper.results):
            continue
        for key, argument in zip(sorted(outputs), wrapper.definition.signature.output_arg, strict=False):
            position = _passed_on(facts, wrapper, calls[0], wrapper.definition.ret.get(argument.name, ""))
            names = {_label(trace.outputs, position) for trace in traces}
            if None not in names and key not in names and names & set(outputs):
                where = f"{wrapper.where}.output_signature[{key!r}]"
                expected = f"what {traces[0].name!r} calls so"
                got = listed(sorted(filter(None, names)))
                yield Problem(where, f"signature {signature.key!r} names a result", expected, got)


def _passed_on(facts: Facts, function: Function, call: NodeDef, reference: str) -> int | None:
    """Which output of the call a tensor of the function is a copy of; None when it is of something else."""
    body = facts.bodies.function(function.name)
    for _ in range(MAX_COPIES):
        name = TensorName.parse(reference)
        node = body.nodes.get(name.node)
        if node is call:
            return body.position(node, name)
        if node is None or node.op != "Identity" or not node.input:
            return None
        reference = node.input[0]
    return None


def _label(value: Structure, position: int | None) -> str | None:
    """The name that a function's own dict or named tuple gives its result at a flat position."""
    pairs = sorted(value.items()) if isinstance(value, dict) else value.fields if isinstance(value, NamedTuple) else ()
    at = 0
    for key, spec in pairs:
        if not isinstance(spec, SPECS):
            return None
        size = len(components(spec))
        if position is not None and at <= position < at + size:
            return key if size == 1 else None
        at += size
    return None


def _wrapped(facts: Facts) -> Iterator[tuple[ServedSignature, Function]]:
    """The signatures behind which a function stands that is whole."""
    for signature in facts.meta_graph.signatures.values():
        wrapper = signature.wrapper
        if isinstance(wrapper, ConcreteFunction) and wrapper.name in facts.functions:
            yield signature, facts.functions[wrapper.name]


def _called(facts: Facts) -> Iterator[tuple[ServedSignature, Function, NodeDef]]:
    """The signatures whose outputs are those of a call of their wrapper, with the call."""
    nodes = facts.bodies.graph.nodes
    for signature, wrapper in _wrapped(facts):
        if signature.signature_def is None:
            continue
        for name in _fetches(signature.signature_def):
            node = nodes.get(_source(facts, name)[0])
            if node is not None and facts.bodies.graph.callee(node) == wrapper.name:
                yield signature, wrapper, node
                break


def _fetches(declared: SignatureDef) -> list[str]:
    """The names of the tensors that a SignatureDef fetches."""
    found = []
    for info in declared.outputs.values():
        if info.composite_tensor is not None:
            found += [each.name or "" for each in info.composite_tensor.components]
        else:
            found.append(info.name or "")
    return found


def _source(facts: Facts, name: str) -> tuple[str, int]:
    """Node and position of what a tensor of the graph is a copy of."""
    nodes = facts.bodies.graph.nodes
    parsed = TensorName.parse(name)
    for _ in range(MAX_COPIES):
        node = nodes.get(parsed.node)
        if node is None or node.op != "Identity" or not node.input:
            break
        parsed = TensorName.parse(node.input[0])
    return parsed.node, parsed.position


def _places(specs: Mapping[str, Structure]) -> dict[str, tuple[int, int]]:
    """By normal name, the first flat position of each entry and how many positions it takes: sorted names."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    for name, spec in sorted(specs.items()):
        size = len(components(spec)) if isinstance(spec, SPECS) else 1
        found[normal(name)] = (at, size)
        at += size
    return found if len(found) == len(specs) else {}
