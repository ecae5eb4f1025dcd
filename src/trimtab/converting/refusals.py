"""How a conversion says no: the sentences that name a feature, what it should have been, and what it was."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

from trimtab.errors import ConversionError
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trimtab.signature.dtypes import DType
    from trimtab.signature.model import Input


def quoted(name: str) -> str:
    """A name in quotes, safe to print and of bounded length: it may be anyone's bytes."""
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    return f'"{printable(shown)}"'


def place(name: str) -> str:
    """The `where` of an input."""
    return f"input {quoted(name)}"


@contextmanager
def naming(value: Input) -> Iterator[None]:
    """Errors from inside say which input they are about."""
    try:
        yield
    except ConversionError as failure:
        raise failure.within(place(value.name)) from None


def described(value: Input) -> str:
    """An input as `"user_age" (float32 [batch, 1], required)`."""
    return f"{quoted(value.name)} ({printable(str(value.type))}, {value.presence})"


def array_text(dtype: DType | str | None, shape: Sequence[int]) -> str:
    """An array as `int64 [64, 1]`."""
    dims = ", ".join(map(str, shape[:_MOST_DIMS])) + (", …" if len(shape) > _MOST_DIMS else "")
    return f"{printable(str(dtype))[:_LONGEST_NAME] or 'no datatype'} [{dims}]"


def mismatch(value: Input, expected: str, got: str, hint: str = "") -> ConversionError:
    """The error of an input that came, but not as the signature says."""
    return ConversionError(where=place(value.name), expected=expected, got=got, hint=hint)


def twice(value: Input, names: Iterable[str]) -> ConversionError:
    """The error of an input that came more than once, perhaps under an alias."""
    as_names = " and as ".join(dict.fromkeys(quoted(name) for name in names))
    hint = "Which one is meant cannot be known: send one."
    return ConversionError(where=place(value.name), expected="one value", got=f"several, as {as_names}", hint=hint)


def missing(absent: Sequence[Input], present: Iterable[str], known: Iterable[str]) -> ConversionError:
    """The error of required inputs that did not come; `present` is what came, `known` every name of the signature."""
    value, near = absent[0], ""
    surplus = sorted(set(present).difference(known))
    for candidate in absent[:_MOST_NAMES]:
        alike = [name for name in surplus if abs(len(name) - len(candidate.name)) <= _FARTHEST][:_MOST_ALIKE]
        if found := get_close_matches(candidate.name, alike, n=1, cutoff=0.75):
            value, near = candidate, found[0]
            break
    others = [quoted(other.name) for other in absent if other is not value]
    shown = ", ".join(others[:_MOST_NAMES]) + (f" and {len(others) - _MOST_NAMES} more" if others[_MOST_NAMES:] else "")
    hint = f"Also missing: {shown}." if others else ""
    if near:
        problem = f"input {quoted(near)} is not in the signature and {described(value)} is missing; is it misspelled?"
    else:
        problem = f"input {described(value)} is missing"
    return ConversionError(problem, hint=hint)


_LONGEST_NAME = 120
_MOST_DIMS = 16
_MOST_NAMES = 8
_MOST_ALIKE = 500
_FARTHEST = 3
