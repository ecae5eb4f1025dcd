"""The operations that take serialized `tf.Example` strings apart, as data, and the features that one of them names.

Source: the op definitions of TensorFlow 2.21 (core/ops/parsing_ops.cc), whose attributes and inputs have these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import SignatureError
from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.value_types import tensor_type
from trimtab.signature.model import Feature, Presence
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Literal, Ragged, Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import Shape, TensorProto
    from trimtab.signature.types import Type


class Group(NamedTuple):
    """The features of one layout, by the names of an operation's inputs and attributes.

    types: the attribute with the dtypes. shapes: of dense features, the attribute with the shape in one example.
    defaults: of dense features, the inputs with what counts where the key is missing.
    within: of a tf.SequenceExample, the part in which the keys are.
    """

    layout: str
    keys: str
    types: str
    shapes: str = ""
    defaults: str = ""
    within: str = ""


class ParseOp(NamedTuple):
    """An operation: its inputs in order, how its keys are given, and the groups of features.

    inputs: names; `keys*N` is as many tensors as the attribute N says, a list of types by its length. The first is what
    is parsed.
    keys: `vector`, one input with all keys of a group; `scalars`, an input for each; `attribute`.
    """

    inputs: str
    keys: str
    groups: tuple[Group, ...]


_CONTEXT, _STEPS = "context", "feature_lists"
_MAY_BE_MISSING = "feature_list_dense_missing_assumed_empty"
"""The input or attribute that says which dense feature lists may be missing."""

_DENSE = Group("dense", "dense_keys", "Tdense", "dense_shapes", "dense_defaults")
_SPARSE = Group("sparse", "sparse_keys", "sparse_types")
_RAGGED = Group("ragged", "ragged_keys", "ragged_value_types")
_CONTEXT_DENSE = Group(
    layout="dense",
    keys="context_dense_keys",
    types="Tcontext_dense",
    shapes="context_dense_shapes",
    defaults="context_dense_defaults",
    within=_CONTEXT,
)
_CONTEXT_SPARSE = Group("sparse", "context_sparse_keys", "context_sparse_types", within=_CONTEXT)
_CONTEXT_RAGGED = Group("ragged", "context_ragged_keys", "context_ragged_value_types", within=_CONTEXT)
_STEPS_DENSE = Group(
    layout="dense",
    keys="feature_list_dense_keys",
    types="feature_list_dense_types",
    shapes="feature_list_dense_shapes",
    within=_STEPS,
)
_STEPS_SPARSE = Group("sparse", "feature_list_sparse_keys", "feature_list_sparse_types", within=_STEPS)
_STEPS_RAGGED = Group("ragged", "feature_list_ragged_keys", "feature_list_ragged_value_types", within=_STEPS)

_OF_SEQUENCE = (_CONTEXT_DENSE, _CONTEXT_SPARSE, _STEPS_DENSE, _STEPS_SPARSE)

PARSE_OPS = {
    "ParseExample": ParseOp(
        "serialized names sparse_keys*Nsparse dense_keys*Ndense dense_defaults*Tdense", "scalars", (_DENSE, _SPARSE)
    ),
    "ParseExampleV2": ParseOp(
        "serialized names sparse_keys dense_keys ragged_keys dense_defaults*Tdense",
        "vector",
        (_DENSE, _SPARSE, _RAGGED),
    ),
    "ParseSingleExample": ParseOp("serialized dense_defaults*Tdense", "attribute", (_DENSE, _SPARSE)),
    "ParseSequenceExample": ParseOp(
        "serialized debug_name context_dense_defaults*Tcontext_dense", "attribute", _OF_SEQUENCE
    ),
    "ParseSequenceExampleV2": ParseOp(
        "serialized debug_name context_sparse_keys context_dense_keys context_ragged_keys feature_list_sparse_keys "
        f"feature_list_dense_keys feature_list_ragged_keys {_MAY_BE_MISSING} context_dense_defaults*Tcontext_dense",
        "vector",
        (_CONTEXT_DENSE, _CONTEXT_SPARSE, _CONTEXT_RAGGED, _STEPS_DENSE, _STEPS_SPARSE, _STEPS_RAGGED),
    ),
    "ParseSingleSequenceExample": ParseOp(
        f"serialized {_MAY_BE_MISSING} context_sparse_keys*Ncontext_sparse context_dense_keys*Ncontext_dense "
        "feature_list_sparse_keys*Nfeature_list_sparse feature_list_dense_keys*Nfeature_list_dense "
        "context_dense_defaults*Tcontext_dense debug_name",
        "scalars",
        _OF_SEQUENCE,
    ),
}
"""By the operation's name."""

MAX_FEATURES = 1 << 16


def parsed_features(node: NodeDef, constant: Callable[[int], TensorProto | None]) -> list[Feature] | None:
    """The features that a parse operation names; None where a key is not a constant.

    node: of an op in `PARSE_OPS`. constant: the constant that the node's data input at a position is, if it is one.
    """
    found: list[Feature] = []
    for group in PARSE_OPS[node.op].groups:
        features = _Reading(node, constant).group(group)
        if features is None or len(found) + len(features) > MAX_FEATURES:
            return None
        found += features
    return found


