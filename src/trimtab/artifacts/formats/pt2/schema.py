"""The parts of torch.export's JSON that a signature needs, decoded strictly and no further than needed.

Schema: torch/_export/serde/schema.py (version 8). What is not named here is skipped without becoming an object.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.artifacts.limits import check_count, check_json
from trimtab.errors import ArtifactError


class Limits(Struct):
    """The bounds of one symbolic size or expression."""

    min_val: int | None = None
    max_val: int | None = None


class Specs(Struct):
    """What the graph's inputs and outputs are: unions with one member each."""

    input_specs: list[dict[str, Raw]]
    output_specs: list[dict[str, Raw]]


class CallSignature(Struct):
    """How a call's nested arguments and results were flattened (`trimtab.artifacts.formats.pt2.pytree`)."""

    in_spec: str
    out_spec: str
    forward_arg_names: list[str] | None = None


class Call(Struct):
    """The call signature of one module; the empty `fqn` is the whole program."""

    fqn: str
    signature: CallSignature | None = None


class NamedTuple(Struct):
    """The fields of a registered named tuple."""

    field_names: list[str]


class TensorMeta(Struct):
    """One tensor of the graph."""

    dtype: int
    sizes: Raw
    layout: int = 7


# What is Raw here is text still: it is counted before it becomes objects (`decode_part`).
_NONE = Raw(b"{}")
_NO_ITEMS = Raw(b"[]")


class Graph(Struct):
    """The graph, its parts as text."""

    inputs: Raw = _NO_ITEMS
    outputs: Raw = _NO_ITEMS
    nodes: Raw = _NO_ITEMS
    tensor_values: Raw = _NONE
    sym_int_values: Raw = _NONE
    sym_float_values: Raw = _NONE


class GraphModule(Struct):
    """The graph with its signatures."""

    graph: Graph
    signature: Raw
    module_call_graph: Raw
    treespec_namedtuple_fields: Raw = _NONE


class Program(Struct):
    """One program."""

    graph_module: GraphModule
    range_constraints: Raw = _NONE
    torch_version: str = "2.4 or older"


class Expression(Struct):
    """A symbolic size."""

    expr_str: str


class Mutation(Struct):
    """An output that is written back into an input."""

    user_input_name: str


class Named(Struct):
    """A reference to a value of the graph, by whichever key its kind has."""

    name: str = ""
    as_name: str = ""
    class_fqn: str = ""


class ConstantInput(Struct):
    """An argument that was baked in."""

    name: str
    value: dict[str, Raw]


class User(Struct):
    """An argument of the call, or a returned value."""

    arg: dict[str, Raw]


class Loss(Struct):
    """The loss of a training program, which does not say that it is a tensor."""

    arg: Raw


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
PROGRAM = Decoder(Program)
TENSORS = Decoder(dict[str, TensorMeta])
SIZES = Decoder(list[dict[str, Raw]])
SPECS = Decoder(Specs)
CALLS = Decoder(list[Call])
NAMED_TUPLES = Decoder(dict[str, NamedTuple])
LIMITS = Decoder(dict[str, Limits])
EXPRESSION = Decoder(Expression)
MUTATION = Decoder(Mutation)
NAMED = Decoder(Named)
CONSTANT_INPUT = Decoder(ConstantInput)
USER = Decoder(User)
LOSS = Decoder(Loss)
UNION = Decoder(dict[str, Raw])
INTEGER = Decoder(int)
TEXT = Decoder(str)
ANY = Decoder(Any)

_T = TypeVar("_T")


def decode(data: bytes | Raw, decoder: Decoder[_T], where: str) -> _T:
    """Decode a value. ArtifactError, naming `where`, for what is not of the schema."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as failure:
        raise ArtifactError(
            where=where,
            expected="a program as torch.export writes it (schema version 8)",
            got=str(failure) or "deeper nesting than JSON allows",
            hint="Written by a newer torch? Embed a signature to be independent of its schema.",
        ) from None


def decode_part(data: Raw, decoder: Decoder[_T], where: str) -> _T:
    """Decode a part of the program of which every item becomes an object."""
    check_json(bytes(data), where)
    return decode(data, decoder, where)


def decode_tensors(data: Raw, where: str) -> dict[str, TensorMeta]:
    """All tensors of the graph. Each has three members at least, so their number is bounded by that of colons."""
    check_count(bytes(data).count(b":"), _MAX_TENSOR_MEMBERS, "members of tensors' descriptions", where)
    return decode(data, TENSORS, where)


_MAX_TENSOR_MEMBERS = 2_000_000
