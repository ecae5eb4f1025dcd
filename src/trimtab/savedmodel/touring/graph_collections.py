"""The collections of a TF1 graph: variables with their initial values, tables, assets and operations to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.message import BYTES, fields, text
from trimtab.savedmodel.touring.story import CollectionTour

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import CollectionDef
    from trimtab.savedmodel.touring.places import Places

MAX_ITEMS = 1000

_OF_VARIABLES = frozenset(
    {
        "variables",
        "trainable_variables",
        "local_variables",
        "model_variables",
        "moving_average_variables",
        "global_step",
    }
)


def collection_tour(name: str, collection: CollectionDef, places: Places) -> CollectionTour:
    """What a collection holds: names of nodes or tensors, and of variables; other messages are only counted."""
    where = places.collection(name)
    if collection.node_list is not None:
        names = collection.node_list.value
        return CollectionTour(name, where, len(names), names[:MAX_ITEMS])
    messages = collection.bytes_list.value if collection.bytes_list is not None else ()
    shown = messages[:MAX_ITEMS] if name in _OF_VARIABLES else ()
    return CollectionTour(name, where, len(messages), tuple(_first_text(message, where) for message in shown))


def _first_text(message: bytes, where: str) -> str:
    """VariableDef.variable_name. Source: tensorflow/core/framework/variable.proto."""
    for number, wire_type, start, end in fields(message, 0, len(message), where):
        if number == 1 and wire_type == BYTES:
            return text(message, start, end, where)
    return ""
