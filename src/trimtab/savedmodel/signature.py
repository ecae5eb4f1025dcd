"""The canonical signature of a SavedModel: its signatures as entry points, or its traced functions if it has none.

Beside signatures the functions are left out on purpose: they take nested structures under names of their own, and the
allowlist, which is what a request may carry, would hold names that no signature knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import RefusedArtifactError
from trimtab.savedmodel.flow import Flow
from trimtab.signature.model import EntryPoint, Learned, Provenance, Signature

if TYPE_CHECKING:
    from trimtab.savedmodel.model import MetaGraph, SavedModel

FORMAT = "savedmodel"

DEFAULT_SIGNATURE = "serving_default"


def signature_of(model: SavedModel) -> Signature:
    """The signature of the serving MetaGraph; the notes name the others.

    The default entry point is `serving_default`, or else the first. RefusedArtifactError for a model that has neither a
    signature nor a traced function, ArtifactError for one that is malformed.
    """
    meta_graph = model.meta_graph
    notes = _notes(model, meta_graph)
    entry_points = _entry_points(meta_graph, notes)
    if not entry_points:
        raise RefusedArtifactError(
            "this SavedModel has no signature and no traced function, so it does not say what it takes",
            where=meta_graph.where,
            expected="a key in signature_def, or a tf.function that was called before saving",
            hint="Save it with signatures: tf.saved_model.save(model, path, signatures=model.predict), or embed one.",
        )
    names = [each.name for each in entry_points]
    version = meta_graph.meta_info_def.tensorflow_version
    return Signature(
        entry_points=tuple(entry_points),
        default_entry_point=DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in names else names[0],
        provenance=Provenance(
            format=FORMAT,
            producer=f"TensorFlow {version}" if version else "",
            learned=Learned.DERIVED,
            notes=tuple(dict.fromkeys(notes)),
        ),
    )


def _entry_points(meta_graph: MetaGraph, notes: list[str]) -> list[EntryPoint]:
    flow = Flow(meta_graph.library)
    if meta_graph.signatures:
        from trimtab.savedmodel.served_entries import ServedEntries

        entries = ServedEntries(meta_graph, flow, notes)
        return [entries.entry_point(served) for served in meta_graph.signatures.values()]
    from trimtab.savedmodel.traced_entries import traced_entry_points

    notes.append("the model has no signatures: the entry points are its functions, and their overloads the traces")
    return traced_entry_points(meta_graph, flow, notes)


def _notes(model: SavedModel, meta_graph: MetaGraph) -> list[str]:
    others = [", ".join(each.tags) or "(no tags)" for each in model.meta_graphs if each is not meta_graph]
    if not others:
        return []
    tags = ", ".join(meta_graph.tags) or "(no tags)"
    return [f"of {len(others) + 1} MetaGraphs this is the one tagged {tags}; the others: {'; '.join(others)}"]
