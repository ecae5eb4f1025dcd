"""The proto of an edited SavedModel: the old bytes, with the changed parts put in their places.

An edit touches a few parts of a proto that may hold hundreds of megabytes. So nothing is parsed and written anew:
untouched bytes are copied as they are, and only the lengths of the messages around a change are mended. A part that is
added goes to the end of its run; a map's entry goes where its key sorts, as protobuf's deterministic writers have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import RefusedArtifactError
from trimtab.savedmodel.file import MAX_BINARY_BYTES
from trimtab.source.wire import encode_field, encode_tag, encode_varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trimtab.savedmodel.editing.draft import Change
    from trimtab.savedmodel.index import MetaGraphIndex, Span, Spans
    from trimtab.source.bytes import ByteSource


class Place(NamedTuple):
    """Where the parts of one kind lie: the enclosing message, their field number in it, and whether it is a map."""

    enclosing: str
    number: int
    is_map: bool = False


PLACES: Mapping[str, Place] = {
    "collection_def": Place("meta_graph", 4, is_map=True),
    "signature_def": Place("meta_graph", 5, is_map=True),
    "node": Place("graph_def", 1),
    "function": Place("library", 1),
    "nodes": Place("object_graph_def", 1),
    "concrete_functions": Place("object_graph_def", 2, is_map=True),
}
"""Every place that an edit changes. Within a message they are in the order of their field numbers."""

_ENCLOSED = {"library": ("graph_def", 2), "graph_def": ("meta_graph", 2), "object_graph_def": ("meta_graph", 7)}
"""The messages that enclose parts, the inner ones first: the message around each, and its field number there."""

_DEPTH = {"meta_graph": 0, "graph_def": 1, "object_graph_def": 1, "library": 2}

_META_GRAPHS = 2

_STEP = 1 << 20


class Splice:
    """The new bytes of a proto: `size` of them, in the pieces that `chunks` gives."""

    def __init__(self, source: ByteSource, patches: Sequence[_Patch]) -> None:
        self._source = source
        self._patches = patches
        self.size = source.size + _growth(patches)

    def chunks(self) -> Iterator[bytes]:
        """The bytes in order; old ones are read as they are asked for, at most 1 MiB at a time."""
        position = 0
        for patch in self._patches:
            yield from self._copied(position, patch.start)
            yield patch.data
            position = patch.end
        yield from self._copied(position, self._source.size)

    def _copied(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, _STEP):
            yield self._source.read(at, min(_STEP, end - at))


def splice(source: ByteSource, graph: MetaGraphIndex, changes: Iterable[Change]) -> Splice:
    """The proto in `source` with `changes` made to one of its MetaGraphs.

    changes: of nodes, functions and objects that are added, in the order in which they shall stand.
    RefusedArtifactError when the proto would reach protobuf's limit of 2 GiB.
    """
    patches: dict[str, list[_Patch]] = {name: [] for name in _DEPTH}
    for change in sorted(changes, key=_order):
        place = PLACES[change.place]
        patches[place.enclosing].append(_patch(graph, change, place))
    for name, (outer, number) in _ENCLOSED.items():
        if patches[name]:
            patches[outer] += _mended(graph, name, number, _DEPTH[outer], patches[name])
    top = patches["meta_graph"]
    if top:
        top.append(_header(graph.span, _META_GRAPHS, _growth(top), depth=0))
    spliced = Splice(source, sorted(top, key=_Patch.order))
    if spliced.size >= MAX_BINARY_BYTES:
        raise RefusedArtifactError(
            "the edited proto would be too large",
            where=source.name,
            expected="less than 2 GiB, protobuf's limit",
            got=f"{spliced.size} bytes",
        )
    return spliced


_PLACE_ORDER = list(PLACES)


def _order(change: Change) -> tuple[int, bytes]:
    """Places in the order of the proto, a map's entries by their keys, all others as they come."""
    return _PLACE_ORDER.index(change.place), _map_order(str(change.key)) if PLACES[change.place].is_map else b""


def _map_order(key: str) -> bytes:
    """What protobuf sorts the keys of a map by, in deterministic output: of `x` and `x_1` the longer comes first."""
    return key.encode() + b"\xff"  # no key in UTF-8 holds this byte


class _Patch(NamedTuple):
    """The bytes from `start` to `end` become `data`; they lie in a message at `depth`."""

    start: int
    end: int
    data: bytes
    depth: int

    def order(self) -> tuple[int, bool, int]:
        """At one offset: first what is added to the message that ends there, then to those around it."""
        return self.start, self.end > self.start, -self.depth


def _growth(patches: Iterable[_Patch]) -> int:
    return sum(len(patch.data) - (patch.end - patch.start) for patch in patches)


def _patch(graph: MetaGraphIndex, change: Change, place: Place) -> _Patch:
    data = b""
    if change.after is not None:
        named = (
            encode_field(1, str(change.key).encode()) + encode_field(2, change.after) if place.is_map else change.after
        )
        data = encode_field(place.number, named)
    depth = _DEPTH[place.enclosing]
    if change.span is not None:
        return _Patch(change.span.at, change.span.end, data, depth)
    at = _position(graph, change)
    return _Patch(at, at, data, depth)


def _position(graph: MetaGraphIndex, change: Change) -> int:
    """Where a part that is added goes: behind its run, or behind what comes before it when it is the first."""
    place = PLACES[change.place]
    run: Spans | dict[str, Span] = getattr(graph, change.place)
    if isinstance(run, dict):
        order = _map_order(str(change.key))
        following = [span.at for name, span in run.items() if _map_order(name) > order] if place.is_map else []
        if following:
            return min(following)
    end = _end(run)
    if end:
        return end
    match change.place:
        case "concrete_functions":
            return _end(graph.nodes) or _start(graph, place.enclosing)
        case "collection_def" | "signature_def":
            before = [span.end for span in (graph.meta_info_def, graph.graph_def, graph.saver_def) if span]
            return max([graph.span.start, *before, _end(graph.collection_def)])
    return _start(graph, place.enclosing)


def _end(run: Spans | dict[str, Span]) -> int:
    """The end of the last part of a run; 0 when there is none."""
    return max((span.end for span in (run.values() if isinstance(run, dict) else run)), default=0)


def _start(graph: MetaGraphIndex, enclosing: str) -> int:
    """Where the content of an enclosing message starts; of one that does not exist yet, where it goes."""
    span: Span | None = getattr(graph, enclosing)
    if span is not None:
        return span.start
    match enclosing:
        case "library":
            return _end(graph.node) or _start(graph, "graph_def")
        case "graph_def":
            return graph.meta_info_def.end if graph.meta_info_def else graph.span.start
    return graph.span.end


def _mended(graph: MetaGraphIndex, name: str, number: int, depth: int, inside: list[_Patch]) -> list[_Patch]:
    """What patches inside a message are to the message around it: they themselves, and the message's new length.

    A message that does not exist yet is made of them.
    """
    span: Span | None = getattr(graph, name)
    if span is not None:
        return [_header(span, number, _growth(inside), depth), *inside]
    at = _start(graph, name)
    content = b"".join(patch.data for patch in sorted(inside, key=_Patch.order))
    return [_Patch(at, at, encode_field(number, content), depth)]


def _header(span: Span, number: int, growth: int, depth: int) -> _Patch:
    return _Patch(span.at, span.start, encode_tag(number) + encode_varint(span.end - span.start + growth), depth)
