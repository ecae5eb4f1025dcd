"""Read the signature of an ExecuTorch program without ExecuTorch: a flatbuffer before segments of weights.

Field numbers: schema/program.fbs of ExecuTorch (identifier ET12); the extended header that says where the flatbuffer
ends: schema/extended_header.h. Each method is an execution plan over numbered values. A method that takes nothing and
runs nothing is a constant method: metadata, among which `module_info` is a signature document. Another document can
lie in a zip archive behind the program, where the runtime does not look; that one counts, for it was added later.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from trimtab.artifacts.dimensions import BoundedDims
from trimtab.artifacts.limits import MAX_ENTRY_POINTS, MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import EntryPoint, Input, Learned, Live, Output, Overload, Provenance, Signature
from trimtab.signature.naming import Leaf, input_names, output_names
from trimtab.signature.path import Key, Step
from trimtab.signature.types import Dim, Literal, Opaque, Scalar, Tensor, Type
from trimtab.source.appended import append_document, read_appended
from trimtab.source.flatbuffer import FLOAT64, INT8, INT32, INT64, UINT8, FlatBuffer, FlatTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.source.bytes import ByteSource

name = "executorch"

IDENTIFIER = b"ET12"
DEFAULT_METHOD = "forward"
DOCUMENT_METHOD = "module_info"

MAX_INSTRUCTIONS = 50_000
"""Of a method with more, no input is known to be dead."""

_EXTENDED = b"eh00"
_SHORTEST_HEADER = 32

# Program and ExecutionPlan
_PLANS = 1
_NAME, _CONTAINERS, _VALUES, _INPUTS, _OUTPUTS, _CHAINS, _DELEGATES = 0, 1, 2, 3, 4, 5, 7
# ContainerMetadata, Chain, Instruction, BackendDelegate
_INPUT_TREE, _OUTPUT_TREE = 0, 1
_INSTRUCTIONS = 2
_DELEGATE_ID = 0
# EValue: a union's kind and value
_KIND, _VALUE = 0, 1
_NULL, _INT, _BOOL, _DOUBLE, _TENSOR, _STRING = 1, 2, 3, 4, 5, 6
_LISTS = {
    7: "list of int",
    8: "list of float",
    9: "list of bool",
    10: "list of tensors",
    11: "list of optional tensors",
}
_REFERRING_LISTS = (7, 10, 11)
# Tensor
_SCALAR_TYPE, _SIZES, _DYNAMISM = 0, 2, 8
_STATIC, _BOUND = 0, 1

_MAX_SHOWN = 80


def match(source: ByteSource) -> bool:
    """Whether the file has ExecuTorch's identifier, of whatever schema."""
    identifier = source.head(8)[4:]
    return len(identifier) == 4 and identifier.startswith(b"ET") and identifier[2:].isdigit()


def derive(source: ByteSource) -> Signature:
    """One entry point for each method that computes something."""
    return _Program(source).signature()


def declared(source: ByteSource) -> bytes | None:
    """The document behind the program, or else what its constant method `module_info` gives."""
    document = read_appended(source, FILE_NAME, limit=MAX_DOCUMENT_BYTES)
    return document if document is not None else _Program(source).document()


def embed(path: str, document: bytes) -> None:
    """Write the document into an archive behind the program."""
    append_document(path, FILE_NAME, document)


