"""How TensorFlow binds a call's arguments to parameters, fills in defaults, and casts to constraints.

Source: `bind_function_inputs` in tensorflow/python/eager/polymorphic_function/function_type_utils.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, UnsetType

from trimtab.savedmodel.dispatching.casting import cast
from trimtab.savedmodel.dispatching.parameters import CAPTURED_DEFAULT, Parameter, python_signature, safe_name
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue, Value, value_of
from trimtab.savedmodel.dispatching.wording import MAX_TEXT, Verbatim, trace_text, value_text
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import NamedTuple

if TYPE_CHECKING:
    from trimtab.savedmodel.structure import Structure


class Bound(Struct, frozen=True):
    """The arguments of a call in their canonical places.

    positional: with the path of each, such as `x` or `*args[0]`. keywords: by name.
    """

    positional: tuple[tuple[str, Value], ...]
    keywords: dict[str, Value]

    @property
    def arguments(self) -> dict[str, Value]:
        """All of them, by path."""
        return {**dict(self.positional), **self.keywords}


class BindingRaises(Raises):
    """TensorFlow cannot bind a call. stage: whether it was the binding itself, or a cast to a constraint."""

    def __init__(self, tensorflow: str, message: str, stage: Literal["binding", "cast"]) -> None:
        super().__init__(tensorflow, message)
        self.stage = stage


def bind(
    parameters: tuple[Parameter, ...],
    args: tuple[Value, ...],
    kwargs: dict[str, Value],
    *,
    in_graph: bool,
    result: Structure | UnsetType = UNSET,
) -> Bound:
    """Bind a call to parameters and cast it to their constraints. result: what the function returns, for its text.

    Raises BindingRaises: the TypeError of TensorFlow, whatever went wrong, or its ValueError where two keywords become
    the same.
    """
    try:
        keywords = {safe_name(key): value for key, value in kwargs.items()}
    except Raises as error:
        raise BindingRaises(error.tensorflow, error.message, "binding") from None
    if len(keywords) != len(kwargs):
        text = (
            "Name collision after sanitization. Please rename tf.function input parameters. Original: "
            f"{sorted(kwargs)}, Sanitized: {sorted(keywords)}"
        )
        raise BindingRaises("ValueError", text, "binding")
    by_name = {each.name: each for each in parameters}
    signature = python_signature(parameters)
    try:
        bound = signature.bind(*args, **keywords)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            each = by_name[name]
            given = default_value(each.default) if value is CAPTURED_DEFAULT else value
            if not isinstance(each.constraint, UnsetType):
                given = cast(each.constraint, given, in_graph=in_graph)
            bound.arguments[name] = given
    except (TypeError, Raises) as error:
        text = (
            f"Binding inputs to tf.function failed due to `{error}`. Received args: {value_text(args)} and kwargs: "
            f"{value_text(keywords)} for signature: {signature_text(parameters, result)}."
        )
        raise BindingRaises("TypeError", text[:MAX_TEXT], "cast" if isinstance(error, Raises) else "binding") from None
    paths = []
    for each in parameters:
        if each.kind in ("positional", "plain"):
            paths.append(each.name)
        elif each.kind == "varargs":
            paths += [f"*{each.name}[{at}]" for at in range(len(bound.arguments[each.name]))]
    return Bound(tuple(zip(paths, bound.args, strict=True)), dict(bound.kwargs))


def default_value(default: Structure | UnsetType) -> Value:
    """A default as a value: TensorFlow passes a tensor for one that was a tensor or an array."""
    if isinstance(default, TensorProto):
        return TensorValue(dtype_name(default.dtype), default.tensor_shape.shape)
    if isinstance(default, NamedTuple):
        fields: Any = tuple((name, default_value(each)) for name, each in default.fields)
        return NamedTuple(default.type_name, fields)
    if isinstance(default, list):
        return [default_value(each) for each in default]
    if isinstance(default, tuple):
        return tuple(default_value(each) for each in default)
    if isinstance(default, dict):
        return {key: default_value(each) for key, each in default.items()}
    return value_of(default)


def signature_text(parameters: tuple[Parameter, ...], result: Structure | UnsetType = UNSET) -> str:
    """The signature as TensorFlow prints it: `(x: TensorSpec(...), training=<captured_default_value>)`."""
    texts = {
        each.name: Verbatim(trace_text(each.constraint))
        for each in parameters
        if not isinstance(each.constraint, UnsetType)
    }
    returned = None if isinstance(result, UnsetType) else Verbatim(trace_text(result))
    return str(python_signature(parameters, texts, returned))[:MAX_TEXT]
