"""Join what a file of trees says of its features with what an example table says of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.signature.types import Tensor
from trimtab.sklearn.tables import Column, Table, with_example, with_inputs

if TYPE_CHECKING:
    from trimtab.signature.model import Input, Signature


def with_columns(signature: Signature, table: Table, *, saved_as: dict[str, str] | None = None) -> Signature:
    """The signature with the dtypes, categories and gaps of the table's columns.

    saved_as: under which name the file has a column, where it is another; the input then keeps the column's own name,
    and a path that leads to the file's. ArtifactError where the table lacks a feature, or has another number of columns
    than a model without names.
    """
    inputs = signature.inputs
    if len(inputs) == 1 and inputs[0].path is None:
        return with_inputs(signature, (_matrix(inputs[0], table),))
    if not table.columns:
        if table.width != len(inputs):
            raise ArtifactError(
                where="X_example", expected=f"{len(inputs)} columns, one for each feature", got=str(table.width)
            )
        return with_inputs(signature, tuple(with_example(value, table, None) for value in inputs))
    file_names = {(saved_as or {}).get(each.name, each.name): each for each in table.columns}
    missing = [value.name for value in inputs if value.name not in file_names]
    if missing:
        raise ArtifactError(
            where="X_example",
            expected=f"a column for each feature of the model, as {missing[0]!r}",
            got=", ".join(file_names)[:200],
        )
    return with_inputs(signature, tuple(_column(value, table, file_names[value.name]) for value in inputs))


def _column(value: Input, table: Table, column: Column) -> Input:
    return replace(with_example(value, table, column), name=column.name)


def _matrix(value: Input, table: Table) -> Input:
    width = value.type.shape[-1] if isinstance(value.type, Tensor) and value.type.shape else None
    if width is not None and table.width != width:
        raise ArtifactError(where="X_example", expected=f"{width} columns", got=str(table.width))
    return with_example(value, table, None)