class _Reading:
    """One parse node: its attributes and constant inputs."""

    def __init__(self, node: NodeDef, constant: Callable[[int], TensorProto | None]) -> None:
        self._node = node
        self._constant = constant
        self._inputs: dict[str, range] = {}
        start = 0
        for each in PARSE_OPS[node.op].inputs.split():
            name, _, count = each.partition("*")
            end = start + (self._count(count) if count else 1)
            self._inputs[name] = range(start, end)
            start = end

    def group(self, group: Group) -> list[Feature] | None:
        keys = self._keys(group)
        if keys is None:
            return None
        types = self._types(group.types)
        shapes = self._shapes(group.shapes) if group.shapes else []
        missing = self._may_be_missing(group, keys)
        found = []
        for at, key in enumerate(keys):
            dtype = types[at] if at < len(types) else ""
            shape = shapes[at] if at < len(shapes) else None
            type_: Type = _TYPES[group.layout](dtype, _in_one_example(group, shape))
            presence, default = Presence.OPTIONAL, None
            if group.layout == "dense":
                presence, default = self._presence(group, at, shape, missing=missing[at])
            found.append(Feature(name=_name(key, group.within), type=type_, presence=presence, default=default))
        return found

    def _presence(self, group: Group, at: int, shape: Shape, *, missing: bool) -> tuple[Presence, Literal | None]:
        """Whether an example must have the key; of a list of any length the "default" only fills up the batch."""
        if group.within == _STEPS:
            return (Presence.OPTIONAL if missing else Presence.REQUIRED), None
        if shape and shape[0] is None:
            return Presence.OPTIONAL, None
        places = self._inputs[group.defaults]
        tensor = self._constant(places[at]) if at < len(places) else None
        if tensor is None:
            return Presence.DEFAULT, None  # computed: only the model knows it
        if 0 in (tensor.tensor_shape.shape or ()) and 0 not in (shape or ()):
            return Presence.REQUIRED, None
        sizes = None if shape is None else [size or 0 for size in shape]
        value = constant_value(tensor, shape=sizes)  # the model reshapes it to the feature's own shape
        try:
            return Presence.DEFAULT, None if value is None else Literal.from_python(value)
        except SignatureError:
            return Presence.DEFAULT, None

    def _keys(self, group: Group) -> list[str] | None:
        how = PARSE_OPS[self._node.op].keys
        if how == "attribute":
            return self._listed(group.keys)
        places = self._inputs[group.keys]
        vectors = [self._strings(place) for place in (places if how == "scalars" else places[:1])]
        return None if None in vectors else [_text(each) for vector in vectors for each in vector or ()]

    def _may_be_missing(self, group: Group, keys: Sequence[str]) -> list[bool]:
        """Of each dense feature list whether it may be missing: flags by position, or the keys that may."""
        if group is not _STEPS_DENSE:
            return [False] * len(keys)
        if _MAY_BE_MISSING not in self._inputs:
            named = set(self._listed(_MAY_BE_MISSING))
            return [key in named for key in keys]
        tensor = self._constant(self._inputs[_MAY_BE_MISSING][0])
        value = constant_value(tensor, MAX_FEATURES) if tensor is not None else None
        listed = value if isinstance(value, tuple) else ()
        named = {_text(each) for each in listed if isinstance(each, bytes)}
        return [key in named or listed[at : at + 1] == (True,) for at, key in enumerate(keys)]

    def _listed(self, attr: str) -> list[str]:
        value = self._node.attr(attr)
        return [_text(each) for each in value.list.s] if value is not None and value.list is not None else []

    def _strings(self, place: int) -> tuple[bytes, ...] | None:
        tensor = self._constant(place)
        value = constant_value(tensor, MAX_FEATURES) if tensor is not None else None
        if isinstance(value, bytes):
            return (value,)
        if not isinstance(value, tuple):
            return None
        return tuple(each for each in value if isinstance(each, bytes))

    def _types(self, attr: str) -> list[str]:
        value = self._node.attr(attr)
        return [dtype_name(code) for code in value.list.type] if value is not None and value.list is not None else []

    def _shapes(self, attr: str) -> list[Shape]:
        value = self._node.attr(attr)
        return [each.shape for each in value.list.shape] if value is not None and value.list is not None else []

    def _count(self, attr: str) -> int:
        value = self._node.attr(attr)
        if value is None:
            return 0
        if value.list is not None:
            return min(len(value.list.type), MAX_FEATURES)
        return max(0, min(value.i or 0, MAX_FEATURES))


def _in_one_example(group: Group, shape: Shape) -> Shape:
    """The shape of the feature in one example: sparse and ragged ones are lists of any length, a row in each step."""
    if group.layout != "dense":
        return (None, None) if group.within == _STEPS else (None,)
    if group.within == _STEPS:
        return None if shape is None else (None, *shape)
    return shape


_TYPES: dict[str, Callable[[str, Shape], Type]] = {
    "dense": lambda dtype, shape: tensor_type(dtype, shape, Tensor),
    "sparse": lambda dtype, shape: tensor_type(dtype, shape, Sparse),
    "ragged": lambda dtype, shape: tensor_type(dtype, shape, Ragged),
}


def _name(key: str, within: str) -> str:
    """The key; in a tf.SequenceExample, where both parts may have it, `context["key"]` or `feature_lists["key"]`."""
    return format_path(within, (Key(key),)) if within else key


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def merged(features: Iterator[Feature] | Sequence[Feature]) -> tuple[Feature, ...]:
    """Each feature once, in order. Of one that is parsed more than once, what holds for every time is said."""
    found: dict[str, Feature] = {}
    for each in features:
        before = found.setdefault(each.name, each)
        if before != each:
            found[each.name] = Feature(
                name=each.name,
                type=_common(before.type, each.type),
                presence=_stricter(before, each),
                default=before.default if before.default == each.default else None,
            )
    return tuple(found.values())


def _stricter(one: Feature, other: Feature) -> Presence:
    order = (Presence.REQUIRED, Presence.DEFAULT, Presence.OPTIONAL)
    return min(one.presence, other.presence, key=order.index)


def _common(one: Type, other: Type) -> Type:
    if one == other:
        return one
    dtypes = {getattr(each, "dtype", None) for each in (one, other)}
    return Tensor(dtypes.pop() if len(dtypes) == 1 else None)
