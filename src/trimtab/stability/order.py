"""Order, where it is a part of the contract: models that are called by position, and outputs that are read by it.

The digest leaves the order of inputs and outputs out, for servers take and give them by name. Some frameworks do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from trimtab.stability.change import Seen
from trimtab.stability.pairing import paired_inputs, paired_outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trimtab.signature.model import Input, Output
    from trimtab.stability.pairing import Pair

COLUMNS_OF_ONE_MATRIX = frozenset({"xgboost", "lightgbm", "catboost", "skops"})
"""Formats whose inputs are the columns of one matrix or table."""

CALLED_BY_POSITION = COLUMNS_OF_ONE_MATRIX | {"torchscript", "pt2", "keras", "tflite", "openvino"}
"""Formats whose models can be called by position: `model(a, b)`, `model([a, b])`, `set_tensor(0, a)`."""

READ_BY_POSITION = CALLED_BY_POSITION | {"onnx", "ort"}
"""Formats whose outputs come as a list: `session.run(None, feed)[0]`."""


def input_order_changes(place: str, old: Sequence[Input], new: Sequence[Input], formats: set[str]) -> Iterator[Seen]:
    """Whether inputs that are passed by position changed places, also by a new one before them.

    One that is gone is reported as such, and not again as a move of all that stood behind it. formats: of the two
    artifacts, as their provenance says.
    """
    if formats <= CALLED_BY_POSITION:
        columns = formats <= COLUMNS_OF_ONE_MATRIX
        if _moved(paired_inputs(old, new), old, new, columns=columns):
            before, after = (names(each.name for each in side) for side in (old, new))
            yield Seen("INPUT_SAME_ORDER", place, "inputs that go by position changed places", before, after)


def output_order_changes(place: str, old: Sequence[Output], new: Sequence[Output], formats: set[str]) -> Iterator[Seen]:
    """The same of outputs that are read by position."""
    if formats <= READ_BY_POSITION and _moved(paired_outputs(old, new), old, new):
        before, after = (names(each.name for each in side) for side in (old, new))
        yield Seen("OUTPUT_SAME_ORDER", place, "outputs that are read by position changed places", before, after)


_Value: TypeAlias = "Input | Output"


def _moved(
    pairs: Sequence[Pair[Input]] | Sequence[Pair[Output]],
    old: Sequence[_Value],
    new: Sequence[_Value],
    *,
    columns: bool = False,
) -> bool:
    both = [
        (pair.old, pair.new)
        for pair in pairs
        if pair.old is not None and pair.new is not None and (columns or _has_key(pair.old) == _has_key(pair.new))
    ]
    kept = {id(value) for value, _ in both}
    was, now = (_positions(side, columns=columns) for side in (old, new))
    among_kept = _positions((value for value in old if id(value) in kept), columns=columns)
    return any(now[id(after)] not in (was[id(before)], among_kept[id(before)]) for before, after in both)


_KEY = '["'


def _has_key(value: _Value) -> bool:
    """Whether it lies under a key; one that did, and now has a place of its own, did not change places."""
    return _KEY in (value.path or "")


def _positions(values: Iterable[_Value], *, columns: bool = False) -> dict[int, int]:
    """Of each value, by identity, which argument it is a part of; what lies under a key of one moves with it."""
    arguments: dict[str, int] = {}
    positions = {}
    for value in values:
        path = value.name if value.path is None else value.path
        argument = path if columns else path.partition(_KEY)[0]
        positions[id(value)] = arguments.setdefault(argument, len(arguments))
    return positions


_SHOWN = 20


def names(all_names: Iterable[str]) -> str:
    """Names in a row; of many, the first ones and how many there are."""
    listed = list(all_names)
    return ", ".join(listed[:_SHOWN]) + (f", … ({len(listed)})" if len(listed) > _SHOWN else "") or "none"
