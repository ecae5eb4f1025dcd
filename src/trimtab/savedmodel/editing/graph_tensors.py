"""Which tensor of the graph stands for an object of the model, so that TF1 and C++ can feed it to a function.

The object graph and the graph say nothing of each other outright. First in trust is what an existing call of a function
is given, then what each kind of object leaves in the graph: a variable the handle that its value is restored into, a
constant its node, an asset the variable that holds its path, a table the op that has its name. But some calls mislead:
those of initializers assign an asset's path anew, and Keras 3 models saved by `tf.saved_model.save` feed their
signatures with handles that nothing restores.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.wrapper import CALLS
from trimtab.savedmodel.message import BYTES, fields, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.editing.draft import Draft

_MAX_HOPS = 32


class GraphTensors:
    """The tensors of a draft's graph by the node ids of the objects that they stand for."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def tensor(self, node_id: int) -> str:
        """The name of the tensor, as a node's input. ArtifactError when nothing in the graph stands for the object."""
        if node_id not in self._draft.objects:
            raise ArtifactError(
                "a function captures a node that does not exist",
                where=self._draft.meta_graph.where,
                expected=f"a node id below {len(self._draft.objects)}",
                got=str(node_id),
            )
        found = (
            self._variable(node_id)
            or self._stored(node_id)
            or self._fed.get(node_id)
            or self._created(self._draft.objects[node_id])
        )
        if found is None:
            node = self._draft.objects[node_id]
            raise ArtifactError(
                "no tensor of the graph stands for an object that the function captures",
                where=f"{self._draft.meta_graph.where}.object_graph_def.nodes[{node_id}]",
                got=f"a {node.WhichOneof('kind') or 'node without a kind'} {node.variable.name or node.asset}".rstrip(),
                hint="TF1 and C++ could not call the signature. Was the model saved by tf.saved_model.save, with its"
                " saver?",
            )
        return found

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        """What is needed of the nodes: not of the constants, which may be large."""
        outlines = self._draft.meta_graph.graph_def.node
        small = (name for name in self._draft.nodes if name not in outlines or outlines[name].op != "Const")
        return {name: self._draft.nodes[name] for name in small}

    @cached_property
    def _fed(self) -> dict[int, str]:
        """By what the calls of the graph give to the captures of the functions that they call."""
        found: dict[int, str] = {}
        for node in self._nodes.values():
            callee = node.attr["f"].func.name if node.op in CALLS else ""
            if callee not in self._draft.concrete_functions:
                continue
            bound = self._draft.concrete_functions[callee].bound_inputs
            given = _data_inputs(node)
            if callee in self._draft.functions and bound:
                arguments = len(self._draft.functions[callee].signature.input_arg)
                if arguments == len(given):
                    found |= dict(zip(bound, given[-len(bound) :], strict=True))
        return found

    def _variable(self, node_id: int) -> str | None:
        """The handle of a variable: the one in use, if its value is restored, or else one that is."""
        fed = self._fed.get(node_id)
        return fed if fed in self._restored.values() else self._restored.get(node_id)

    def _stored(self, node_id: int) -> str | None:
        """The tensor of a constant or an asset."""
        node = self._draft.objects[node_id]
        match node.WhichOneof("kind"):
            case "constant":
                operation = str(node.constant.operation)
                return operation if operation in self._draft.nodes else None
            case "asset":
                return self._asset(node.asset.asset_file_def_index)
        return None

    def _asset(self, position: int) -> str | None:
        """The variable that the asset's path is assigned to when the model is loaded: the path is fed only then."""
        files = self._draft.meta_graph.asset_file_def
        if not 0 <= position < len(files):
            return None
        placeholder = (files[position].tensor_info.name or "").partition(":")[0]
        inputs = {name: list(map(_plain, node.input)) for name, node in self._nodes.items()}
        variables = {
            given[0]
            for name, given in inputs.items()
            if self._nodes[name].op == "AssignVariableOp" and given[1:2] == [placeholder]
        }
        reads = [
            name
            for name, given in inputs.items()
            if self._nodes[name].op == "ReadVariableOp" and not variables.isdisjoint(given[:1])
        ]
        return min(reads, key=lambda name: len(inputs[name]), default=None)  # the one that waits for nothing

    def _created(self, node: Any) -> str | None:
        """The op with the shared name of the one that the object's creator runs."""
        creators = [edge.node_id for edge in node.children if edge.local_name == "_create_resource"]
        for creator in creators:
            made = self._draft.objects.get(creator)
            for name in made.function.concrete_functions if made is not None else ():
                for op in self._ops(name):
                    shared = op.attr["shared_name"].s if "shared_name" in op.attr else b""
                    for each in self._nodes.values() if shared else ():
                        if each.op == op.op and each.attr["shared_name"].s == shared:
                            return str(each.name)
        return None

    def _ops(self, name: str) -> Iterator[Any]:
        """The nodes of a function and of what it calls."""
        waiting, seen = [name], {name}
        while waiting:
            function = self._draft.functions.get(waiting.pop())
            for node in function.node_def if function is not None else ():
                yield node
                callee = node.attr["f"].func.name if "f" in node.attr else ""
                if callee and callee not in seen:
                    seen.add(callee)
                    waiting.append(callee)

    @cached_property
    def _restored(self) -> dict[int, str]:
        """The handles of variables, by what is restored into each from which key of the checkpoint."""
        handles = self._handles_by_key()
        found: dict[int, str] = {}
        for node_id, keys in self._keys().items():
            for key in keys:
                if key in handles and node_id in self._draft.objects:
                    found[node_id] = handles[key]
        return found

    def _handles_by_key(self) -> dict[str, str]:
        """By checkpoint key, the tensor whose variable the restore op assigns."""
        call = self._nodes.get(self._draft.meta_graph.saver_def.restore_op_name)
        if call is None or call.op not in CALLS or call.attr["f"].func.name not in self._draft.functions:
            return {}
        function = self._draft.functions[call.attr["f"].func.name]
        given = dict(zip((each.name for each in function.signature.input_arg), _data_inputs(call), strict=False))
        nodes = {node.name: node for node in function.node_def}
        found = {}
        for node in nodes.values():
            if node.op == "AssignVariableOp" and len(node.input) > 1 and node.input[0] in given:
                key = _restored_key(node.input[1], nodes)
                if key is not None:
                    found[key] = given[node.input[0]]
        return found

    def _keys(self) -> dict[int, list[str]]:
        """By node id, the keys that the checkpoint has for the object: from the object graph that is saved with it."""
        save = self._nodes.get(self._draft.meta_graph.saver_def.save_tensor_name.partition(":")[0])
        for name in map(_plain, _data_inputs(save)) if save is not None else ():
            constant = self._draft.nodes.get(name) if name not in self._nodes else None
            if constant is None or constant.op != "Const":
                continue
            values = constant.attr["value"].tensor.string_val
            if len(values) != 1:
                continue
            return _checkpoint_keys(values[0], f"{self._draft.meta_graph.where}.graph_def.node[{name!r}]")
        return {}


