"""Save a fitted estimator with its signature, as skops, ONNX or joblib."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.sidecar import sidecar_path
from trimtab.errors import ArtifactError, LossyExportWarning, missing_extra
from trimtab.signature.types import Tensor
from trimtab.sklearn.describing import check_fitted, completed_inputs, describe, result_type
from trimtab.sklearn.tables import Table, table_of, with_inputs
from trimtab.source.replace import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trimtab.signature.model import Output, Signature


def save(
    estimator: Any,
    path: str | os.PathLike[str],
    X_example: Any = None,  # noqa: N803  # scikit-learn's own spelling
    signature: Signature | None = None,
    *,
    onnx_options: Mapping[str, Any] | None = None,
) -> Signature:
    """Save a fitted estimator so that the file declares its signature; returns that signature.

    path: `.skops` and `.onnx` files carry the document inside; of `.joblib` and `.pkl` files, which only run code when
    they are opened, it lies beside (`NAME.signature.json`).
    X_example: a few rows as the estimator takes them (pandas DataFrame, pyarrow Table or array): their dtypes and
    categories. ONNX needs it, because its inputs are typed. signature: what to declare in place of all that.
    onnx_options: options of `skl2onnx.to_onnx`; by default probabilities come as one tensor (`zipmap` off).

        trimtab.sklearn.save(pipeline, "ranker.skops", X_example=frame.head())

    The file appears complete with its document, or not at all. What the signature says is checked against the file
    (ContradictionError). LossyExportWarning where the file alone would forget the dtypes of the columns.
    """
    check_fitted(estimator)
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix == ".skops":
        _save_skops(estimator, name, X_example, signature)
    elif suffix == ".onnx":
        _save_onnx(estimator, name, X_example, signature, onnx_options)
    elif suffix in (".joblib", ".pkl", ".pickle"):
        _save_joblib(estimator, name, X_example, signature)
    else:
        raise ArtifactError(
            where=name,
            expected="a name that ends in .skops, .onnx, .joblib or .pkl",
            got=repr(suffix),
            hint="The name says how the estimator is written. skops and ONNX can be opened without running code.",
        )
    return read_signature(name)


def _save_skops(estimator: Any, path: str, example: Any, signature: Signature | None) -> None:
    skops = _imported("skops.io", "skops", "saving estimators as skops")
    with replacing(path) as temporary:
        _written(lambda: skops.dump(estimator, temporary), estimator)
        if signature is None:
            if example is None:
                _warn(f"{path} does not say which dtypes its columns have. Pass X_example or a signature.", 4)
            signature = _completed(derive_signature(temporary), estimator, example)
        embed_signature(temporary, signature)


def _save_onnx(
    estimator: Any, path: str, example: Any, signature: Signature | None, options: Mapping[str, Any] | None
) -> None:
    skl2onnx = _imported("skl2onnx", "skl2onnx", "saving estimators as ONNX")
    base = _imported("sklearn.base", "scikit-learn", "saving estimators")
    if example is None:
        raise ArtifactError(
            where="X_example",
            expected="a few rows as the estimator takes them",
            got="none",
            hint="ONNX types every input, and the estimator does not record the dtypes that it was fitted on.",
        )
    table = table_of(example)
    if options is None and base.is_classifier(estimator):
        options = {"zipmap": False}
    arguments: dict[str, Any] = {"options": dict(options)} if options else {}
    if table.width is None:  # texts, of which skl2onnx wants the type
        types = _imported("skl2onnx.common.data_types", "skl2onnx", "saving estimators as ONNX")
        arguments["initial_types"] = [("X", types.StringTensorType([None, 1]))]
    else:
        arguments["X"] = _first_rows(example)
    with replacing(path) as temporary:
        model = _written(lambda: skl2onnx.to_onnx(estimator, **arguments), estimator)
        with open(temporary, "wb") as file:
            file.write(model.SerializeToString())
        if signature is None:
            signature = _completed_graph(derive_signature(temporary), estimator, table, path)
        embed_signature(temporary, signature)


def _completed_graph(derived: Signature, estimator: Any, table: Table, path: str) -> Signature:
    """What the graph says, with what the estimator and the example say of its inputs, which stand in the same order."""
    columns = [each.name for each in table.columns]
    inputs = derived.inputs
    if len(columns) != len(inputs):
        return with_inputs(derived, completed_inputs(inputs, estimator, table))
    renamed = {old: value.name for old, value in zip(columns, inputs, strict=True) if old != value.name}
    if renamed:
        pairs = ", ".join(f"{old!r} to {new!r}" for old, new in renamed.items())
        _warn(f"{path}: skl2onnx renames columns: {pairs}. Requests must use the new names.", 5)
    named = tuple(replace(value, name=old) for old, value in zip(columns, inputs, strict=True))
    completed = completed_inputs(named, estimator, table)
    return with_inputs(
        derived, tuple(replace(it, name=value.name) for it, value in zip(completed, inputs, strict=True))
    )


def _save_joblib(estimator: Any, path: str, example: Any, signature: Signature | None) -> None:
    joblib = _imported("joblib", "scikit-learn", "saving estimators with joblib")
    if signature is None:
        signature = describe(estimator, example)
    final = sidecar_path(os.path.realpath(path))
    with _restored_on_failure(final), replacing(path) as temporary:
        beside = sidecar_path(temporary)
        try:
            _written(lambda: joblib.dump(estimator, temporary), estimator)
            embed_signature(temporary, signature, beside=True)
            os.replace(beside, final)  # it names the new file's digest: with the old file it would be refused
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)


@contextmanager
def _restored_on_failure(path: str) -> Iterator[None]:
    """Put a small file back as it was, or away where there was none, when the block raises."""
    before = None
    with suppress(FileNotFoundError), open(path, "rb") as file:
        before = file.read()
    try:
        yield
    except BaseException:
        if before is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
        else:
            with replacing(path) as temporary, open(temporary, "xb") as file:
                file.write(before)
        raise


def _completed(derived: Signature, estimator: Any, example: Any) -> Signature:
    """What the file says, with what the estimator in memory and the example say of inputs and outputs."""
    table = None if example is None else table_of(example)
    signature = with_inputs(derived, completed_inputs(derived.inputs, estimator, table))
    if example is None:
        return signature
    return replace(
        signature,
        entry_points=tuple(
            replace(
                each,
                overloads=tuple(
                    replace(it, outputs=tuple(_typed(output, estimator, each.name, example) for output in it.outputs))
                    for it in each.overloads
                ),
            )
            for each in signature.entry_points
        ),
    )


def _typed(output: Output, estimator: Any, method: str, example: Any) -> Output:
    """The output with the type of what the method gives for the example."""
    type_ = result_type(estimator, method, example)
    return replace(output, type=type_) if type_ is not None and isinstance(output.type, Tensor) else output


def _written(write: Callable[[], Any], estimator: Any) -> Any:
    """Run a writer. ArtifactError where it cannot write this estimator."""
    try:
        return write()
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as failure:
        raise ArtifactError(
            where=f"estimator {type(estimator).__name__}",
            expected="a fitted estimator that this format can hold",
            got=f"{type(failure).__name__}: {failure}"[:300],
        ) from failure


def _first_rows(example: Any) -> Any:
    return example.slice(0, 1).to_pandas() if hasattr(example, "to_pandas") else example[:1]


def _warn(message: str, level: int) -> None:
    warnings.warn(message, LossyExportWarning, stacklevel=level)


def _imported(module: str, package: str, purpose: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise missing_extra(package, "sklearn", purpose) from None
