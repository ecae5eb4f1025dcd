"""What a concrete function captures: the nodes behind its last arguments, with what can be said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.savedmodel.dtypes import dtype_name

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.object_protos import SavedObject
    from trimtab.savedmodel.objects import ObjectGraph

_TABLE_OPS = frozenset({"HashTableV2", "MutableHashTableV2", "MutableDenseHashTableV2", "MutableHashTableOfTensorsV2"})


class Capture(Struct, frozen=True):
    """One captured node: the function's argument at `position` is fed with it at every call.

    argument: the argument's name in the FunctionDef; empty when the function has too few.
    kind: of the node; empty when the id dangles.
    name: the variable's, the constant's node, the asset's file, the table's shared name.
    path: the object path, which identifies the node; empty when nothing reaches it.
    dtype, shape: of the value; of a table `key -> value` and None.
    """

    node_id: int
    position: int
    argument: str
    kind: str
    name: str = ""
    dtype: str = ""
    shape: Shape = None
    path: str = ""

    @property
    def label(self) -> str:
        """How to name it to a person: its path, or else its kind and id."""
        return self.path or f"{self.kind or 'missing node'} {self.node_id}"


def captures(meta_graph: MetaGraph, function_name: str) -> tuple[Capture, ...]:
    """The captures of a concrete function, in the order of `bound_inputs`: they are its last arguments."""
    objects = meta_graph.object_graph_def
    if objects is None or function_name not in objects.concrete_functions:
        return ()
    bound = objects.concrete_functions[function_name].bound_inputs
    if not bound:
        return ()
    arguments = meta_graph.library[function_name].signature.input_arg if function_name in meta_graph.library else ()
    first = len(arguments) - len(bound)
    found = []
    for position, node_id in enumerate(bound, start=first):
        argument = arguments[position].name if 0 <= position < len(arguments) else ""
        found.append(_capture(meta_graph, objects, node_id, position, argument))
    return tuple(found)


def _capture(meta_graph: MetaGraph, objects: ObjectGraph, node_id: int, position: int, argument: str) -> Capture:
    if not 0 <= node_id < len(objects.nodes):
        return Capture(node_id, position, argument, "")
    node = objects.nodes[node_id]
    name, dtype, shape = _facts(meta_graph, objects, node, node_id)
    return Capture(node_id, position, argument, node.kind, name, dtype, shape, objects.paths.get(node_id, ""))


def _facts(meta_graph: MetaGraph, objects: ObjectGraph, node: SavedObject, node_id: int) -> tuple[str, str, Shape]:
    """Name, dtype and shape of what a node holds."""
    if node.variable is not None:
        return node.variable.name, dtype_name(node.variable.dtype), node.variable.shape.shape
    if node.constant is not None:
        return node.constant.operation, *_constant(meta_graph, node.constant.operation)
    if node.asset is not None:
        position = node.asset.asset_file_def_index
        files = meta_graph.asset_file_def
        return files[position].filename if 0 <= position < len(files) else "", "string", ()
    if node.resource is not None:
        return _resource(meta_graph, objects, node_id)
    if node.captured_tensor is not None:
        return node.captured_tensor.name, "", None
    return "", "", None


def _constant(meta_graph: MetaGraph, operation: str) -> tuple[str, Shape]:
    node = meta_graph.graph_def.node.get(operation)
    dtype = node.attr("dtype") if node else None
    value = node.attr("value") if node else None
    shape = value.tensor.tensor_shape.shape if value is not None and value.tensor is not None else None
    return dtype_name(dtype.type) if dtype is not None and dtype.type else "", shape


def _resource(meta_graph: MetaGraph, objects: ObjectGraph, node_id: int) -> tuple[str, str, Shape]:
    """A table says what it maps only in the function that creates it."""
    creator = objects.children[node_id].get("_create_resource")
    if creator is None or not 0 <= creator < len(objects.nodes):
        return "", "resource", None
    function = objects.nodes[creator].function
    waiting = list(function.concrete_functions) if function is not None else []
    seen = set(waiting)
    while waiting:
        definition = meta_graph.library.get(waiting.pop())
        for node in definition.node_def.values() if definition is not None else ():
            if node.op in _TABLE_OPS:
                shared, key, value = (node.attr(name) for name in ("shared_name", "key_dtype", "value_dtype"))
                name = (shared.s or b"").decode("utf-8", "replace") if shared is not None else ""
                types = [dtype_name(attr.type or 0) if attr is not None else "?" for attr in (key, value)]
                return name, " -> ".join(types), None
            waiting += [callee for callee in node.callees if callee not in seen]
            seen.update(node.callees)
    return "", "resource", None