class _Program:
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        identifier = source.head(8)[4:]
        if identifier != IDENTIFIER:
            raise ArtifactError(
                f"this is an ExecuTorch program of schema {identifier.decode()}",
                where=source.name,
                expected=f"schema {IDENTIFIER.decode()}",
                hint="Export it again with a current ExecuTorch.",
            )
        root = FlatBuffer(source, 0, _flatbuffer_end(source)).root()
        check_count(root.count(_PLANS), MAX_ENTRY_POINTS, "methods", source.name)
        self._methods = [_Method(source, plan) for plan in root.tables(_PLANS)]

    def signature(self) -> Signature:
        """The methods that compute something; where none does, the constant ones."""
        computing = [method for method in self._methods if not method.is_constant] or self._methods
        if not computing:
            raise ArtifactError(where=self._source.name, expected="a program with a method", got="none")
        entry_points = tuple(method.entry_point() for method in computing)
        names = [each.name for each in entry_points]
        return Signature(
            entry_points=entry_points,
            default_entry_point=DEFAULT_METHOD if DEFAULT_METHOD in names else names[0],
            provenance=Provenance(
                format=name,
                learned=Learned.DERIVED,
                notes=tuple(self._notes(computing)),
            ),
        )

    def document(self) -> bytes | None:
        """What the constant method of the document gives, if that is text."""
        for method in self._methods:
            if method.name == DOCUMENT_METHOD and method.is_constant:
                return method.text()
        return None

    def _notes(self, computing: list[_Method]) -> Iterator[str]:
        constants = [each for each in self._methods if each not in computing and each.name != DOCUMENT_METHOD]
        if constants:
            yield "constant methods: " + ", ".join(f"{each.name} = {each.constant()}" for each in constants)
        delegates = dict.fromkeys(chain.from_iterable(method.delegates() for method in computing))
        if delegates:
            yield f"delegates to {', '.join(delegates)}"
        yield from dict.fromkeys(chain.from_iterable(method.notes for method in computing))


def _flatbuffer_end(source: ByteSource) -> int:
    """Where the segments begin, which the extended header says where there is one."""
    head = source.head(_SHORTEST_HEADER)
    if head[8:12] != _EXTENDED:
        return source.size
    end = int.from_bytes(head[16:24], "little")
    if len(head) < _SHORTEST_HEADER or end > source.size:
        raise ArtifactError(
            where=f"{source.name}: extended header",
            expected=f"a program of {max(end, _SHORTEST_HEADER)} bytes",
            got=f"a file of {source.size}",
            hint="The file is cut short. Copy it again from its origin.",
        )
    return end


