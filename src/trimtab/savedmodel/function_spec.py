"""How the Python function behind a SavedFunction is called: its FullArgSpec, as `inspect` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.structure import NamedTuple, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trimtab.savedmodel.object_protos import FunctionSpec
    from trimtab.savedmodel.structure import Structure

MAX_PARAMETERS = 10_000
"""How many parameters a function has: Python itself takes more, and nobody writes as many."""

_JIT = {1: True, 2: False}


class CallSpec(Struct, frozen=True):
    """The parameters of a function, and what constrains them. The `self` of a method is left out.

    args: positional or keyword. varargs, varkw: the names of `*args` and `**kwargs`, or None.
    defaults: of the last of `args`. kwonlyargs, kwonlydefaults: keyword-only parameters, and the defaults they have.
    input_signature: what `tf.function(input_signature=...)` was given, by position, or None.
    jit_compile: what was asked of XLA; None where nothing was.
    """

    args: tuple[str, ...] = ()
    varargs: str | None = None
    varkw: str | None = None
    defaults: tuple[Structure, ...] = ()
    kwonlyargs: tuple[str, ...] = ()
    kwonlydefaults: dict[str, Structure] = {}
    input_signature: tuple[Structure, ...] | None = None
    jit_compile: bool | None = None

    def __str__(self) -> str:
        """As it stood in Python: `(x, training=False, *, mask=None)`."""
        return self.text(_value)

    def text(self, show: Callable[[Structure], str]) -> str:
        """As it stood in Python, with defaults worded by `show`."""
        plain = len(self.args) - len(self.defaults)
        parts = [*self.args[:plain]]
        parts += [f"{name}={show(value)}" for name, value in zip(self.args[plain:], self.defaults, strict=True)]
        if self.varargs or self.kwonlyargs:
            parts.append(f"*{self.varargs or ''}")
        for name in self.kwonlyargs:
            has_default = name in self.kwonlydefaults
            parts.append(f"{name}={show(self.kwonlydefaults[name])}" if has_default else name)
        if self.varkw:
            parts.append(f"**{self.varkw}")
        return f"({', '.join(parts)})"


def call_spec(proto: FunctionSpec, where: str) -> CallSpec:
    """The decoded FunctionSpec. ArtifactError, at `where`, when its fullargspec is not what `inspect` makes."""
    named = structure(proto.fullargspec)
    if named is None:
        return CallSpec()
    if not isinstance(named, NamedTuple):
        raise _unexpected(where, "fullargspec", "a named tuple FullArgSpec", named)
    args = _texts(named.get("args"), where, "args")
    defaults = _sequence(named.get("defaults"), where, "defaults")
    if len(defaults) > len(args):
        raise _unexpected(where, "defaults", f"at most {len(args)} values", len(defaults))
    if args and (proto.is_method or args[0] == "self"):
        args = args[1:]
        defaults = defaults[max(0, len(defaults) - len(args)) :]
    kwonlydefaults = named.get("kwonlydefaults")
    signature = structure(proto.input_signature)
    return CallSpec(
        args=args,
        varargs=_name(named.get("varargs"), where, "varargs"),
        varkw=_name(named.get("varkw"), where, "varkw"),
        defaults=defaults,
        kwonlyargs=_texts(named.get("kwonlyargs"), where, "kwonlyargs"),
        kwonlydefaults=kwonlydefaults if isinstance(kwonlydefaults, dict) else {},
        input_signature=None if signature is None else _sequence(signature, where, "input_signature"),
        jit_compile=_JIT.get(proto.jit_compile),
    )


def numbered(names: Iterable[str]) -> list[str]:
    """As TensorFlow makes names distinct: `x`, `x_1`, `x_2`."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        proposal = name
        while proposal in found:
            counts[name] = counts.get(name, 0) + 1
            proposal = f"{name}_{counts[name]}"
        found[proposal] = None
    return list(found)


def _texts(value: Structure, where: str, field: str) -> tuple[str, ...]:
    items = _sequence(value, where, field)
    if len(items) > MAX_PARAMETERS:
        raise _unexpected(where, field, f"at most {MAX_PARAMETERS} parameters", len(items))
    if not all(isinstance(item, str) for item in items):
        raise _unexpected(where, field, "names", items)
    return cast("tuple[str, ...]", items)


def _sequence(value: Structure, where: str, field: str) -> tuple[Structure, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _unexpected(where, field, "a list or tuple", value)
    return tuple(value)


def _name(value: Structure, where: str, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _unexpected(where, field, "a name", value)
    return value


def _value(value: Structure) -> str:
    return str(value) if isinstance(value, Struct) else repr(value)


def _unexpected(where: str, field: str, expected: str, got: object) -> ArtifactError:
    return ArtifactError(where=f"{where}: function_spec.{field}", expected=expected, got=repr(got)[:80])
