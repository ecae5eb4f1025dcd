"""What a signature does, apart from how it is written: which function it calls, with what, and what it returns.

TensorFlow serves a function through a wrapper that takes keywords and returns a dict. Edits are done on this view of
a wrapper and never on the written one: there the order of arguments is that of their sorted names, so that renaming in
place swaps inputs in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trimtab.savedmodel.editing.names import keyword_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.structure import Spec

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""The ops that call a function of the library."""

FOLDED_BY_NOBODY = "PlaceholderWithDefault"
"""An op that gives what it is given, and that TensorFlow's graph optimizers leave alone, whatever feeds it."""

HANDLES = frozenset({20, 21})
"""The dtypes resource and variant, which nobody can feed."""


class Input(Struct, frozen=True):
    """An argument that the signature's caller feeds.

    dtype: by number. default: a TensorProto serialized, or empty. alias: another name that edits may know it by.
    """

    name: str
    dtype: int
    shape: Shape
    default: bytes = b""
    alias: str = ""


class Capture(Struct, frozen=True):
    """An argument that is fed with an object of the model. argument: the callee's ArgDef, attributes: its arg_attr."""

    node_id: int
    argument: bytes
    attributes: bytes = b""


class Constant(Struct, frozen=True):
    """An argument that is fixed. tensor: a TensorProto serialized."""

    dtype: int
    tensor: bytes


Argument: TypeAlias = Input | Capture | Constant


class Result(Struct, frozen=True):
    """One tensor that the callee returns: its position there, dtype and shape."""

    position: int
    dtype: int
    shape: Shape


class Output(Struct, frozen=True):
    """A named output, and the tensors that make it up: one, or those of a composite."""

    key: str
    spec: Spec
    results: tuple[Result, ...]


class Wrapper(Struct, frozen=True):
    """A signature as a call.

    callee: the function that is called, with `arguments` in its own order. result_dtypes: of all that it returns.
    stateful: whether the call has effects, or reads what has.
    """

    callee: str
    stateful: bool
    arguments: tuple[Argument, ...]
    result_dtypes: tuple[int, ...]
    outputs: tuple[Output, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the caller feeds, each once, in the order in which TensorFlow binds it: by keyword."""
        fed = {each.name: each for each in self.arguments if isinstance(each, Input)}
        return tuple(sorted(fed.values(), key=lambda each: keyword_of(each.name)))

    def with_arguments(self, arguments: Iterable[Argument]) -> Wrapper:
        """The same call, given other arguments."""
        return replace(self, arguments=tuple(arguments))

    @property
    def captures(self) -> tuple[Capture, ...]:
        """What the model feeds, in the callee's order."""
        return tuple(each for each in self.arguments if isinstance(each, Capture))


def is_stateful(function: Any) -> bool:
    """Whether a FunctionDef must be called by StatefulPartitionedCall."""
    return (
        function.signature.is_stateful
        or any(each.type in HANDLES for each in function.signature.input_arg)
        or any(node.op == "StatefulPartitionedCall" for node in function.node_def)
    )
