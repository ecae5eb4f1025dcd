"""Save a Keras model with its signature in the archive, or export it as a SavedModel with its signature in the folder.

The archive does not say what a model gives, and of a model of a class of its own hardly what it takes. The live model
does: so it is asked when it is saved.
"""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.artifacts import embed_signature, read_signature
from trimtab.errors import ArtifactError, SignatureError, missing_extra
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import Input, Output, Signature
from trimtab.signature.naming import Leaf
from trimtab.signature.naming import output_names as names_of_outputs
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Ragged, Sparse, Tensor
from trimtab.source.replace import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.signature.path import Step
    from trimtab.signature.types import Shape, Type

ARCHIVE = ".keras"


def save(
    model: Any,
    path: str | os.PathLike[str],
    signature: Signature | None = None,
    *,
    example_inputs: Sequence[Any] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: str | None = "batch",
) -> Signature:
    """Save a model so that the file declares its signature; returns that signature.

    model: a keras.Model of Keras 3. path: an archive where it ends in `.keras`; otherwise the folder of a SavedModel,
    which must not exist yet, as `model.export` writes it (with TensorFlow installed).
    signature: what to declare. When None, it is what the model itself states: the inputs as saved, and the dtypes and
    shapes of the outputs.
    example_inputs: the arguments of one call, for a model of a class of its own, which states neither by itself. It is
    called on them symbolically, with a leading size that is open; no data passes through.
    output_names: names of the returned values in order, in place of those of the layers. Only of an archive: in a
    SavedModel, what is served has the names that Keras gave.
    dynamic: the symbol for the leading sizes that are open, or None to leave them unnamed.

        trimtab.keras.save(model, "ranker.keras", output_names=["score"])

    The archive or folder appears complete or not at all. A signature that contradicts what Keras wrote is refused
    (ContradictionError). RefusedArtifactError for a model that was never built, without example_inputs.
    """
    keras = _import_keras()
    if not isinstance(model, keras.Model):
        raise ArtifactError(where="model", expected="a keras.Model", got=type(model).__name__)
    name = os.fspath(path)
    called = None if example_inputs is None else _Called(keras, model, example_inputs)
    if name.endswith(ARCHIVE):
        with replacing(name) as temporary:
            model.save(temporary)
            embed_signature(temporary, signature or _stated(temporary, model, called, output_names, dynamic))
            return read_signature(temporary)
    if name.endswith((".h5", ".hdf5")) or output_names is not None:
        raise ArtifactError(
            where=name,
            expected=f"a path that ends in {ARCHIVE}" + (" with output_names" if output_names is not None else ""),
            got="the path of a SavedModel's folder" if output_names is not None else "an HDF5 file",
        )
    return _export(model, name, signature, dynamic)


def _import_keras() -> Any:
    try:
        import keras
    except ImportError:
        raise missing_extra("keras", "keras", "saving Keras models") from None
    return keras


class _Called:
    """What a symbolic call of a model on examples shows: the arguments by name, and the returned value."""

    def __init__(self, keras: Any, model: Any, examples: Sequence[Any]) -> None:
        symbols = keras.tree.map_structure(lambda value: _symbol(keras, value), list(examples))
        names = list(inspect.signature(model.call).parameters)
        self.arguments = dict(zip(names, symbols, strict=False))
        self.first = symbols[0] if symbols else None
        self.returned = model(*symbols)


def _symbol(keras: Any, value: Any) -> Any:
    array = value if hasattr(value, "shape") and hasattr(value, "dtype") else keras.ops.convert_to_tensor(value)
    shape = tuple(array.shape)
    return keras.KerasTensor((None, *shape[1:]), keras.backend.standardize_dtype(array.dtype))


