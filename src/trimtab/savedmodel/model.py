"""A SavedModel as an object: its MetaGraphs, and in each the five places that declare what a function takes.

Everything is decoded when it is first asked for, so that reading costs what is read. Names are those of the protos;
what links one place to the others is in `links`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from trimtab.errors import ArtifactError
from trimtab.savedmodel.file import open_proto
from trimtab.savedmodel.graph import GraphDef, Library
from trimtab.savedmodel.graph_protos import AssetFileDef, CollectionDef, MetaInfoDef, SaverDef, SignatureDef
from trimtab.savedmodel.index import index_saved_model
from trimtab.savedmodel.message import BYTES, MAX_DECLARED, Message, decode, fields
from trimtab.savedmodel.objects import ObjectGraph

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from trimtab.savedmodel.index import MetaGraphIndex, SavedModelIndex, Span
    from trimtab.savedmodel.links import ConcreteFunction, PolymorphicFunction, ServedSignature
    from trimtab.savedmodel.touring import Tour
    from trimtab.savedmodel.touring.references import References
    from trimtab.source.bytes import ByteSource

_M = TypeVar("_M", bound=Message)

MAX_SIGNATURE_TENSORS = 20_000
"""How many inputs and outputs the signatures of a MetaGraph have in all: ten signatures of 2,000 each."""

_MAX_PART_BYTES = 64 << 20

INIT_OPS = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
"""Keys of `signature_def` that name an operation to run after loading, and no signature."""


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a SavedModel without TensorFlow.

    path: its directory, or the `saved_model.pb` or `saved_model.pbtxt` in it.
    Only the proto's outline is read at once. The file stays open until `close`, or the end of a `with`.
    ArtifactError when it is missing or malformed, RefusedArtifactError when its proto is split or of 2 GiB or more.
    """
    return SavedModel(open_proto(path))


class SavedModel:
    """A SavedModel. What concerns one graph is asked of the serving MetaGraph unless another is named."""

    def __init__(self, source: ByteSource) -> None:
        """Read the outline of the proto in `source`."""
        self.source = source
        self.index: SavedModelIndex = index_saved_model(source)

    @property
    def name(self) -> str:
        """What errors call it: the path of its proto."""
        return self.source.name

    @property
    def saved_model_schema_version(self) -> int:
        """1 in every release so far."""
        return self.index.schema_version

    @cached_property
    def meta_graphs(self) -> tuple[MetaGraph, ...]:
        """The MetaGraphs in the proto's order."""
        return tuple(MetaGraph(self.source, index, at) for at, index in enumerate(self.index.meta_graphs))

    @property
    def meta_graph(self) -> MetaGraph:
        """The only MetaGraph; of several, the first that has the tag `serve`, or else the first."""
        serving = [each for each in self.meta_graphs if "serve" in each.tags]
        return serving[0] if serving else self.meta_graphs[0]

    def tagged(self, *tags: str) -> MetaGraph:
        """The MetaGraph whose tags are exactly these. ArtifactError that names what there is."""
        for each in self.meta_graphs:
            if set(each.tags) == set(tags):
                return each
        known = "; ".join(", ".join(each.tags) or "(none)" for each in self.meta_graphs)
        raise ArtifactError(where=self.name, expected=f"a MetaGraph with the tags {known}", got=", ".join(tags))

    @property
    def signatures(self) -> Mapping[str, ServedSignature]:
        """The signatures of the serving MetaGraph, by key."""
        return self.meta_graph.signatures

    @property
    def functions(self) -> Mapping[str, PolymorphicFunction]:
        """The polymorphic functions of the serving MetaGraph, by object path."""
        return self.meta_graph.functions

    def function(self, path: str) -> PolymorphicFunction:
        """The polymorphic function at an object path, such as `model.layers.0.__call__`. See `MetaGraph.function`."""
        return self.meta_graph.function(path)

    def tour(self, *, signature: str | None = None, function: str | None = None, everything: bool = True) -> Tour:
        """Tell the model, or one signature or function of it, to a person. See `touring.tour`."""
        from trimtab.savedmodel.touring import tour

        return tour(self, signature=signature, function=function, everything=everything)

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SavedModel({self.name!r})"


