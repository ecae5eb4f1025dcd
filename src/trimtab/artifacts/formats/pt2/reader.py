"""Read the signature of a torch.export archive (`.pt2`) without torch.

The archive is a zip. Each `models/NAME.json` is a program: its graph's values, which of them the caller gives, and how
nested arguments were flattened. Schema: torch/_export/serde/schema.py (version 8). Weights, constants and the pickled
sample inputs are never touched. Several programs in one archive are several entry points.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.pt2 import schema
from trimtab.artifacts.formats.pt2.liveness import MAX_GRAPH_BYTES, live_values
from trimtab.artifacts.formats.pt2.pytree import leaf_paths, read_tree
from trimtab.artifacts.formats.pt2.symbolic import is_readable, symbolic_text
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError, RefusedArtifactError, SignatureError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Live,
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
    from msgspec import Raw

    from trimtab.artifacts.formats.torch_archive import TorchArchive
    from trimtab.signature.path import Step

MAX_PROGRAM_BYTES = 80 << 20
"""Of one program, and of all: text that is read, of which little is decoded."""
MAX_PROGRAMS = 64
MAX_CODE_BYTES = 8 << 20
"""Of one compiled model's generated code; what is longer is not looked into."""
COMPILED = "data/aotinductor/"


def read_archive(archive: TorchArchive) -> Signature:
    """What all programs and compiled models of the archive say."""
    found = _Found(archive)
    for entry_name, path in _program_names(archive).items():
        found.read_program(entry_name, path)
    if archive.names(COMPILED):
        from trimtab.artifacts.formats.pt2.compiled import compiled_models  # most archives have none

        for model, code in compiled_models(archive).items():
            found.read_compiled(model, code)
    if not found.entry_points:
        raise RefusedArtifactError(
            "this package holds compiled code (AOTInductor or ExecuTorch) and no exported program",
            where=archive.directory.source.name,
            hint="Compiled code does not name its inputs. Embed a signature: trimtab embed MODEL.pt2 --signature FILE",
        )
    return Signature(
        entry_points=tuple(found.entry_points.values()),
        default_entry_point="model" if "model" in found.entry_points else next(iter(found.entry_points)),
        provenance=Provenance(
            format="pt2",
            producer=f"torch {', '.join(sorted(found.versions))}".strip(),
            learned=Learned.DERIVED,
            notes=tuple(dict.fromkeys(found.notes)),
        ),
    )


class _Found:
    """What has been read of an archive so far."""

    def __init__(self, archive: TorchArchive) -> None:
        self.entry_points: dict[str, EntryPoint] = {}
        self.versions: set[str] = set()
        self.notes: list[str] = []
        self._archive = archive
        self._bytes_left = MAX_PROGRAM_BYTES

    def read_program(self, entry_name: str, path: str) -> None:
        where = self._archive.place(path)
        program = schema.decode(self._read(path), schema.PROGRAM, where)
        reader = _ProgramReader(program, where)
        overload = Overload(inputs=reader.inputs(), outputs=reader.outputs(), dimensions=reader.dimensions())
        self.entry_points[entry_name] = EntryPoint(name=entry_name, overloads=(overload,))
        self.versions.add(program.torch_version)
        if reader.too_large:
            self.notes.append(f"the graph of {entry_name} is too large to look for unused inputs")

    def read_compiled(self, entry_name: str, path: str | None) -> None:
        if entry_name in self.entry_points:
            return  # the program says more
        from trimtab.artifacts.formats.pt2.compiled import compiled_overload

        found = None
        if path is not None and len(code := self._read(path)) <= MAX_CODE_BYTES:
            found = compiled_overload(code.decode("utf-8", "replace"), self._archive.place(path))
        if found is None:
            self.notes.append(f"the compiled model {entry_name} does not say what it takes")
            return
        overload, notes = found
        self.entry_points[entry_name] = EntryPoint(name=entry_name, overloads=(overload,))
        self.notes.extend(f"{entry_name}: {note}" for note in notes)

    def _read(self, path: str) -> bytes:
        data = self._archive.read(path, limit=self._bytes_left)
        self._bytes_left -= len(data)
        return data


