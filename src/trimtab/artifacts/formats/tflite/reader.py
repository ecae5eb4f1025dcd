"""Read the signature of a TensorFlow Lite model without TensorFlow: signatures, tensors and operators, no weight.

Field numbers: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3. The signature document lies in a zip archive
behind the flatbuffer, where TFLite's own metadata tools keep "associated files": interpreters do not look there.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.tflite.liveness import Flow
from trimtab.artifacts.formats.tflite.origin import origin_of
from trimtab.artifacts.limits import MAX_ENTRY_POINTS, MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import (
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Provenance,
    Quantization,
    Signature,
)
from trimtab.signature.types import Opaque, Tensor, Type
from trimtab.source.appended import append_document, read_appended
from trimtab.source.flatbuffer import FLOAT32, INT8, INT32, INT64, UINT32, FlatBuffer, FlatTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trimtab.source.bytes import ByteSource

name = "tflite"

MAIN = "main"
"""The entry point of a model without signatures: its first subgraph, which interpreters run by default."""

DEFAULT_SIGNATURE = "serving_default"
MAX_SUBGRAPHS = 10_000
"""A branch has two and a loop has two; models have some tens of them."""

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

# Model
_VERSION, _SUBGRAPHS, _SIGNATURES = 0, 2, 7
# SignatureDef and TensorMap
_INPUTS, _OUTPUTS, _KEY, _SUBGRAPH = 0, 1, 2, 4
_MAP_NAME, _MAP_TENSOR = 0, 1
# SubGraph
_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 0, 1, 2
# Tensor
_SHAPE, _TYPE, _TENSOR_NAME, _QUANTIZATION, _SHAPE_SIGNATURE, _HAS_RANK = 0, 1, 3, 4, 7, 8
# QuantizationParameters
_SCALE, _ZERO_POINT, _QUANTIZED_DIMENSION = 2, 3, 6

_OPAQUE = {13: "resource", 14: "variant"}
_NO_TENSOR = -1


def match(source: ByteSource) -> bool:
    """Whether the file has TFLite's identifier."""
    return source.head(8)[4:] == IDENTIFIER


def derive(source: ByteSource) -> Signature:
    """One entry point for each signature; without any, `main`: the inputs and outputs of the first subgraph."""
    return _Model(source).signature()


def declared(source: ByteSource) -> bytes | None:
    """The document in the archive behind the flatbuffer."""
    return read_appended(source, FILE_NAME, limit=MAX_DOCUMENT_BYTES)


def embed(path: str, document: bytes) -> None:
    """Write the document into the archive behind the flatbuffer. Associated files that are there already stay."""
    append_document(path, FILE_NAME, document)


