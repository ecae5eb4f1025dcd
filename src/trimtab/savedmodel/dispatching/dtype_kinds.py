"""What family of numbers a dtype belongs to: the conversion rules are stated by family."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"u?int\d+$")
_FLOATING = re.compile(r"(b?float\d+|float\d+_\w+)$")


def is_integer(dtype: str) -> bool:
    """Signed or unsigned, not quantized."""
    return _INTEGER.match(dtype) is not None


def is_floating(dtype: str) -> bool:
    """Of any width, the eight-bit ones included."""
    return _FLOATING.match(dtype) is not None


def is_complex(dtype: str) -> bool:
    """complex64 or complex128."""
    return dtype.startswith("complex")


def is_numeric(dtype: str) -> bool:
    """Integer, floating or complex."""
    return is_integer(dtype) or is_floating(dtype) or is_complex(dtype)


def wraps(value: int, dtype: str) -> bool:
    """Whether an integer does not fit an integer dtype."""
    unsigned = dtype.startswith("uint")
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    low, high = (0, 1 << bits) if unsigned else (-(1 << bits - 1), 1 << bits - 1)
    return not low <= value < high
