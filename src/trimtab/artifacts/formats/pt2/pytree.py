"""The tree specifications of torch.export: JSON that says how a call's nested arguments lie in a flat list.

Source of the format: `treespec_dumps` in torch/utils/_pytree.py. A specification is `[1, node]`; a node's `context` is
text of its own: JSON with a mapping's keys, or a named tuple's registered name. A default dict's is an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from trimtab.artifacts.limits import check_json
from trimtab.errors import ArtifactError
from trimtab.signature import strict_json
from trimtab.signature.path import Field, Key, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DEPTH = 64


class TreeSpec(Struct, frozen=True):
    """One node. `type` None is a leaf."""

    type: str | None = None
    context: str | dict[str, Any] | None = None
    children_spec: list[TreeSpec] = field(default_factory=list)


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_DECODER = msgspec.json.Decoder(tuple[int, TreeSpec])


def read_tree(text: str, where: str) -> TreeSpec:
    """Parse a specification. ArtifactError for malformed JSON, an unknown version or absurd nesting."""
    check_json(text, where)
    try:
        version, tree = _DECODER.decode(text)
    except (msgspec.MsgspecError, RecursionError) as failure:
        raise ArtifactError(
            where=where, expected="a tree specification", got=str(failure) or "deeper nesting than JSON allows"
        ) from None
    if version != 1:
        raise ArtifactError(
            where=where,
            expected="a tree specification of version 1",
            got=str(version),
            hint="Written by a newer torch?",
        )
    return tree


def leaf_paths(tree: TreeSpec, fields: Mapping[str, list[str]], where: str) -> Iterator[tuple[Step, ...]]:
    """The path of each leaf, in the order of the flat list. `fields`: the field names of named tuples, by type name."""
    pending: list[tuple[TreeSpec, tuple[Step, ...]]] = [(tree, ())]
    while pending:
        node, path = pending.pop()
        if node.type is None:
            yield path
            continue
        if len(path) >= MAX_DEPTH:
            raise ArtifactError(
                where=where, expected=f"arguments nested at most {MAX_DEPTH} deep", got="deeper nesting"
            )
        steps = _steps(node, fields, where)
        pending.extend(
            (child, (*path, step)) for child, step in zip(reversed(node.children_spec), reversed(steps), strict=True)
        )


def _steps(node: TreeSpec, fields: Mapping[str, list[str]], where: str) -> list[Step]:
    count = len(node.children_spec)
    steps: list[Step] | None = [Key(index) for index in range(count)]
    if node.type in ("builtins.dict", "collections.OrderedDict"):
        steps = _keys(_context(node, where))
    elif node.type == "collections.defaultdict":
        context = _context(node, where)
        steps = _keys(context.get("dict_context") if isinstance(context, dict) else None)
    elif node.type == "collections.namedtuple":
        steps = _named(fields.get(_registered_name(node), ()), count) or steps
    elif node.type not in ("builtins.tuple", "builtins.list", "collections.deque"):
        steps = _named(_data_class_fields(node), count) or steps
    if steps is None or len(steps) != count:
        raise ArtifactError(
            where=where,
            expected=f"the names of {count} children of a {node.type}",
            got=repr(node.context)[:80],
        )
    return steps


def _context(node: TreeSpec, where: str) -> Any:
    if isinstance(node.context, dict):
        return node.context
    return strict_json.parse(
        (node.context or "null").encode("utf-8", "surrogatepass"), where=where, error=ArtifactError
    )


def _keys(context: Any) -> list[Step] | None:
    if not isinstance(context, list):
        return None
    return [Key(key if isinstance(key, int) and not isinstance(key, bool) else _text(key)) for key in context]


def _text(key: Any) -> str:
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def _registered_name(node: TreeSpec) -> str:
    return node.context.strip('"') if isinstance(node.context, str) else ""


def _named(names: Any, count: int) -> list[Step] | None:
    names = list(names or ())
    return [Field(name) for name in names] if len(names) == count and all(names) else None


def _data_class_fields(node: TreeSpec) -> list[str] | None:
    """`register_dataclass` writes `[[fields given], [fields that were None]]`; other types write what they like."""
    try:
        given, _ = _TWO_LISTS.decode(node.context if isinstance(node.context, str) else "")
    except msgspec.MsgspecError:
        return None
    return given


_TWO_LISTS = msgspec.json.Decoder(tuple[list[str], list[str]])
