"""Tell a SavedModel: what each MetaGraph holds, its entry points and its polymorphic functions.

What a person reads is bounded: of a model with many signatures or functions the first are named and the rest counted,
unless everything is asked for. Nothing is decoded that is not told.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.model import INIT_OPS
from trimtab.savedmodel.touring.chain import Chain
from trimtab.savedmodel.touring.functions import function_tour
from trimtab.savedmodel.touring.places import Places
from trimtab.savedmodel.touring.story import MetaGraphTour, Step, Tour

if TYPE_CHECKING:
    from trimtab.savedmodel.links import PolymorphicFunction, ServedSignature
    from trimtab.savedmodel.model import MetaGraph, SavedModel
    from trimtab.savedmodel.objects import ObjectGraph
    from trimtab.savedmodel.touring.story import CollectionTour, SignatureTour

MANY_SIGNATURES, MANY_FUNCTIONS = 8, 24
"""From how many on they are not told in full, unless asked for by name or all together."""

MAX_NAMED = 40
"""How many signatures, and how many functions, are named in a tour that is not of everything."""

MAX_TRACES = 16
"""How many traces of a function are told in a tour that is not of everything."""


def tour(
    model: SavedModel, *, signature: str | None = None, function: str | None = None, everything: bool = True
) -> Tour:
    """Tell a model, or one signature or one polymorphic function of it.

    signature: a key; then only that signature is told, in every MetaGraph that has it. function: an object path; then
    only that function is told. everything: whether to tell all signatures and functions however many there are.
    ArtifactError when nothing has that key or path, or the proto is malformed.
    """
    graphs = model.meta_graphs
    if signature is not None:
        graphs = tuple(each for each in graphs if signature in each.signatures)
        if not graphs:
            raise _unknown_signature(model, signature)
    if function is not None:
        graphs = (model.meta_graph,)
    told = tuple(_meta_graph_tour(each, signature, function, everything=everything) for each in graphs)
    return Tour(model.name, model.source.size, model.saved_model_schema_version, told)


def _meta_graph_tour(
    meta_graph: MetaGraph, signature: str | None, function: str | None, *, everything: bool
) -> MetaGraphTour:
    places = Places(meta_graph)
    info = meta_graph.meta_info_def
    objects = meta_graph.object_graph_def
    focused = signature is not None or function is not None
    signatures = _signatures(meta_graph, signature, function)
    functions = _functions(meta_graph, signature, function)
    shown = None if everything else MAX_NAMED
    in_full = everything or focused
    chain = Chain(meta_graph, places)
    signature_tours = tuple(
        chain.tour(each) if in_full or len(signatures) <= MANY_SIGNATURES else chain.summary(each)
        for each in islice(signatures, shown)
    )
    traces = None if in_full else MAX_TRACES if len(functions) <= MANY_FUNCTIONS else 0
    left_out = {
        "signatures": max(0, len(signatures) - len(signature_tours)),
        "functions": max(0, len(functions) - (len(functions) if shown is None else shown)),
    }
    return MetaGraphTour(
        where=places.meta_graph,
        tags=info.tags,
        tensorflow_version=info.tensorflow_version,
        tf2=meta_graph.is_tf2,
        made_by=_made_by(objects),
        graph_nodes=len(meta_graph.index.node),
        library_functions=len(meta_graph.library),
        objects=dict(Counter(objects.kinds)) if objects else {},
        init_op=None if focused else _init_op(meta_graph, places),
        signatures=signature_tours,
        functions=tuple(
            function_tour(each, places, _keys(signature_tours, each), max_traces=traces)
            for each in islice(functions, shown)
        ),
        collections=() if focused else _collections(meta_graph, places),
        assets=() if focused else tuple(asset.filename for asset in meta_graph.asset_file_def),
        left_out={what: number for what, number in left_out.items() if number},
    )


def _signatures(meta_graph: MetaGraph, signature: str | None, function: str | None) -> list[ServedSignature]:
    if signature is not None:
        return [meta_graph.signatures[signature]]
    return [] if function is not None else list(meta_graph.signatures.values())


def _functions(meta_graph: MetaGraph, signature: str | None, function: str | None) -> list[PolymorphicFunction]:
    if function is not None:
        return [meta_graph.function(function)]
    return [] if signature is not None else list(meta_graph.functions.values())


def _keys(signatures: tuple[SignatureTour, ...], function: PolymorphicFunction) -> tuple[str, ...]:
    return tuple(each.key for each in signatures if any(trace.function == function.path for trace in each.traces))


def _made_by(objects: ObjectGraph | None) -> str:
    """What the root object says of the library that made it."""
    if objects is None or not objects.nodes:
        return ""
    root = objects.nodes.user_object(0)
    identifier = root.identifier if root is not None else ""
    children = objects.children[0]
    if identifier.startswith("_tf_keras"):
        return f"legacy Keras ({identifier})"
    if {"variables", "trainable_variables", "non_trainable_variables", "_all_variables"} <= set(children):
        return "Keras 3, model.export"
    if {"_operations", "_losses_override"} <= set(children) or "_build_shapes_dict" in children:
        return "Keras 3, tf.saved_model.save"
    return "" if identifier in ("", "_generic_user_object") else identifier


def _init_op(meta_graph: MetaGraph, places: Places) -> Step | None:
    for key in sorted(INIT_OPS & set(meta_graph.signature_def)):
        fetches = meta_graph.signature_def[key].outputs
        names = ", ".join(info.name or "" for info in fetches.values())
        return Step("SignatureDef", places.signature_def(key), f"runs {names} after the variables are restored")
    return None


def _collections(meta_graph: MetaGraph, places: Places) -> tuple[CollectionTour, ...]:
    if not meta_graph.collection_def:
        return ()
    from trimtab.savedmodel.touring.graph_collections import collection_tour

    return tuple(collection_tour(name, each, places) for name, each in sorted(meta_graph.collection_def.items()))


def _unknown_signature(model: SavedModel, key: str) -> ArtifactError:
    import difflib

    keys = list(dict.fromkeys(each for graph in model.meta_graphs for each in graph.signatures))
    near = difflib.get_close_matches(key, keys, n=3) or keys[:10]
    return ArtifactError(
        "no signature has this key",
        where=model.name,
        expected=f"one of {', '.join(map(repr, near))}" if near else "a model with signatures",
        got=repr(key),
        hint="Name them all: trimtab tour DIR --all",
    )
