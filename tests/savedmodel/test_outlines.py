"""The quick outline of a node is that of the walk over its fields, on real nodes, and on damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import savedmodel
from trimtab.errors import ArtifactError
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.outlines import _as_written, _walked, outline

NAMES = st.one_of(st.text(max_size=5), st.text("ab", min_size=120, max_size=140))
IDS = st.sampled_from([0, 1, 127, 128, 16383, 16384, -1])


@st.composite
def nodes(draw: st.DrawFn) -> bytes:
    """A SavedObject of any kind, with fields that outlines do not show among them."""
    node = classes()["SavedObject"]()
    for _ in range(draw(st.integers(0, 4))):
        node.children.add(node_id=draw(IDS), local_name=draw(NAMES))
    kind = draw(st.sampled_from(["function", "variable", "user_object", "bare_concrete_function", ""]))
    if kind == "function":
        node.function.concrete_functions.extend(draw(st.lists(NAMES, max_size=3)))
        if draw(st.booleans()):
            node.function.function_spec.is_method = draw(st.booleans())
    elif kind:
        getattr(node, kind).SetInParent()
    node.registered_name, node.registered_saver = draw(NAMES), draw(NAMES)
    return serialize(node)


@given(nodes())
def test_the_quick_outline_is_that_of_the_walk(data: bytes) -> None:
    quick, walked = _as_written(data + b"\0", 0, len(data)), _walked(data, 0, len(data), "node")
    assert quick in (None, walked)
    assert outline(data, 0, len(data), "node") == walked


@given(nodes(), st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_damage_is_told_by_the_walk(data: bytes, at: int, byte: int, cut: bool) -> None:
    damaged = bytearray(data or b"\0")
    damaged[at % len(damaged)] = byte
    end = len(damaged) - cut
    try:
        walked = _walked(bytes(damaged), 0, end, "node")
    except ArtifactError:
        with pytest.raises(ArtifactError):
            outline(bytes(damaged), 0, end, "node")
    else:
        assert outline(bytes(damaged), 0, end, "node") == walked


def test_the_nodes_of_real_models_are_read_quickly(corpus: Path) -> None:
    """Not a measure: nearly every node that TensorFlow writes is in the form that the quick walk takes."""
    for folder in sorted((corpus / "savedmodel").iterdir()):
        objects = savedmodel.load(folder / "model").meta_graph.object_graph_def
        taken = 0
        for span in objects.nodes._spans if objects is not None else ():
            start, end = span.start - objects.nodes._offset, span.end - objects.nodes._offset
            quick = _as_written(objects.nodes._data, start, end)
            taken += quick is not None
            assert quick in (None, _walked(objects.nodes._data, start, end, "node"))
        assert objects is None or taken > 0.7 * len(objects.nodes)