class _Model:
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._root = root = FlatBuffer(source).root()
        version = root.number(_VERSION, UINT32)
        if version != SCHEMA_VERSION:
            raise ArtifactError(
                where=source.name,
                expected=f"TensorFlow Lite's schema version {SCHEMA_VERSION}",
                got=str(version),
                hint="Interpreters refuse every other version. Convert the model again.",
            )
        if not root.count(_SUBGRAPHS):
            raise ArtifactError(where=source.name, expected="a TensorFlow Lite model with a subgraph", got="none")
        check_count(root.count(_SIGNATURES), MAX_ENTRY_POINTS, "signatures", source.name)
        check_count(root.count(_SUBGRAPHS), MAX_SUBGRAPHS, "subgraphs", source.name)
        self._flow = Flow(root)
        self._graphs: dict[int, FlatTable] = {}
        self._docs: dict[tuple[int, int], str] = {}  # by subgraph and tensor
        self._values_left = MAX_VALUES
        self._notes: list[str] = []
        self._ranks_stated: bool | None = None

    def signature(self) -> Signature:
        """What the model states."""
        origin = origin_of(self._source, self._root)
        main = self._graph(0)
        for field, texts in ((_GRAPH_INPUTS, origin.inputs), (_GRAPH_OUTPUTS, origin.outputs)):
            self._docs.update(zip(((0, index) for index in main.numbers(field, INT32)), texts, strict=False))
        entry_points = tuple(map(self._entry_point, self._root.tables(_SIGNATURES))) or (self._main(),)
        names = [each.name for each in entry_points]
        return Signature(
            entry_points=entry_points,
            default_entry_point=DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in names else names[0],
            provenance=Provenance(
                format=name,
                producer=origin.producer,
                learned=Learned.DERIVED,
                notes=(*origin.notes, *dict.fromkeys(self._notes)),
            ),
        )

    def _entry_point(self, definition: FlatTable) -> EntryPoint:
        key = definition.text(_KEY)
        index = definition.number(_SUBGRAPH, UINT32)
        graph = self._graph(index)
        inputs = _in_places(self._mapped(definition, _INPUTS, f"{key}: inputs"), graph.numbers(_GRAPH_INPUTS, INT32))
        outputs = _in_places(
            self._mapped(definition, _OUTPUTS, f"{key}: outputs"), graph.numbers(_GRAPH_OUTPUTS, INT32)
        )
        return self._entry(key, index, inputs, outputs)

    def _main(self) -> EntryPoint:
        self._notes.append(
            "without signatures: the inputs and outputs are named after tensors, and given in this order"
        )
        graph = self._graph(0)
        inputs = self._positional(graph, _GRAPH_INPUTS, "input")
        outputs = self._positional(graph, _GRAPH_OUTPUTS, "output")
        if not outputs:
            raise ArtifactError(
                where=self._source.name,
                expected="a signature, or a main subgraph with outputs",
                got="neither",
                hint="A model that gives nothing back is damaged, or was never finished.",
            )
        return self._entry(MAIN, 0, inputs, outputs)

    def _entry(
        self, key: str, index: int, inputs: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]]
    ) -> EntryPoint:
        live = self._flow.liveness(index, [tensor for _, tensor in inputs], [tensor for _, tensor in outputs])
        overload = Overload(
            inputs=tuple(
                Input(name=it.name, type=it.type, live=used, quantization=it.quantization, doc=it.doc)
                for it, used in zip(self._values(index, inputs), live, strict=True)
            ),
            outputs=tuple(self._values(index, outputs)),
        )
        return EntryPoint(name=key, overloads=(overload,))

    def _values(self, graph_index: int, values: Iterable[tuple[str, int]]) -> Iterator[Output]:
        """Each of a subgraph's tensors, as an output would be it."""
        graph = self._graph(graph_index)
        for value_name, index in values:
            tensor = graph.table_in(_TENSORS, index)
            quantization, remark = _quantization(tensor)
            doc = "; ".join(filter(None, (self._docs.get((graph_index, index)), remark)))
            yield Output(name=value_name, type=self._type(tensor, value_name), quantization=quantization, doc=doc)

    def _graph(self, index: int) -> FlatTable:
        if index not in self._graphs:
            graph = self._root.table_in(_SUBGRAPHS, index)
            twin = next((other for other, known in self._graphs.items() if known.at == graph.at), None)
            if twin is not None:
                raise ArtifactError(
                    where=f"{self._source.name}: subgraph {index}",
                    expected="a table of its own",
                    got=f"that of subgraph {twin}",
                    hint="No converter shares them: the file is made to exhaust whoever reads it.",
                )
            self._graphs[index] = graph
        return self._graphs[index]

    def _mapped(self, definition: FlatTable, field: int, where: str) -> list[tuple[str, int]]:
        """Names and tensors of a signature's inputs or outputs, in the file's order."""
        self._spend(definition.count(field))
        values = {}
        for each in definition.tables(field):
            value_name = each.text(_MAP_NAME)
            if value_name in values:
                raise ArtifactError(
                    where=f"{self._source.name}: {where}", expected="each name once", got=f"{value_name!r} twice"
                )
            values[value_name] = each.number(_MAP_TENSOR, UINT32)
        return list(values.items())

    def _positional(self, graph: FlatTable, field: int, kind: str) -> list[tuple[str, int]]:
        """The tensors of a subgraph's inputs or outputs, each under its own name where it has one to itself."""
        self._spend(graph.count(field))
        tensors = [index for index in graph.numbers(field, INT32) if index != _NO_TENSOR]
        names = [graph.table_in(_TENSORS, index).text(_TENSOR_NAME) for index in tensors]
        times = Counter(names)
        values: dict[str, int] = {}
        for position, (each, index) in enumerate(zip(names, tensors, strict=True)):
            value_name = each if each and times[each] == 1 else f"{kind}_{position}"
            while value_name in values or (value_name != each and value_name in times):
                value_name += "_"
            values[value_name] = index
        return list(values.items())

    def _spend(self, count: int) -> None:
        self._values_left -= count
        if self._values_left < 0:
            check_count(MAX_VALUES + 1, MAX_VALUES, "inputs and outputs", self._source.name)

    def _type(self, tensor: FlatTable, value_name: str) -> Type:
        code = tensor.number(_TYPE, INT8)
        if code in _OPAQUE:
            return Opaque(_OPAQUE[code])
        dtype = dtype_of("tflite", code)
        if dtype is None:
            raise ArtifactError(
                where=f"{self._source.name}: {value_name!r}",
                expected="a TensorFlow Lite tensor type (0-20)",
                got=str(code),
                hint="Converted by a newer TensorFlow? Upgrade trimtab.",
            )
        sizes = tensor.numbers(_SHAPE_SIGNATURE, INT32) or tensor.numbers(_SHAPE, INT32)
        if not sizes and not tensor.flag(_HAS_RANK) and self._ranks_are_stated():
            return Tensor(dtype)
        return Tensor(dtype, tuple(size if size >= 0 else None for size in sizes))

    def _ranks_are_stated(self) -> bool:
        """Whether the converter marks tensors of a known rank; before 2023 it did not, and none has the mark."""
        if self._ranks_stated is None:
            tensors = islice(self._graph(0).tables(_TENSORS), _SAMPLE)
            self._ranks_stated = any(tensor.flag(_HAS_RANK) for tensor in tensors)
        return self._ranks_stated


def _in_places(values: list[tuple[str, int]], tensors: Sequence[int]) -> list[tuple[str, int]]:
    """A signature's values in the order of the subgraph, which whoever passes or reads them by position goes by.

    The signature itself has them in the order of their names.
    """
    places = {tensor: place for place, tensor in enumerate(tensors)}
    return sorted(values, key=lambda value: places.get(value[1], len(places)))


_SAMPLE = 1000


def _quantization(tensor: FlatTable) -> tuple[Quantization | None, str]:
    """What a quantized tensor's integers stand for, or, of one with several scales, a remark; neither where nothing is.

    TensorFlow Lite gives what goes in and comes out one scale; several are for weights.
    """
    quantization = tensor.table(_QUANTIZATION)
    scales = quantization.count(_SCALE) if quantization is not None else 0
    if quantization is None or not scales:
        return None, ""
    if scales > 1:
        return None, f"quantized with {scales} scales along axis {quantization.number(_QUANTIZED_DIMENSION, INT32)}"
    (scale,) = quantization.reals(_SCALE, FLOAT32)
    if not math.isfinite(scale):
        return None, f"quantized with the scale {scale}"
    zero = next(iter(quantization.numbers(_ZERO_POINT, INT64)), 0) if quantization.count(_ZERO_POINT, 8) == 1 else 0
    return Quantization(scale=scale, zero_point=zero), ""
