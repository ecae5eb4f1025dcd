"""What a signature declares twice, side by side: each input and result in every place, and whether the copies agree.

TF2 binds inputs to a wrapper's arguments, and results to its outputs, in the order of their keywords; TF1 and C++
follow the names in the SignatureDef through the graph. So a copy also has a position, and the two must be the same.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.structure import SPECS, components, shape_text
from trimtab.savedmodel.touring.story import Copy, Declared
from trimtab.savedmodel.touring.wording import tensor_info_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import TensorInfo, TensorShapeProto
    from trimtab.savedmodel.links import ConcreteFunction, ServedSignature
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.touring.places import Places


UNKNOWN_RANK = shape_text(None)
"""Says nothing, so that it contradicts nothing: a structured result may be of unknown rank where the graph knows it."""


def declared_values(signature: ServedSignature, places: Places, call: NodeDef | None) -> tuple[Declared, ...]:
    """The inputs, then the results, of a signature that TF2 serves, flat and in the order of the wrapper's arguments.

    call: the node of the graph by which TF1 and C++ run the wrapper. Empty for a signature that only they serve:
    nothing is declared twice there.
    """
    wrapper = signature.wrapper
    if wrapper is None or wrapper.saved is None:
        return ()
    return (*_inputs(signature, wrapper, places, call), *_results(signature, wrapper, places, call))


class _Flat(NamedTuple):
    """One dense tensor of a value."""

    name: str
    dtype: str | None
    shape: str | None
    tensor: str = ""


def _inputs(
    signature: ServedSignature, wrapper: ConcreteFunction, places: Places, call: NodeDef | None
) -> Iterable[Declared]:
    saved = _specs(sorted(wrapper.arguments[1].items()))
    fed = _infos(signature.signature_def.inputs.items()) if signature.signature_def is not None else []
    function = wrapper.function_def
    arguments = function.signature.input_arg if function is not None else ()
    arguments = arguments[: len(arguments) - len(wrapper.captures)]
    keywords = signature.bare.argument_keywords if signature.bare is not None else ()
    by_name = {plain(keyword): keyword for keyword in keywords}
    for at, (feed, spec, argument) in enumerate(zip_longest(fed, saved, arguments)):
        copies = []
        if feed is not None:
            copies.append(Copy("SignatureDef", places.signature_def(signature.key), feed.name, feed.dtype, feed.shape))
            copies += _placeholder(wrapper, places, feed.tensor, call)
        name = feed.name if feed is not None else spec.name if spec is not None else ""
        bare = places.object(signature.node_id or 0, "bare_concrete_function")
        if plain(name) in by_name:
            copies.append(Copy("SavedBareConcreteFunction", bare, by_name[plain(name)]))
        if spec is not None:
            where = places.concrete_function(wrapper.name)
            copies.append(Copy("SavedConcreteFunction", where, spec.name, spec.dtype, spec.shape, at))
        if argument is not None and function is not None:
            given, shape = _argument_facts(function, at)
            copies.append(
                Copy("FunctionDef", places.function(wrapper.name), given, dtype_name(argument.type), shape, at)
            )
        expected = ("SignatureDef", "SavedBareConcreteFunction", "SavedConcreteFunction", "FunctionDef")
        yield _declared("input", name or (argument.name if argument is not None else ""), copies, expected)


def _results(
    signature: ServedSignature, wrapper: ConcreteFunction, places: Places, call: NodeDef | None
) -> Iterable[Declared]:
    outputs = wrapper.outputs
    saved = _specs(sorted(outputs.items())) if isinstance(outputs, dict) else _specs([("", outputs)])
    fetched = _infos(signature.signature_def.outputs.items()) if signature.signature_def is not None else []
    results = wrapper.function_def.signature.output_arg if wrapper.function_def is not None else ()
    for at, (fetch, spec, result) in enumerate(zip_longest(fetched, saved, results)):
        copies = []
        if fetch is not None:
            copies.append(
                Copy("SignatureDef", places.signature_def(signature.key), fetch.name, fetch.dtype, fetch.shape)
            )
            copies += _fetched(places, fetch.tensor, call)
        if spec is not None:
            where = places.concrete_function(wrapper.name)
            copies.append(Copy("SavedConcreteFunction", where, spec.name, spec.dtype, spec.shape, at))
        if result is not None:
            where = places.function(wrapper.name)
            copies.append(Copy("FunctionDef", where, "", dtype_name(result.type), None, at))
        name = fetch.name if fetch is not None else spec.name if spec is not None else result.name if result else ""
        yield _declared("output", name, copies, ("SignatureDef", "SavedConcreteFunction", "FunctionDef"))


def _declared(direction: str, name: str, copies: list[Copy], expected: tuple[str, ...]) -> Declared:
    places = {copy.place for copy in copies}
    differences = [f"{place} does not declare it" for place in expected if place not in places]
    for what, stated in (
        (
            "name",
            [(copy.place, copy.name, plain(copy.name)) for copy in copies if copy.name and copy.place != "NodeDef"],
        ),
        ("dtype", [(copy.place, copy.dtype, copy.dtype) for copy in copies if copy.dtype is not None]),
        ("shape", [(copy.place, copy.shape, copy.shape) for copy in copies if copy.shape not in (None, UNKNOWN_RANK)]),
        ("argument", [(copy.place, copy.argument, copy.argument) for copy in copies if copy.argument is not None]),
    ):
        if len({compared for _, _, compared in stated}) > 1:
            differences.append(f"{what}: {', '.join(f'{place} {shown}' for place, shown, _ in stated)}")
    return Declared(direction, name, tuple(copies), tuple(differences))


def plain(name: str) -> str:
    """A name in the form that its copies share: as a Python parameter, in lower case, without what makes it one."""
    swapped = "".join(each if each.isalnum() else "_" for each in name).lower()
    bare = swapped.removeprefix("arg_")
    return bare if not bare[:1].isalpha() else swapped


def _infos(infos: Iterable[tuple[str, TensorInfo]]) -> list[_Flat]:
    """The tensors that are fed or fetched, in the order of their keywords."""
    flat = []
    for name, info in sorted(infos, key=lambda item: _keyword(item[0])):
        if info.composite_tensor is not None:
            parts = [(part.name or "", part.dtype, part.tensor_shape) for part in info.composite_tensor.components]
            flat += [_Flat(name, dtype_name(code), _shape(shape), tensor) for tensor, code, shape in parts]
        elif info.coo_sparse is not None:
            flat += [_Flat(name, None, None, tensor) for tensor in tensor_info_names(info)]
        else:
            flat.append(_Flat(name, dtype_name(info.dtype), _shape(info.tensor_shape), info.name or ""))
    return flat


def _keyword(name: str) -> str:
    """The name as a Python parameter, by which arguments are sorted."""
    swapped = "".join(each if each.isalnum() else "_" for each in name)
    return swapped if swapped[:1].isalpha() else f"arg_{swapped}"


def _specs(values: list[tuple[str, Structure]]) -> list[_Flat]:
    """The dense tensors that structured arguments or results are made of."""
    flat = []
    for name, value in values:
        if not isinstance(value, SPECS):
            flat.append(_Flat(name, None, None))
            continue
        parts = components(value)
        whole = len(parts) == 1
        flat += [_Flat(name, part.dtype, shape_text(part.shape) if whole else None) for part in parts]
    return flat


def _placeholder(wrapper: ConcreteFunction, places: Places, tensor: str, call: NodeDef | None) -> list[Copy]:
    """What the graph's node says that is fed, and to which argument of the wrapper it goes."""
    name = TensorName.parse(tensor).node
    node = wrapper.meta_graph.graph_def.node.get(name)
    if node is None:
        return []
    dtype, shape = node.attr("dtype"), node.attr("shape")
    position = None
    if call is not None:
        fed = [TensorName.parse(each).node for each in call.input]
        position = fed.index(name) if name in fed else None
    stated = dtype_name(dtype.type) if dtype is not None and dtype.type else None
    given = _shape(shape.shape) if shape is not None and shape.shape is not None else None
    return [Copy("NodeDef", places.graph_node(name), tensor, stated, given, position)]


