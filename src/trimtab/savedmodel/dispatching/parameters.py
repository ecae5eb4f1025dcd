"""The parameters of a restored function as TensorFlow rebuilds them: names made safe, kinds, defaults, constraints.

Sources: tensorflow/python/eager/polymorphic_function/function_type_utils.py and
tensorflow/core/function/polymorphism/function_type.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from msgspec import UNSET, Struct, UnsetType

from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import SPECS, TensorSpec, leaves

if TYPE_CHECKING:
    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.structure import Structure

Kind: TypeAlias = Literal["positional", "plain", "varargs", "keyword", "varkw"]
"""positional: by position only. plain: by position or keyword. keyword: by keyword only."""


class Parameter(Struct, frozen=True):
    """One parameter. default: UNSET where it must be given. constraint: what an argument is cast to, or UNSET."""

    name: str
    kind: Kind
    default: Structure | UnsetType = UNSET
    constraint: Structure | UnsetType = UNSET


def parameters_of(spec: CallSpec) -> tuple[Parameter, ...]:
    """The parameters of a polymorphic function. Raises what TensorFlow would, on loading, where they contradict."""
    defaults: dict[str, Structure] = dict(
        zip(spec.args[len(spec.args) - len(spec.defaults) :], spec.defaults, strict=True)
    )
    safe = {safe_name(name): value for name, value in {**defaults, **spec.kwonlydefaults}.items()}
    found = [Parameter(safe_name(name), "plain", safe.get(safe_name(name), UNSET)) for name in spec.args]
    if spec.varargs is not None:
        found.append(Parameter(spec.varargs, "varargs"))
    # A keyword-only parameter is looked up by its own name: one that had to be made safe loses its default.
    found += [Parameter(safe_name(name), "keyword", safe.get(name, UNSET)) for name in spec.kwonlyargs]
    if spec.varkw is not None:
        found.append(Parameter(spec.varkw, "varkw"))
    made = _constrained(found, safe, list(spec.input_signature)) if spec.input_signature else tuple(found)
    python_signature(made)
    return made


def safe_name(name: str) -> str:
    """The name that TensorFlow gives a parameter or keyword, so that Python could have it."""
    if not name:
        raise Raises("IndexError", "string index out of range")
    swapped = "".join(each if each.isalnum() else "_" for each in name)
    return swapped if swapped[0].isalpha() else f"arg_{swapped}"


def signature_specs(parameters: tuple[Parameter, ...]) -> tuple[Structure, ...] | None:
    """What dispatch sees in place of the first arguments: the constraints, up to the first that is not of tensors."""
    found: list[Structure] = []
    automatic = False
    for each in parameters:
        if isinstance(each.constraint, UnsetType):
            continue
        if not all(isinstance(leaf, SPECS) for leaf in leaves(each.constraint)):
            automatic = True
            break
        found.append(each.constraint)
    if not parameters or (automatic and not found):
        return ()
    return tuple(found) or None


def concrete_parameters(
    parameters: tuple[Parameter, ...] | None, arguments: tuple[tuple[Structure, ...], dict[str, Structure]]
) -> tuple[Parameter, ...]:
    """The parameters of one trace, each constrained to what the trace takes; those of the function name them.

    Raises what TensorFlow would, on loading, where the trace does not fit the function.
    """
    args, kwargs = arguments
    safe = {safe_name(key): value for key, value in kwargs.items()}
    if parameters is None:
        positional = [Parameter(f"arg_{at}", "positional", UNSET, value) for at, value in enumerate(args)]
        return (*positional, *(Parameter(key, "keyword", UNSET, value) for key, value in safe.items()))
    bound = python_signature(parameters).bind(*args, **safe)
    if any(each.default is not UNSET for each in parameters):
        bound.apply_defaults()
    by_name = {each.name: each for each in parameters}
    only_positional = any(each.kind == "varargs" for each in parameters)
    found = []
    for name, value in bound.arguments.items():
        each = by_name[name]
        if each.kind == "varargs":
            found += [Parameter(f"{name}_{at}", "positional", UNSET, item) for at, item in enumerate(value)]
        elif each.kind == "varkw":
            found += [Parameter(key, "keyword", UNSET, value[key]) for key in sorted(value)]
        else:
            kind: Kind = "positional" if each.kind == "plain" and only_positional else each.kind
            constraint = each.default if value is CAPTURED_DEFAULT else value
            found.append(Parameter(name, kind, UNSET, constraint))
    return tuple(found)


class _CapturedDefault:
    """Stands for the default of a parameter, as TensorFlow prints it."""

    def __repr__(self) -> str:
        return "<captured_default_value>"


CAPTURED_DEFAULT = _CapturedDefault()


def python_signature(parameters: tuple[Parameter, ...], texts: dict[str, Any] | None = None, result: Any = None) -> Any:
    """The `inspect.Signature` that TensorFlow binds with. texts, result: annotations by parameter, for its text.

    Raises what TensorFlow would, on loading, where Python has no such signature.
    """
    import inspect

    kinds = {
        "positional": inspect.Parameter.POSITIONAL_ONLY,
        "plain": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "varargs": inspect.Parameter.VAR_POSITIONAL,
        "keyword": inspect.Parameter.KEYWORD_ONLY,
        "varkw": inspect.Parameter.VAR_KEYWORD,
    }
    empty = inspect.Parameter.empty
    try:
        made = [
            inspect.Parameter(
                each.name,
                kinds[each.kind],
                default=empty if each.default is UNSET else CAPTURED_DEFAULT,
                annotation=(texts or {}).get(each.name, empty),
            )
            for each in parameters
        ]
        return inspect.Signature(made, return_annotation=inspect.Signature.empty if result is None else result)
    except (TypeError, ValueError) as error:
        raise Raises(type(error).__name__, str(error)) from None


def _constrained(
    found: list[Parameter], defaults: dict[str, Structure], constraints: list[Structure]
) -> tuple[Parameter, ...]:
    """The parameters with the constraints of an `input_signature`, given out from left to right."""
    only_positional = any(each.kind == "varargs" for each in found)
    made: list[Parameter] = []
    for each in found:
        if each.kind == "varkw":
            continue
        if each.kind == "varargs":
            made += [Parameter(f"{each.name}_{at}", "positional", UNSET, one) for at, one in enumerate(constraints)]
            constraints = []
            continue
        kind = cast("Kind", "positional" if only_positional and each.kind == "plain" else each.kind)
        if kind == "keyword" and each.name not in defaults:
            raise Raises(
                "TypeError",
                f"Since input_signature is defined, keyword-only parameter `{each.name}` must have a default value",
            )
        if constraints:
            made.append(Parameter(each.name, kind, each.default, constraints.pop(0)))
        elif each.name in defaults:
            made.append(Parameter(each.name, kind, each.default, _type_of(defaults[each.name])))
        else:
            raise Raises("TypeError", f"input_signature missing type constraint for {each.name}")
    if constraints:
        raise Raises("TypeError", f"input_signature contains {len(constraints)} extra type constraints.")
    return tuple(made)


def _type_of(default: Structure) -> Structure:
    """What a default constrains its parameter to: a Python value to itself, a tensor to its dtype and shape."""
    if isinstance(default, TensorProto):
        return TensorSpec(dtype_name(default.dtype), default.tensor_shape.shape)
    if isinstance(default, list):
        return [_type_of(each) for each in default]
    if isinstance(default, tuple):
        return tuple(_type_of(each) for each in default)
    if isinstance(default, dict):
        return {key: _type_of(each) for key, each in default.items()}
    return default
