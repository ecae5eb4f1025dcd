"""Collect from an IR file what a signature needs: the layers at the model's ends, the edges, the run-time information.

The bodies of loops and branches lie deeper than the model's own layers, which is how they are told apart: what goes
into such a layer counts as used, whatever its body does with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.openvino.xml import Attributes, XmlParser
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

PARAMETER, RESULT, CONSTANT = "Parameter", "Result", "Const"


@dataclass(slots=True)
class Layer:
    """A layer at one of the model's ends. Its port is the only output of a parameter, the only input of a result."""

    id: str
    name: str
    output_names: str | None
    """Of a result, what its output is called, where the file says so."""
    data: Attributes = field(default_factory=dict)
    port: Attributes = field(default_factory=dict)
    dims: list[str] = field(default_factory=list)
    layout: str = ""


class Graph:
    """What stands in an IR file.

    where: what errors call the file. version: the IR's. runtime: OpenVINO's own, as far as stated.
    parameters, results: in the order of the file. kinds, layer_names: by the layers' ids.
    names: what each port (layer, port) is called. ports: the output ports of each layer, in order.
    edges: where each layer's inputs come from, layer and port.
    documents: values of `module_info`.
    """

    def __init__(self, source: ByteSource) -> None:
        self.where = source.name
        self.version = 0
        self.runtime = ""
        self.parameters: list[Layer] = []
        self.results: list[Layer] = []
        self.kinds: dict[str, str] = {}
        self.layer_names: dict[str, str] = {}
        self.names: dict[tuple[str, str], str] = {}
        self.ports: dict[str, list[str]] = {}
        self.edges: dict[str, list[tuple[str, str]]] = {}
        self.documents: list[str] = []
        self._sections: set[str] = set()
        self._section = ""
        self._layer = ""
        self._end: Layer | None = None
        self._side = ""
        self._parser = XmlParser(source, self._start)
        self._parser.parse()
        check_count(len(self.parameters) + len(self.results), MAX_VALUES, "inputs and outputs", source.name)

    def _start(self, depth: int, tag: str, attributes: Attributes) -> None:
        if depth > _ATTRIBUTE_DEPTH:
            return
        if depth == 1:
            self._open_net(tag, attributes)
        elif depth == _SECTION_DEPTH:
            if tag in self._sections:
                self._parser.refuse(f"one section of {tag}", "two")
            self._section = tag
            if tag in (_LAYERS, _EDGES, _RUNTIME):
                self._sections.add(tag)
        elif self._section == _LAYERS:
            self._in_layers(depth, tag, attributes)
        elif depth == _ITEM_DEPTH:
            self._item(tag, attributes)

    def _open_net(self, tag: str, attributes: Attributes) -> None:
        version = attributes.get("version", "")
        if tag != "net" or not version.isascii() or not version.isdigit() or len(version) > _LONGEST_VERSION:
            self._parser.refuse("a net with a version", f"{tag} {version}")
        self.version = int(version)

    def _item(self, tag: str, attributes: Attributes) -> None:
        if self._section == _EDGES:
            try:
                source = attributes["from-layer"], attributes["from-port"]
                self.edges.setdefault(attributes["to-layer"], []).append(source)
            except KeyError as missing:
                self._parser.refuse("an edge from a layer's port to another's", f"one without {missing}")
        elif self._section == _RUNTIME and tag in _DOCUMENT_TAGS and "value" in attributes:
            self.documents.append(attributes["value"])
        elif tag in _RUNTIME_VERSIONS or attributes.get("name") == "OpenVINO Runtime":
            self.runtime = self.runtime or attributes.get("value", "")[:_LONGEST_RUNTIME]

    def _in_layers(self, depth: int, tag: str, attributes: Attributes) -> None:
        if depth == _ITEM_DEPTH:
            self._open_layer(attributes)
        elif depth == _SIDE_DEPTH:
            self._side = tag
            if tag == "data" and self._end is not None:
                self._end.data = attributes
        elif depth == _PORT_DEPTH:
            if tag == "port" and self._side == "output":
                port = attributes.get("id", "")
                self.ports.setdefault(self._layer, []).append(port)
                if names := attributes.get("names"):
                    self.names[self._layer, port] = names
            if tag == "port" and self._end is not None and not self._end.port:
                self._end.port = attributes
        elif self._end is not None:
            if depth == _DIM_DEPTH and tag == "dim":
                self._read_dim(self._end)
            elif tag == "attribute" and attributes.get("name") == "layout":
                self._end.layout = attributes.get("layout", "")

    def _open_layer(self, attributes: Attributes) -> None:
        identifier, kind = attributes.get("id", ""), attributes.get("type", "")
        if identifier in self.kinds:
            self._parser.refuse("each layer's id once", repr(identifier[:80]))
        self.kinds[identifier] = kind
        self._layer = identifier
        self._end = None
        name = self.layer_names[identifier] = attributes.get("name", "")
        if kind in (PARAMETER, RESULT):
            self._end = Layer(identifier, name, attributes.get("output_names"))
            (self.parameters if kind == PARAMETER else self.results).append(self._end)

    def _read_dim(self, layer: Layer) -> None:
        """Take the text up to the end of this element as a dimension."""
        if len(layer.dims) >= _MAX_RANK:
            self._parser.refuse(f"at most {_MAX_RANK} dimensions", "more")
        texts: list[str] = []
        parser = self._parser.parser

        def closed(tag: str) -> None:
            layer.dims.append("".join(texts).strip())
            parser.CharacterDataHandler = None
            parser.EndElementHandler = self._parser.closed
            self._parser.closed(tag)

        parser.CharacterDataHandler = texts.append
        parser.EndElementHandler = closed


_LAYERS, _EDGES, _RUNTIME = "layers", "edges", "rt_info"
_SECTION_DEPTH, _ITEM_DEPTH, _SIDE_DEPTH, _PORT_DEPTH, _DIM_DEPTH, _ATTRIBUTE_DEPTH = range(2, 8)
_DOCUMENT_TAGS = ("module_info", "module_info.json")
_RUNTIME_VERSIONS = ("MO_version", "Runtime_version")
_LONGEST_VERSION = 4
_LONGEST_RUNTIME = 200
_MAX_RANK = 64


def live_layers(graph: Graph) -> set[str]:
    """The layers that a result, or a side effect, depends on.

    A layer that nothing comes out of, a constant or a parameter apart, is there for its effect.
    """
    consumed = {source for sources in graph.edges.values() for source, _ in sources}
    waiting = [
        layer
        for layer, kind in graph.kinds.items()
        if kind in _EFFECTS or (layer not in consumed and kind not in (PARAMETER, CONSTANT))
    ]
    live = set(waiting)
    while waiting:
        for source, _ in graph.edges.get(waiting.pop(), ()):
            if source not in live:
                live.add(source)
                waiting.append(source)
    return live


_EFFECTS = (RESULT, "Assign")


def expect_version(graph: Graph, source: ByteSource) -> None:
    """ArtifactError for an IR of a version whose layers mean something else."""
    if graph.version not in _VERSIONS:
        raise ArtifactError(
            where=source.name,
            expected="OpenVINO IR of version 10 or 11",
            got=f"version {graph.version}",
            hint="Convert the model again with a current OpenVINO: ovc, or openvino.save_model.",
        )


_VERSIONS = (10, 11)