class _Method:
    def __init__(self, source: ByteSource, plan: FlatTable) -> None:
        self._source = source
        self._plan = plan
        self._dims = BoundedDims()
        self.name = plan.text(_NAME)
        self.notes: list[str] = []
        self._where = f"{source.name}: {self.name}"

    @property
    def is_constant(self) -> bool:
        """Whether it takes nothing and runs nothing."""
        return not self._plan.count(_INPUTS) and not any(it.count(_INSTRUCTIONS) for it in self._chains())

    def entry_point(self) -> EntryPoint:
        """Its inputs in the order in which the runtime takes them, and its outputs."""
        for field in (_INPUTS, _OUTPUTS):
            check_count(self._plan.count(field), MAX_VALUES, "inputs and outputs", self._where)
        inputs, outputs = self._plan.numbers(_INPUTS, INT32), self._plan.numbers(_OUTPUTS, INT32)
        unused = self._unused(inputs, outputs)
        leaves = self._input_leaves(len(inputs))
        overload = Overload(
            inputs=tuple(
                self._input(value_name, leaf, index, unused)
                for value_name, leaf, index in zip(_input_names(leaves), leaves, inputs, strict=True)
            ),
            outputs=tuple(self._outputs(outputs)),
            dimensions=self._dims.ranges,
        )
        if self._dims.ranges:
            self.notes.append("sizes that vary are known by their upper bounds, not which of a tensor's sizes vary")
        return EntryPoint(name=self.name, overloads=(overload,))

    def constant(self) -> str:
        """What a constant method gives, for people."""
        values = [self._constant(self._value(index)) for index in self._plan.numbers(_OUTPUTS, INT32)[:_MAX_SHOWN]]
        return (values[0] if len(values) == 1 else f"[{', '.join(values)}]")[:_MAX_SHOWN]

    def text(self) -> bytes | None:
        """The text that a constant method gives, if that is what it gives."""
        outputs = self._plan.numbers(_OUTPUTS, INT32)
        kind, value = self._value(outputs[0]) if len(outputs) == 1 else (_NULL, None)
        span = value.span(0) if kind == _STRING and value is not None else None
        if span is None:
            return None
        start, end = span
        if end - start > MAX_DOCUMENT_BYTES:
            raise ArtifactError(where=self._where, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(end - start))
        return self._source.read(start, end - start)

    def delegates(self) -> Iterator[str]:
        """The backends that parts of it are compiled for."""
        return (each.text(_DELEGATE_ID) for each in islice(self._plan.tables(_DELEGATES), _MAX_SHOWN))

    def _chains(self) -> Iterator[FlatTable]:
        return islice(self._plan.tables(_CHAINS), MAX_INSTRUCTIONS)

    def _input_leaves(self, count: int) -> list[Leaf]:
        """Where each input sits in the call: keyword arguments keep their names, positional ones their places."""
        leaves = []
        for at, path in enumerate(self._tree(_INPUT_TREE, count) or [(Key(0), Key(at)) for at in range(count)]):
            if len(path) < 2:
                return [Leaf("args", (Key(at),)) for at in range(count)]
            (side, argument), steps = path[:2], path[2:]
            if side == Key(1) and isinstance(argument, Key):
                leaves.append(Leaf(str(argument.value), steps))
            else:
                leaves.append(Leaf("args", (argument, *steps)))
        return leaves

    def _tree(self, field: int, count: int) -> list[tuple[Step, ...]] | None:
        """The paths of inputs or outputs, as the exporter describes the call; None where it does not do so."""
        containers = self._plan.table(_CONTAINERS)
        text = containers.text(field) if containers is not None else ""
        if not text.startswith("[1,"):
            return None
        from trimtab.artifacts.formats.pt2.pytree import leaf_paths, read_tree

        paths = list(islice(leaf_paths(read_tree(text, self._where), {}, self._where), count + 1))
        if len(paths) != count:
            self.notes.append(f"{self.name}: the call that it describes is not of its {count} values")
            return None
        return paths

    def _outputs(self, outputs: Sequence[int]) -> Iterator[Output]:
        paths = self._tree(_OUTPUT_TREE, len(outputs))
        leaves = [Leaf("", path) for path in paths] if paths else [Leaf("", (Key(at),)) for at in range(len(outputs))]
        for value_name, leaf, index in zip(output_names(leaves), leaves, outputs, strict=True):
            kind, value = self._value(index)
            type_ = Scalar(_SCALARS[kind]) if kind in _SCALARS else self._type(kind, value, value_name)
            yield Output(name=value_name, type=type_, path=leaf.path)

    def _input(self, value_name: str, leaf: Leaf, index: int, unused: set[int]) -> Input:
        type_ = self._type(*self._value(index), value_name)
        return Input(
            name=value_name,
            type=type_,
            path=leaf.path if leaf.path != value_name else None,
            nullable=type_ == Literal(None),
            # A baked constant is never dead: the runtime refuses any other.
            live=Live.NO if index in unused and not isinstance(type_, Literal) else Live.UNKNOWN,
        )

    def _value(self, index: int) -> tuple[int, FlatTable | None]:
        value = self._plan.table_in(_VALUES, index)
        return value.number(_KIND, UINT8), value.table(_VALUE)

    def _type(self, kind: int, value: FlatTable | None, value_name: str) -> Type:
        """The type of a value. A number or text that is an input is baked in: the runtime takes no other."""
        if value is None or kind == _NULL:
            return Literal(None)
        if kind == _TENSOR:
            return self._tensor(value, value_name)
        if kind in _SCALARS:
            return Literal.from_python(_python(kind, value))
        if kind in _LISTS:
            return Opaque(_LISTS[kind])
        raise ArtifactError(
            where=f"{self._where}: {value_name!r}",
            expected="a kind of value that ExecuTorch has (0-11)",
            got=str(kind),
            hint="Written by a newer ExecuTorch? Upgrade trimtab.",
        )

    def _tensor(self, tensor: FlatTable, value_name: str) -> Tensor:
        code = tensor.number(_SCALAR_TYPE, INT8)
        dtype = dtype_of("c10", code)
        if dtype is None:
            raise ArtifactError(
                where=f"{self._where}: {value_name!r}",
                expected="a c10 scalar type that tensors have",
                got=str(code),
                hint="Written by a newer ExecuTorch? Upgrade trimtab.",
            )
        sizes = tensor.numbers(_SIZES, INT32)
        dynamism = tensor.number(_DYNAMISM, INT8)
        return Tensor(dtype, tuple(self._dim(size, dynamism) for size in sizes))

    def _dim(self, size: int, dynamism: int) -> Dim:
        """A size: fixed, an upper bound (the file does not say which of a tensor's sizes vary), or no information."""
        if dynamism == _STATIC:
            return size if size >= 0 else None
        return self._dims.dim(0, size) if dynamism == _BOUND and size >= 0 else None

    def _unused(self, inputs: Sequence[int], outputs: Sequence[int]) -> set[int]:
        """Those of the inputs that no instruction and no list refers to, and that are no outputs."""
        unused = set(inputs).difference(outputs)
        left = MAX_INSTRUCTIONS
        for each in self._chains():
            left -= each.count(_INSTRUCTIONS)
            if left < 0:
                return set()
            for instruction in each.tables(_INSTRUCTIONS):
                referred = _referred(instruction)
                if referred is None:
                    return set()
                unused.difference_update(referred)
                if not unused:
                    return unused
        if self._plan.count(_VALUES) > MAX_VALUES:
            return set()
        for value in self._plan.tables(_VALUES) if unused else ():
            kind = value.number(_KIND, UINT8)
            content = value.table(_VALUE) if kind in _REFERRING_LISTS else None
            if content is not None:
                unused.difference_update(content.numbers(0, INT64 if kind == _INT_LIST else INT32))
        return unused

    def _constant(self, kind_and_value: tuple[int, FlatTable | None]) -> str:
        kind, value = kind_and_value
        if kind in _SCALARS and value is not None:
            return repr(_python(kind, value))
        return str(self._type(kind, value, self.name))