def _fetched(places: Places, tensor: str, call: NodeDef | None) -> list[Copy]:
    """What the graph's call of the wrapper says of the result that is fetched."""
    parsed = TensorName.parse(tensor)
    if call is None or parsed.node != call.name:
        return []
    at = parsed.position
    types, shapes = call.attr("Tout"), call.attr("_output_shapes")
    codes = types.list.type if types is not None and types.list is not None else ()
    stated = shapes.list.shape if shapes is not None and shapes.list is not None else ()
    dtype = dtype_name(codes[at]) if at < len(codes) else None
    shape = _shape(stated[at]) if at < len(stated) else None
    return [Copy("NodeDef", places.graph_node(call.name), tensor, dtype, shape, at)]


def _argument_facts(function: FunctionDef, at: int) -> tuple[str, str | None]:
    """The name that the user gave an argument, and its static shape."""
    attributes = function.arg_attr.get(at, {})
    given, shapes = attributes.get("_user_specified_name"), attributes.get("_output_shapes")
    name = (given.s or b"").decode("utf-8", "replace") if given is not None else ""
    stated = shapes.list.shape if shapes is not None and shapes.list is not None else ()
    return name, _shape(stated[0]) if stated else None


def _shape(proto: TensorShapeProto) -> str:
    return shape_text(proto.shape)
