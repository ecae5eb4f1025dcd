"""Find what a call names: a polymorphic function or a concrete one by object path, or a signature by its key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.concrete import Callee, call
from trimtab.savedmodel.dispatching.outcome import Dispatch, Refusal
from trimtab.savedmodel.dispatching.parameters import Parameter, concrete_parameters, parameters_of, safe_name
from trimtab.savedmodel.dispatching.polymorphic import dispatch
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.running import run_function, run_signature
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.function_spec import call_spec
from trimtab.savedmodel.structure import TensorSpec, components, type_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.dispatching.op_shapes import Known
    from trimtab.savedmodel.graph_protos import Shape, SignatureDef, TensorInfo
    from trimtab.savedmodel.links import ConcreteFunction, ServedSignature
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.object_protos import SavedBareConcreteFunction
    from trimtab.savedmodel.objects import ObjectGraph
    from trimtab.savedmodel.structure import Structure


_SEQUENCES = frozenset({"trackable_list_wrapper", "trackable_tuple_wrapper"})
_MAPPINGS = frozenset({"trackable_dict_wrapper", "signature_map"})


def dispatch_path(meta_graph: MetaGraph, path: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Dispatch:
    """What TensorFlow does when the object at a path is called: `loaded.a.b(...)`.

    What is there may be no function, or nothing may be there: then TensorFlow's own error says so.
    """
    objects = meta_graph.object_graph_def
    short = path.removeprefix("root.")
    node_id = objects.find(short) if objects is not None else None
    if objects is None or node_id is None:
        return Dispatch(path, refusal=_missing(objects, short))
    node = objects.nodes[node_id]
    if node.user_object is not None or node.kind == "":
        callee = objects.children[node_id].get("__call__")
        if callee is not None and 0 <= callee < len(objects.nodes):
            node_id, node = callee, objects.nodes[callee]
    if node.function is not None:
        for function in meta_graph.functions.values():
            if function.node_id == node_id:
                return dispatch(function, args, kwargs)
    if node.bare_concrete_function is not None:
        return call_bare(meta_graph, path, node.bare_concrete_function, args, kwargs)
    text = f"{node.kind.replace('_', ' ') or 'object'} at {path!r} is not callable"
    return Dispatch(path, refusal=Refusal("TypeError", text, "lookup"))


def _missing(objects: ObjectGraph | None, path: str) -> Refusal:
    """Nothing is at the path: an index out of a list, a key not in a dict, or no attribute and no item of an object."""
    before, _, last = path.rpartition(".")
    parent = objects.find(before) if objects is not None else None
    node = objects.nodes[parent].user_object if objects is not None and parent is not None else None
    identifier = node.identifier if node is not None else ""
    if identifier in _SEQUENCES and last.isdigit():
        return Refusal("IndexError", "list index out of range", "lookup")
    if identifier in _MAPPINGS:
        return Refusal("KeyError", repr(last), "lookup")
    return Refusal("TypeError", f"nothing at {path!r}: '_UserObject' object is not subscriptable", "lookup")


def dispatch_signature(meta_graph: MetaGraph, key: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Dispatch:
    """What TensorFlow does when a signature is called: `loaded.signatures[key](...)`."""
    served = meta_graph.signatures.get(key)
    if served is None or (meta_graph.is_tf2 and served.bare is None):
        return Dispatch(key, refusal=Refusal("KeyError", repr(key), "lookup"))
    return call_signature(served, args, kwargs)


def call_signature(served: ServedSignature, args: Sequence[Any], kwargs: dict[str, Any]) -> Dispatch:
    """What TensorFlow does when a signature is called. See `ServedSignature.call`."""
    if served.bare is not None:
        return call_bare(served.meta_graph, served.key, served.bare, args, kwargs)
    if served.signature_def is not None and not served.meta_graph.is_tf2:
        try:
            callee = _from_signature_def(served.meta_graph, served.key, served.signature_def)
        except Raises as error:
            return Dispatch(served.key, refusal=Refusal(error.tensorflow, error.message, "lookup"))
        return call(callee, args, kwargs)
    return Dispatch(served.key, refusal=Refusal("KeyError", repr(served.key), "lookup"))


def call_bare(
    meta_graph: MetaGraph, label: str, bare: SavedBareConcreteFunction, args: Sequence[Any], kwargs: dict[str, Any]
) -> Dispatch:
    """What TensorFlow does when a function that was saved as one concrete function is called."""
    function = meta_graph.concrete_function(bare.concrete_function_name)
    try:
        parameters = concrete_parameters(_spec_parameters(function, bare), function.arguments)
    except (Raises, TypeError) as error:
        return Dispatch(label, refusal=Refusal("TypeError", str(error), "lookup"))
    callee = Callee(
        label,
        parameters,
        bare.argument_keywords,
        bare.allowed_positional_arguments,
        partial(run_function, function),
        function,
        function.outputs,
    )
    return call(callee, args, kwargs)


def _spec_parameters(function: ConcreteFunction, bare: SavedBareConcreteFunction) -> tuple[Parameter, ...] | None:
    """The parameters that name the arguments; None where nothing was saved of them."""
    if bare.function_spec is None:
        return None
    where = f"{function.meta_graph.where}: SavedBareConcreteFunction of {function.name!r}"
    return tuple(
        Parameter(each.name, each.kind, each.default) for each in parameters_of(call_spec(bare.function_spec, where))
    )


def _from_signature_def(meta_graph: MetaGraph, key: str, signature: SignatureDef) -> Callee:
    """A signature of a TF1 model, as TensorFlow 2 lifts it: sparse and composite inputs become their components."""
    names: list[str] = []
    specs: list[TensorSpec] = []
    for name, info in sorted(signature.inputs.items()):
        for part, spec in _inputs(meta_graph, name, info):
            names.append(part)
            specs.append(spec)
    parameters = [Parameter(safe_name(name), "plain", constraint=spec) for name, spec in zip(names, specs, strict=True)]
    result: Structure = {
        name: TensorSpec(dtype_name(info.dtype), info.tensor_shape.shape, name)
        for name, info in sorted(signature.outputs.items())
    }
    tensors = [tensor for _, info in sorted(signature.inputs.items()) for tensor in _tensors(info)]

    def run(inputs: list[Known]) -> None:
        run_signature(meta_graph, signature, dict(zip(tensors, inputs, strict=False)))

    return Callee(key, tuple(parameters), tuple(names), 1 if len(names) == 1 else 0, run, result=result)


def _tensors(info: TensorInfo) -> list[str]:
    """The names of the graph's tensors that an input is."""
    if info.coo_sparse is not None:
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    if info.composite_tensor is not None:
        return [name for each in info.composite_tensor.components for name in _tensors(each)]
    return [info.name or ""]


