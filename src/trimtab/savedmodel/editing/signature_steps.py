"""Steps that take a signature as a whole: another key for it, a new key, or its end.

TF2 finds a signature as a child of the `signatures` map, TF1 and C++ as an entry of `signature_def`: both change.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.names import check_key
from trimtab.savedmodel.editing.plan import Step
from trimtab.savedmodel.editing.references import (
    called,
    producer,
    remove_unused_nodes,
    remove_unused_object,
    tensor_names,
)
from trimtab.savedmodel.model import INIT_OPS

if TYPE_CHECKING:
    from trimtab.savedmodel.editing.draft import Draft


class AliasSignature(Step, frozen=True, tag="alias"):
    """A second key for a signature: the same function, inputs and outputs under another name."""

    key: str
    new_key: str

    def describe(self) -> str:
        """What it does."""
        return f"alias signature {self.key!r} as {self.new_key!r}"

    def apply(self, draft: Draft) -> None:
        """Add a child to the `signatures` map, and a copy of the SignatureDef. ArtifactError for an unfit key."""
        check_signature(draft, self.key)
        check_key(draft.meta_graph.where, self.new_key, signature_keys(draft))
        node_id = child_of_map(draft, self.key)
        if node_id is not None:
            map_id, signature_map = _signature_map(draft)
            signature_map.children.add(node_id=node_id, local_name=self.new_key)
            draft.objects.put(map_id, signature_map, f"child {self.new_key!r}: nodes[{node_id}], as {self.key!r}")
        if self.key in draft.signature_def:
            note = f"the tensors of {self.key!r}"
            draft.signature_def.put(self.new_key, draft.signature_def[self.key], note)


class RenameSignature(Step, frozen=True, tag="rename"):
    """Another key for a signature, instead of its own."""

    key: str
    new_key: str

    def describe(self) -> str:
        """What it does."""
        return f"rename signature {self.key!r} to {self.new_key!r}"

    def apply(self, draft: Draft) -> None:
        """Rename the child of the `signatures` map and the SignatureDef. ArtifactError for an unfit key."""
        check_signature(draft, self.key)
        check_key(draft.meta_graph.where, self.new_key, signature_keys(draft))
        if _has_map(draft):
            map_id, signature_map = _signature_map(draft)
            for child in signature_map.children:
                child.local_name = self.new_key if child.local_name == self.key else child.local_name
            draft.objects.put(map_id, signature_map, f"child {self.key!r} is now {self.new_key!r}")
        if self.key in draft.signature_def:
            definition = draft.signature_def[self.key]
            draft.signature_def.remove(self.key, f"now {self.new_key!r}")
            draft.signature_def.put(self.new_key, definition, f"was {self.key!r}")


class RemoveSignature(Step, frozen=True, tag="remove"):
    """The end of a signature, and of what only it used: wrapper, call node, placeholders."""

    key: str

    def describe(self) -> str:
        """What it does."""
        return f"remove signature {self.key!r}"

    def apply(self, draft: Draft) -> None:
        """Take it out of all five places. ArtifactError when there is no such signature."""
        check_signature(draft, self.key)
        remove_signature(draft, self.key)


def remove_signature(draft: Draft, key: str) -> None:
    """Take a signature out: its key in both maps, and of what is behind them that which nothing else uses.

    The function that the signature exposed stays, as long as it is a trace or anything calls it.
    """
    note = f"only the signature {key!r} used it"
    node_id = child_of_map(draft, key)
    definition = draft.signature_def.get(key)
    wrapper = ""
    if node_id is not None:
        wrapper = draft.objects[node_id].bare_concrete_function.concrete_function_name
    if _has_map(draft):
        map_id, signature_map = _signature_map(draft)
        kept = [child for child in signature_map.children if child.local_name != key]
        del signature_map.children[:]
        signature_map.children.extend(kept)
        draft.objects.put(map_id, signature_map, f"without the child {key!r}")
    if definition is not None:
        draft.signature_def.remove(key, "the signature is removed")
        if wrapper:
            remove_call(draft, definition, wrapper, note)
    if node_id is not None:
        remove_unused_object(draft, node_id, note)


def check_signature(draft: Draft, key: str) -> None:
    """ArtifactError that names the signatures, nearest first, when the draft has none of this key."""
    keys = signature_keys(draft)
    if key not in keys:
        near = difflib.get_close_matches(key, keys, n=3) or keys[:20]
        raise ArtifactError(
            "no signature has this key",
            where=draft.meta_graph.where,
            expected=f"one of {', '.join(map(repr, near))}" if near else "a model with signatures",
            got=repr(key),
        )


def signature_keys(draft: Draft) -> list[str]:
    """The keys of all signatures: of the `signatures` map, then those that only `signature_def` has."""
    in_map = [child.local_name for child in _signature_map(draft)[1].children] if _has_map(draft) else []
    return list(dict.fromkeys((*in_map, *(key for key in draft.signature_def if key not in INIT_OPS))))


def child_of_map(draft: Draft, key: str) -> int | None:
    """The node of a signature in the `signatures` map; None when the key is not there or leads nowhere."""
    if not _has_map(draft):
        return None
    found = (child.node_id for child in _signature_map(draft)[1].children if child.local_name == key)
    node_id = next(found, None)
    return node_id if node_id is not None and node_id in draft.objects else None


def _has_map(draft: Draft) -> bool:
    return map_of_signatures(draft) is not None


def map_of_signatures(draft: Draft) -> int | None:
    """The node of the `signatures` map; None when the model has none."""
    if 0 not in draft.objects:
        return None
    found = (child.node_id for child in draft.objects[0].children if child.local_name == "signatures")
    node_id = next(found, None)
    return node_id if node_id is not None and node_id in draft.objects else None


def _signature_map(draft: Draft) -> tuple[int, Any]:
    """The `signatures` map of a draft that has one: its id and a copy."""
    map_id = map_of_signatures(draft)
    if map_id is None:
        raise ArtifactError(where=draft.meta_graph.where, expected="a child 'signatures' of the root", got="none")
    return map_id, draft.objects[map_id]


def remove_call(draft: Draft, definition: Any, wrapper: str, note: str) -> None:
    """Take out the graph's call of a wrapper and the placeholders that feed it, unless something else uses them."""
    outputs = {producer(tensor) for info in definition.outputs.values() for tensor in tensor_names(info)}
    inputs = {producer(tensor) for info in definition.inputs.values() for tensor in tensor_names(info)}
    calls = [name for name in sorted(outputs) if name in draft.nodes and wrapper in called(draft.nodes[name])]
    remove_unused_nodes(draft, calls, note)
    placeholders = {name: draft.nodes[name] for name in sorted(inputs) if name in draft.nodes}
    placeholders = {name: node for name, node in placeholders.items() if node.op.startswith("Placeholder")}
    remove_unused_nodes(draft, placeholders, note)
    defaults = [producer(each) for name, node in placeholders.items() if name not in draft.nodes for each in node.input]
    remove_unused_nodes(draft, defaults, note)
