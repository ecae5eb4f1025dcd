"""Where things lie in the proto, as a person would write the path to them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.savedmodel.model import MetaGraph


class Places:
    """The paths of one MetaGraph's parts, such as `meta_graphs[0].graph_def.library.function[3]`."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._meta_graph = meta_graph
        self.meta_graph = meta_graph.where.removeprefix(f"{meta_graph.source.name}: ")

    def signature_def(self, key: str) -> str:
        """A SignatureDef."""
        return f"{self.meta_graph}.signature_def[{quoted(key)}]"

    def collection(self, name: str) -> str:
        """A collection."""
        return f"{self.meta_graph}.collection_def[{quoted(name)}]"

    def object(self, node_id: int, field: str = "") -> str:
        """A node of the object graph, or the field of it that says what it is."""
        return f"{self.meta_graph}.object_graph_def.nodes[{node_id}]{'.' if field else ''}{field}"

    def concrete_function(self, name: str) -> str:
        """A SavedConcreteFunction."""
        return f"{self.meta_graph}.object_graph_def.concrete_functions[{quoted(name)}]"

    def function(self, name: str) -> str:
        """A FunctionDef, by its position in the library."""
        position = self._functions.get(name)
        return f"{self.meta_graph}.graph_def.library.function[{'missing' if position is None else position}]"

    def graph_node(self, name: str) -> str:
        """A NodeDef of the graph, by its position."""
        position = self._graph_nodes.get(name)
        return f"{self.meta_graph}.graph_def.node[{'missing' if position is None else position}]"

    @cached_property
    def _functions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._meta_graph.library)}

    @cached_property
    def _graph_nodes(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._meta_graph.graph_def.node)}


def quoted(key: str) -> str:
    """A map's key as it stands in a path."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