def _stated(
    path: str, model: Any, called: _Called | None, output_names: Sequence[str] | None, dynamic: str | None
) -> Signature:
    """The signature as saved, with what only the live model knows."""
    saved = read_signature(path)
    entry_point = saved.entry_point()
    overload = entry_point.overloads[0]
    inputs, outputs = overload.inputs, overload.outputs
    if called is not None and not getattr(model, "outputs", None):
        inputs = tuple(_as_called(value, called) for value in inputs)
        leaves = list(_leaves(called.returned))
        names = names_of_outputs([Leaf("", steps) for steps, _ in leaves])
        outputs = tuple(
            Output(name=name, type=_type_of(value), path=Leaf("", steps).path)
            for name, (steps, value) in zip(names, leaves, strict=True)
        )
    else:
        returned = dict(_leaves(_returned(model)))
        outputs = tuple(_as_returned(value, returned) for value in outputs)
    if output_names is not None:
        outputs = _renamed(outputs, output_names)
    overload = replace(overload, inputs=inputs, outputs=outputs)
    return _with_dynamic(replace(saved, entry_points=(replace(entry_point, overloads=(overload,)),)), dynamic)


def _returned(model: Any) -> Any:
    """The symbolic value that a functional or sequential model returns; None of any other."""
    if not getattr(model, "outputs", None):
        return None
    return getattr(model, "_outputs_struct", model.outputs[0])


def _as_called(value: Input, called: _Called) -> Input:
    root, steps = parse_path(value.call_path)
    symbol: Any = called.arguments.get(root, called.first)
    for step in steps:
        symbol = symbol[step.value] if isinstance(step, Key) and symbol is not None else None
    return value if symbol is None else replace(value, type=_type_of(symbol), learned={})


def _as_returned(value: Output, returned: dict[tuple[Step, ...], Any]) -> Output:
    steps = parse_path(value.return_path)[1] if value.path is not None else ()
    return replace(value, type=_type_of(returned[steps])) if steps in returned else value


def _renamed(outputs: tuple[Output, ...], names: Sequence[str]) -> tuple[Output, ...]:
    if len(names) != len(outputs):
        raise SignatureError(
            where="output_names",
            expected=f"{len(outputs)} names, for {', '.join(it.name for it in outputs)}",
            got=f"{len(names)}: {', '.join(names)}",
        )
    return tuple(replace(it, name=name, path=it.return_path) for it, name in zip(outputs, names, strict=True))


def _leaves(value: Any, steps: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """The tensors in a returned value, with the steps to each."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*steps, Key(str(key))))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, (*steps, Key(index)))
    elif value is not None:
        yield steps, value


def _type_of(symbol: Any) -> Type:
    dtype, shape = dtype_of("tensorflow", str(symbol.dtype)), tuple(symbol.shape)
    if getattr(symbol, "sparse", False):
        return Sparse(dtype, shape)
    return Ragged(dtype, shape) if getattr(symbol, "ragged", False) else Tensor(dtype, shape)


def _with_dynamic(signature: Signature, symbol: str | None) -> Signature:
    """The signature with a symbol for leading sizes that are open."""
    if symbol is None:
        return signature

    def named(shape: Shape | None) -> Shape | None:
        return (symbol, *shape[1:]) if shape and shape[0] is None else shape

    def in_value(value: Any) -> Any:
        type_ = value.type
        return replace(value, type=replace(type_, shape=named(type_.shape))) if hasattr(type_, "shape") else value

    entry_points = tuple(
        replace(
            each,
            overloads=tuple(
                replace(it, inputs=tuple(map(in_value, it.inputs)), outputs=tuple(map(in_value, it.outputs)))
                for it in each.overloads
            ),
        )
        for each in signature.entry_points
    )
    return replace(signature, entry_points=entry_points)


def _export(model: Any, path: str, signature: Signature | None, dynamic: str | None) -> Signature:
    """Export into a folder beside the place, which then takes it."""
    parent, name = os.path.split(os.path.abspath(path))
    if os.path.lexists(path):
        raise ArtifactError(
            where=path,
            expected="a folder that does not exist yet",
            got="one that does",
            hint="Name another, or remove it.",
        )
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
        temporary = os.path.join(folder, name)
        model.export(temporary, format="tf_saved_model", verbose=False)
        embed_signature(temporary, signature or _with_dynamic(read_signature(temporary), dynamic))
        saved = read_signature(temporary)
        os.rename(temporary, path)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a folder that can be written", got=str(failure)) from None
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return saved