def _inputs(meta_graph: MetaGraph, name: str, info: TensorInfo) -> list[tuple[str, TensorSpec]]:
    shape, dtype = info.tensor_shape.shape, dtype_name(info.dtype)
    if info.coo_sparse is not None:
        sparse, rank = info.coo_sparse, None if shape is None else len(shape)
        parts: list[tuple[str, str, str, Shape]] = [
            ("indices", sparse.indices_tensor_name, "int64", (None, rank)),
            ("values", sparse.values_tensor_name, dtype, (None,)),
            ("dense_shape", sparse.dense_shape_tensor_name, "int64", (rank,)),
        ]
        return [
            (f"{name}_{part}", _in_graph(meta_graph, tensor, TensorSpec(own, size, f"{name}_{part}")))
            for part, tensor, own, size in parts
        ]
    if info.composite_tensor is not None and info.composite_tensor.type_spec is not None:
        specs = components(type_spec(info.composite_tensor.type_spec))
        return [(f"{name}_component_{at}", each) for at, each in enumerate(specs)]
    return [(name, _in_graph(meta_graph, info.name or "", TensorSpec(dtype, shape, name)))]


def _in_graph(meta_graph: MetaGraph, tensor: str, spec: TensorSpec) -> TensorSpec:
    """The spec that TensorFlow takes: that of the graph's placeholder, whatever the SignatureDef says of it."""
    node = meta_graph.graph_def.node.get(tensor.partition(":")[0])
    if node is None or not node.op.startswith("Placeholder"):
        return spec
    dtype, shape = node.attr("dtype"), node.attr("shape")
    return TensorSpec(
        dtype_name(dtype.type) if dtype is not None and dtype.type else spec.dtype,
        shape.shape.shape if shape is not None and shape.shape is not None else None,
        spec.name,
    )
