"""The object graph: its nodes, decoded when asked for, and the paths by which a user reaches them."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, overload

from trimtab.errors import ArtifactError
from trimtab.savedmodel.message import BYTES, MAX_DECLARED, decode, fields
from trimtab.savedmodel.object_protos import SavedConcreteFunction, SavedObject, SavedUserObject
from trimtab.savedmodel.outlines import MAX_TRACES, Outline, outline
from trimtab.savedmodel.schema import SCHEMA
from trimtab.source.wire import encode_varint

if TYPE_CHECKING:
    from trimtab.savedmodel.index import MetaGraphIndex, Span
    from trimtab.source.bytes import ByteSource

MAX_CAPTURES = 20_000
"""How many nodes one function captures."""

MAX_PATHS = 8 << 20
"""How many characters the paths of all nodes have."""

_MAX_SEARCHES, _SEARCHED_BYTES = 100, 128 << 20
"""How often the bytes of the nodes are searched, and how many: beyond that, decoding them all is cheaper."""

_START = 1
_USER_OBJECT = next(field.number for field in SCHEMA.messages["SavedObject"] if field.name == "user_object")


class ObjectGraph:
    """The SavedObjectGraph of a MetaGraph. Node 0 is the root; node ids are positions.

    nodes: every SavedObject. concrete_functions: every SavedConcreteFunction, by the name of its FunctionDef.
    """

    def __init__(self, source: ByteSource, index: MetaGraphIndex, span: Span) -> None:
        data = source.read(span.start, span.end - span.start)
        self._where = f"{source.name}: object_graph_def"
        self._searches_left = min(_MAX_SEARCHES, _SEARCHED_BYTES // (len(data) + 1))
        self.nodes = Nodes(data, index, span.start, f"{source.name}: nodes")
        self.concrete_functions = ConcreteFunctions(data, index, span.start, f"{source.name}: concrete_functions")

    @cached_property
    def kinds(self) -> Sequence[str]:
        """The kind of each node, without decoding it."""
        return [outline.kind for outline in self._outlines]

    @cached_property
    def children(self) -> Sequence[Mapping[str, int]]:
        """The children of each node: their ids by local name, without decoding it."""
        return [outline.children for outline in self._outlines]

    @cached_property
    def traces(self) -> Sequence[tuple[str, ...]]:
        """Of each node that is a SavedFunction, the names of its traces in trial order, without decoding it."""
        return [outline.traces for outline in self._outlines]

    def listing(self, trace: str) -> int | None:
        """The SavedFunction that lists a trace, the first in the order of nodes, or None.

        The first few are found by their bytes, which saves decoding every node for the sake of one.
        """
        if self._searches_left > 0:
            self._searches_left -= 1
            return self.nodes.find(trace)
        return self._listings.get(trace)

    @cached_property
    def _listings(self) -> Mapping[str, int]:
        functions = [node_id for node_id, kind in enumerate(self.kinds) if kind == "function"]
        return {trace: node_id for node_id in reversed(functions) for trace in self.traces[node_id]}

    @cached_property
    def paths(self) -> Mapping[int, str]:
        """By node id, the shortest path from the root: `root`, `root.layers.0.kernel`. Unreachable nodes have none.

        Cycles are common and harmless: each node is visited once. Edges to nodes that do not exist are passed over.
        """
        paths = {0: "root"} if self.nodes else {}
        waiting = deque(paths)
        left = MAX_PATHS
        while waiting:
            node_id = waiting.popleft()
            for name, child in self.children[node_id].items():
                if child not in paths and 0 <= child < len(self.nodes):
                    left -= len(paths[node_id]) + len(name)
                    if left < 0:
                        raise _too_many(self._where, f"{MAX_PATHS} characters of object paths")
                    paths[child] = f"{paths[node_id]}.{name}"
                    waiting.append(child)
        return paths

    def find(self, path: str) -> int | None:
        """The node at a path, with or without the leading `root`; None when there is none. Names may contain dots."""
        if path in ("", "root"):
            return 0 if self.nodes else None
        return self._find(0, path.removeprefix("root.")) if self.nodes else None

    def _find(self, node_id: int, path: str) -> int | None:
        seen = {(node_id, path)}
        waiting = [(node_id, path)]
        while waiting:
            node_id, path = waiting.pop()
            for name, child in self.children[node_id].items():
                if not 0 <= child < len(self.nodes):
                    continue
                if path == name:
                    return child
                rest = (child, path[len(name) + 1 :])
                if path.startswith(f"{name}.") and rest not in seen:
                    seen.add(rest)
                    waiting.append(rest)
        return None

    @cached_property
    def _outlines(self) -> list[Outline]:
        outlines = []
        traces = 0
        for node_id in range(len(self.nodes)):
            outlines.append(self.nodes.outline(node_id))
            traces += len(outlines[-1].traces)
            if traces > MAX_TRACES:
                raise _too_many(self._where, f"{MAX_TRACES} traces")
        return outlines


class Nodes(Sequence[SavedObject]):
    """The nodes by id; each is decoded when asked for."""

    def __init__(self, data: bytes, index: MetaGraphIndex, offset: int, where: str) -> None:
        self._data = data
        self._spans = index.nodes
        self._offset = offset
        self._where = where
        self._made: dict[int, SavedObject] = {}

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, node_id: int) -> SavedObject: ...
    @overload
    def __getitem__(self, node_id: slice) -> Sequence[SavedObject]: ...
    def __getitem__(self, node_id: int | slice) -> SavedObject | Sequence[SavedObject]:
        if isinstance(node_id, slice):
            return [self[each] for each in range(*node_id.indices(len(self)))]
        made = self._made.get(node_id)
        if made is None:
            _, start, end = self._spans[node_id]
            where = f"{self._where}[{node_id}]"
            begin, stop = start - self._offset, end - self._offset
            made = decode(SavedObject, self._data, where, begin, stop, max_fields=MAX_DECLARED)
            self._made[node_id] = made
        return made

    def user_object(self, node_id: int) -> SavedUserObject | None:
        """What a node says of its class, without its children: a root may have thousands."""
        _, start, end = self._spans[node_id]
        where, found = f"{self._where}[{node_id}]", None
        for number, wire_type, begin, stop in fields(self._data, start - self._offset, end - self._offset, where):
            if number == _USER_OBJECT and wire_type == BYTES:
                found = decode(SavedUserObject, self._data, where, begin, stop)
        return found

    def find(self, trace: str) -> int | None:
        """The first SavedFunction that lists a trace, by the bytes of its name."""
        name = trace.encode()
        written = b"\x0a" + encode_varint(len(name)) + name
        at = self._data.find(written)
        while at >= 0:
            node_id = bisect_right(self._spans, at + self._offset, key=itemgetter(_START)) - 1
            end = self._spans[node_id].end - self._offset if node_id >= 0 else 0
            if at < end and trace in self.outline(node_id).traces:
                return node_id
            at = self._data.find(written, max(at + 1, end))
        return None

    def outline(self, node_id: int) -> Outline:
        """The outline of a node."""
        _, start, end = self._spans[node_id]
        return outline(self._data, start - self._offset, end - self._offset, f"{self._where}[{node_id}]")


class ConcreteFunctions(Mapping[str, SavedConcreteFunction]):
    """The concrete functions by name; each is decoded when asked for."""

    def __init__(self, data: bytes, index: MetaGraphIndex, offset: int, where: str) -> None:
        self._data = data
        self._spans = index.concrete_functions
        self._offset = offset
        self._where = where
        self._made: dict[str, SavedConcreteFunction] = {}

    def __getitem__(self, name: str) -> SavedConcreteFunction:
        made = self._made.get(name)
        if made is None:
            _, start, end = self._spans[name]
            where = f"{self._where}[{name!r}]"
            made = SavedConcreteFunction()
            for number, wire_type, begin, stop in fields(self._data, start - self._offset, end - self._offset, where):
                if number == 2 and wire_type == BYTES:
                    made = decode(SavedConcreteFunction, self._data, where, begin, stop, max_fields=MAX_DECLARED)
            if len(made.bound_inputs) > MAX_CAPTURES:
                raise _too_many(where, f"{MAX_CAPTURES} bound_inputs")
            self._made[name] = made
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._spans

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)


def _too_many(where: str, limit: str) -> ArtifactError:
    return ArtifactError(
        where=where,
        expected=f"at most {limit}",
        got="more",
        hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
    )
