"""What a page needs to draw a MetaGraph: every object with its children and its facts, every function of the library.

Plain data with short keys, for it is embedded in the page once per node. A page lays it out and expands it as asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.captures import captures
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.structure import shape_text
from trimtab.savedmodel.touring.places import Places
from trimtab.savedmodel.touring.wording import argument_type, captured_type, in_words

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import ArgDef
    from trimtab.savedmodel.links import PolymorphicFunction
    from trimtab.savedmodel.model import MetaGraph
    from trimtab.savedmodel.object_protos import SavedObject

MAX_REFERENCES = 50
"""How many references to one thing a page names."""


def drawing(meta_graph: MetaGraph) -> dict[str, Any]:
    """`objects` by node id and `functions` in the library's order, as data for JSON.

    An object: `kind`, `path`, `where`, `label`, `facts` as pairs, `children` as pairs of local name and node id,
    `captures` as node ids, `functions` that it names. A function: `name`, `where`, `facts`, `calls`, `references`.
    """
    return _Drawing(meta_graph).data()


class _Drawing:
    def __init__(self, meta_graph: MetaGraph) -> None:
        self._meta_graph = meta_graph
        self._places = Places(meta_graph)
        self._references = meta_graph.references
        self._captured = self._captured_facts()

    def data(self) -> dict[str, Any]:
        objects = self._meta_graph.object_graph_def
        count = len(objects.nodes) if objects is not None else 0
        return {
            "where": self._places.meta_graph,
            "objects": [self._object(node_id) for node_id in range(count)],
            "functions": [self._function(name) for name in self._meta_graph.library],
        }

    def _object(self, node_id: int) -> dict[str, Any]:
        objects = self._meta_graph.object_graph_def
        assert objects is not None
        node = objects.nodes[node_id]
        names = self._named(node)
        known = objects.concrete_functions
        bound = (each for name in names if name in known for each in known[name].bound_inputs)
        return {
            "kind": node.kind,
            "path": objects.paths.get(node_id, ""),
            "where": self._places.object(node_id, node.kind),
            "label": self._label(node_id, node),
            "facts": [pair for pair in self._facts(node_id, node) if pair[1]],
            "children": [
                [name, child] for name, child in objects.children[node_id].items() if 0 <= child < len(objects.nodes)
            ],
            "captures": [each for each in dict.fromkeys(bound) if 0 <= each < len(objects.nodes)],
            "functions": list(names),
            "references": [
                {"what": each.what, "does": each.does, "node": each.node_id, "function": each.function}
                for each in self._references.to_node(node_id)[:MAX_REFERENCES]
            ],
        }

    def _named(self, node: SavedObject) -> tuple[str, ...]:
        if node.function is not None:
            return node.function.concrete_functions
        return (node.bare_concrete_function.concrete_function_name,) if node.bare_concrete_function is not None else ()

    def _label(self, node_id: int, node: SavedObject) -> str:
        """What tells the node from others of its kind, beside its name."""
        if node.variable is not None:
            return f"{dtype_name(node.variable.dtype)} {shape_text(node.variable.shape.shape)}"
        if node.function is not None:
            number = len(node.function.concrete_functions)
            return "untraced" if not number else f"{number} trace{'s' if number > 1 else ''}"
        if node.user_object is not None:
            identifier = node.user_object.identifier
            return "" if identifier == "_generic_user_object" else identifier
        return self._captured.get(node_id, ("", ""))[1]

    def _facts(self, node_id: int, node: SavedObject) -> list[tuple[str, str]]:
        name, held = self._captured.get(node_id, ("", ""))
        facts = [("holds", held), ("named", name)]
        if node.variable is not None:
            shape = shape_text(node.variable.shape.shape)
            facts = [("holds", f"{dtype_name(node.variable.dtype)} {shape}"), ("named", node.variable.name)]
            facts.append(("trainable", "yes" if node.variable.trainable else "no"))
        if node.user_object is not None:
            facts.append(("identifier", node.user_object.identifier))
        if node.function is not None:
            function = self._meta_graph.functions.get(self._path(node_id))
            facts.append(("parameters", _parameters(function)))
        if node.bare_concrete_function is not None:
            facts.append(("keywords", ", ".join(node.bare_concrete_function.argument_keywords)))
        if node.constant is not None:
            facts.append(("graph node", node.constant.operation))
        facts.append(("registered as", node.registered_name))
        facts.append(("needed by", ", ".join(self._references.signatures_capturing(node_id))))
        return facts

    def _path(self, node_id: int) -> str:
        objects = self._meta_graph.object_graph_def
        return objects.paths.get(node_id, f"nodes[{node_id}]").removeprefix("root.") if objects is not None else ""

    def _captured_facts(self) -> dict[int, tuple[str, str]]:
        """Name and type of every node that something captures."""
        objects = self._meta_graph.object_graph_def
        found: dict[int, tuple[str, str]] = {}
        for function in objects.concrete_functions if objects is not None else ():
            bound = objects.concrete_functions[function].bound_inputs if objects is not None else ()
            if all(node_id in found for node_id in bound):
                continue
            try:
                found |= {
                    each.node_id: (each.name, captured_type(each)) for each in captures(self._meta_graph, function)
                }
            except ArtifactError:  # the chain of whoever captures it tells the damage
                continue
        return found

    def _function(self, name: str) -> dict[str, Any]:
        definition = self._meta_graph.library[name]
        return {
            "name": name,
            "where": self._places.function(name),
            "facts": [
                ("takes", _arguments(definition.signature.input_arg)),
                ("returns", _arguments(definition.signature.output_arg)),
            ],
            "calls": list(self._references.callees.get(name, ())),
            "references": [
                {"what": each.what, "does": each.does, "node": each.node_id, "function": each.function}
                for each in self._references.to_function(name)[:MAX_REFERENCES]
            ],
        }


def _arguments(given: tuple[ArgDef, ...]) -> str:
    return ", ".join(f"{each.name}: {argument_type(each)}" for each in given) or "nothing"


def _parameters(function: PolymorphicFunction | None) -> str:
    if function is None:
        return ""
    try:
        return f"{function.path}{function.spec.text(in_words)}"
    except ArtifactError as error:
        return str(error)
