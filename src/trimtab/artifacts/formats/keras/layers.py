"""What a Keras model takes and gives, from the configuration of its layers.

Sources: keras/src/models/functional.py and sequential.py (`get_config`), keras/src/saving/serialization_lib.py. A
functional model states its inputs and outputs as a structure of `[layer, call, output]`; its input layers state dtype
and shape. The types of outputs are known only where some layer takes the same value, for Keras writes types into the
calls of layers alone. A model of a class of its own states no more than the shapes that it was built with, if that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.artifacts.formats.keras.structure import (
    Leaf,
    as_dtype,
    as_list,
    as_mapping,
    as_shape,
    as_text,
    last_key,
    shape_leaves,
    value_leaves,
)
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.model import Input, Learned, Live, Output, Overload, Presence
from trimtab.signature.path import format_path
from trimtab.signature.types import Opaque, Ragged, Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.signature.types import Type

INPUTS = "inputs"
"""What Keras calls the first argument of a model's call."""

INPUT_LAYER = "InputLayer"

_LONGEST_NOTE = 300
_SAY_SO = (
    "Save it with trimtab.keras.save(model, path, example_inputs=…), or make it a functional model. "
    "Or embed a signature: trimtab embed MODEL --signature FILE"
)


class Call(NamedTuple):
    """A model's call, and what else there is to say of the model."""

    overload: Overload
    notes: tuple[str, ...]


def read_call(model: dict[str, Any], where: str) -> Call:
    """The call of the model that Keras serialized so. RefusedArtifactError where it says nothing of its inputs."""
    config = as_mapping(model.get("config"), f"{where}: config")
    class_name = as_text(model.get("class_name"), f"{where}: class_name")[:80]
    notes = [f"class {class_name}", *_notes(model)]
    if "input_layers" in config:
        overload = _functional(config, f"{where}: config")
    elif "layers" in config:
        overload = _sequential(config, f"{where}: config")
    else:
        overload = _as_built(model.get("build_config"), class_name, where)
        notes.append("the shapes are those of the data that it was built with; other arguments are not recorded")
    return Call(overload, tuple(notes))


def _functional(config: dict[str, Any], where: str) -> Overload:
    layers = _layers(config, where)
    taken = list(value_leaves(config["input_layers"], f"{where}: input_layers"))
    given = list(value_leaves(config.get("output_layers"), f"{where}: output_layers"))
    check_count(len(taken) + len(given), MAX_VALUES, "inputs and outputs", where)
    used = _used(layers, [leaf.layer for leaf in given])
    names = _names(taken, [format_path(INPUTS, leaf.steps) for leaf in taken])
    inputs = []
    for leaf, name in zip(taken, names, strict=True):
        settings = _input_layer(layers, leaf.layer, where)
        optional = settings.get("optional") is True
        path = format_path(INPUTS, leaf.steps)
        inputs.append(
            Input(
                name=name,
                type=_input_type(settings, f"{where}: layer {leaf.layer[:80]!r}"),
                path=path if path != name else None,
                presence=Presence.OPTIONAL if optional else Presence.REQUIRED,
                nullable=optional,
                live=Live.YES if leaf.layer in used else Live.NO,
            )
        )
    return Overload(inputs=tuple(inputs), outputs=_outputs(given, layers, where))


def _outputs(given: list[Leaf], layers: dict[str, dict[str, Any]], where: str) -> tuple[Output, ...]:
    known = _types_in_calls(layers, where)
    names = _names(given, [f"{leaf.layer}_{index}" for index, leaf in enumerate(given)])
    outputs = []
    for leaf, name in zip(given, names, strict=True):
        if layers.get(leaf.layer, {}).get("class_name") == INPUT_LAYER:
            type_ = _input_type(_input_layer(layers, leaf.layer, where), where)
        else:
            type_ = known.get((leaf.layer, leaf.call, leaf.output), Tensor())
        path = format_path("", leaf.steps)
        outputs.append(Output(name=name, type=type_, path=path if path != name else None))
    return tuple(outputs)


def _sequential(config: dict[str, Any], where: str) -> Overload:
    """A chain of layers, whose first is an input layer once the model was built."""
    where = f"{where}: layers"
    layers = [as_mapping(layer, where) for layer in as_list(config["layers"], where)]
    settings = [as_mapping(layer.get("config"), where) for layer in layers]
    built = as_shape(config.get("build_input_shape"), where)
    if layers and layers[0].get("class_name") == INPUT_LAYER:
        name, type_ = as_text(settings[0].get("name"), where), _input_type(settings[0], where)
    elif built is not None:
        name, type_ = INPUTS, Tensor(None, built)
    else:
        raise RefusedArtifactError(
            "this Keras model was saved before it was built, so it does not say what it takes",
            where=where,
            hint=_SAY_SO,
        )
    value = Input(name=name, type=type_, path=INPUTS if name != INPUTS else None, live=Live.YES)
    last = as_text(settings[-1].get("name"), where) if settings else name
    output = Output(name=last, type=type_ if last == name else Tensor(), path="")
    return Overload(inputs=(value,), outputs=(output,))


