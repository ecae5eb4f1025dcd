"""Put a signature into a draft, and take one out: the wrapper, its objects, and what TF1 feeds and fetches.

A signature is written in all five places at once, so that TF2, TF1 and C++ see the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.graph_tensors import GraphTensors
from trimtab.savedmodel.editing.names import argument_of, keyword_of, node_of
from trimtab.savedmodel.editing.protos import dtype_list, shape_list, shape_proto, type_spec
from trimtab.savedmodel.editing.references import remove_unused_concrete_function
from trimtab.savedmodel.editing.signature_steps import check_signature, child_of_map, map_of_signatures, remove_call
from trimtab.savedmodel.editing.unwrapping import unwrap
from trimtab.savedmodel.editing.wrapper import Input
from trimtab.savedmodel.editing.wrapper_protos import (
    add_attr,
    bare_concrete_function,
    call_op,
    flat_results,
    function_def,
    saved_concrete_function,
    sorted_outputs,
)
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.structure import SparseTensorSpec, TensorSpec, shape_text

if TYPE_CHECKING:
    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Output, Wrapper
    from trimtab.savedmodel.graph_protos import Shape

_METHOD = "tensorflow/serving/predict"


def read_served(draft: Draft, key: str) -> Wrapper:
    """What the signature of that key does. ArtifactError when there is none, or TF2 does not know it."""
    check_signature(draft, key)
    node_id = child_of_map(draft, key)
    bare = draft.objects[node_id].bare_concrete_function if node_id is not None else None
    if bare is None:
        raise ArtifactError(
            "a signature that only TF1 sees has no wrapper to edit",
            where=f"{draft.meta_graph.where}.signature_def[{key!r}]",
            hint="Expose the function anew under another key: add-signature.",
        )
    name = str(bare.concrete_function_name)
    if name not in draft.concrete_functions or name not in draft.functions:
        raise ArtifactError(
            "a signature whose wrapper is missing",
            where=f"{draft.meta_graph.where}.object_graph_def.nodes[{node_id}]",
            expected="a function of the library with a SavedConcreteFunction",
            got=repr(name),
            hint="TensorFlow does not load such a model: see what trimtab verify says of it.",
        )
    definition = draft.signature_def.get(key)
    known = [*bare.argument_keywords, *(definition.inputs if definition is not None else ())]
    spelled = {keyword_of(each): str(each) for each in reversed(known) if each}
    arguments = draft.concrete_functions[name].canonicalized_input_signature.tuple_value.values
    keywords = sorted(arguments[1].dict_value.fields) if len(arguments) == 2 else []
    wrapper = unwrap(draft, name, [spelled.get(keyword, keyword) for keyword in keywords])
    defaults = definition.defaults if definition is not None else {}
    return wrapper.with_arguments(
        replace(each, default=serialize(defaults[each.name]))
        if isinstance(each, Input) and each.name in defaults
        else each
        for each in wrapper.arguments
    )


def serve(draft: Draft, key: str, wrapper: Wrapper) -> None:
    """Write the signature in all five places, instead of the one of that key, if there is one.

    Of the old one goes what nothing else uses. ArtifactError when TF1 could not be given what the function captures.
    """
    tensors = GraphTensors(draft)
    captured = [tensors.tensor(capture.node_id) for capture in wrapper.captures]
    old_id = child_of_map(draft, key)
    old = str(draft.objects[old_id].bare_concrete_function.concrete_function_name) if old_id is not None else ""
    definition = draft.signature_def.get(key)
    if definition is not None and old:
        draft.signature_def.remove(key, "rewritten")
        remove_call(draft, definition, old, f"only the former {key!r} used it")
    function = draft.fresh_function(f"__inference_signature_wrapper_{argument_of(key, ())}")
    note = f"takes {_inputs_text(wrapper)}; calls {wrapper.callee}"
    draft.functions.put(function, function_def(wrapper, function), note)
    draft.concrete_functions.put(function, saved_concrete_function(wrapper), _captures_text(wrapper))
    kinds = [draft.objects[each.node_id].WhichOneof("kind") or "" for each in wrapper.captures]
    bare = bare_concrete_function(wrapper, function, kinds)
    _put_bare(draft, key, bare)
    if old:
        remove_unused_concrete_function(draft, old, f"only the former {key!r} used it")
    method = str(definition.method_name) if definition is not None else _METHOD
    _serve_in_graph(draft, key, wrapper, _GraphCall(function, captured, method))


def _put_bare(draft: Draft, key: str, bare: Any) -> None:
    """Let the key lead to the node: it takes the place of the former one, unless something else leads there too."""
    note = f"the signature {key!r} for TF2"
    map_id = map_of_signatures(draft)
    if map_id is None:
        map_id = _add_map(draft)
    signature_map = draft.objects[map_id]
    edges = [edge for edge in signature_map.children if edge.local_name == key]
    for edge in edges:
        if _edges_to(draft, edge.node_id) == 1:
            draft.objects.put(edge.node_id, bare, note)
            return
    edge = edges[0] if edges else signature_map.children.add(local_name=key)
    edge.node_id = draft.objects.append(bare, note)
    draft.objects.put(map_id, signature_map, f"the map of signatures: {key!r} is nodes[{edge.node_id}]")


def _edges_to(draft: Draft, node_id: int) -> int:
    nodes = draft.objects.values()
    return sum(edge.node_id == node_id for node in nodes for edge in (*node.children, *node.dependencies))


def _add_map(draft: Draft) -> int:
    signature_map = classes()["SavedObject"]()
    signature_map.user_object.identifier = "signature_map"
    signature_map.user_object.version.producer = 1
    signature_map.user_object.version.min_consumer = 1
    map_id = draft.objects.append(signature_map, "a map of signatures: the model had none")
    root = draft.objects[0]
    root.children.add(node_id=map_id, local_name="signatures")
    draft.objects.put(0, root, f"the root: its child 'signatures' is nodes[{map_id}]")
    return map_id


class _GraphCall(Struct, frozen=True):
    """How the graph calls a wrapper: its name, the tensors of its captures, and what the SignatureDef's method is."""

    function: str
    captured: list[str]
    method_name: str


