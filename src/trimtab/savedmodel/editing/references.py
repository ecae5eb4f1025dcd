"""Who else refers to a part: what a step has taken out of use goes only when nothing in the model needs it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trimtab.source.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimtab.savedmodel.editing.draft import Draft

_GRADIENTS = (2, 3)
"""FunctionDefLibrary.gradient and .registered_gradients."""

_MANY = 32


def remove_unused_object(draft: Draft, node_id: int, note: str) -> None:
    """Blank a node that no object names; of a concrete function as an object, what stands behind it goes too."""
    if node_id not in draft.objects or _object_is_used(draft, node_id):
        return
    node = draft.objects[node_id]
    draft.objects.remove(node_id, f"left empty: {note}")
    if node.HasField("bare_concrete_function"):
        remove_unused_concrete_function(draft, node.bare_concrete_function.concrete_function_name, note)


def remove_unused_concrete_function(draft: Draft, name: str, note: str) -> None:
    """Take out a concrete function that no object names, and of the functions behind it those that nothing calls."""
    if name not in draft.concrete_functions or name in _concrete_functions_in_use(draft):
        return
    draft.concrete_functions.remove(name, note)
    remove_unused_functions(draft, name, note)


def remove_unused_functions(draft: Draft, name: str, note: str) -> None:
    """Take out a function, and those that it calls, at any depth, unless something else needs them."""
    calls = _calls_below(draft, name)
    if not calls:
        return
    needed = {each for each in calls if each in draft.concrete_functions}
    needed |= _referred_to_from_outside(draft, calls.keys())
    waiting = list(needed)
    while waiting:
        fresh = calls[waiting.pop()] - needed
        needed |= fresh
        waiting += fresh
    for each in calls:
        if each not in needed:
            draft.functions.remove(each, note)


def remove_unused_nodes(draft: Draft, names: Iterable[str], note: str) -> None:
    """Take nodes out of the graph that no node, signature, collection, saver, asset or object names."""
    candidates = [name for name in names if name in draft.nodes]
    if not candidates:
        return
    used = _nodes_in_use(draft)
    for name in candidates:
        if name not in used:
            draft.nodes.remove(name, note)


def tensor_names(info: Any) -> Iterator[str]:
    """The tensors that a TensorInfo names, whatever their encoding."""
    match info.WhichOneof("encoding"):
        case "name":
            yield info.name
        case "coo_sparse":
            yield from (
                info.coo_sparse.indices_tensor_name,
                info.coo_sparse.values_tensor_name,
                info.coo_sparse.dense_shape_tensor_name,
            )
        case "composite_tensor":
            for component in info.composite_tensor.components:
                yield from tensor_names(component)


def producer(tensor: str) -> str:
    """The node that gives a tensor, or that a control input waits for."""
    return tensor.removeprefix("^").partition(":")[0]


def called(node: Any) -> Iterator[str]:
    """The names of the functions that a node's attributes refer to."""
    yield from _named_functions(node.attr)


def _named_functions(attributes: Any) -> Iterator[str]:
    for value in attributes.values():
        kind = value.WhichOneof("value")
        for function in (value.func,) if kind == "func" else value.list.func if kind == "list" else ():
            yield function.name
            yield from _named_functions(function.attr)


def _object_is_used(draft: Draft, node_id: int) -> bool:
    for node in draft.objects.values():
        edges = (*node.children, *node.dependencies)
        if any(edge.node_id == node_id for edge in edges):
            return True
        if any(node_id in (each.save_function, each.restore_function) for each in node.saveable_objects.values()):
            return True
    return any(node_id in each.bound_inputs for each in draft.concrete_functions.values())


def _concrete_functions_in_use(draft: Draft) -> set[str]:
    names: set[str] = set()
    for node in draft.objects.values():
        match node.WhichOneof("kind"):
            case "function":
                names.update(node.function.concrete_functions)
            case "bare_concrete_function":
                names.add(node.bare_concrete_function.concrete_function_name)
            case "captured_tensor":
                names.add(node.captured_tensor.concrete_function)
    return names


def _calls_below(draft: Draft, name: str) -> dict[str, set[str]]:
    """The function and all that it calls, each with what it calls itself."""
    calls: dict[str, set[str]] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in calls or each not in draft.functions:
            continue
        nodes = draft.functions[each].node_def
        calls[each] = {callee for node in nodes for callee in called(node) if callee in draft.functions}
        waiting += calls[each]
    return calls


def _referred_to_from_outside(draft: Draft, names: Iterable[str]) -> set[str]:
    """Those of `names` that other functions, the graph or a gradient refer to."""
    wanted = set(names)
    mention = _mentions(wanted)
    found: set[str] = set()
    for other in draft.functions:
        if other not in wanted and mention.search(draft.functions.content(other)):
            function = draft.functions[other]
            found.update(callee for node in function.node_def for callee in called(node))
            found.update(value.s.decode("utf-8", "replace") for value in function.attr.values())
    for name in draft.nodes:
        if mention.search(draft.nodes.content(name)):
            found.update(called(draft.nodes[name]))
    library = draft.meta_graph.index.library
    source = draft.meta_graph.source
    if library is not None:
        for field in Wire(source, max_fields=1_000_000).fields(library.start, library.end):
            if field.number in _GRADIENTS:
                text = source.read(field.start, field.end - field.start)
                found.update(name for name in wanted if name.encode() in text)
    return found & wanted


def _mentions(names: set[str]) -> re.Pattern[bytes]:
    """Finds what may name one of `names`, so that most functions and nodes need not be parsed; of many, anything."""
    if len(names) > _MANY:
        return re.compile(b"")
    return re.compile(b"|".join(re.escape(name.encode()) for name in names))


def _nodes_in_use(draft: Draft) -> set[str]:
    """The nodes of the graph that anything names."""
    used = {producer(each) for node in draft.nodes.values() for each in node.input}
    for signature in draft.signature_def.values():
        infos = (*signature.inputs.values(), *signature.outputs.values())
        used.update(producer(tensor) for info in infos for tensor in tensor_names(info))
    used.update(producer(each) for kept in draft.collection_def.values() for each in kept.node_list.value)
    saver = draft.meta_graph.saver_def
    used.update(map(producer, (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name)))
    used.update(producer(asset.tensor_info.name or "") for asset in draft.meta_graph.asset_file_def)
    used.update(node.constant.operation for node in draft.objects.values() if node.HasField("constant"))
    return used
