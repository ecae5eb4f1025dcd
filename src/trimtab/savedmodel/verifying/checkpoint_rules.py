"""Rules of what is stored: every variable is restored, from a tensor of its type, into the object that it was."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.verifying.alignment import names_an_object, object_of_key
from trimtab.savedmodel.verifying.tensors import compatible
from trimtab.savedmodel.verifying.words import listed, shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.object_protos import SavedVariable
    from trimtab.savedmodel.verifying.checkpoint import Checkpoint
    from trimtab.savedmodel.verifying.facts import Facts

_VALUE = "VARIABLE_VALUE"


@rule("RESTORE_KEY")
def restore_key(facts: Facts) -> Iterator[Problem]:
    """The keys that the restore function reads are object paths that lead to variables of what it reads.

    Who breaks: the variable keeps its initial value, or TensorFlow refuses to load.
    Instead: keep the names of the children on the way to a variable as they were when the checkpoint was written.
    """
    if facts.objects is None:
        return
    for each in facts.restored:
        if not names_an_object(each.key):
            continue
        where = f"{facts.where}.saver_def.restore_op_name"
        node_id = object_of_key(facts.objects, each.key)
        variable = facts.objects.nodes[node_id].variable if node_id is not None else None
        if variable is None:
            yield Problem(where, f"{each.tensor!r} is restored from a key", "the path of a variable", repr(each.key))
        elif variable.dtype != each.dtype:
            problem = f"the dtype that {each.key!r} is restored as"
            yield Problem(where, problem, dtype_name(variable.dtype), dtype_name(each.dtype))


@rule("CHECKPOINT_TENSOR")
def checkpoint_tensor(facts: Facts) -> Iterator[Problem]:
    """A variable has the dtype and shape of the tensor that the checkpoint holds for it, and the checkpoint holds one.

    Who breaks: TensorFlow 2 refuses the model while restoring.
    Instead: correct the SavedVariable, or the name of the child that leads to it.
    """
    checkpoint, objects = facts.checkpoint, facts.objects
    if checkpoint is None or objects is None or not checkpoint.objects:
        return
    met: set[int] = set()
    for stored_id, node_id in _walk(checkpoint, facts):
        variable = objects.nodes[node_id].variable
        key = checkpoint.objects[stored_id].stored.get(_VALUE, ("", ""))[1]
        if variable is None or not key:
            continue
        met.add(node_id)
        entry = checkpoint.tensors.get(key)
        where = f"{facts.node_where(node_id)}.variable"
        if entry is None:
            yield Problem(where, "its tensor is not in the checkpoint", got=repr(key))
        elif entry.dtype != variable.dtype or not compatible(entry.shape, variable.shape.shape):
            expected = f"{dtype_name(entry.dtype)} {shape_words(entry.shape)}, as {key!r} of the checkpoint"
            yield Problem(where, f"the type of {facts.node_name(node_id)}", expected, _type(variable))
    for node_id, kind in enumerate(objects.kinds):
        if kind == "variable" and node_id not in met and node_id in objects.paths:
            where = facts.node_where(node_id)
            problem = f"{facts.node_name(node_id)} is not restored: the checkpoint has no object at its path"
            yield Problem(where, problem)


@rule("CHECKPOINT_OBJECTS")
def checkpoint_objects(facts: Facts) -> Iterator[Problem]:
    """Objects are at the paths, and under the ids, that they had when the checkpoint was written.

    Values are restored by path: when two children of one type change places, so do their values, without any error.
    Who breaks: whoever reads the variables or calls the functions by their names.
    Instead: correct the children's ids and names. The map of the signatures may change; the other paths may not.
    """
    checkpoint, objects = facts.checkpoint, facts.objects
    if checkpoint is None or objects is None or not _same_ids(checkpoint, facts):
        return
    for node_id, stored in enumerate(checkpoint.objects[: len(objects.nodes)]):
        if node_id not in objects.paths or _is_signature_map(facts, node_id):
            continue
        children = objects.children[node_id]
        if objects.kinds[node_id] == "function":  # traces may be dropped, and the later ones then move up
            if not set(children.values()) <= set(stored.children.values()):
                where = f"{facts.node_where(node_id)}.children"
                expected, got = (listed(map(str, sorted(each.values()))) for each in (stored.children, children))
                yield Problem(where, "the nodes of the traces", f"{expected}, as in the checkpoint", got)
            continue
        for name, child in stored.children.items():
            if children.get(name) != child:
                where = f"{facts.node_where(node_id)}.children[{name!r}]"
                given = facts.node_name(children[name]) if name in children else "no such child"
                yield Problem(where, "the node", f"{facts.node_name(child)}, as in the checkpoint", given)


@rule("OBJECT_GRAPH_MISSING")
def object_graph_missing(facts: Facts) -> Iterator[Problem]:
    """A model whose checkpoint was written from an object graph has that object graph.

    Who breaks: TensorFlow 2 loads the model as one of TensorFlow 1: without functions, variables and their names.
    Instead: bring back `object_graph_def`.
    """
    if facts.objects is None and facts.is_only and facts.checkpoint is not None and facts.checkpoint.objects:
        yield Problem(f"{facts.where}.object_graph_def", "is missing", f"the {len(facts.checkpoint.objects)} objects")


@rule("VARIABLE_NAME")
def variable_name(facts: Facts) -> Iterator[Problem]:
    """A SavedVariable has the name that the checkpoint keeps for it.

    Who breaks: tools that find variables by name, and optimizers that find their slots.
    Instead: keep the name.
    """
    checkpoint, objects = facts.checkpoint, facts.objects
    if checkpoint is None or objects is None or not _same_ids(checkpoint, facts):
        return
    for node_id, stored in enumerate(checkpoint.objects[: len(objects.nodes)]):
        variable = objects.nodes[node_id].variable if _VALUE in stored.stored else None
        if variable is not None and stored.stored[_VALUE][0] not in ("", variable.name):
            where = f"{facts.node_where(node_id)}.variable.name"
            yield Problem(where, "the name", repr(stored.stored[_VALUE][0]), repr(variable.name))


@rule("SAVER")
def saver(facts: Facts) -> Iterator[Problem]:
    """The nodes that `saver_def` names are in the graph, and it names all three where there are variables to restore.

    Who breaks: TensorFlow 1 and C++ loaders, which restore the variables by them.
    Instead: name the nodes that save and restore.
    """
    stated = facts.meta_graph.saver_def
    named = {
        "filename_tensor_name": stated.filename_tensor_name,
        "save_tensor_name": stated.save_tensor_name,
        "restore_op_name": stated.restore_op_name,
    }
    for field, name in named.items():
        if not name and (any(named.values()) or (facts.objects is not None and facts.checkpoint is not None)):
            yield Problem(f"{facts.where}.saver_def.{field}", "a name that is missing")
        elif name and facts.bodies.graph.tensor(name) is None and name not in facts.bodies.graph.nodes:
            yield Problem(f"{facts.where}.saver_def.{field}", "a node that the graph lacks", got=repr(name))


def _walk(checkpoint: Checkpoint, facts: Facts) -> Iterator[tuple[int, int]]:
    """Pairs of objects of the checkpoint and nodes, by the paths that lead to both, as a restore walks them."""
    objects = facts.objects
    assert objects is not None
    if not len(objects.nodes) or not checkpoint.objects:
        return
    seen = {(0, 0)}
    waiting = deque(seen)
    limit = 4 * (len(checkpoint.objects) + len(objects.nodes))
    while waiting and len(seen) <= limit:
        stored_id, node_id = waiting.popleft()
        yield stored_id, node_id
        for name, child in checkpoint.objects[stored_id].children.items():
            target = objects.children[node_id].get(name)
            pair = (child, target)
            if target is None or pair in seen:
                continue
            if 0 <= child < len(checkpoint.objects) and 0 <= target < len(objects.nodes):
                seen.add((child, target))
                waiting.append((child, target))


def _same_ids(checkpoint: Checkpoint, facts: Facts) -> bool:
    """Whether the checkpoint's ids are those of the nodes: so it is in what TensorFlow writes."""
    objects = facts.objects
    assert objects is not None
    with_value = [node_id for node_id, stored in enumerate(checkpoint.objects) if _VALUE in stored.stored]
    same = [each for each in with_value if each < len(objects.nodes) and objects.kinds[each] == "variable"]
    return bool(checkpoint.objects) and len(same) >= len(with_value) - 1


def _is_signature_map(facts: Facts, node_id: int) -> bool:
    node = facts.objects.nodes[node_id] if facts.objects is not None else None
    return node is not None and node.user_object is not None and node.user_object.identifier == "signature_map"


def _type(variable: SavedVariable) -> str:
    return f"{dtype_name(variable.dtype)} {shape_words(variable.shape.shape)}"