_INT_LIST = 7
_SCALARS = {_INT: DType.INT64, _BOOL: DType.BOOL, _DOUBLE: DType.FLOAT64, _STRING: DType.STRING}

# Instruction: a union's kind and value, whose fields refer to values
_KERNEL, _DELEGATE, _MOVE, _JUMP, _FREE = 1, 2, 3, 4, 5


def _referred(instruction: FlatTable) -> Sequence[int] | None:
    """The values that an instruction refers to; None for an instruction that this code does not know."""
    kind, call = instruction.number(_KIND, UINT8), instruction.table(_VALUE)
    if call is not None and kind in (_KERNEL, _DELEGATE):
        return call.numbers(1, INT32)
    if call is not None and kind == _MOVE:
        return call.number(0, INT32), call.number(1, INT32)
    return (call.number(0, INT32),) if call is not None and kind in (_JUMP, _FREE) else None


def _python(kind: int, value: FlatTable) -> int | float | str:
    if kind == _INT:
        return value.number(0, INT64)
    if kind == _BOOL:
        return value.flag(0)
    return value.real(0, FLOAT64) if kind == _DOUBLE else value.text(0)


def _input_names(leaves: Sequence[Leaf]) -> list[str]:
    """Names of a call's leaves; `input_0`, … for arguments that only their places tell apart."""
    names = input_names(leaves)
    made = {
        at: f"input_{at}"
        for at, leaf in enumerate(leaves)
        if names[at] == leaf.path
        and leaf.root == "args"
        and all(isinstance(it, Key) and isinstance(it.value, int) for it in leaf.steps)
    }
    taken = {each for at, each in enumerate(names) if at not in made}
    return [made[at] if at in made and made[at] not in taken else each for at, each in enumerate(names)]
