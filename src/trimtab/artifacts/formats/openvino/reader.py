"""Read the signature of an OpenVINO model from its IR, without OpenVINO and without the weights in the `.bin`.

Parameter layers are the inputs, Result layers the outputs, both in the order of the file. A port may have several
names, all of which OpenVINO takes: the first in their order is the input's, the others are aliases. Shapes of inputs
state bounds (`?,1..8,3`). Of outputs the file states what was known when it was written: OpenVINO infers them anew.
Format: https://docs.openvino.ai, "Intermediate Representation"; ov::PartialShape and ov::Dimension for shapes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.artifacts.dimensions import BoundedDims
from trimtab.artifacts.formats.carried import only_one
from trimtab.artifacts.formats.openvino.graph import Graph, Layer, expect_version, live_layers
from trimtab.artifacts.formats.openvino.xml import root_element
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import EntryPoint, Input, Learned, Live, Output, Overload, Provenance, Signature
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from trimtab.signature.dtypes import DType
    from trimtab.signature.types import Dim, Shape, Type
    from trimtab.source.bytes import ByteSource

name = "openvino"

ENTRY_POINT = "main"

_HEAD_BYTES = 4096
_MEMO = "openvino"


def match(source: ByteSource) -> bool:
    """Whether the first element is a `net` with a version."""
    tag, attributes = root_element(source.head(_HEAD_BYTES))
    return tag == "net" and "version" in attributes


def derive(source: ByteSource) -> Signature:
    """One entry point, `main`."""
    graph = _graph(source)
    if not graph.parameters and not graph.results:
        raise ArtifactError(where=source.name, expected="a net with Parameter and Result layers", got="neither")
    notes = [f"IR version {graph.version}"]
    dimensions = BoundedDims()
    live = live_layers(graph)
    inputs = tuple(_input(layer, graph, dimensions, live, notes) for layer in graph.parameters)
    types = {layer.id: it.type for layer, it in zip(graph.parameters, inputs, strict=True)}
    outputs = tuple(_output(layer, graph, types, notes) for layer in graph.results)
    overload = Overload(inputs=inputs, outputs=outputs, dimensions=dimensions.ranges)
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=f"openvino {graph.runtime}" if graph.runtime else "",
            learned=Learned.DERIVED,
            notes=tuple(dict.fromkeys(notes)),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The value of `module_info` in the model's run-time information."""
    return only_one([text.encode() for text in _graph(source).documents], f"{source.name}: rt_info")


def embed(path: str, document: bytes) -> None:
    """Write the document into the model's run-time information."""
    from trimtab.artifacts.formats.openvino.metadata import write_document

    write_document(path, document)


def _graph(source: ByteSource) -> Graph:
    graph = source.memo.get(_MEMO)
    if not isinstance(graph, Graph):
        graph = source.memo[_MEMO] = Graph(source)
    expect_version(graph, source)
    return graph


def _input(layer: Layer, graph: Graph, dimensions: BoundedDims, live: set[str], notes: list[str]) -> Input:
    where = _place(layer, graph)
    names = _names(graph.names.get((layer.id, layer.port.get("id", "")), ""), where)
    if graph.version == _NAMED_BY_LAYER or not names:
        names.add(layer.name)
    first, *others = sorted(names, key=str.encode)
    element = layer.data.get("element_type", "")
    return Input(
        name=first,
        type=Tensor(_dtype(element, where, notes), _shape(layer.data.get("shape"), dimensions, where)),
        aliases=tuple(others),
        live=Live.YES if layer.id in live else Live.NO,
        doc=f"layout {layer.layout}" if layer.layout else "",
    )


def _place(layer: Layer, graph: Graph) -> str:
    return f"{graph.where}: layer {layer.name[:80]!r}"


_NAMED_BY_LAYER = 10
"""The IR version in which a layer's name is a name of its port too."""


