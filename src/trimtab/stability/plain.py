"""Values as the digest sees them (1 and 1.0 are one number, 1 and True are not), and as people do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from trimtab.signature.types import Type


def plain(value: object) -> str:
    """Text that is equal for values that are equal in the contract."""
    built_in = value if value is None or isinstance(value, str | int | float) else msgspec.to_builtins(value)
    return _encode(_whole(built_in))


def text(value: Type) -> str:
    """A type or a constant for people. What a document calls a number and is none is shown as it stands there."""
    try:
        return str(value).removeprefix("= ")
    except ValueError:
        return plain(value)


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def _whole(value: Any) -> Any:
    """Whole floats as integers, without absent fields, as the canonical form of a signature writes them."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
