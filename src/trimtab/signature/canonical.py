"""The canonical form of a signature, and the two digests over it.

The canonical form holds the contract alone. It leaves out provenance, documentation, liveness, and every order that a
caller cannot observe: inputs and outputs are sorted by name (positions live in their paths), entry points by name;
features stay in order where they are the columns of a matrix.
Overloads keep their order, for they are tried in it. Symbols of shapes are numbered by first use, so that renaming
`batch` to `n` changes nothing. Numbers that are whole are written as integers; keys are sorted; no white space.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from trimtab.signature.dtypes import DType
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.signature.model import EntryPoint, Feature, Input, Output, Overload, Signature
    from trimtab.signature.types import Type


def digest(signature: Signature) -> str:
    """SHA-256 over the whole contract: what `canonical_json` gives."""
    return _once("digest", signature, lambda: _sha256(canonical_json(signature)))


def input_digest(signature: Signature) -> str:
    """SHA-256 over what requests must carry: names, aliases, types, quantization, presence, nullability, defaults.

    Paths, ranges, categories and the default entry point's name are left out: they differ between formats and
    trainings of one model without any request noticing.
    """
    return _once("input_digest", signature, lambda: _sha256(_inputs_json(signature)))


def _inputs_json(signature: Signature) -> bytes:
    default = signature.entry_point()
    contract = {
        "default": [_inputs_alone(overload) for overload in default.overloads],
        "others": {
            entry_point.name: [_inputs_alone(overload) for overload in entry_point.overloads]
            for entry_point in signature.entry_points
            if entry_point is not default
        },
    }
    return _dump(contract)


def canonical_json(signature: Signature) -> bytes:
    """The contract as canonical UTF-8 JSON."""
    return _dump(
        {
            "default_entry_point": signature.default_entry_point,
            "entry_points": [
                _entry_point(entry_point) for entry_point in sorted(signature.entry_points, key=lambda each: each.name)
            ],
        }
    )


def overload_json(overload: Overload) -> bytes:
    """The contract of one way to call an entry point as canonical UTF-8 JSON; its name is no part of it."""
    return _dump(_overload(overload))


def _entry_point(entry_point: EntryPoint) -> dict[str, Any]:
    return {
        "name": entry_point.name,
        "overloads": [_overload(overload) for overload in entry_point.overloads],
    }


def _overload(overload: Overload) -> dict[str, Any]:
    symbols = _Symbols()
    inputs = [_input(value, symbols) for value in _in_order(overload.inputs)]
    outputs = [_output(value, symbols) for value in _in_order(overload.outputs)]
    dimensions = {
        symbols.rename(expression): _fields(limits) for expression, limits in sorted(overload.dimensions.items())
    }
    return {"inputs": inputs, "outputs": outputs, "dimensions": dimensions}


def _inputs_alone(overload: Overload) -> list[dict[str, Any]]:
    symbols = _Symbols()
    return [_sent(value, symbols, constrained=False) for value in _in_order(overload.inputs)]


def _input(value: Input, symbols: _Symbols) -> dict[str, Any]:
    fields = _sent(value, symbols, constrained=True)
    if value.path is not None and value.path != value.name:
        fields["path"] = value.path
    if value.id is not None:
        fields["id"] = value.id
    if value.constraints is not None:
        fields["constraints"] = _fields(value.constraints)
    return fields


def _sent(value: Input, symbols: _Symbols, *, constrained: bool) -> dict[str, Any]:
    """What a request must carry of an input. constrained: with the constraints of the features inside."""
    fields = {
        "name": value.name,
        "aliases": sorted(value.aliases),
        "type": symbols.type(value.type),
        "presence": value.presence,
        "nullable": value.nullable,
        "features": [],
    }
    if value.features:
        inside = _in_observable_order(value)
        fields["features"] = [_feature(each, symbols, constrained=constrained) for each in inside]
    if value.default is not None:
        fields["default"] = _fields(value.default)
    if value.quantization is not None:
        fields["quantization"] = _fields(value.quantization)
    return fields


def features_are_columns(value: Input) -> bool:
    """Whether the features inside an input are the columns of a matrix, whose order counts: not keys of an example."""
    return isinstance(value.type, Tensor) and value.type.dtype not in (DType.STRING, DType.BYTES)


def _in_observable_order(value: Input) -> list[Feature]:
    return list(value.features) if features_are_columns(value) else sorted(value.features, key=lambda each: each.name)


def _feature(feature: Feature, symbols: _Symbols, *, constrained: bool = True) -> dict[str, Any]:
    return _present(
        {
            "name": feature.name,
            "id": feature.id,
            "aliases": sorted(feature.aliases),
            "type": symbols.type(feature.type),
            "presence": feature.presence,
            "default": _fields(feature.default),
            "nullable": feature.nullable,
            "constraints": _fields(feature.constraints) if constrained else None,
        }
    )


def _output(value: Output, symbols: _Symbols) -> dict[str, Any]:
    return _present(
        {
            "name": value.name,
            "path": value.path if value.path != value.name else None,
            "id": value.id,
            "type": symbols.type(value.type),
            "quantization": _fields(value.quantization),
        }
    )


_V = TypeVar("_V", "Input", "Output")


def _in_order(values: Sequence[_V]) -> list[_V]:
    """Inputs or outputs by name, then by path, then by type."""
    if len({value.name for value in values}) == len(values):
        return sorted(values, key=_NAME)  # no two of them need the rest
    return sorted(values, key=lambda value: (value.name, value.path or "", str(value.type)))


_NAME = operator.attrgetter("name")


def _rename_dims(fields: dict[str, Any], rename: Callable[[str], str]) -> None:
    if fields.get("shape"):
        fields["shape"] = [rename(dim) if isinstance(dim, str) else dim for dim in fields["shape"]]
    for inner in ("element", "value"):
        if isinstance(fields.get(inner), dict):
            _rename_dims(fields[inner], rename)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without those that are absent."""
    return {name: value for name, value in fields.items() if value is not None}