def _output(layer: Layer, graph: Graph, types: dict[str, Type], notes: list[str]) -> Output:
    where = _place(layer, graph)
    source = next(iter(graph.edges.get(layer.id, ())), ("", ""))
    if graph.version == _NAMED_BY_LAYER:
        names = _names(graph.names.get(source, ""), where)
        names.add(_name_in_version_10(graph, source) or layer.name)
    elif layer.output_names is not None:
        names = _names(layer.output_names, where)
    else:
        names = _names(graph.names.get(source, ""), where)
    known = types.get(source[0])
    if isinstance(known, Tensor):
        type_ = known  # a parameter that is a result too
    else:
        precision = layer.port.get("precision", "").lower()
        dtype = _dtype(_PRECISIONS.get(precision, precision), where, notes)
        type_ = Tensor(dtype, tuple(_known(dim, where) for dim in layer.dims) or None)
    first, *others = sorted(names, key=str.encode) or [layer.name]
    layout = f"layout {layer.layout}" if layer.layout else ""
    doc = "; ".join(filter(None, (f"also named {', '.join(map(repr, others))}" if others else "", layout)))
    return Output(name=first, type=type_, doc=doc)


def _name_in_version_10(graph: Graph, source: tuple[str, str]) -> str:
    """What OpenVINO calls an output after the layer that makes it."""
    layer, port = source
    ports = graph.ports.get(layer, [])
    named = graph.layer_names.get(layer, "")
    return f"{named}.{ports.index(port)}" if len(ports) > 1 and port in ports else named


def _names(text: str, where: str) -> set[str]:
    """The names in a list with commas between them; a comma in a name stands after a backslash."""
    if len(text) > _MAX_NAMES:
        raise ArtifactError(where=where, expected=f"names of at most {_MAX_NAMES} characters", got=str(len(text)))
    return {it.replace("\\,", ",") for it in _NAME.findall(text)}


_MAX_NAMES = 64 << 10
_NAME = re.compile(r"(?:[^\\,\n]|\\.)+")

_PRECISIONS = {
    "fp16": "f16",
    "fp32": "f32",
    "fp64": "f64",
    "bool": "boolean",
    "bin": "u1",
    "unspecified": "dynamic",
    "undefined": "dynamic",
}
"""Where the precision of a port is spelled otherwise than an element type."""

_WITHOUT_DTYPE = ("u1", "u3", "u6", "nf4")


def _dtype(element: str, where: str, notes: list[str]) -> DType | None:
    element = element.lower()
    if element in ("dynamic", "undefined"):
        return None
    dtype = dtype_of("openvino", element)
    if dtype is None and element not in _WITHOUT_DTYPE:
        raise ArtifactError(where=where, expected="an element type of OpenVINO", got=repr(element[:80]))
    if dtype is None:
        notes.append(f"{where.rpartition(': ')[2]} has elements of type {element}")
    return dtype


def _shape(text: str | None, dimensions: BoundedDims, where: str) -> Shape | None:
    if text is None:
        raise ArtifactError(where=where, expected="a shape", got="none")
    text = text.strip().removeprefix("[").removesuffix("]").strip()
    if text == "...":
        return None
    parts = text.split(",") if text else []
    if len(parts) > _MAX_RANK:
        raise ArtifactError(where=where, expected=f"at most {_MAX_RANK} dimensions", got=str(len(parts)))
    return tuple(_bounded(part.strip(), dimensions, where) for part in parts)


_MAX_RANK = 64


def _bounded(text: str, dimensions: BoundedDims, where: str) -> Dim:
    """A dimension: `3`, `?`, `-1`, `1..8`, `..8`, `2..`."""
    match_ = _DIM.fullmatch(text)
    if match_ is None:
        raise ArtifactError(where=where, expected="a dimension such as 3, ? or 1..8", got=repr(text[:80]))
    fixed, least, most = match_.groups()
    if fixed is not None:
        return int(fixed)
    minimum, maximum = int(least or 0), int(most) if most else None
    if maximum is not None and minimum > maximum:
        return None  # as OpenVINO has it
    return dimensions.dim(minimum, maximum)


_DIM = re.compile(r"(\d{1,18})|\?|-1|(\d{0,18})\.\.(\d{0,18})", re.ASCII)


def _known(text: str, where: str) -> Dim:
    """A size that the file states of an output; OpenVINO writes -1 for one that is not fixed."""
    if not re.fullmatch(r"-1|\d{1,18}", text, re.ASCII):
        raise ArtifactError(where=where, expected="a size", got=repr(text[:80]))
    return None if text == "-1" else int(text)
