"""Describe a module by an example call: the names, dtypes and shapes that TorchScript does not keep."""

from __future__ import annotations

import inspect
from collections.abc import Mapping as AnyMapping
from typing import TYPE_CHECKING, Any

from trimtab.errors import SignatureError, missing_extra
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import EntryPoint, Input, Learned, Output, Overload, Presence, Provenance, Signature
from trimtab.signature.naming import Leaf, input_names
from trimtab.signature.naming import output_names as names_of_outputs
from trimtab.signature.path import Field, Key
from trimtab.signature.types import Dim, Opaque, Optional, Scalar, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.signature.path import Step

_SCALARS: dict[type, DType] = {
    bool: DType.BOOL,
    int: DType.INT64,
    float: DType.FLOAT64,
    complex: DType.COMPLEX128,
    str: DType.STRING,
}


def describe(
    module: Any,
    example_inputs: Sequence[Any],
    example_kwargs: AnyMapping[str, Any] | None = None,
    *,
    dynamic: str | None = "batch",
    output_names: Sequence[str] | None = None,
) -> Signature:
    """The signature of a module's `forward`, learned by calling it once on examples.

    module: a torch.nn.Module, scripted or traced or not. It is called under inference mode.
    example_inputs: the positional arguments of the call; dicts, lists, tuples and named tuples are taken apart, so
    each entry of a `Dict[str, Tensor]` argument is an input of its own, named by its key.
    dynamic: the symbol for the leading dimension that the examples share, or None to keep every size. The first
    tensor's leading size is taken for it, so let it differ from all fixed leading sizes (an example batch of 3, not 1).
    output_names: names of the returned values in order; otherwise dict keys and named tuple fields, or `output_0`, …

        signature = trimtab.torch.describe(model, ({"age": torch.zeros(3, 1)},), output_names=["score"])
        signature.inputs  # age: float32 [batch, 1] at feats["age"]

    Raises SignatureError where an example cannot be described, or when names and outputs differ in number.
    """
    torch = import_torch()
    arguments = _named_arguments(module, example_inputs, example_kwargs or {})
    leaves = [(leaf, value) for name, example in arguments.items() for leaf, value in _leaves(Leaf(name), example)]
    with torch.inference_mode():
        returned = module(*example_inputs, **(example_kwargs or {}))
    returned_leaves = list(_leaves(Leaf(""), returned))
    batch = _leading_size(torch, [value for _, value in leaves]) if dynamic else None
    names = input_names([leaf for leaf, _ in leaves])
    overload = Overload(
        inputs=tuple(
            _input(name, leaf, _type(torch, value, batch, dynamic), value)
            for name, (leaf, value) in zip(names, leaves, strict=True)
        ),
        outputs=tuple(
            Output(name=name, type=_type(torch, value, batch, dynamic), path=leaf.path)
            for name, (leaf, value) in zip(
                _output_names([leaf for leaf, _ in returned_leaves], output_names), returned_leaves, strict=True
            )
        ),
    )
    return Signature(
        entry_points=(EntryPoint(name="forward", overloads=(overload,)),),
        default_entry_point="forward",
        provenance=Provenance(format="torchscript", producer=f"torch {torch.__version__}", learned=Learned.DECLARED),
    )


def import_torch() -> Any:
    """torch, or MissingExtraError that says how to install it."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "torch", "exporting from torch") from None
    return torch


def one_tuple_expected(given: Any) -> SignatureError:
    """The error for an example call that is no tuple of arguments."""
    return SignatureError(
        where="example_inputs",
        expected="a tuple of the positional arguments",
        got=type(given).__name__,
        hint="One argument? Write (argument,).",
    )


def _named_arguments(module: Any, positional: Sequence[Any], keywords: AnyMapping[str, Any]) -> dict[str, Any]:
    if not isinstance(positional, tuple | list):
        raise one_tuple_expected(positional)
    schema = getattr(module.forward, "schema", None)
    if schema is not None:
        names = [argument.name for argument in schema.arguments][1:]
    else:
        names = list(inspect.signature(module.forward).parameters)
    if len(positional) > len(names) or not set(keywords) <= set(names):
        raise SignatureError(
            where="example_inputs",
            expected=f"at most the arguments {', '.join(names)}",
            got=f"{len(positional)} positional and {', '.join(keywords) or 'no'} keyword arguments",
        )
    return {**dict(zip(names, positional, strict=False)), **keywords}


def _leaves(leaf: Leaf, value: Any) -> Iterator[tuple[Leaf, Any]]:
    """The leaves of a nested value, with their paths."""
    steps: list[tuple[Step, Any]]
    if isinstance(value, AnyMapping):
        steps = [(Key(key), item) for key, item in value.items()]
        if not all(isinstance(key, str | int) for key in value):
            raise SignatureError(where=leaf.path, expected="keys that are text or integers", got=repr(list(value))[:80])
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        steps = [(Field(name), item) for name, item in zip(value._fields, value, strict=True)]
    elif isinstance(value, tuple | list):
        steps = [(Key(index), item) for index, item in enumerate(value)]
    else:
        yield leaf, value
        return
    for step, item in steps:
        yield from _leaves(Leaf(leaf.root, (*leaf.steps, step)), item)


def _leading_size(torch: Any, values: list[Any]) -> int | None:
    for value in values:
        if isinstance(value, torch.Tensor) and value.dim():
            return int(value.shape[0])
    return None


def _type(torch: Any, value: Any, batch: int | None, symbol: str | None) -> Type:
    if isinstance(value, torch.Tensor):
        shape: list[Dim] = [int(size) for size in value.shape]
        if shape and batch is not None and shape[0] == batch:
            shape[0] = symbol
        return Tensor(dtype_of("torch", str(value.dtype)), tuple(shape))
    if value is None:
        return Optional(Tensor())
    scalar = _SCALARS.get(type(value))
    return Scalar(scalar) if scalar else Opaque(type(value).__name__)


def _input(name: str, leaf: Leaf, type_: Type, value: Any) -> Input:
    return Input(
        name=name,
        type=type_,
        path=leaf.path if leaf.path != name else None,
        presence=Presence.OPTIONAL if value is None else Presence.REQUIRED,
        nullable=value is None,
    )


def _output_names(leaves: list[Leaf], given: Sequence[str] | None) -> Sequence[str]:
    if given is None:
        return names_of_outputs(leaves)
    if len(given) != len(leaves):
        raise SignatureError(
            where="output_names",
            expected=f"{len(leaves)} names, one for each returned value",
            got=f"{len(given)}: {', '.join(given)}",
        )
    return given
