"""TensorFlow's dtypes by number, under TensorFlow's own names.

`trimtab.signature.dtypes` has those that a request carries.
"""

from __future__ import annotations

from functools import lru_cache

from trimtab.savedmodel.schema import SCHEMA

_RENAMED = {"float": "float32", "double": "float64", "half": "float16"}
_REFERENCE = 100
"""A reference dtype (TF1) is the number of its base plus this."""


@lru_cache
def dtype_name(code: int) -> str:
    """What TensorFlow calls the dtype: `float32`, `resource`, `int32_ref`; a number that it does not know as it is."""
    if _REFERENCE < code < 2 * _REFERENCE:
        return f"{dtype_name(code - _REFERENCE)}_ref"
    for enum_name, number in SCHEMA.enums["DataType"].items():
        if number == code:
            name = enum_name.removeprefix("DT_").lower()
            return _RENAMED.get(name, name)
    return f"dtype {code}"


@lru_cache
def dtype_code(name: str) -> int | None:
    """The number of the dtype that TensorFlow calls `name`, or None."""
    codes = (number for number in SCHEMA.enums["DataType"].values() if dtype_name(number) == name)
    return next(codes, None)