def _checkpoint_keys(data: bytes, where: str) -> dict[int, list[str]]:
    """By node id, the checkpoint keys of a TrackableObjectGraph: nodes(1).attributes(2).checkpoint_key(3).

    Its node ids are those of the SavedModel's own object graph.
    """
    keys: dict[int, list[str]] = {}
    node_id = 0
    for number, kind, start, end in fields(data, 0, len(data), where):
        if (number, kind) != (1, BYTES):
            continue
        for inner, inner_kind, begin, stop in fields(data, start, end, where):
            if (inner, inner_kind) == (2, BYTES):
                for part, part_kind, at, until in fields(data, begin, stop, where):
                    if (part, part_kind) == (3, BYTES):
                        keys.setdefault(node_id, []).append(text(data, at, until, where))
        node_id += 1
    return keys


def _restored_key(reference: str, nodes: dict[str, Any]) -> str | None:
    """The checkpoint key of the value that comes out of RestoreV2, through identities."""
    for _ in range(_MAX_HOPS):
        name, _, rest = reference.partition(":")
        node = nodes.get(name)
        if node is None:
            return None
        if node.op == "RestoreV2":
            names = nodes.get(_plain(node.input[1])) if len(node.input) > 1 else None
            keys = names.attr["value"].tensor.string_val if names is not None else ()
            position = rest.rpartition(":")[2]
            known = position.isdecimal() and int(position) < len(keys)
            return keys[int(position)].decode(errors="replace") if known else None
        if node.op not in ("Identity", "Cast") or not node.input:
            return None
        reference = node.input[0]
    return None


def _data_inputs(node: Any) -> list[str]:
    return [str(each) for each in node.input if not each.startswith("^")]


def _plain(reference: str) -> str:
    return reference.partition(":")[0]
