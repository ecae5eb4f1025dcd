"""Rules of the object graph: its nodes are there, are something, and can be loaded one after another."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.verifying.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.objects import ObjectGraph
    from trimtab.savedmodel.verifying.facts import Facts


@rule("NODE_MISSING")
def node_missing(facts: Facts) -> Iterator[Problem]:
    """Every node id, of a child, a dependency, a capture or a saver's function, is the position of a node.

    Who breaks: TensorFlow 2 refuses the model: `Found values in the dependency map which are not keys`.
    Instead: correct the id. Ids are positions: whoever removes a node shifts all that follow.
    """
    objects = facts.objects
    if objects is None:
        return
    count = len(objects.nodes)
    for node_id, node in enumerate(objects.nodes):
        where = facts.node_where(node_id)
        ids = [(f"children[{each.local_name!r}]", each.node_id) for each in node.children]
        ids += [(f"dependencies[{each.local_name!r}]", each.node_id) for each in node.dependencies]
        for name, functions in node.saveable_objects.items():
            ids.append((f"saveable_objects[{name!r}].save_function", functions.save_function))
            ids.append((f"saveable_objects[{name!r}].restore_function", functions.restore_function))
        for place, target in ids:
            if not 0 <= target < count:
                yield Problem(f"{where}.{place}", "an id of no node", f"0 to {count - 1}", str(target))
    for name, concrete in objects.concrete_functions.items():
        for position, target in enumerate(concrete.bound_inputs):
            if not 0 <= target < count:
                where = f"{facts.where}.object_graph_def.concrete_functions[{name!r}].bound_inputs[{position}]"
                yield Problem(where, "an id of no node", f"0 to {count - 1}", str(target))


@rule("TAGS")
def tags(facts: Facts) -> Iterator[Problem]:
    """MetaGraphs have tags, no two the same, and one with an object graph is tagged `serve`; the schema's version is 1.

    Who breaks: loaders ask for a MetaGraph by its tags; servers ask for `serve`.
    Instead: give each MetaGraph tags of its own.
    """
    where = f"{facts.where}.meta_info_def.tags"
    own = facts.meta_graph.tags
    others = [each for each in facts.model.meta_graphs if each.where != facts.where]
    if not own or "" in own:
        yield Problem(where, "tags are missing", got=listed(map(repr, own)))
    elif facts.objects is not None and "serve" not in own:
        yield Problem(where, "the tags", "'serve' among them", listed(own))
    if any(set(each.tags) == set(own) for each in others):
        yield Problem(where, "another MetaGraph has the same tags", got=listed(own))
    if facts.objects is not None and others:
        yield Problem(facts.where, "an object graph beside another MetaGraph: TensorFlow 2 loads neither")
    version = facts.model.saved_model_schema_version
    if version != 1:
        yield Problem(f"{facts.model.name}: saved_model_schema_version", "the version", "1", str(version))


@rule("NODE_KIND")
def node_kind(facts: Facts) -> Iterator[Problem]:
    """Every node is of one kind: a user object, a variable, a function, and so on; the root is a user object.

    Who breaks: TensorFlow 2 refuses the model.
    Instead: blank a node that is not needed to an empty `user_object`.
    """
    objects = facts.objects
    for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
        if not kind:
            yield Problem(facts.node_where(node_id), "a node of no kind")
        elif node_id == 0 and kind != "user_object":
            yield Problem(facts.node_where(node_id), "the kind of the root", "user_object", kind)


@rule("CHILD_REPEATED")
def child_repeated(facts: Facts) -> Iterator[Problem]:
    """The names of a node's children are distinct.

    Who breaks: one of the two cannot be reached by its name; which one depends on the reader.
    Instead: rename one of them.
    """
    objects = facts.objects
    for node_id, node in enumerate(objects.nodes if objects is not None else ()):
        names = Counter(each.local_name for each in node.children)
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            where = f"{facts.node_where(node_id)}.children"
            yield Problem(where, "names are repeated", got=listed(sorted(repeated)))


@rule("DEPENDENCIES")
def dependencies(facts: Facts) -> Iterator[Problem]:
    """What a node depends on is among its children, under the same name; a function depends on all of them.

    Who breaks: TensorFlow 2 loads another object first than the one that is needed.
    Instead: make `dependencies` say what `children` say.
    """
    objects = facts.objects
    for node_id, node in enumerate(objects.nodes if objects is not None else ()):
        assert objects is not None
        for each in node.dependencies:
            child = objects.children[node_id].get(each.local_name)
            if child != each.node_id:
                where = f"{facts.node_where(node_id)}.dependencies[{each.local_name!r}]"
                expected = "no such dependency" if child is None else f"{facts.node_name(child)}, as in children"
                yield Problem(where, "the node", expected, facts.node_name(each.node_id))
        is_function = node.function is not None or node.bare_concrete_function is not None
        missing = set(objects.children[node_id]) - {each.local_name for each in node.dependencies}
        if is_function and node.dependencies and missing:
            where = f"{facts.node_where(node_id)}.dependencies"
            yield Problem(where, "children of a function that it does not depend on", got=listed(sorted(missing)))


@rule("DEPENDENCY_CYCLE")
def dependency_cycle(facts: Facts) -> Iterator[Problem]:
    """No node has to be loaded before itself, through `dependencies`, captures and creator functions.

    Children may form cycles, and often do.
    Who breaks: TensorFlow 2 refuses the model: `Encountered a cycle in the deserialization dependencies`.
    Instead: take away the dependency that closes the cycle.
    """
    objects = facts.objects
    if objects is None:
        return
    needed = _needed(objects)
    waiting = [len(each) for each in needed]
    needing: list[list[int]] = [[] for _ in needed]
    for node_id, targets in enumerate(needed):
        for target in targets:
            needing[target].append(node_id)
    ready = [node_id for node_id, count in enumerate(waiting) if not count]
    while ready:
        for node_id in needing[ready.pop()]:
            waiting[node_id] -= 1
            if not waiting[node_id]:
                ready.append(node_id)
    stuck = [node_id for node_id, count in enumerate(waiting[: len(objects.nodes)]) if count]
    if stuck:
        names = listed(facts.node_name(node_id) for node_id in stuck[:12])
        yield Problem(f"{facts.where}.object_graph_def.nodes", "nodes that wait for one another", got=names)


def _needed(objects: ObjectGraph) -> list[list[int]]:
    """What TensorFlow loads before each node; concrete functions stand after the nodes, as if they were such."""
    count = len(objects.nodes)
    ids = {name: count + position for position, name in enumerate(objects.concrete_functions)}
    found: list[list[int]] = []
    for node_id, node in enumerate(objects.nodes):
        needs = {each.node_id for each in node.dependencies}
        if node.function is not None:
            needs |= {ids[name] for name in objects.traces[node_id] if name in ids}
        if node.bare_concrete_function is not None and node.bare_concrete_function.concrete_function_name in ids:
            needs.add(ids[node.bare_concrete_function.concrete_function_name])
        if node.resource is not None:
            needs |= {each.node_id for each in node.children if each.local_name == "_create_resource"}
        found.append([each for each in needs if 0 <= each < count + len(ids)])
    functions = objects.concrete_functions.values()
    return found + [[each for each in set(function.bound_inputs) if 0 <= each < count] for function in functions]


@rule("SIGNATURE_MAP")
def signature_map(facts: Facts) -> Iterator[Problem]:
    """The root's child `signatures` is the map of the signatures, and its children are bare functions.

    Who breaks: in TensorFlow 2, `loaded.signatures` is no map, or has an entry that cannot be called.
    Instead: a user object of the identifier `signature_map` whose children are SavedBareConcreteFunctions.
    """
    objects = facts.objects
    node_id = objects.children[0].get("signatures") if objects is not None and len(objects.nodes) else None
    if objects is None or node_id is None or not 0 <= node_id < len(objects.nodes):
        return
    node = objects.nodes[node_id]
    if node.user_object is None or node.user_object.identifier != "signature_map":
        got = node.user_object.identifier if node.user_object is not None else node.kind
        yield Problem(
            facts.node_where(node_id), "the map of the signatures", "a user object 'signature_map'", repr(got)
        )
        return
    for name, child in objects.children[node_id].items():
        if 0 <= child < len(objects.nodes) and objects.kinds[child] != "bare_concrete_function":
            where = f"{facts.node_where(node_id)}.children[{name!r}]"
            yield Problem(where, "what a signature is", "a bare_concrete_function", objects.kinds[child])


@rule("CONSTANT_MISSING")
def constant_missing(facts: Facts) -> Iterator[Problem]:
    """A SavedConstant names a Const node of the graph, and no two name the same.

    Who breaks: TensorFlow 2 refuses the model; two constants of one name are one constant.
    Instead: name the node that holds the value.
    """
    objects = facts.objects
    owners: dict[str, int] = {}
    for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
        constant = objects.nodes[node_id].constant if objects is not None and kind == "constant" else None
        if constant is None:
            continue
        where = f"{facts.node_where(node_id)}.constant.operation"
        node = facts.bodies.graph.nodes.get(constant.operation)
        if node is None or node.op != "Const":
            got = repr(constant.operation) if node is None else f"{constant.operation!r}, a {node.op}"
            yield Problem(where, "the constant's node", "a Const of the graph", got)
        owner = owners.setdefault(constant.operation, node_id)
        if owner != node_id:
            yield Problem(where, "a node that is another constant's", got=f"{constant.operation!r}, of node {owner}")


@rule("ASSET_MISSING")
def asset_missing(facts: Facts) -> Iterator[Problem]:
    """A SavedAsset is an entry of `asset_file_def` of its own; the entry's tensor is in the graph, its file beside it.

    Who breaks: the tables or vocabularies that are read from it cannot be initialized.
    Instead: correct the index, or bring back the file below `assets/`.
    """
    files = facts.meta_graph.asset_file_def
    objects = facts.objects
    owners: dict[int, int] = {}
    for node_id, kind in enumerate(objects.kinds if objects is not None else ()):
        asset = objects.nodes[node_id].asset if objects is not None and kind == "asset" else None
        if asset is not None and not 0 <= asset.asset_file_def_index < len(files):
            where = f"{facts.node_where(node_id)}.asset.asset_file_def_index"
            yield Problem(
                where, "the index", f"0 to {len(files) - 1}" if files else "no asset", str(asset.asset_file_def_index)
            )
        elif asset is not None and owners.setdefault(asset.asset_file_def_index, node_id) != node_id:
            where = f"{facts.node_where(node_id)}.asset.asset_file_def_index"
            other = facts.node_name(owners[asset.asset_file_def_index])
            yield Problem(where, "the entry of another asset", got=f"{asset.asset_file_def_index}, of {other}")
    for position, each in enumerate(files):
        where = f"{facts.where}.asset_file_def[{position}]"
        tensor = facts.bodies.graph.tensor(each.tensor_info.name or "")
        if tensor is None or (tensor.dtype and dtype_name(tensor.dtype) != "string"):
            yield Problem(f"{where}.tensor_info", "not a string tensor of the graph", got=repr(each.tensor_info.name))
        if facts.directory is not None:
            path = os.path.join(facts.directory, "assets", each.filename)
            inside = os.path.normpath(path).startswith(
                os.path.join(os.path.normpath(facts.directory), "assets") + os.sep
            )
            if not inside or not os.path.isfile(path):
                yield Problem(f"{where}.filename", "the file", "a file below assets/", repr(each.filename))
