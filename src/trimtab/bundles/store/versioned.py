"""JSON objects of ours that state the version of their form, read in one way."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from trimtab.errors import StoreError
from trimtab.signature import strict_json

_Form = TypeVar("_Form")


def decode_versioned(data: bytes, form: type[_Form], *, key: str, version: int, where: str, hint: str) -> _Form:
    """Read an object of the form whose `key` says `version`. StoreError for anything else.

    where: the place to name in errors. hint: what to do about another version.
    """
    value = strict_json.parse(data, where=where, error=StoreError)
    stated = value.get(key) if isinstance(value, dict) else None
    if stated != version:
        raise StoreError(where=f"{where}: {key}", expected=str(version), got=repr(stated)[:80], hint=hint)
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as failure:
        raise StoreError(str(failure), where=where) from None
