"""What a graph says of one of its tensors: that it exists, its dtype, and its shape where that is known.

The ops of a graph are declared in the proto itself (`stripped_op_list`), so that no list of TensorFlow's ops is needed.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.references import producer, tensor_names
from trimtab.savedmodel.graph_protos import TensorShapeProto
from trimtab.savedmodel.message import decode
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.graph_protos import Shape

_SHAPED = frozenset({"Placeholder", "PlaceholderWithDefault", "VariableV2", "Variable"})
"""Ops whose attribute `shape` is the shape of what they give."""

_MAX_META_INFO = 64 << 20
_MAX_OUTPUTS = 1 << 16
_REFERENCE, _RESOURCE = 100, 20


class TensorFacts(Struct, frozen=True):
    """A tensor as `node:index`, its dtype by number, and its static shape; None also where nothing says it."""

    name: str
    dtype: int
    shape: Shape


def tensor_facts(draft: Draft, tensor: str) -> TensorFacts:
    """What is known of a tensor of the graph. ArtifactError when it does not exist, or nothing tells its dtype.

    tensor: `node:index`, or `node` for its first output.
    """
    where = f"{draft.meta_graph.where}.graph_def"
    name, _, number = tensor.partition(":")
    position = int(number) if number.isdecimal() and len(number) < 10 else 0 if not number else -1
    if name not in draft.nodes:
        near = difflib.get_close_matches(name, list(draft.nodes), n=3)
        raise ArtifactError(
            "the graph has no such node",
            where=where,
            expected=f"one of {', '.join(map(repr, near))}" if near else "a tensor as node:index",
            got=repr(tensor),
        )
    node = draft.nodes[name]
    dtypes = _output_dtypes(draft, node)
    if not 0 <= position < len(dtypes):
        raise ArtifactError(
            where=f"{where}.node[{name!r}]",
            expected=f"an output from 0 to {len(dtypes) - 1}" if dtypes else "a node with outputs",
            got=repr(tensor),
        )
    return TensorFacts(f"{name}:{position}", dtypes[position], _shape(draft, node, f"{name}:{position}", position))


def check_tensor(draft: Draft, info: Any, where: str) -> None:
    """ArtifactError when a TensorInfo contradicts the graph: no such tensor, another dtype, a shape that cannot be.

    What the graph does not tell is not checked; nor are sparse and composite tensors, beyond that they exist.
    """
    for tensor in tensor_names(info):
        name, _, number = tensor.partition(":")
        if name not in draft.nodes or (number and not number.isdecimal()):
            raise ArtifactError(where=where, expected="a tensor of the graph", got=repr(tensor))
    if info.WhichOneof("encoding") != "name" or not _declares(draft, info.name):
        return
    facts = tensor_facts(draft, info.name)
    if facts.dtype == _RESOURCE:
        return  # TensorFlow declares the handle of a variable as what the variable holds
    if info.dtype % _REFERENCE != facts.dtype:
        raise ArtifactError(
            "the signature contradicts its graph",
            where=where,
            expected=f"the dtype of {facts.name!r}, {dtype_name(facts.dtype)}",
            got=dtype_name(info.dtype),
        )
    shape = shape_of(info.tensor_shape)
    if facts.shape is not None and shape is not None and not _compatible(facts.shape, shape):
        raise ArtifactError(
            "the signature contradicts its graph",
            where=where,
            expected=f"a shape that {facts.name!r} can have, {shape_text(facts.shape)}",
            got=shape_text(shape),
        )


def _compatible(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return len(one) == len(other) and all(None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True))


def _declares(draft: Draft, tensor: str) -> bool:
    """Whether the model says what the op of the tensor's node gives."""
    return _declared(draft, draft.nodes[producer(tensor)].op) is not None


def shape_of(shape: Any) -> Shape:
    """A TensorShapeProto as a tuple. ArtifactError for a shape that TensorFlow refuses too."""
    return decode(TensorShapeProto, serialize(shape), "tensor_shape").shape


def _output_dtypes(draft: Draft, node: Any) -> list[int]:
    op = _op(draft, node)
    dtypes: list[int] = []
    for argument in op.output_arg:
        if argument.type_list_attr:
            dtypes += _attr(node, op, argument.type_list_attr).list.type
            continue
        dtype = argument.type or _attr(node, op, argument.type_attr).type
        number = _attr(node, op, argument.number_attr).i if argument.number_attr else 1
        if not 0 <= number <= _MAX_OUTPUTS:
            raise ArtifactError(
                where=f"{draft.meta_graph.where}.graph_def.node[{node.name!r}]",
                expected=f"at most {_MAX_OUTPUTS} outputs",
                got=str(number),
            )
        dtypes += [dtype] * number
    return dtypes


def _op(draft: Draft, node: Any) -> Any:
    op = _declared(draft, node.op)
    if op is None:
        raise ArtifactError(
            "nothing tells the dtype of the tensor",
            where=f"{draft.meta_graph.where}.graph_def.node[{node.name!r}]",
            expected="an op that the model declares",
            got=repr(node.op),
        )
    return op


def _declared(draft: Draft, name: str) -> Any:
    """The declaration of an op: the graph's own, or that of the function that it is; None when there is none."""
    span = draft.meta_graph.index.meta_info_def
    if span is not None and span.end - span.start <= _MAX_META_INFO:
        data = draft.meta_graph.source.read(span.start, span.end - span.start)
        try:
            declared = classes()["MetaGraphDef.MetaInfoDef"].FromString(data).stripped_op_list.op
        except DecodeError:
            where = f"{draft.meta_graph.where}.meta_info_def"
            raise ArtifactError(where=where, expected="a whole message", got="malformed bytes") from None
        for op in declared:
            if op.name == name:
                return op
    return draft.functions[name].signature if name in draft.functions else None


def _attr(node: Any, op: Any, name: str) -> Any:
    if name in node.attr:
        return node.attr[name]
    defaults = (each.default_value for each in op.attr if each.name == name)
    return next(defaults, classes()["AttrValue"]())


def _shape(draft: Draft, node: Any, tensor: str, position: int) -> Shape:
    if "_output_shapes" in node.attr:
        shapes = node.attr["_output_shapes"].list.shape
        if position < len(shapes):
            return shape_of(shapes[position])
    if node.op in _SHAPED and "shape" in node.attr:
        return shape_of(node.attr["shape"].shape)
    if node.op == "Const" and "value" in node.attr:
        return shape_of(node.attr["value"].tensor.tensor_shape)
    for signature in draft.signature_def.values():
        for info in (*signature.inputs.values(), *signature.outputs.values()):
            if info.name == tensor or (not position and info.name and info.name == producer(tensor)):
                return shape_of(info.tensor_shape)
    return None