def find_document(archive: TorchArchive) -> bytes | None:
    """The document in the archive's own place, or else in the metadata of its compiled model."""
    document = archive.document()
    if document is not None or not archive.names(COMPILED):
        return document
    from trimtab.artifacts.formats.pt2.compiled import document_in_metadata

    return document_in_metadata(archive)


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


class _ProgramReader:
    """Reads one program's inputs and outputs. `too_large`: whether its graph is, to look for unused inputs."""

    def __init__(self, program: schema.Program, where: str) -> None:
        self._where = where
        module = program.graph_module
        self._tensors = schema.decode_tensors(module.graph.tensor_values, f"{where} at graph.tensor_values")
        self._sym_ints = schema.decode_part(
            module.graph.sym_int_values, schema.UNION, f"{where} at graph.sym_int_values"
        )
        self._specs = schema.decode_part(module.signature, schema.SPECS, f"{where} at signature")
        self._limits = schema.decode_part(program.range_constraints, schema.LIMITS, f"{where} at range_constraints")
        check_count(len(self._limits), MAX_VALUES, "symbolic sizes", f"{where} at range_constraints")
        named_tuples = schema.decode_part(
            module.treespec_namedtuple_fields, schema.NAMED_TUPLES, f"{where} at treespec_namedtuple_fields"
        )
        self._fields = {key: value.field_names for key, value in named_tuples.items()}
        calls = schema.decode_part(module.module_call_graph, schema.CALLS, f"{where} at module_call_graph")
        self._call = next((it.signature for it in calls if not it.fqn), None)
        self._graph = module.graph
        self._nodes = bytes(module.graph.nodes)
        self.too_large = len(self._nodes) > MAX_GRAPH_BYTES
        self._live = self._live_values(module.graph)

    def _live_values(self, graph: schema.Graph) -> set[bytes] | None:
        written = [
            schema.decode(value, schema.MUTATION, self._where).user_input_name
            for kind, value in map(self._only, self._specs.output_specs)
            if kind == "user_input_mutation"
        ]
        return live_values(self._nodes, bytes(graph.inputs), bytes(graph.outputs), written)

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
            ("as_tensor", schema.decode(value, schema.LOSS, self._where).arg)
            if kind == "loss_output"
            else self._argument(value)
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
        for symbol in self._forgotten(limits):
            del limits[symbol]
        return limits

    def _forgotten(self, limits: dict[str, Range]) -> list[str]:
        """Symbols of values that the exporter dropped from the graph. torch drops their limits when it loads."""
        graph = self._graph
        values = b"".join(map(bytes, (graph.tensor_values, graph.sym_int_values, graph.sym_float_values)))
        if b"expr_str" in values and b"Symbol(" not in values:  # torch 2.4 and older
            return []
        named = set(_SYMBOL.findall(values))
        absent = [symbol for symbol in limits if symbol.isidentifier() and symbol.encode() not in named]
        if len(absent) > _MAX_ABSENT or self.too_large:
            return []
        # Subgraphs lie in nodes.
        return [symbol for symbol in absent if f"Symbol('{symbol}'".encode() not in self._nodes]

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
            return schema.decode(value, schema.CONSTANT_INPUT, self._where).name
        argument, content = self._argument(value)
        if argument == "as_tensor":
            return schema.decode(content, schema.NAMED, self._where).name
        raise ArtifactError(where=self._where, expected="a call signature", got=f"none, and an input {argument}")

    def _input(self, kind: str, value: Raw, leaf: Leaf, name: str) -> Input:
        path = leaf.path if leaf.path != name else None
        if kind == "constant_input":
            constant = self._constant(*self._only(schema.decode(value, schema.CONSTANT_INPUT, self._where).value))
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
            live=self._liveness(*argument),
            doc=self._symbol(*argument),
        )

    def _liveness(self, kind: str, value: Raw) -> Live:
        """Whether anything depends on an argument, by its name in the graph."""
        if self._live is None or kind not in _NAMED_KINDS:
            return Live.UNKNOWN
        named = schema.decode(value, schema.NAMED, self._where)
        name = named.name or named.as_name
        return (Live.YES if name.encode() in self._live else Live.NO) if name else Live.UNKNOWN

    def _argument(self, value: Raw) -> tuple[str, Raw]:
        return self._only(schema.decode(value, schema.USER, self._where).arg)

    def _only(self, union: dict[str, Raw]) -> tuple[str, Raw]:
        """The one member that a union of the schema has set."""
        if len(union) != 1:
            raise ArtifactError(where=self._where, expected="one kind of value", got=", ".join(union) or "none")
        return next(iter(union.items()))

    def _type(self, kind: str, value: Raw) -> tuple[Type, Range | None]:
        """The type of an argument, and the range of the symbol that it is, where it is one."""
        if kind == "as_tensor":
            return self._tensor(schema.decode(value, schema.NAMED, self._where).name), None
        if kind == "as_sym_int":
            key, inner = self._only(schema.decode(value, schema.UNION, self._where))
            if key == "as_int":
                return self._constant(key, inner), None
            limits = self._limits.get(str(self._symbol(kind, value)))
            return Scalar(DType.INT64), _range(limits) if limits else None
        if kind in _SYMBOLIC_SCALARS:
            return Scalar(_SYMBOLIC_SCALARS[kind]), None
        if kind == "as_custom_obj":
            return Opaque(schema.decode(value, schema.NAMED, self._where).class_fqn), None
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
        sizes = schema.decode(meta.sizes, schema.SIZES, where)
        check_count(len(sizes), _MAX_RANK, "dimensions", where)
        shape = tuple(self._dim(size, where) for size in sizes)
        return Tensor(dtype, shape) if meta.layout not in _SPARSE_LAYOUTS else Sparse(dtype, shape)

    def _dim(self, size: dict[str, Raw], where: str) -> Dim:
        kind, value = self._only(size)
        if kind == "as_int":
            return schema.decode(value, schema.INTEGER, where)
        return symbolic_text(schema.decode(value, schema.EXPRESSION, where).expr_str, f"{where}.sizes")

    def _symbol(self, kind: str, value: Raw) -> str:
        """The expression that a symbolic integer stands for, for people: `s86 + 1`."""
        if kind != "as_sym_int":
            return ""
        key, inner = self._only(schema.decode(value, schema.UNION, self._where))
        raw = self._sym_ints.get(schema.decode(inner, schema.TEXT, self._where)) if key == "as_name" else None
        return "" if raw is None else str(self._dim(schema.decode(raw, schema.UNION, self._where), self._where))

    def _constant(self, kind: str, value: Raw) -> Literal:
        if kind == "as_none":
            return Literal(None)
        try:
            constant = Literal.from_python(schema.decode(value, schema.ANY, self._where))
        except SignatureError as failure:
            raise ArtifactError(where=self._where, expected="a constant", got=str(failure)) from None
        if kind == "as_float" and constant.value in _NOT_FINITE:
            return Literal(_NOT_FINITE[str(constant.value)], of="float")
        return constant


_NAMED_KINDS = ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_custom_obj")
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
_SYMBOL = re.compile(rb"Symbol\('(\w+)'")
_MAX_ABSENT = 100
_UNBOUNDED = 1 << 62
_MAX_RANK = 1000


def _range(limits: schema.Limits) -> Range | None:
    bounds = Range(minimum=_finite(limits.min_val), maximum=_finite(limits.max_val))
    return None if bounds == Range() else bounds


def _finite(bound: int | None) -> int | None:
    """A bound as stated; None for the sentinels by which older versions wrote an absent one."""
    return None if bound is None or abs(bound) >= _UNBOUNDED else bound
