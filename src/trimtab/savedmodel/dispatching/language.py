"""One call in the argument language of the corpus: `{"path": "f", "args": [...], "kwargs": {...}}`.

An argument is an object with a kind `k`: `tensor`, `np`, `npscalar`, `variable` have `dtype` and `value`; `zeros` and
`symbolic` have `dtype` and `shape`; `py` and `bytes` have `value`; `list`, `tuple`, `dict` and `namedtuple` have
`items`; `ragged` has `dtype`, `value`, `row_splits_dtype`; `sparse` has `dtype`, `indices`, `values`, `dense_shape`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trimtab.errors import ConversionError
from trimtab.savedmodel.dispatching.lookup import dispatch_path, dispatch_signature
from trimtab.savedmodel.dispatching.values import (
    MAX_DATA,
    MAX_VALUES,
    RaggedValue,
    SparseValue,
    TensorValue,
    Value,
)
from trimtab.savedmodel.dtypes import dtype_code
from trimtab.savedmodel.structure import MAX_DEPTH, NamedTuple

if TYPE_CHECKING:
    from trimtab.savedmodel.dispatching.outcome import Dispatch
    from trimtab.savedmodel.dispatching.values import Source
    from trimtab.savedmodel.model import MetaGraph

_MAX_RANK = 254
_SOURCES: dict[str, Source] = {"tensor": "tensor", "np": "numpy", "npscalar": "scalar", "variable": "variable"}


class Call(Struct, frozen=True):
    """A call of the object at a path, or of the signature under a key: one of the two is set."""

    path: str | None = None
    signature: str | None = None
    args: tuple[Value, ...] = ()
    kwargs: dict[str, Value] = {}


def parse_call(call: Any) -> Call:
    """Read a call. ConversionError that says where it is malformed."""
    if not isinstance(call, dict):
        raise _malformed("call", "an object", call)
    path, signature = call.get("path"), call.get("signature")
    if (path is None) == (signature is None):
        raise _malformed("call", "either a path or a signature", sorted(map(str, call)))
    for key, value in (("path", path), ("signature", signature)):
        if value is not None and not isinstance(value, str):
            raise _malformed(key, "a text", value)
    args, kwargs = call.get("args", []), call.get("kwargs", {})
    if not isinstance(args, list):
        raise _malformed("args", "a list", args)
    if not isinstance(kwargs, dict):
        raise _malformed("kwargs", "an object", kwargs)
    reading = _Reading()
    return Call(
        path,
        signature,
        tuple(reading.argument(each, f"args[{at}]", 0) for at, each in enumerate(args)),
        {str(key): reading.argument(each, f"kwargs[{key!r}]", 0) for key, each in kwargs.items()},
    )


def dispatch_call(meta_graph: MetaGraph, call: Call) -> Dispatch:
    """What TensorFlow does with a call on a model that it has loaded."""
    if call.signature is not None:
        return dispatch_signature(meta_graph, call.signature, call.args, call.kwargs)
    return dispatch_path(meta_graph, call.path or "", call.args, call.kwargs)


class _Reading:
    """One call, counting the values in it."""

    def __init__(self) -> None:
        self.values = 0

    def argument(self, term: Any, where: str, depth: int) -> Value:
        self._count(where, depth)
        if not isinstance(term, dict) or not isinstance(term.get("k"), str):
            raise _malformed(where, 'an object with a kind "k"', term)
        kind = term["k"]
        if kind in _SOURCES:
            return self._tensor(term, where, _SOURCES[kind])
        if kind in ("zeros", "symbolic"):
            shape = _shape(term, where, "shape", partial=kind == "symbolic")
            return TensorValue(_dtype(term, where), shape, source="tensor" if kind == "zeros" else "symbolic")
        if kind == "py":
            return self._python(term.get("value"), f"{where}.value", depth)
        if kind == "bytes":
            text = term.get("value")
            if not isinstance(text, str):
                raise _malformed(f"{where}.value", "a text", text)
            return text.encode("utf-8", "surrogatepass")
        if kind in ("list", "tuple", "dict", "namedtuple"):
            return self._container(term, where, kind, depth)
        if kind == "ragged":
            return self._ragged(term, where)
        if kind == "sparse":
            shape = _shape(term, where, "dense_shape", partial=False)
            return SparseValue(_dtype(term, where), shape)
        known = ", ".join((*_SOURCES, "zeros", "symbolic", "py", "bytes", "list", "tuple", "dict", "namedtuple"))
        raise _malformed(f"{where}.k", f"one of {known}, ragged, sparse", kind)

    def _tensor(self, term: Any, where: str, source: Source) -> TensorValue:
        data = term.get("value")
        shape = self._dense_shape(data, f"{where}.value", 0)
        size = 1
        for each in shape:
            size *= each
        dtype = _dtype(term, where)
        if dtype.startswith("complex"):  # complex numbers are pairs or texts; only their dtype and shape matter
            return TensorValue(dtype, shape, None, source)
        return TensorValue(dtype, shape, data if size <= MAX_DATA else None, source)

    def _dense_shape(self, data: Any, where: str, depth: int) -> tuple[int, ...]:
        self._count(where, depth)
        if not isinstance(data, list):
            return ()
        inner: tuple[int, ...] | None = None
        for item in data:
            shape = self._dense_shape(item, where, depth + 1)
            if inner is not None and shape != inner:
                raise _malformed(where, "nested lists of equal lengths", data)
            inner = shape
        return (len(data), *(inner or ()))

    def _python(self, value: Any, where: str, depth: int) -> Value:
        """A literal as it stands in JSON; lists and objects in it are Python lists and dicts."""
        self._count(where, depth)
        if isinstance(value, list):
            return [self._python(item, where, depth + 1) for item in value]
        if isinstance(value, dict):
            return {str(key): self._python(item, where, depth + 1) for key, item in value.items()}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise _malformed(where, "a value that JSON has", value)

    def _container(self, term: Any, where: str, kind: str, depth: int) -> Value:
        items = term.get("items")
        if kind == "dict":
            if not isinstance(items, dict):
                raise _malformed(f"{where}.items", "an object", items)
            return {key: self.argument(each, f"{where}[{key!r}]", depth + 1) for key, each in items.items()}
        if not isinstance(items, list):
            raise _malformed(f"{where}.items", "a list", items)
        if kind == "namedtuple":
            fields: Any = tuple(self._field(pair, f"{where}.items[{at}]", depth) for at, pair in enumerate(items))
            return NamedTuple(str(term.get("name", "")), fields)
        made = [self.argument(each, f"{where}[{at}]", depth + 1) for at, each in enumerate(items)]
        return made if kind == "list" else tuple(made)

    def _field(self, pair: Any, where: str, depth: int) -> tuple[str, Value]:
        match pair:
            case [str(name), item]:
                return name, self.argument(item, f"{where}.{name}", depth + 1)
        raise _malformed(where, "a pair of name and argument", pair)

    def _ragged(self, term: Any, where: str) -> RaggedValue:
        """As `tf.ragged.constant` makes it: every dimension but the first is ragged."""
        splits = term.get("row_splits_dtype", "int64")
        if splits not in ("int32", "int64"):
            raise _malformed(f"{where}.row_splits_dtype", "int32 or int64", splits)
        value = term.get("value")
        rank = self._depth(value, f"{where}.value", 0)
        dtype = _dtype(term, where)
        if rank < 1:
            raise _malformed(f"{where}.value", "nested lists", value)
        return RaggedValue(dtype, (len(value), *[None] * (rank - 1)), max(rank - 1, 0), splits, inner=None)

    def _depth(self, value: Any, where: str, depth: int) -> int:
        self._count(where, depth)
        if not isinstance(value, list):
            return 0
        return 1 + max((self._depth(item, where, depth + 1) for item in value), default=0)

    def _count(self, where: str, depth: int) -> None:
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            limit = f"at most {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"at most {MAX_VALUES} values"
            raise ConversionError("a call that is too large", where=where, expected=limit)


def _dtype(term: Any, where: str) -> str:
    """The dtype of a term. NumPy's names for texts and objects mean TensorFlow's strings."""
    name = term.get("dtype")
    if name in ("object", "str", "bytes"):
        return "string"
    if not isinstance(name, str) or dtype_code(name) is None:
        raise _malformed(f"{where}.dtype", "a dtype by TensorFlow's name", name)
    return name


def _shape(term: Any, where: str, field: str, *, partial: bool) -> tuple[int | None, ...] | None:
    value = term.get(field)
    if value is None and partial:
        return None
    if not isinstance(value, list) or len(value) > _MAX_RANK:
        raise _malformed(f"{where}.{field}", "a list of sizes", value)
    for size in value:
        known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not known and not (size is None and partial):
            raise _malformed(f"{where}.{field}", "sizes of at least 0", size)
    return tuple(value)


def _malformed(where: str, expected: str, got: object) -> ConversionError:
    return ConversionError("a malformed call", where=where, expected=expected, got=repr(got)[:80])
