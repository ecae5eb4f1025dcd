"""Values as the digest sees them: 1 and 1.0 are one number, 1 and True are not."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def plain(value: object) -> str:
    """Text that is equal for values that are equal in the contract."""
    built_in = value if value is None or isinstance(value, str | int | float) else msgspec.to_builtins(value)
    return _encode(_whole(built_in))


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
