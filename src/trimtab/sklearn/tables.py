"""What an example table says of its columns: the dtypes, categories and missing values that model files leave out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Constraints, Input, Signature
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable


class Column(NamedTuple):
    """A column. dtype None: it has none that a request could carry. categories None: any value may come."""

    name: str
    dtype: DType | None
    nullable: bool = False
    categories: tuple[Any, ...] | None = None


class Table(NamedTuple):
    """An example of what a model takes.

    columns: of a data frame; none of an array. dtype: the one that all values share, or None. width: how many columns;
    None of an example of one dimension.
    """

    columns: tuple[Column, ...]
    dtype: DType | None
    width: int | None


def table_of(example: Any) -> Table:
    """Describe a pandas DataFrame, a pyarrow Table, or an array (numpy's, sparse, or lists of numbers or texts).

    ArtifactError for what is none of these.
    """
    library = type(example).__module__.partition(".")[0]
    if library == "pandas" and hasattr(example, "columns"):
        return _framed(_pandas_column(str(key), example.iloc[:, at]) for at, key in enumerate(example.columns))
    if library == "pyarrow" and hasattr(example, "column_names"):
        return _framed(
            _arrow_column(key, column) for key, column in zip(example.column_names, example.columns, strict=True)
        )
    import numpy as np

    array = example if hasattr(example, "dtype") and hasattr(example, "shape") else np.asarray(example)
    dtype = DType.STRING if array.dtype.kind == "U" else dtype_of("numpy", str(array.dtype))
    if array.dtype.kind in "OV" or len(array.shape) not in (1, 2):
        raise ArtifactError(
            where="X_example",
            expected="a pandas DataFrame, a pyarrow Table, or an array of rows and columns",
            got=f"{type(example).__name__} of shape {array.shape} and dtype {array.dtype}",
        )
    return Table((), dtype, int(array.shape[1]) if len(array.shape) == 2 else None)


def with_example(value: Input, table: Table, column: Column | None) -> Input:
    """A derived input with what the example says of it; `column` is its column of a data frame.

    What the model file is sure of stays: a dtype is filled in, not changed, and constraints only where there are none,
    or where they were seen in training only.
    """
    if not isinstance(value.type, Tensor):
        return value
    if column is None:
        return replace(value, type=_filled(value, table.dtype), learned=_without(value, "type"))
    value = replace(
        value,
        type=_filled(value, column.dtype),
        nullable=value.nullable or column.nullable,
        learned=_without(value, "type"),
    )
    if column.categories is None:
        return value
    return replace(value, constraints=Constraints(categories=column.categories), learned=_without(value, "constraints"))


def with_inputs(signature: Signature, inputs: tuple[Input, ...]) -> Signature:
    """The signature with these inputs in all of its entry points, which a file of one estimator shares."""
    return replace(
        signature,
        entry_points=tuple(
            replace(each, overloads=tuple(replace(it, inputs=inputs) for it in each.overloads))
            for each in signature.entry_points
        ),
    )


def _filled(value: Input, dtype: DType | None) -> Tensor:
    stated = value.type if isinstance(value.type, Tensor) else Tensor()
    if stated.dtype is None or "type" in value.learned:
        return replace(stated, dtype=dtype or stated.dtype)
    return stated


def _without(value: Input, fact: str) -> dict[str, Any]:
    return {key: learned for key, learned in value.learned.items() if key != fact}


def _framed(columns: Iterable[Column]) -> Table:
    found = tuple(columns)
    dtypes = {each.dtype for each in found}
    return Table(found, dtypes.pop() if len(dtypes) == 1 else None, len(found))


def _pandas_column(name: str, series: Any) -> Column:
    nullable = bool(series.isna().any())
    categories = getattr(series.dtype, "categories", None)
    if categories is None:
        return Column(name, _pandas_dtype(series), nullable)
    return Column(name, _pandas_dtype(categories), nullable, plain_values(categories.tolist()))


def _pandas_dtype(values: Any) -> DType | None:
    """The dtype of a series or an index."""
    spelled = str(values.dtype).lower().partition("[")[0]
    if spelled in ("str", "string"):
        return DType.STRING
    if spelled == "object":
        kinds = {type(each) for each in values if not is_missing(each)}
        return {str: DType.STRING, bytes: DType.BYTES, bool: DType.BOOL}.get(kinds.pop()) if len(kinds) == 1 else None
    return dtype_of("numpy", "bool" if spelled == "boolean" else spelled)


def _arrow_column(name: str, column: Any) -> Column:
    type_ = column.type
    nullable = bool(column.null_count)
    if not hasattr(type_, "value_type") or not hasattr(type_, "index_type"):
        return Column(name, _arrow_dtype(type_), nullable)
    chunks = column.combine_chunks()
    dictionary = (chunks.chunk(0) if hasattr(chunks, "chunk") else chunks).dictionary
    return Column(name, _arrow_dtype(type_.value_type), nullable, plain_values(dictionary.to_pylist()))


def _arrow_dtype(type_: Any) -> DType | None:
    spelled = str(type_)
    return DType.STRING if spelled in ("large_string", "string_view") else dtype_of("arrow", spelled)


def plain_values(values: Iterable[Any]) -> tuple[Any, ...] | None:
    """Categories as a signature holds them, without what stands for a missing one; None where one cannot be held."""
    plain = tuple(each.item() if hasattr(each, "item") else each for each in values if not is_missing(each))
    held = all(
        isinstance(each, str | int | bool) or (isinstance(each, float) and math.isfinite(each)) for each in plain
    )
    return plain if held else None


def is_missing(value: Any) -> bool:
    """Whether this is None, NaN, or pandas' own."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
