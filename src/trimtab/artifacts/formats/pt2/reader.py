"""Read the signature of a torch.export archive (`.pt2`) without torch.

The archive is a zip. Each `models/NAME.json` is a program: its graph's values, which of them the caller gives, and how
nested arguments were flattened. Schema: torch/_export/serde/schema.py (version 8). Weights, constants and the pickled
sample inputs are never touched. Several programs in one archive are several entry points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.artifacts.formats.pt2.pytree import leaf_paths, read_tree
from trimtab.artifacts.formats.pt2.symbolic import is_readable, symbolic_text
from trimtab.artifacts.formats.torch_archive import TorchArchive, declared, embed, expect_archive, open_archive
from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError, RefusedArtifactError, SignatureError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Presence,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.naming import Leaf, input_names, output_names
from trimtab.signature.types import Dim, Literal, Opaque, Scalar, Sparse, Tensor, Type

if TYPE_CHECKING:
    from trimtab.signature.path import Step
    from trimtab.source.bytes import ByteSource

__all__ = ["declared", "derive", "embed", "match", "name"]

name = "pt2"

MAX_PROGRAM_BYTES = 80 << 20
"""Of one program, and of all: text that is read, of which little is decoded."""
MAX_PROGRAMS = 64


def match(source: ByteSource) -> bool:
    """Whether this is a torch.export or AOTInductor package, of any layout."""
    archive = open_archive(source)
    return archive is not None and (archive.legacy or "archive_format" in archive)


def derive(source: ByteSource) -> Signature:
    """One entry point per program. RefusedArtifactError for a package that holds compiled code alone."""
    archive = expect_archive(source)
    programs = _program_names(archive)
    if not programs:
        raise RefusedArtifactError(
            "this package holds compiled code (AOTInductor or ExecuTorch) and no exported program",
            where=source.name,
            hint="Compiled code does not name its inputs. Embed a signature: trimtab embed MODEL.pt2 --signature FILE",
        )
    entry_points, versions = [], set()
    bytes_left = MAX_PROGRAM_BYTES
    for entry_name, path in programs.items():
        where = archive.place(path)
        data = archive.read(path, limit=bytes_left)
        bytes_left -= len(data)
        program = _decode(data, _PROGRAM, where)
        entry_points.append(EntryPoint(name=entry_name, overloads=(_overload(program, where),)))
        versions.add(program.torch_version)
    return Signature(
        entry_points=tuple(entry_points),
        default_entry_point="model" if "model" in programs else next(iter(programs)),
        provenance=Provenance(format=name, producer=f"torch {', '.join(sorted(versions))}", learned=Learned.DERIVED),
    )


def _program_names(archive: TorchArchive) -> dict[str, str]:
    if archive.legacy:
        return {"model": "serialized_exported_program.json"}
    if archive.read("archive_format", limit=64) != b"pt2":
        raise ArtifactError(
            where=archive.place("archive_format"), expected="pt2", got=repr(archive.read("archive_format", limit=64))
        )
    paths = archive.names("models/", ".json")
    if len(paths) > MAX_PROGRAMS:
        raise ArtifactError(
            where=archive.place("models/"), expected=f"at most {MAX_PROGRAMS} programs", got=f"{len(paths)}"
        )
    return {path.removeprefix("models/").removesuffix(".json"): path for path in paths}


class _Limits(Struct):
    min_val: int | None = None
    max_val: int | None = None


class _Specs(Struct):
    input_specs: list[dict[str, Raw]]
    output_specs: list[dict[str, Raw]]


class _CallSignature(Struct):
    in_spec: str
    out_spec: str
    forward_arg_names: list[str] | None = None


class _Call(Struct):
    fqn: str
    signature: _CallSignature | None = None


class _NamedTuple(Struct):
    field_names: list[str]


class _TensorMeta(Struct):
    dtype: int
    sizes: Raw
    layout: int = 7


# What is Raw here is text still: it is counted before it becomes objects (`_part`).
_NONE = Raw(b"{}")


class _Graph(Struct):
    tensor_values: Raw = _NONE
    sym_int_values: Raw = _NONE


class _GraphModule(Struct):
    graph: _Graph
    signature: Raw
    module_call_graph: Raw
    treespec_namedtuple_fields: Raw = _NONE


class _Program(Struct):
    graph_module: _GraphModule
    range_constraints: Raw = _NONE
    torch_version: str = "2.4 or older"


class _Expression(Struct):
    expr_str: str


class _Named(Struct):
    name: str = ""
    class_fqn: str = ""


class _ConstantInput(Struct):
    name: str
    value: dict[str, Raw]


class _User(Struct):
    arg: dict[str, Raw]


class _Loss(Struct):
    arg: Raw


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_PROGRAM = Decoder(_Program)
_TENSORS = Decoder(dict[str, _TensorMeta])
_SIZES = Decoder(list[dict[str, Raw]])
_SPECS = Decoder(_Specs)
_CALLS = Decoder(list[_Call])
_NAMED_TUPLES = Decoder(dict[str, _NamedTuple])
_LIMITS = Decoder(dict[str, _Limits])
_EXPRESSION = Decoder(_Expression)
_NAMED = Decoder(_Named)
_CONSTANT_INPUT = Decoder(_ConstantInput)
_USER = Decoder(_User)
_LOSS = Decoder(_Loss)
_UNION = Decoder(dict[str, Raw])
_INTEGER = Decoder(int)
_TEXT = Decoder(str)
_ANY = Decoder(Any)

_T = TypeVar("_T")


def _decode(data: bytes | Raw, decoder: Decoder[_T], where: str) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as failure:
        raise ArtifactError(
            where=where,
            expected="a program as torch.export writes it (schema version 8)",
            got=str(failure) or "deeper nesting than JSON allows",
            hint="Written by a newer torch? Embed a signature to be independent of its schema.",
        ) from None


def _part(data: Raw, decoder: Decoder[_T], where: str) -> _T:
    """Decode a part of the program of which every item becomes an object."""
    check_json(bytes(data), where)
    return _decode(data, decoder, where)


def _tensors(data: Raw, where: str) -> dict[str, _TensorMeta]:
    """All tensors of the graph. Each has three members at least, so their number is bounded by that of colons."""
    check_count(bytes(data).count(b":"), _MAX_TENSOR_MEMBERS, "members of tensors' descriptions", where)
    return _decode(data, _TENSORS, where)


_MAX_TENSOR_MEMBERS = 2_000_000


def _overload(program: _Program, where: str) -> Overload:
    reader = _ProgramReader(program, where)
    return Overload(inputs=reader.inputs(), outputs=reader.outputs(), dimensions=reader.dimensions())


class _ProgramReader:
    """Reads one program's inputs and outputs."""

    def __init__(self, program: _Program, where: str) -> None:
        self._where = where
        module = program.graph_module
        self._tensors = _tensors(module.graph.tensor_values, f"{where} at graph.tensor_values")
        self._sym_ints = _part(module.graph.sym_int_values, _UNION, f"{where} at graph.sym_int_values")
        self._specs = _part(module.signature, _SPECS, f"{where} at signature")
        self._limits = _part(program.range_constraints, _LIMITS, f"{where} at range_constraints")
        check_count(len(self._limits), MAX_VALUES, "symbolic sizes", f"{where} at range_constraints")
        named_tuples = _part(module.treespec_namedtuple_fields, _NAMED_TUPLES, f"{where} at treespec_namedtuple_fields")
        self._fields = {key: value.field_names for key, value in named_tuples.items()}
        calls = _part(module.module_call_graph, _CALLS, f"{where} at module_call_graph")
        self._call = next((it.signature for it in calls if not it.fqn), None)

    def inputs(self) -> tuple[Input, ...]:
        specs = [
            (kind, value)
            for kind, value in map(self._only, self._specs.input_specs)
            if kind in ("user_input", "constant_input")
        ]
        check_count(len(specs), MAX_VALUES, "inputs", self._where)
        leaves = self._input_leaves(specs)
        names = input_names(leaves)
        return tuple(
            self._input(kind, value, leaf, name) for (kind, value), leaf, name in zip(specs, leaves, names, strict=True)
        )

    def outputs(self) -> tuple[Output, ...]:
        arguments = [
            # A loss names its tensor without saying that it is one.
            ("as_tensor", _decode(value, _LOSS, self._where).arg) if kind == "loss_output" else self._argument(value)
            for kind, value in map(self._only, self._specs.output_specs)
            if kind in ("user_output", "loss_output")
        ]
        check_count(len(arguments), MAX_VALUES, "outputs", self._where)
        paths = self._steps(self._call.out_spec if self._call else None, "out_spec", len(arguments))
        leaves = [Leaf("", path) for path in paths]
        return tuple(
            Output(name=name, type=self._type(*argument)[0], path=leaf.path, doc=self._symbol(*argument))
            for argument, leaf, name in zip(arguments, leaves, output_names(leaves), strict=True)
        )

    def dimensions(self) -> dict[str, Range]:
        limits = {}
        for expression, limit in self._limits.items():
            if not is_readable(expression):
                raise ArtifactError(
                    where=f"{self._where} at range_constraints", expected="a symbolic size", got=repr(expression)[:80]
                )
            limits[expression] = Range(minimum=_finite(limit.min_val), maximum=_finite(limit.max_val))
        return limits

    def _input_leaves(self, specs: list[tuple[str, Raw]]) -> list[Leaf]:
        if self._call is None:  # an inner program without a call signature: the graph's own, mangled names
            return [Leaf(self._graph_name(kind, value)) for kind, value in specs]
        roots = self._call.forward_arg_names or []
        leaves = []
        for path in self._steps(self._call.in_spec, "in_spec", len(specs)):
            (side, argument), steps = path[:2], path[2:]
            position = getattr(argument, "value", None)
            if getattr(side, "value", None) == 1:
                root = str(position)
            elif isinstance(position, int) and position < len(roots):
                root = roots[position]
            else:
                root = f"args[{position}]"
            leaves.append(Leaf(root, steps))
        return leaves

    def _steps(self, spec: str | None, key: str, count: int) -> list[tuple[Step, ...]]:
        where = f"{self._where} at module_call_graph[0].signature.{key}"
        if spec is None:
            return [()] * count
        paths = list(leaf_paths(read_tree(spec, where), self._fields, where))
        if len(paths) != count or (key == "in_spec" and any(len(path) < 2 for path in paths)):
            raise ArtifactError(where=where, expected=f"a call of {count} values", got=f"a tree of {len(paths)}")
        return paths

    def _graph_name(self, kind: str, value: Raw) -> str:
        if kind == "constant_input":
            return _decode(value, _CONSTANT_INPUT, self._where).name
        argument, content = self._argument(value)
        if argument == "as_tensor":
            return _decode(content, _NAMED, self._where).name
        raise ArtifactError(where=self._where, expected="a call signature", got=f"none, and an input {argument}")

    def _input(self, kind: str, value: Raw, leaf: Leaf, name: str) -> Input:
        path = leaf.path if leaf.path != name else None
        if kind == "constant_input":
            constant = self._constant(*self._only(_decode(value, _CONSTANT_INPUT, self._where).value))
            return Input(
                name=name,
                type=constant,
                path=path,
                presence=Presence.DEFAULT,
                default=constant,
                nullable=constant.value is None,
            )
        argument = self._argument(value)
        type_, limits = self._type(*argument)
        return Input(
            name=name,
            type=type_,
            path=path,
            constraints=Constraints(range=limits) if limits else None,
            doc=self._symbol(*argument),
        )

    def _argument(self, value: Raw) -> tuple[str, Raw]:
        return self._only(_decode(value, _USER, self._where).arg)

    def _only(self, union: dict[str, Raw]) -> tuple[str, Raw]:
        """The one member that a union of the schema has set."""
        if len(union) != 1:
            raise ArtifactError(where=self._where, expected="one kind of value", got=", ".join(union) or "none")
        return next(iter(union.items()))

    def _type(self, kind: str, value: Raw) -> tuple[Type, Range | None]:
        """The type of an argument, and the range of the symbol that it is, where it is one."""
        if kind == "as_tensor":
            return self._tensor(_decode(value, _NAMED, self._where).name), None
        if kind == "as_sym_int":
            key, inner = self._only(_decode(value, _UNION, self._where))
            if key == "as_int":
                return self._constant(key, inner), None
            limits = self._limits.get(str(self._symbol(kind, value)))
            return Scalar(DType.INT64), _range(limits) if limits else None
        if kind in _SYMBOLIC_SCALARS:
            return Scalar(_SYMBOLIC_SCALARS[kind]), None
        if kind == "as_custom_obj":
            return Opaque(_decode(value, _NAMED, self._where).class_fqn), None
        if kind in _CONSTANTS:
            return self._constant(kind, value), None
        return Opaque(kind.removeprefix("as_")), None

    def _tensor(self, name: str) -> Tensor | Sparse:
        where = f"{self._where} at graph.tensor_values.{name}"
        meta = self._tensors.get(name)
        if meta is None:
            raise ArtifactError(where=where, expected="a tensor's dtype and sizes", got="no such value")
        dtype = dtype_of("torch_export", meta.dtype)
        if dtype is None:
            raise ArtifactError(
                where=f"{where}.dtype",
                expected="a dtype code of schema 8 (1-13, 28-35)",
                got=str(meta.dtype),
                hint="Written by a newer torch? Embed a signature to be independent of it: trimtab embed MODEL.pt2",
            )
        sizes = _decode(meta.sizes, _SIZES, where)
        check_count(len(sizes), _MAX_RANK, "dimensions", where)
        shape = tuple(self._dim(size, where) for size in sizes)
        return Tensor(dtype, shape) if meta.layout not in _SPARSE_LAYOUTS else Sparse(dtype, shape)

    def _dim(self, size: dict[str, Raw], where: str) -> Dim:
        kind, value = self._only(size)
        if kind == "as_int":
            return _decode(value, _INTEGER, where)
        return symbolic_text(_decode(value, _EXPRESSION, where).expr_str, f"{where}.sizes")

    def _symbol(self, kind: str, value: Raw) -> str:
        """The expression that a symbolic integer stands for, for people: `s86 + 1`."""
        if kind != "as_sym_int":
            return ""
        key, inner = self._only(_decode(value, _UNION, self._where))
        raw = self._sym_ints.get(_decode(inner, _TEXT, self._where)) if key == "as_name" else None
        return "" if raw is None else str(self._dim(_decode(raw, _UNION, self._where), self._where))

    def _constant(self, kind: str, value: Raw) -> Literal:
        if kind == "as_none":
            return Literal(None)
        try:
            constant = Literal.from_python(_decode(value, _ANY, self._where))
        except SignatureError as failure:
            raise ArtifactError(where=self._where, expected="a constant", got=str(failure)) from None
        if kind == "as_float" and constant.value in _NOT_FINITE:
            return Literal(_NOT_FINITE[str(constant.value)], of="float")
        return constant


_SYMBOLIC_SCALARS = {"as_sym_float": DType.FLOAT64, "as_sym_bool": DType.BOOL}
_CONSTANTS = (
    "as_none",
    "as_int",
    "as_ints",
    "as_float",
    "as_floats",
    "as_string",
    "as_strings",
    "as_bool",
    "as_bools",
)
_NOT_FINITE = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}
_SPARSE_LAYOUTS = range(1, 6)
_UNBOUNDED = 1 << 62
_MAX_RANK = 1000


def _range(limits: _Limits) -> Range | None:
    bounds = Range(minimum=_finite(limits.min_val), maximum=_finite(limits.max_val))
    return None if bounds == Range() else bounds


def _finite(bound: int | None) -> int | None:
    """A bound as stated; None for the sentinels by which older versions wrote an absent one."""
    return None if bound is None or abs(bound) >= _UNBOUNDED else bound
