"""Columns of a data frame that a fitted estimator passes over: no answer depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.limits import MAX_VALUES

if TYPE_CHECKING:
    from trimtab.artifacts.formats.skops.nodes import Node

_MAX_NESTING = 32
_PICKS_COLUMNS = "sklearn.compose._column_transformer.ColumnTransformer"


def dropped_columns(root: Node) -> frozenset[int]:
    """The positions of the columns that a first step which picks columns gives to no transformer.

    Only steps that come one after the other are followed: where the input goes two ways, the other way may use it.
    """
    step = _first_step(root)
    count = step.attribute("n_features_in_")
    columns = step.attribute("_transformer_to_input_indices")
    transformers = step.attribute("transformers_")
    if step.class_name != _PICKS_COLUMNS or count is None or columns is None or transformers is None:
        return frozenset()
    width = count.plain()
    if type(width) is not int or not 0 <= width <= MAX_VALUES:
        return frozenset()
    given = columns.members()
    used: set[int] = set()
    for transformer in transformers.items():
        name, action, *_ = transformer.items() or (None, None)
        if action is None or name is None:
            return frozenset()
        if action.plain() == "drop":
            continue
        positions = given.get(str(name.plain()))
        numbers = [each.plain() for each in positions.items()] if positions is not None else []
        if not numbers or any(type(each) is not int for each in numbers):
            return frozenset()  # not as scikit-learn 1.1 and later have it
        used.update(numbers)
    return frozenset(range(width)) - used


def _first_step(node: Node) -> Node:
    for _ in range(_MAX_NESTING):
        steps = node.attribute("steps")
        pairs = [step.items() for step in steps.items()] if steps is not None else []
        objects = [pair[1] for pair in pairs if len(pair) > 1 and pair[1].is_object]
        if not objects:
            break
        node = objects[0]
    return node
