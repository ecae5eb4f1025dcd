"""Which tensor of the graph stands for which object: the link between what TF1 and C++ feed and what TF2 captures.

Nothing in the proto says it outright. Constants name their node; a variable's handle is what the restore function
assigns the variable's checkpoint key to; a table's handle bears the shared name that its creator function gives it; an
asset's path is assigned to a variable that is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.savedmodel.graph import TensorName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import TensorProto
    from trimtab.savedmodel.objects import ObjectGraph
    from trimtab.savedmodel.verifying.facts import Facts
    from trimtab.savedmodel.verifying.tensors import Body

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
MAX_COPIES = 100
"""How many nodes that only copy a tensor are followed."""

_SLOT = "/.OPTIMIZER_SLOT/"


class Restored(NamedTuple):
    """One assignment of the restore function: the graph's tensor, the checkpoint's key, and the dtype that it reads."""

    tensor: str
    key: str
    dtype: int


def restored(facts: Facts) -> list[Restored]:
    """What the restore function assigns to which tensors of the graph; empty where TensorFlow did not write it."""
    graph = facts.bodies.graph
    call = graph.nodes.get(facts.meta_graph.saver_def.restore_op_name)
    callee = next(iter(call.callees), "") if call is not None else ""
    if call is None or callee not in facts.meta_graph.library:
        return []
    body = facts.bodies.function(callee)
    handles = dict(zip(body.arguments, graph.data_inputs(call), strict=False))
    found = []
    read: dict[str, list[tuple[str, int]]] = {}
    for node in body.nodes.values():
        if node.op != "AssignVariableOp" or len(node.input) < 2 or node.input[0] not in handles:
            continue
        source = _through_identities(body, node.input[1])
        reader = body.nodes.get(source.node)
        if reader is None or reader.op != "RestoreV2":
            continue
        if reader.name not in read:
            read[reader.name] = _read_by(body, reader)
        if source.position < len(read[reader.name]):
            found.append(Restored(handles[node.input[0]], *read[reader.name][source.position]))
    return found


def _read_by(body: Body, reader: NodeDef) -> list[tuple[str, int]]:
    """The key and the dtype of each tensor that a RestoreV2 reads."""
    keys = _constant(body, reader, 1)
    dtypes = reader.attr("dtypes")
    types = dtypes.list.type if dtypes is not None and dtypes.list is not None else ()
    texts = [value.decode("utf-8", "replace") for value in (keys.string_val if keys is not None else ())]
    if len(texts) == 1:  # a tensor of equal elements has one
        texts *= len(types)
    return list(zip(texts, types, strict=False))


def object_of_key(objects: ObjectGraph, key: str) -> int | None:
    """The node that a checkpoint key names by its path from the root; None when there is none."""
    node_id = 0
    for part in key.removesuffix(SUFFIX).split("/"):
        child = objects.children[node_id].get(part.replace(".S", "/").replace("..", "."))
        if child is None or not 0 <= child < len(objects.nodes):
            return None
        node_id = child
    return node_id


def names_an_object(key: str) -> bool:
    """Whether a key names a variable by its path: slots of optimizers are named by two."""
    return key.endswith(SUFFIX) and _SLOT not in key


def node_of_tensor(facts: Facts) -> dict[str, int]:
    """By the graph's tensor (the name of its node), the id of the object that it stands for, where that is certain."""
    objects = facts.objects
    if objects is None:
        return {}
    found: dict[str, int] = {}
    for each in facts.restored:
        node_id = object_of_key(objects, each.key) if names_an_object(each.key) else None
        if node_id is not None and objects.kinds[node_id] == "variable":
            found[each.tensor] = node_id
    for node_id, kind in enumerate(objects.kinds):
        if kind == "constant":
            constant = objects.nodes[node_id].constant
            if constant is not None:
                found[constant.operation] = node_id
    found.update(_tables(facts, objects))
    found.update(_assets(facts, objects))
    return found


def _tables(facts: Facts, objects: ObjectGraph) -> Iterator[tuple[str, int]]:
    """Tables by the shared name that is unique both among the creators and in the graph."""
    in_graph: dict[bytes, list[str]] = {}
    for node in facts.bodies.graph.nodes.values():
        name = _shared_name(node)
        if name:
            in_graph.setdefault(name, []).append(node.name)
    created: dict[bytes, list[int]] = {}
    for node_id, kind in enumerate(objects.kinds):
        creator = objects.children[node_id].get("_create_resource", -1) if kind == "resource" else -1
        traces = objects.traces[creator] if 0 <= creator < len(objects.nodes) else ()
        definition = facts.meta_graph.library.get(traces[0]) if traces else None
        for node in definition.node_def.values() if definition is not None else ():
            name = _shared_name(node)
            if name:
                created.setdefault(name, []).append(node_id)
    for name, node_ids in created.items():
        if len(node_ids) == len(in_graph.get(name, ())) == 1:
            yield in_graph[name][0], node_ids[0]


def _shared_name(node: NodeDef) -> bytes:
    if "Table" not in node.op:
        return b""
    attribute = node.attr("shared_name")
    return (attribute.s or b"") if attribute is not None else b""


def _assets(facts: Facts, objects: ObjectGraph) -> Iterator[tuple[str, int]]:
    """Assets by the placeholder of their path: what reads the variable that it is assigned to."""
    graph = facts.bodies.graph
    nodes = {}
    for node_id, kind in enumerate(objects.kinds):
        asset = objects.nodes[node_id].asset if kind == "asset" else None
        files = facts.meta_graph.asset_file_def
        if asset is not None and 0 <= asset.asset_file_def_index < len(files):
            placeholder = files[asset.asset_file_def_index].tensor_info.name or ""
            nodes[TensorName.parse(placeholder).node] = node_id
    variables = {
        node.input[0]: nodes[node.input[1]]
        for node in graph.nodes.values()
        if node.op == "AssignVariableOp" and len(node.input) > 1 and node.input[1] in nodes
    }
    for node in graph.nodes.values():
        if node.op == "ReadVariableOp" and node.input and node.input[0] in variables:
            yield node.name, variables[node.input[0]]


def _through_identities(body: Body, reference: str) -> TensorName:
    """What a tensor is a copy of: `output` is left empty, the position is the flat one."""
    for _ in range(MAX_COPIES):
        name = TensorName.parse(reference)
        node = body.nodes.get(name.node)
        if node is None:
            return name
        if node.op != "Identity" or not node.input:
            return TensorName(node.name, position=_flat_position(body, node, name))
        reference = node.input[0]
    return TensorName("")


def _flat_position(body: Body, node: NodeDef, name: TensorName) -> int:
    position = body.position(node, name)
    return name.position if position is None else position


def _constant(body: Body, node: NodeDef, position: int) -> TensorProto | None:
    """The value of a node's input where it is a constant."""
    if position >= len(node.input):
        return None
    source = body.nodes.get(TensorName.parse(node.input[position]).node)
    value = source.attr("value") if source is not None and source.op == "Const" else None
    return value.tensor if value is not None else None
