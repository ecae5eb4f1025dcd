"""The file `MLmodel` as a tree: YAML, read within bounds, with the places of its values for an edit.

PyYAML's parser gives events; the tree is built here, so that nothing is constructed: every scalar stays text, and an
alias stays an alias, for expanding one is how a few lines become gigabytes. MLflow itself writes strings, flags, lists
and maps; what we need of them are strings in maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import yaml

from trimtab.artifacts.limits import check_count
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from trimtab.source.bytes import ByteSource

MAX_BYTES = 20 << 20
MAX_NODES = 50_000
MAX_DEPTH = 100


class Scalar(NamedTuple):
    """A scalar's text. plain: written without quotes, so that `null` is nothing and `5` a number."""

    text: str
    plain: bool
    start: int
    end: int


class Alias(NamedTuple):
    """A reference to a value elsewhere, which is not followed."""

    name: str


class Sequence(NamedTuple):
    """A list."""

    items: list[Node]


class Mapping(NamedTuple):
    """A map from text. flow: written in braces. start: where it begins, at its first key or its brace."""

    entries: dict[str, Node]
    flow: bool
    start: int


Node: TypeAlias = Scalar | Alias | Sequence | Mapping


class Description(NamedTuple):
    """The text of an MLmodel file and its top map. where: how errors call it."""

    text: str
    top: Mapping
    where: str

    def mapping(self, *keys: str) -> Mapping | None:
        """The map at a path of keys, or None where nothing, or null, is there."""
        node: Node | None = self.top
        for key in keys:
            assert isinstance(node, Mapping)
            node = node.entries.get(key)
            if node is None or is_null(node):
                return None
            if not isinstance(node, Mapping):
                raise self._unexpected(keys, "a map", node)
        return node if isinstance(node, Mapping) else None

    def string(self, *keys: str) -> str | None:
        """The string at a path of keys, or None where nothing, or null, is there."""
        outer = self.mapping(*keys[:-1])
        node = outer.entries.get(keys[-1]) if outer is not None else None
        if node is None or is_null(node):
            return None
        if not isinstance(node, Scalar):
            raise self._unexpected(keys, "a string", node)
        return node.text

    def _unexpected(self, keys: tuple[str, ...], expected: str, node: Node) -> ArtifactError:
        got = f"an alias (*{node.name[:40]})" if isinstance(node, Alias) else f"a {type(node).__name__.lower()}"
        return ArtifactError(where=f"{self.where}: {'.'.join(keys)}", expected=expected, got=got)


def is_null(node: Node) -> bool:
    """Whether YAML reads null here."""
    return isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null", "Null", "NULL")


def read_description(source: ByteSource) -> Description:
    """The description. ArtifactError for what is no YAML map, or larger or deeper than any description."""
    known = source.memo.get("mlflow: description")
    if isinstance(known, Description):
        return known
    if source.size > MAX_BYTES:
        raise ArtifactError(where=source.name, expected=f"at most {MAX_BYTES} bytes", got=str(source.size))
    data = source.read(0, source.size)
    try:
        description = parse(data.decode(), source.name)
    except UnicodeDecodeError as failure:
        raise ArtifactError(
            where=source.name, expected="UTF-8", got=f"byte {data[failure.start]:#04x} at offset {failure.start}"
        ) from None
    source.memo["mlflow: description"] = description
    return description


def parse(text: str, where: str) -> Description:
    """The description that a text is."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        top = _Builder(where).build(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as failure:
        raise ArtifactError(where=where, expected="YAML", got=_reason(failure)) from None
    if not isinstance(top, Mapping):
        raise ArtifactError(where=where, expected="a map of a model's description", got="something else")
    return Description(text, top, where)


def _reason(failure: Any) -> str:
    mark = getattr(failure, "problem_mark", None)
    problem = getattr(failure, "problem", None) or getattr(failure, "reason", None) or "something else"
    return f"{problem} (line {mark.line + 1})" if mark is not None else str(problem)


class _Builder:
    """Builds the tree from the parser's events."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count = 0

    def build(self, events: Iterator[Any]) -> Node | None:
        top: Node | None = None
        documents = 0
        open_nodes: list[tuple[Mapping | Sequence, list[str]]] = []
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._error(event, "one YAML document", "a second one")
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                open_nodes.pop()
            elif kind in _NODES:
                node = self._node(event, kind)
                if open_nodes:
                    self._put(event, node, *open_nodes[-1])
                else:
                    top = node
                if isinstance(node, Mapping | Sequence):
                    open_nodes.append((node, []))
                    if len(open_nodes) > MAX_DEPTH:
                        raise self._error(event, f"values nested at most {MAX_DEPTH} deep", "deeper nesting")
        return top

    def _node(self, event: Any, kind: str) -> Node:
        self._count += 1
        check_count(self._count, MAX_NODES, "values", self._where)
        if kind == "AliasEvent":
            return Alias(event.anchor)
        if event.tag is not None and event.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise self._error(event, "plain values", f"the tag {event.tag[:80]!r}")
        if kind == "ScalarEvent":
            plain = not event.style and event.tag is None
            return Scalar(event.value, plain, event.start_mark.index, event.end_mark.index)
        if kind == "SequenceStartEvent":
            return Sequence([])
        return Mapping({}, bool(event.flow_style), event.start_mark.index)

    def _put(self, event: Any, node: Node, holder: Mapping | Sequence, key: list[str]) -> None:
        """Put a node into the list or map that is open; `key` holds the key that waits for its value."""
        if isinstance(holder, Sequence):
            holder.items.append(node)
        elif key:
            holder.entries[key.pop()] = node
        elif not isinstance(node, Scalar):
            raise self._error(event, "text as the key of a map", f"a {type(node).__name__.lower()}")
        elif node.text in holder.entries:
            raise self._error(event, "each key once", f"{node.text[:80]!r} twice")
        else:
            key.append(node.text)

    def _error(self, event: Any, expected: str, got: str) -> ArtifactError:
        return ArtifactError(where=f"{self._where} at line {event.start_mark.line + 1}", expected=expected, got=got)


_NODES = ("ScalarEvent", "AliasEvent", "SequenceStartEvent", "MappingStartEvent")
_TAGS = frozenset(
    ("!", "str", "int", "float", "bool", "null", "seq", "map", "binary", "timestamp", "set", "omap", "pairs")
)
"""What a safe loader makes plain values of."""