def _fields(value: Any) -> Any:
    """A value as JSON has it: whole floats as integers, without absent fields."""
    return None if value is None else _whole(msgspec.to_builtins(value))


def _whole(value: Any) -> Any:
    """Drop absent fields, and write whole floats as integers. An empty shape stays: rank 0 is not unknown rank."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, float):  # msgspec writes others than whole ones otherwise than Python
        return int(value) if value.is_integer() else msgspec.Raw(json.dumps(value, allow_nan=False).encode())
    return value


_SYMBOL = re.compile(r"[A-Za-z_][\w.]*(?!\w*\()")
_EXPRESSION = re.compile(r"[\w\s.+\-*/%(),]*")


class _Symbols:
    """Numbers the symbols of one overload in the order in which the canonical form meets them."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._tensors: dict[Tensor, dict[str, Any]] = {}

    def type(self, value: Type) -> dict[str, Any]:
        """The fields of a type with its symbols numbered. Hundreds of inputs share a few: each is done once.

        Only tensors are kept, for literals compare as Python values do: 1 equals True, and their JSON does not.
        """
        if not isinstance(value, Tensor):
            return self._renamed(value)
        fields = self._tensors.get(value)
        if fields is None:
            fields = self._tensors[value] = self._tensor(value)
        return fields

    def _tensor(self, value: Tensor) -> dict[str, Any]:
        """`_renamed` of a tensor: the one type of which there are thousands."""
        fields: dict[str, Any] = {"kind": "tensor"}
        if value.dtype is not None:
            fields["dtype"] = value.dtype
        if value.shape is not None:
            fields["shape"] = [self.rename(dim) if isinstance(dim, str) else dim for dim in value.shape]
        return fields

    def _renamed(self, value: Type) -> dict[str, Any]:
        fields: dict[str, Any] = _fields(value)
        _rename_dims(fields, self.rename)
        return fields

    def rename(self, dim: str) -> str:
        """A dimension's text with every symbol numbered."""
        if dim.isascii() and dim.isidentifier():
            return self._number(dim)
        if not _EXPRESSION.fullmatch(dim) or not _SYMBOL.search(dim):
            return self._number(dim)
        return _SYMBOL.sub(lambda match: self._number(match.group()), dim)

    def _number(self, symbol: str) -> str:
        return self._numbers.setdefault(symbol, f"d{len(self._numbers)}")


def _dump(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


_REMEMBERED = 256
_digests: dict[tuple[str, bytes], str] = {}


def _once(kind: str, signature: Signature, compute: Callable[[], str]) -> str:
    """A digest, computed once for contracts that are equal to the letter.

    The versions of a model mostly are, and whoever reads a repository meets them one after the other; encoding is a
    twentieth of the work.
    """
    try:
        encoded = msgspec.msgpack.encode((signature.default_entry_point, signature.entry_points))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return compute()
    key = (kind, hashlib.blake2b(encoded, digest_size=32).digest())
    known = _digests.get(key)
    if known is None:
        known = compute()
        if len(_digests) >= _REMEMBERED:
            _digests.clear()
        _digests[key] = known
    return known