def _serve_in_graph(draft: Draft, key: str, wrapper: Wrapper, call: _GraphCall) -> None:
    """Placeholders, the call and the SignatureDef."""
    definition = classes()["SignatureDef"](method_name=call.method_name)
    fed = []
    for given in wrapper.inputs:
        name = _placeholder(draft, key, given)
        fed.append(name)
        definition.inputs[given.name].CopyFrom(_tensor_info(f"{name}:0", given.dtype, given.shape))
        if given.default:
            definition.defaults[given.name].ParseFromString(given.default)
    node = classes()["NodeDef"](name=draft.fresh_node(call_op(wrapper)), op=call_op(wrapper))
    node.input.extend([*fed, *call.captured])
    node.attr["f"].func.name = call.function
    node.attr["config_proto"].s = b""
    captures = [classes()["OpDef.ArgDef"].FromString(each.argument).type for each in wrapper.captures]
    add_attr(node, "Tin", dtype_list([*(each.dtype for each in wrapper.inputs), *captures]))
    results = flat_results(wrapper)
    add_attr(node, "Tout", dtype_list([each.dtype for each in results]))
    add_attr(node, "_output_shapes", shape_list([each.shape for each in results]))
    draft.nodes.put(node.name, node, f"calls {call.function} for TF1 and C++")
    position = 0
    for output in sorted_outputs(wrapper):
        definition.outputs[output.key].CopyFrom(_output_info(output, node.name, position))
        position += len(output.results)
    draft.signature_def.put(key, definition, f"feeds {_names(wrapper.inputs)}, fetches {_keys(wrapper)}")


def _placeholder(draft: Draft, key: str, given: Input) -> str:
    node = classes()["NodeDef"](name=draft.fresh_node(node_of(key, given.name)), op="Placeholder")
    if given.default:
        constant = classes()["NodeDef"](name=draft.fresh_node(f"{node.name}/input"), op="Const")
        constant.attr["dtype"].type = given.dtype
        constant.attr["value"].tensor.ParseFromString(given.default)
        draft.nodes.put(constant.name, constant, f"the default of {given.name!r}")
        node.op = "PlaceholderWithDefault"
        node.input.append(constant.name)
    node.attr["dtype"].type = given.dtype
    node.attr["shape"].shape.CopyFrom(shape_proto(given.shape))
    add_attr(node, "_output_shapes", shape_list([given.shape]))
    draft.nodes.put(node.name, node, f"feeds {given.name!r}: {dtype_name(given.dtype)} {shape_text(given.shape)}")
    return str(node.name)


def _output_info(output: Output, call: str, position: int) -> Any:
    """The TensorInfo of an output, whose tensors are the call's results from `position` on."""
    names = [f"{call}:{position + at}" for at in range(len(output.results))]
    if isinstance(output.spec, TensorSpec):
        return _tensor_info(names[0], output.results[0].dtype, output.results[0].shape)
    info = classes()["TensorInfo"]()
    if isinstance(output.spec, SparseTensorSpec):
        info.dtype = output.results[1].dtype
        info.tensor_shape.CopyFrom(shape_proto(output.spec.shape))
        sparse = info.coo_sparse
        sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name = names
        return info
    info.composite_tensor.type_spec.CopyFrom(type_spec(output.spec))
    for name, result in zip(names, output.results, strict=True):
        info.composite_tensor.components.add().CopyFrom(_tensor_info(name, result.dtype, result.shape))
    return info


def _tensor_info(name: str, dtype: int, shape: Shape) -> Any:
    info = classes()["TensorInfo"](name=name, dtype=dtype)
    info.tensor_shape.CopyFrom(shape_proto(shape))
    return info


def _inputs_text(wrapper: Wrapper) -> str:
    texts = (f"{each.name}: {dtype_name(each.dtype)} {shape_text(each.shape)}" for each in wrapper.inputs)
    return ", ".join(texts) or "no input"


def _captures_text(wrapper: Wrapper) -> str:
    ids = ", ".join(str(each.node_id) for each in wrapper.captures)
    return f"captures the nodes {ids}" if ids else "captures nothing"


def _keys(wrapper: Wrapper) -> str:
    return ", ".join(output.key for output in sorted_outputs(wrapper))


def _names(inputs: tuple[Input, ...]) -> str:
    return ", ".join(each.name for each in inputs) or "nothing"
