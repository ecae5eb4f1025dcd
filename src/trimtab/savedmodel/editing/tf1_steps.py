"""Signatures of a TF1 graph: each is an entry of `signature_def` that names tensors to feed and to fetch, and no more.

So every edit of one is an edit of that entry. What can go wrong is checked against the graph: tensors that are not
there, dtypes and shapes that they do not have, and outputs that need a placeholder which is no input. TF1 would fail
when such an output is asked for; TF2 does not load a model with one such signature at all.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.graph_facts import check_tensor, shape_of, tensor_facts
from trimtab.savedmodel.editing.names import check_inputs, check_key
from trimtab.savedmodel.editing.references import producer, tensor_names
from trimtab.savedmodel.editing.signature_steps import check_signature, signature_keys
from trimtab.savedmodel.messages import classes
from trimtab.savedmodel.shapes import is_subtype
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.graph_protos import Shape

PREDICT = "tensorflow/serving/predict"


def add_signature(
    draft: Draft,
    key: str,
    source: str | None = None,
    *,
    rename: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    rename_outputs: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    widen: Mapping[str, Shape] | None = None,
    inputs: Mapping[str, str] | None = None,
    fetches: Mapping[str, str] | None = None,
) -> None:
    """Add a signature to a TF1 graph.

    source: the signature to start from; without it, `inputs` and `fetches` say everything. inputs, fetches: tensors of
    the graph (`x:0`) by the names that they get. rename, drop, rename_outputs, outputs, widen: as in the functions
    below; inputs and outputs may be called by their new names too.
    ArtifactError when the key is taken, a name or tensor is unknown, or TF2 could not load the signature.
    """
    check_key(draft.meta_graph.where, key, signature_keys(draft))
    definition = classes()["SignatureDef"](method_name=PREDICT)
    if source is not None:
        check_signature(draft, source)
        definition.CopyFrom(draft.signature_def[source])
    where = f"{draft.meta_graph.where}.signature_def[{key!r}]"
    old = {new: old for old, new in (rename or {}).items() if new not in (rename or {})}
    old_outputs = {new: old for old, new in (rename_outputs or {}).items() if new not in (rename_outputs or {})}
    _drop(definition, [old.get(name, name) for name in drop], where)
    _widen(draft, definition, {old.get(name, name): shape for name, shape in (widen or {}).items()}, where)
    _rename(definition, rename or {}, where)
    if outputs is not None:
        _subset(definition, [old_outputs.get(name, name) for name in outputs], where)
    _rename_outputs(definition, rename_outputs or {}, where)
    for name, tensor in (inputs or {}).items():
        _add_tensor(draft, definition.inputs, name, tensor, where)
    _check_names(definition, inputs or {}, where)
    for name, tensor in (fetches or {}).items():
        _add_tensor(draft, definition.outputs, name, tensor, where)
    _put(draft, key, definition, f"from {source!r}" if source is not None else "a new signature")


def rename_inputs(draft: Draft, key: str, rename: Mapping[str, str]) -> None:
    """Give inputs other names. ArtifactError for an unknown input, or a name that is taken or refused."""
    definition, where = _definition(draft, key)
    _rename(definition, rename, where)
    _put(draft, key, definition, f"inputs renamed: {_pairs(rename)}")


def rename_outputs(draft: Draft, key: str, rename: Mapping[str, str]) -> None:
    """Give outputs other names. ArtifactError for an unknown output, or a name that is taken."""
    definition, where = _definition(draft, key)
    _rename_outputs(definition, rename, where)
    _put(draft, key, definition, f"outputs renamed: {_pairs(rename)}")


def drop_inputs(draft: Draft, key: str, names: Sequence[str]) -> None:
    """Drop inputs that no output needs, or that have a default in the graph. ArtifactError for any other."""
    definition, where = _definition(draft, key)
    _drop(definition, names, where)
    _put(draft, key, definition, f"without the inputs {', '.join(map(repr, names))}")


def subset_outputs(draft: Draft, key: str, outputs: Sequence[str]) -> None:
    """Keep only these outputs. ArtifactError for an unknown one, or for none."""
    definition, where = _definition(draft, key)
    _subset(definition, outputs, where)
    _put(draft, key, definition, f"only the outputs {', '.join(map(repr, outputs))}")


def widen(draft: Draft, key: str, shapes: Mapping[str, Shape]) -> None:
    """Declare wider shapes of inputs. ArtifactError where the placeholder itself has a narrower one."""
    definition, where = _definition(draft, key)
    _widen(draft, definition, shapes, where)
    _put(draft, key, definition, f"widened: {', '.join(f'{name} {shape_text(each)}' for name, each in shapes.items())}")


def refuse_bind(draft: Draft, key: str) -> None:
    """Binding an input needs a wrapper, which a TF1 graph has not: ArtifactError, always."""
    raise ArtifactError(
        "an input of a TF1 graph cannot be bound to a constant",
        where=f"{draft.meta_graph.where}.signature_def[{key!r}]",
        hint="Its placeholder may serve other signatures too. An input with a default in the graph can be dropped.",
    )


def _definition(draft: Draft, key: str) -> tuple[Any, str]:
    check_signature(draft, key)
    return draft.signature_def[key], f"{draft.meta_graph.where}.signature_def[{key!r}]"


def _put(draft: Draft, key: str, definition: Any, note: str) -> None:
    """Check what can only be checked of the whole, and put it into the draft."""
    where = f"{draft.meta_graph.where}.signature_def[{key!r}]"
    if not definition.outputs:
        raise ArtifactError(where=where, expected="at least one output", got="none")
    for kind, entries in (("inputs", definition.inputs), ("outputs", definition.outputs)):
        for name, info in entries.items():
            check_tensor(draft, info, f"{where}.{kind}[{name!r}]")
    _check_liftable(draft, definition, where)
    draft.signature_def.put(key, definition, note)


def _rename(definition: Any, rename: Mapping[str, str], where: str) -> None:
    _rename_keys(definition.inputs, rename, where, "input")
    known = {old: new for old, new in rename.items() if old in definition.defaults}
    if known:
        _rename_keys(definition.defaults, known, where, "default")
    if rename:
        _check_names(definition, rename.values(), where)
        definition.method_name = PREDICT  # classify and regress ask for names of their own


def _check_names(definition: Any, new: Iterable[str], where: str) -> None:
    """New inputs have names that TensorFlow takes, and none that it cannot tell from those that stay."""
    fresh = list(new)
    forms = {name.lower() for name in fresh}
    check_inputs(where, (*fresh, *(name for name in definition.inputs if name not in fresh and name.lower() in forms)))


def _rename_outputs(definition: Any, rename: Mapping[str, str], where: str) -> None:
    _rename_keys(definition.outputs, rename, where, "output")
    if rename:
        definition.method_name = PREDICT


def _rename_keys(entries: Any, rename: Mapping[str, str], where: str, what: str) -> None:
    for old in rename:
        _check_known(entries, old, where, what)
    taken = [new for new in rename.values() if new in entries and new not in rename]
    if taken or len(set(rename.values())) < len(rename):
        raise ArtifactError(
            where=where, expected=f"{what} names that differ", got=", ".join(map(repr, taken or rename.values()))
        )
    if not all(rename.values()):
        raise ArtifactError(where=where, expected=f"a name for the {what}", got="an empty one")
    moved = {}
    for old in rename:
        moved[old] = type(entries[old])()
        moved[old].CopyFrom(entries[old])
        del entries[old]
    for old, new in rename.items():
        entries[new].CopyFrom(moved[old])


def _drop(definition: Any, names: Sequence[str], where: str) -> None:
    for name in names:
        _check_known(definition.inputs, name, where, "input")
        del definition.inputs[name]
        if name in definition.defaults:
            del definition.defaults[name]


def _subset(definition: Any, outputs: Sequence[str], where: str) -> None:
    for name in outputs:
        _check_known(definition.outputs, name, where, "output")
    for name in set(definition.outputs) - set(outputs):
        del definition.outputs[name]


def _widen(draft: Draft, definition: Any, shapes: Mapping[str, Shape], where: str) -> None:
    for name, shape in shapes.items():
        _check_known(definition.inputs, name, where, "input")
        info = definition.inputs[name]
        tensors = list(tensor_names(info))
        own = shape_of(info.tensor_shape)
        if not is_subtype(own, shape):
            raise ArtifactError(
                where=f"{where}.inputs[{name!r}]",
                expected=f"a shape that allows all that {shape_text(own)} does",
                got=shape_text(shape),
            )
        graph_shape = tensor_facts(draft, tensors[0]).shape if info.WhichOneof("encoding") == "name" else None
        if graph_shape is not None and not is_subtype(shape, graph_shape):
            raise ArtifactError(
                where=f"{where}.inputs[{name!r}]",
                expected=f"a shape within that of the placeholder, {shape_text(graph_shape)}",
                got=shape_text(shape),
                hint="A TF1 graph is fixed: its placeholders take what they were made for.",
            )
        _set_shape(info.tensor_shape, shape)


def _add_tensor(draft: Draft, entries: Any, name: str, tensor: str, where: str) -> None:
    if name in entries:
        raise ArtifactError(where=where, expected="a name that is not taken", got=repr(name))
    facts = tensor_facts(draft, tensor)
    info = entries[name]
    info.name = facts.name
    info.dtype = facts.dtype
    _set_shape(info.tensor_shape, facts.shape)


def _set_shape(proto: Any, shape: Shape) -> None:
    proto.Clear()
    if shape is None:
        proto.unknown_rank = True
    for size in shape or ():
        proto.dim.add(size=-1 if size is None else size)


def _check_known(entries: Any, name: str, where: str, what: str) -> None:
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=3) or sorted(entries)
        raise ArtifactError(
            f"the signature has no such {what}",
            where=where,
            expected=f"one of {', '.join(map(repr, near))}" if near else f"a signature with {what}s",
            got=repr(name),
        )


def _check_liftable(draft: Draft, definition: Any, where: str) -> None:
    """Every placeholder that an output needs is an input: TF2 loads no model of which that is not true.

    Source: map_subgraph in tensorflow/python/ops/op_selector.py.
    """
    fed = {producer(tensor) for info in definition.inputs.values() for tensor in tensor_names(info)}
    for name, info in definition.outputs.items():
        waiting = [producer(tensor) for tensor in tensor_names(info)]
        seen = set(fed)
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            node = draft.nodes.get(each)
            if node is None:
                raise ArtifactError(where=f"{where}.outputs[{name!r}]", expected="a node of the graph", got=repr(each))
            if node.op == "Placeholder":
                raise ArtifactError(
                    "an output needs a placeholder that is no input",
                    where=f"{where}.outputs[{name!r}]",
                    expected=f"an input that feeds '{each}:0'",
                    got=", ".join(sorted(fed)) or "no inputs",
                    hint="TF2 would not load the model at all. Keep that input, or leave this output out.",
                )
            waiting += map(producer, node.input)


def _pairs(rename: Mapping[str, str]) -> str:
    return ", ".join(f"{old!r} to {new!r}" for old, new in rename.items())