def _as_built(build_config: Any, class_name: str, where: str) -> Overload:
    """A model of a class of its own: the shapes that it was built with, which are those of its first data.

    `input_shape` is that of the first argument of its call; `shapes_dict` has one for each argument of its `build`.
    What it returns is anything.
    """
    built = build_config if isinstance(build_config, dict) else {}
    place = f"{where}: build_config"
    found = [(INPUTS, steps, shape) for steps, shape in shape_leaves(built.get("input_shape"), place)]
    if not found and isinstance(built.get("shapes_dict"), dict):
        for argument, shapes in built["shapes_dict"].items():
            root = argument.removesuffix("_shape")
            found.extend((root, steps, shape) for steps, shape in shape_leaves(shapes, place))
    if not found:
        raise RefusedArtifactError(
            f"this Keras model is of a class of its own, {class_name!r}, and does not say what it takes",
            where=where,
            hint=_SAY_SO,
        )
    check_count(len(found), MAX_VALUES, "inputs", where)
    paths = [format_path(root, steps) for root, steps, _ in found]
    names = _unique([last_key(steps) or path for (_, steps, _), path in zip(found, paths, strict=True)], paths)
    return Overload(
        inputs=tuple(
            Input(
                name=name,
                type=Tensor(None, shape),
                path=path if path != name else None,
                learned={"type": Learned.EXAMPLE},
            )
            for name, path, (_, _, shape) in zip(names, paths, found, strict=True)
        ),
        outputs=(Output(name="output_0", type=Opaque("any"), path=""),),
    )


def _layers(config: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The layers by name, each as Keras serialized it."""
    where = f"{where}: layers"
    found: dict[str, dict[str, Any]] = {}
    for layer in as_list(config.get("layers"), where):
        facts = as_mapping(layer, where)
        name = as_text(facts.get("name") or as_mapping(facts.get("config"), where).get("name"), where)
        if name in found:
            raise ArtifactError(where=where, expected="each name once", got=f"{name[:80]!r} twice")
        found[name] = facts
    return found


def _input_layer(layers: dict[str, dict[str, Any]], name: str, where: str) -> dict[str, Any]:
    """The settings of an input layer."""
    layer = layers.get(name)
    if layer is None or layer.get("class_name") != INPUT_LAYER:
        raise ArtifactError(
            where=where, expected=f"an InputLayer called {name[:80]!r}", got="another layer" if layer else "none"
        )
    return as_mapping(layer.get("config"), where)


def _input_type(settings: dict[str, Any], where: str) -> Type:
    dtype = as_dtype(settings.get("dtype"), where)
    # The second name is that of Keras 2, which wrote this format in its last versions.
    shape = as_shape(settings.get("batch_shape", settings.get("batch_input_shape")), where)
    if settings.get("sparse") is True:
        return Sparse(dtype, shape)
    if settings.get("ragged") is True:
        return Ragged(dtype, shape)
    return Tensor(dtype, shape)


def _used(layers: dict[str, dict[str, Any]], results: list[str]) -> set[str]:
    """The layers that a result may depend on: whatever is named in the calls of a layer counts as used by it."""
    used = set(results)
    pending = list(used)
    while pending:
        for text in _texts(layers.get(pending.pop(), {}).get("inbound_nodes")):
            if text in layers and text not in used:
                used.add(text)
                pending.append(text)
    return used


def _texts(value: Any) -> Iterator[str]:
    """Every string in a piece of JSON."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _types_in_calls(layers: dict[str, dict[str, Any]], where: str) -> dict[tuple[str, int, int], Type]:
    """The types of values that are arguments of layers, by where they come from."""
    found: dict[tuple[str, int, int], Type] = {}
    pending: list[Any] = [layer.get("inbound_nodes") for layer in layers.values()]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            value = as_mapping(item.get("config"), where)
            match value.get("keras_history"):
                case [str(name), int(call), int(output)]:
                    dtype, shape = as_dtype(value.get("dtype"), where), as_shape(value.get("shape"), where)
                    found[name, call, output] = Tensor(dtype, shape)
        elif isinstance(item, dict):
            pending.extend(item.values())
    return found


def _names(leaves: list[Leaf], otherwise: list[str]) -> list[str]:
    """A name for each value: its key where it has one, else its layer's."""
    return _unique([last_key(leaf.steps) or leaf.layer for leaf in leaves], otherwise)


def _unique(names: Sequence[str], otherwise: Sequence[str]) -> list[str]:
    """The names, with other ones in place of those that are there more than once."""
    count = Counter(names)
    return [name if count[name] == 1 else other for name, other in zip(names, otherwise, strict=True)]


def _notes(model: dict[str, Any]) -> Iterator[str]:
    """What Keras runs or needs when it loads the model."""
    classes: dict[str, None] = {}
    has_lambda = False
    pending: list[Any] = [model]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
            kind, registered = item.get("class_name"), item.get("registered_name")
            has_lambda = has_lambda or kind in ("Lambda", "__lambda__")
            if isinstance(registered, str) and "class_name" in item and item.get("module") is None:
                classes[registered[:80]] = None
    if has_lambda:
        yield "holds a lambda, whose code Keras runs when it is told to load the model with safe_mode=False"
    if classes:
        yield f"needs classes of its own: {', '.join(sorted(classes))}"[:_LONGEST_NOTE]
