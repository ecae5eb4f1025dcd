"""A draft: what an edit puts over the parts of one MetaGraph, before anything is written.

Every part that can be edited belongs to a place: the functions, the graph's nodes, the SignatureDefs, the objects, the
concrete functions, the collections. A place reads like a mapping of protobuf messages, and hands out copies; what is
put into it lies over the file. Parts that are not touched are never parsed: they stay as they are, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import DecodeError
from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.message import BYTES, fields
from trimtab.savedmodel.messages import classes, serialize
from trimtab.source.wire import Wire

if TYPE_CHECKING:
    from trimtab.savedmodel.index import Span
    from trimtab.savedmodel.model import MetaGraph, SavedModel
    from trimtab.source.bytes import ByteSource

K = TypeVar("K", str, int)

MAX_PART_BYTES = 256 << 20
"""How large a part may be that is edited: it is parsed as a whole."""

_MAX_NAME = 64 << 10


class Change(Struct, frozen=True):
    """One part that differs from the file.

    place: the field that holds it, by the names of `MetaGraphIndex`: `function`, `node`, `signature_def`, `nodes`,
    `concrete_functions` or `collection_def`. key: its name, the key of a map, or a node id.
    before, after: the message serialized (of a map's entry, the value); None where it is added or removed.
    span: where the part lies in the file (of a map, the entry); None where it is added.
    note: what was done, for a person.
    """

    place: str
    key: str | int
    before: bytes | None
    after: bytes | None
    span: Span | None
    note: str

    @property
    def verb(self) -> str:
        """`add`, `remove` or `change`."""
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "change"


class Edit(Struct, frozen=True):
    """One line of a draft's log: what was done to which part, in the order in which it was done.

    proto: the message that the part is, of an object its kind: `SavedFunction`, `SavedBareConcreteFunction`.
    """

    place: str
    key: str | int
    verb: str
    note: str
    proto: str


class Place(Mapping[K, Any], Generic[K]):
    """The parts of one place by key, in the file's order, as protobuf messages; what was added comes last.

    Reading gives a copy: a change counts once it is `put`. ArtifactError for a key that is not there.
    """

    def __init__(
        self, name: str, message: str, source: ByteSource, spans: Mapping[K, Span], log: list[Edit], *, of_map: bool
    ) -> None:
        self.name = name
        self._class = classes()[message]
        self._source = source
        self._spans: Mapping[K, Span] = spans
        self._log = log
        self._of_map = of_map
        self._over: dict[K, Any] = {}
        self._notes: dict[K, str] = {}

    def put(self, key: K, message: Any, note: str) -> None:
        """Add the part, or put it in the place of what has this key. note: what this is for, for a person."""
        verb = "change" if key in self else "add"
        copy = self._class()
        copy.CopyFrom(message)
        self._over[key] = copy
        self._done(key, Edit(self.name, key, verb, note, self._proto(message)))

    def remove(self, key: K, note: str) -> None:
        """Take the part out. ArtifactError when there is none."""
        if key not in self:
            raise self._missing(key)
        proto = self._proto(self[key])
        self._over[key] = None
        self._done(key, Edit(self.name, key, "remove", note, proto))

    def changes(self) -> Iterator[Change]:
        """What differs from the file: first in the file's order, then what is added in the order of its adding."""
        for key in sorted(self._over, key=lambda key: self._spans[key].at if key in self._spans else 1 << 63):
            message = self._over[key]
            before = self._content(key) if key in self._spans else None
            after = None if message is None else serialize(message)
            if before != after:
                yield Change(self.name, key, before, after, self._spans.get(key), self._notes[key])

    def __getitem__(self, key: K) -> Any:
        copy = self._class()
        if key in self._over:
            if self._over[key] is None:
                raise self._missing(key)
            copy.CopyFrom(self._over[key])
            return copy
        if key not in self._spans:
            raise self._missing(key)
        try:
            copy.ParseFromString(self._content(key))
        except DecodeError:
            raise ArtifactError(where=self._where(key), expected="a whole message", got="malformed bytes") from None
        return copy

    def get(self, key: K, default: Any = None) -> Any:
        """The part, or `default`."""
        if key not in self:
            return default
        return self[key]

    def __contains__(self, key: object) -> bool:
        if key in self._over:
            return self._over[key] is not None
        return key in self._spans

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._spans if key in self)
        yield from (key for key in self._over if key not in self._spans and key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def content(self, key: K) -> bytes:
        """The part as it is serialized. ArtifactError when there is none."""
        if key in self._over or key not in self._spans:
            return serialize(self[key])
        return self._content(key)

    def _content(self, key: K) -> bytes:
        span = self._spans[key]
        if span.end - span.start > MAX_PART_BYTES:
            raise ArtifactError(
                where=self._where(key), expected=f"at most {MAX_PART_BYTES} bytes", got=str(span.end - span.start)
            )
        data = self._source.read(span.start, span.end - span.start)
        if not self._of_map:
            return data
        value = b""
        for number, wire_type, begin, stop in fields(data, 0, len(data), self._where(key)):
            if number == 2 and wire_type == BYTES:
                value = data[begin:stop]
        return value

    def _done(self, key: K, edit: Edit) -> None:
        self._notes[key] = f"{self._notes[key]}; {edit.note}" if key in self._notes else edit.note
        self._log.append(edit)

    def _proto(self, message: Any) -> str:
        """What the part is called in the log."""
        return str(message.DESCRIPTOR.name)

    def _where(self, key: K) -> str:
        return f"{self._source.name}: {self.name}[{key!r}]"

    def _missing(self, key: K) -> ArtifactError:
        return ArtifactError(where=f"{self._source.name}: {self.name}", expected=f"a part {key!r}", got="none")


class Objects(Place[int]):
    """The nodes of the object graph by id. Ids are positions: a node is never removed, but blanked."""

    def append(self, message: Any, note: str) -> int:
        """Add a node at the end; its id."""
        node_id = len(self)
        self.put(node_id, message, note)
        return node_id

    def remove(self, key: int, note: str) -> None:
        """Leave an empty user object where the node was, as other nodes are named by their positions."""
        proto = self._proto(self[key])
        blank = self._class()
        blank.user_object.identifier = "_generic_user_object"
        blank.user_object.version.producer = 1
        blank.user_object.version.min_consumer = 1
        self._over[key] = blank
        self._done(key, Edit(self.name, key, "remove", note, proto))

    def _proto(self, message: Any) -> str:
        kind = message.WhichOneof("kind")
        return "SavedObject" if kind is None else str(getattr(message, kind).DESCRIPTOR.name)


class Draft:
    """What an edit changes in one MetaGraph. The steps of an edit read from it and put into it, one after the other."""

    def __init__(self, saved_model: SavedModel, meta_graph: MetaGraph) -> None:
        self.saved_model = saved_model
        self.meta_graph = meta_graph
        self.log: list[Edit] = []
        index = meta_graph.index
        self.functions = self._place("function", "FunctionDef", index.function)
        self.signature_def = self._place("signature_def", "SignatureDef", index.signature_def, of_map=True)
        self.concrete_functions = self._place(
            "concrete_functions", "SavedConcreteFunction", index.concrete_functions, of_map=True
        )
        self.collection_def = self._place("collection_def", "CollectionDef", index.collection_def, of_map=True)
        spans = dict(enumerate(index.nodes))
        self.objects = Objects("nodes", "SavedObject", meta_graph.source, spans, self.log, of_map=False)

    @cached_property
    def nodes(self) -> Place[str]:
        """The nodes of the graph (GraphDef.node) by name."""
        return self._place("node", "NodeDef", _names(self.meta_graph))

    def changes(self) -> tuple[Change, ...]:
        """Every part that differs from the file, place by place."""
        places = [self.functions, self.nodes] if "nodes" in self.__dict__ else [self.functions]
        places += [self.signature_def, self.concrete_functions, self.collection_def]
        return (*(change for place in places for change in place.changes()), *self.objects.changes())

    def fresh_function(self, stem: str) -> str:
        """A name for a new function that nothing bears: the stem and the next free number, as TensorFlow makes them."""
        numbers = (name.rpartition("_")[2] for name in (*self.functions, *self.concrete_functions))
        highest = max((int(number) for number in numbers if number.isdecimal() and len(number) < 10), default=0)
        return f"{stem}_{highest + 1}"

    def fresh_node(self, stem: str) -> str:
        """A name for a new node of the graph: the stem, or else the stem and the first free number.

        As in TensorFlow, names that differ only in case count as equal.
        """
        taken = {name.lower() for name in self.nodes}
        name, number = stem, 0
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        return name

    def _place(self, name: str, message: str, spans: Mapping[str, Span], *, of_map: bool = False) -> Place[str]:
        return Place(name, message, self.meta_graph.source, spans, self.log, of_map=of_map)


def _names(meta_graph: MetaGraph) -> dict[str, Span]:
    """Where each node of the graph lies, by its name."""
    wire = Wire(meta_graph.source, max_fields=16 * len(meta_graph.index.node) + 1024)
    found = {}
    for span in meta_graph.index.node:
        for field in wire.fields(span.start, span.end):
            if field.number == 1:
                found[wire.text(field, limit=_MAX_NAME)] = span
                break
    return found
