"""Describe a fitted estimator by what it records, and by an example of what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.errors import ArtifactError, missing_extra
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Provenance,
    Signature,
)
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Tensor
from trimtab.sklearn.encoders import column_facts, recording
from trimtab.sklearn.tables import Table, table_of, with_example

if TYPE_CHECKING:
    from trimtab.signature.types import Dim

_X = "X"
_ROWS = "rows"
_METHODS = (("predict", "prediction"), ("predict_proba", "probabilities"), ("transform", "transformed"))


def describe(estimator: Any, X_example: Any = None) -> Signature:  # noqa: N803  # scikit-learn's own spelling
    """The signature of a fitted estimator: an entry point for each of `predict`, `predict_proba`, or else `transform`.

    X_example: a few rows as the estimator takes them: a pandas DataFrame, a pyarrow Table or an array. From it come the
    dtypes of inputs and, because the estimator is called with it, of outputs. Categories come from the first encoders,
    where these refuse other values, or from the example's category columns.

    ArtifactError where the estimator is not fitted or records no inputs, or where the example lacks one of them.
    """
    check_fitted(estimator)
    table = None if X_example is None else table_of(X_example)
    inputs = completed_inputs(_inputs(estimator, table), estimator, table)
    methods = [(name, output) for name, output in _METHODS if hasattr(estimator, name)]
    methods = [each for each in methods if each[0] != "transform"] or methods
    if not methods:
        raise ArtifactError(
            where="estimator", expected="a method predict or transform", got=f"none in {type(estimator).__name__}"
        )
    entry_points = tuple(
        EntryPoint(
            name=name,
            overloads=(Overload(inputs=inputs, outputs=(_output(estimator, name, output, X_example),)),),
        )
        for name, output in methods
    )
    return Signature(
        entry_points=entry_points,
        default_entry_point=entry_points[0].name,
        provenance=Provenance(
            format="sklearn",
            learned=Learned.DERIVED if X_example is None else Learned.EXAMPLE,
            notes=(f"{type(estimator).__module__}.{type(estimator).__qualname__}",),
        ),
    )


def completed_inputs(inputs: tuple[Input, ...], estimator: Any, table: Table | None) -> tuple[Input, ...]:
    """Inputs as a file has them, with what only the estimator in memory and the example say."""
    if table is not None:
        columns = {each.name: each for each in table.columns}
        for value in inputs:
            if columns and value.path is not None and value.name not in columns:
                raise ArtifactError(
                    where="X_example",
                    expected=f"a column {value.name!r}, which the estimator was fitted on",
                    got=", ".join(columns)[:200],
                )
        inputs = tuple(with_example(value, table, columns.get(value.name)) for value in inputs)
    facts = column_facts(estimator)
    return tuple(
        replace(
            value,
            nullable=value.nullable or facts[value.name].nullable,
            constraints=value.constraints
            if facts[value.name].categories is None
            else Constraints(categories=facts[value.name].categories),
        )
        if value.name in facts
        else value
        for value in inputs
    )


def _inputs(estimator: Any, table: Table | None) -> tuple[Input, ...]:
    recorded = recording(estimator)
    names = [str(each) for each in getattr(recorded, "feature_names_in_", ())]
    if names and len(set(names)) == len(names):
        return tuple(
            Input(name=each, type=Tensor(None, (_ROWS,)), path=format_path(_X, (Key(each),))) for each in names
        )
    width = getattr(recorded, "n_features_in_", None)
    if width is not None:
        return (Input(name=_X, type=Tensor(None, (_ROWS, int(width)))),)
    if table is None:
        raise ArtifactError(
            where="estimator",
            expected="an estimator that records what it takes",
            got=f"{type(estimator).__name__} without n_features_in_",
            hint="Pass X_example or a signature.",
        )
    if table.columns:
        return tuple(
            Input(name=each.name, type=Tensor(None, (_ROWS,)), path=format_path(_X, (Key(each.name),)))
            for each in table.columns
        )
    return (Input(name=_X, type=Tensor(table.dtype, (_ROWS,) if table.width is None else (_ROWS, table.width))),)


def check_fitted(estimator: Any) -> None:
    """ArtifactError where this is no estimator of scikit-learn's kind, or is not fitted."""
    try:
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    except ImportError:
        raise missing_extra("scikit-learn", "sklearn", "saving estimators") from None

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        got, hint = f"{type(estimator).__name__} that is not fitted", "Fit it first: estimator.fit(X, y)"
    except (TypeError, AttributeError):
        got, hint = type(estimator).__name__, ""
    else:
        return
    raise ArtifactError(where="estimator", expected="a fitted scikit-learn estimator", got=got, hint=hint)


def _output(estimator: Any, method: str, name: str, example: Any) -> Output:
    classes = getattr(estimator, "classes_", None)
    kind = getattr(getattr(classes, "dtype", None), "kind", "")
    label = method == "predict" and kind != ""
    type_ = Tensor()
    if example is not None:
        type_ = result_type(estimator, method, example) or type_
    elif label and kind != "O":
        type_ = Tensor(_dtype(classes), (_ROWS,))
    return Output(name="label" if label else name, type=type_, path="")


def result_type(estimator: Any, method: str, example: Any) -> Tensor | None:
    """The type of what a method gives for the example; None where it is not one dense array.

    ArtifactError where the estimator does not take the example.
    """
    try:
        result = getattr(estimator, method)(example)
    except (ValueError, TypeError, AttributeError, KeyError) as failure:
        raise ArtifactError(
            where="X_example",
            expected=f"rows that {type(estimator).__name__}.{method} takes",
            got=str(failure)[:300],
            hint="Pass rows as the estimator was fitted on, and fit it before it is saved.",
        ) from failure
    import numpy as np

    if not isinstance(result, np.ndarray) or not result.ndim:
        return None
    shape: tuple[Dim, ...] = (_ROWS, *map(int, result.shape[1:]))
    return Tensor(_dtype(result), shape)


def _dtype(array: Any) -> DType | None:
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(each, str) for each in array.flat)):
        return DType.STRING
    return None if array.dtype.kind == "O" else dtype_of("numpy", str(array.dtype))
