"""How much there is to check, told before it is checked: a small file must not keep its reader busy for long.

Rules decode every node, and what that takes grows with the nodes and with their bytes; constants count little, since
they are passed over. A model whose size is its weights has as much to check as one without them, so that large files
are allowed more for their size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.graph import MAX_NODE_BYTES
from trimtab.savedmodel.message import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.model import MetaGraph, SavedModel

MAX_WORK = 6 << 20
"""How many bytes of nodes are checked at least: those of some 24,000 nodes, which takes a second or two."""

_BYTES_OF_FILE = 8
"""Of how many bytes of the proto one more may be checked."""

_NODE, _MOST_OF_A_NODE, _META_GRAPH = 64, 4096, 64 << 10
"""What a node costs besides its bytes; how many of its bytes count; what a MetaGraph costs."""


def unchecked(model: SavedModel) -> ArtifactError | None:
    """Why a model is not checked: it has more nodes than are checked in a few seconds; None when it is."""
    left = most = max(MAX_WORK, model.source.size // _BYTES_OF_FILE)
    for meta_graph in model.meta_graphs:
        left -= _META_GRAPH
        for size in _node_sizes(meta_graph):
            left -= _NODE + min(size, _MOST_OF_A_NODE)
            if left < 0:
                return ArtifactError(
                    "is not checked: there is too much",
                    where=meta_graph.where,
                    expected=f"at most {most >> 10} KiB of nodes, which a model of this size seldom has",
                    got="more; rules that are named one by one run whatever it takes",
                )
        if left < 0:
            return ArtifactError(
                "is not checked: there is too much", where=meta_graph.where, expected="fewer MetaGraphs", got="more"
            )
    return None


def _node_sizes(meta_graph: MetaGraph) -> Iterator[int]:
    """The bytes of every node of the graph and of its functions, as far as they can be told."""
    yield from (end - start for _, start, end in meta_graph.index.node)
    for name, (_, start, end) in meta_graph.index.function.items():
        if end - start > MAX_NODE_BYTES:
            continue
        data = meta_graph.source.read(start, end - start)
        try:
            for number, _, begin, stop in fields(data, 0, len(data), name):
                if number == _NODE_DEF:
                    yield stop - begin
        except ArtifactError:
            continue  # a rule meets it again and reports it


_NODE_DEF = 3