class MetaGraph:
    """One MetaGraphDef. `where` is its place in the proto."""

    def __init__(self, source: ByteSource, index: MetaGraphIndex, position: int) -> None:
        self.source = source
        self.index = index
        self.where = f"{source.name}: meta_graphs[{position}]"

    @cached_property
    def meta_info_def(self) -> MetaInfoDef:
        """Tags, and the TensorFlow that wrote the graph."""
        return self._message(MetaInfoDef, self.index.meta_info_def, "meta_info_def")

    @property
    def tags(self) -> tuple[str, ...]:
        """What a loader asks for: `serve`, `train`."""
        return self.meta_info_def.tags

    @property
    def is_tf2(self) -> bool:
        """Whether it has an object graph, so that TF2 loads functions and objects from it."""
        return self.index.object_graph_def is not None

    @cached_property
    def graph_def(self) -> GraphDef:
        """Place 1: the graph, and in its library every FunctionDef."""
        return GraphDef(self.source, self.index.node, Library(self.source, self.index.function))

    @property
    def library(self) -> Library:
        """The FunctionDefs by name."""
        return self.graph_def.library

    @cached_property
    def signature_def(self) -> Mapping[str, SignatureDef]:
        """Place 2: what TF1 and C++ feed and fetch, by key, init ops included."""
        found: dict[str, SignatureDef] = {}
        left = MAX_SIGNATURE_TENSORS
        for key, each in self._entries(SignatureDef, self.index.signature_def, "signature_def"):
            found[key] = each
            left -= len(each.inputs) + len(each.outputs)
            if left < 0:
                raise ArtifactError(
                    where=f"{self.where}.signature_def",
                    expected=f"at most {MAX_SIGNATURE_TENSORS} inputs and outputs of all signatures together",
                    got="more",
                    hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
                )
        return found

    @cached_property
    def object_graph_def(self) -> ObjectGraph | None:
        """Places 3, 4 and 5: the object graph; None in a TF1 model."""
        span = self.index.object_graph_def
        return None if span is None else ObjectGraph(self.source, self.index, span)

    @cached_property
    def asset_file_def(self) -> tuple[AssetFileDef, ...]:
        """The assets."""
        spans = enumerate(self.index.asset_file_def)
        return tuple(self._message(AssetFileDef, span, f"asset_file_def[{at}]") for at, span in spans)

    @cached_property
    def saver_def(self) -> SaverDef:
        """Which nodes save and restore the variables."""
        return self._message(SaverDef, self.index.saver_def, "saver_def")

    @cached_property
    def collection_def(self) -> Mapping[str, CollectionDef]:
        """The collections of a TF1 graph."""
        return dict(self._entries(CollectionDef, self.index.collection_def, "collection_def"))

    @cached_property
    def signatures(self) -> Mapping[str, ServedSignature]:
        """The signatures by key: of the `signatures` map, of `signature_def`, or of both."""
        from trimtab.savedmodel.links import served_signatures

        return served_signatures(self)

    @cached_property
    def functions(self) -> Mapping[str, PolymorphicFunction]:
        """The polymorphic functions by object path, in the order of their nodes."""
        from trimtab.savedmodel.links import polymorphic_functions

        return polymorphic_functions(self)

    @cached_property
    def trace_places(self) -> Mapping[str, tuple[PolymorphicFunction, int]]:
        """By the name of each trace, the function that lists it and its first position in the trial order."""
        return {
            name: (function, position)
            for function in self.functions.values()
            for position, name in reversed(list(enumerate(function.trace_names)))
        }

    def function(self, path: str) -> PolymorphicFunction:
        """The polymorphic function at an object path. ArtifactError that names what there is, nearest first."""
        from trimtab.savedmodel.links import find_function

        return find_function(self, path)

    @cached_property
    def references(self) -> References:
        """The links backwards: what captures a node, what calls or names a function."""
        from trimtab.savedmodel.touring.references import References

        return References(self)

    def concrete_function(self, name: str) -> ConcreteFunction:
        """The concrete function that bears the name of a FunctionDef. ArtifactError when there is none."""
        from trimtab.savedmodel.links import concrete_function

        return concrete_function(self, name)

    def _message(self, cls: type[_M], span: Span | None, field: str) -> _M:
        if span is None:
            return cls()
        return decode(cls, self._read(span, f"{self.where}.{field}"), f"{self.where}.{field}")

    def _entries(self, cls: type[_M], spans: Mapping[str, Span], field: str) -> Iterator[tuple[str, _M]]:
        for key, span in spans.items():
            where = f"{self.where}.{field}[{key!r}]"
            data = self._read(span, where)
            found = cls()
            for number, wire_type, begin, stop in fields(data, 0, len(data), where):
                if number == 2 and wire_type == BYTES:
                    found = decode(cls, data, where, begin, stop, max_fields=MAX_DECLARED)
            yield key, found

    def _read(self, span: Span, where: str) -> bytes:
        if span.end - span.start > _MAX_PART_BYTES:
            raise ArtifactError(
                where=where, expected=f"at most {_MAX_PART_BYTES} bytes", got=str(span.end - span.start)
            )
        return self.source.read(span.start, span.end - span.start)

    def __repr__(self) -> str:
        return f"MetaGraph(tags={list(self.tags)!r})"
