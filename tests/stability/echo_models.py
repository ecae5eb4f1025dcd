"""Models that give back what they were given, exported for real: what reaches a model is then what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.serving.leaf.engines.engine import open_engine
from trimtab.signature.model import Constraints, Range, Signature

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Field:
    """One input. key: what it means, whatever it is called. top: the greatest value, where a table is looked up."""

    name: str
    dtype: str = "float32"
    shape: tuple[int | str | None, ...] = ("batch",)
    default: float | None = None
    optional: bool = False
    scalar: bool = False
    top: int | None = None
    id: str | None = None
    aliases: tuple[str, ...] = ()
    key: str = ""
    stated: str = ""
    """The dtype that the document states where the format has none."""
    categories: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        return self.key or self.name


@dataclass(frozen=True)
class Model:
    """A model to be exported. bounds: of its symbols. outputs: the dtype and the prefix of what it returns."""

    inputs: tuple[Field, ...]
    bounds: tuple[tuple[str, int, int], ...] = ()
    entry_point: str = "forward"
    cast: str = ""
    prefix: str = "echo_"
    muted: tuple[str, ...] = field(default=())
    """Meanings that are not returned."""
    shape: str = ""
    """Of what is returned: a `column` has a last dimension of 1 more, `twice` a last size twice as large."""
    structure: str = "mapping"
    """How a Keras model takes its inputs: as a mapping, a list, or the one array; `sequential` takes and gives one."""

    def change(self, name: str, /, **changed: Any) -> Model:
        """The model with one input changed."""
        return self.with_inputs(*(replace(it, **changed) if it.name == name else it for it in self.inputs))

    def with_inputs(self, *inputs: Field) -> Model:
        return replace(self, inputs=inputs)

    def without(self, name: str) -> Model:
        return self.with_inputs(*(it for it in self.inputs if it.name != name))

    def plus(self, *more: Field) -> Model:
        return self.with_inputs(*self.inputs, *more)

    @property
    def returned(self) -> list[Field]:
        return [it for it in self.inputs if it.meaning not in self.muted]


@dataclass(frozen=True)
class Exported:
    """A real artifact: what it says, and a way to run it. run: by the signature's names, gives meanings."""

    signature: Signature
    run: Callable[[Arrays], Arrays]


def declared(path: Path, model: Model) -> Signature:
    """What the artifact says, after what only a document can say was embedded."""
    derived = derive_signature(path)
    entry_point = derived.entry_point()
    overload = entry_point.overloads[0]
    by_name = {it.name: it for it in model.inputs}
    inputs = tuple(_declared(value, by_name[value.name]) for value in overload.inputs)
    overload = structs.replace(overload, inputs=inputs)
    embed_signature(
        path,
        Signature(
            entry_points=(structs.replace(entry_point, overloads=(overload,)),),
            default_entry_point=derived.default_entry_point,
            provenance=derived.provenance,
        ),
    )
    return read_signature(path)


def _declared(value: Any, said: Field) -> Any:
    limits = None if said.top is None else Constraints(range=Range(minimum=0, maximum=said.top))
    if said.categories:
        limits = Constraints(categories=said.categories)
    changed = {"id": said.id, "aliases": said.aliases, "constraints": limits}
    if said.stated:
        changed["type"] = structs.replace(value.type, dtype=said.stated)
    return structs.replace(value, **changed)


def _through_the_leaf(path: Path, model: Model) -> Exported:
    """Run by the leaf's own engine of the format."""
    signature = declared(path, model)
    engine = open_engine(path, signature, threads=1)
    prefix = len(model.prefix)
    return Exported(signature, lambda arrays: {name[prefix:]: it.array for name, it in engine.run(arrays, ()).items()})


def onnx(model: Model, folder: Path) -> Exported:
    """Exported with onnx.helper, run by onnxruntime."""
    from onnx import helper, numpy_helper, save

    inputs, outputs, nodes, constants = [], [], [], []
    for it in model.inputs:
        element = _element(it.dtype)
        inputs.append(helper.make_tensor_value_info(it.name, element, it.shape))
        if it.default is not None:
            constants.append(numpy_helper.from_array(np.full(it.shape, it.default, it.dtype), it.name))
    for it in model.returned:
        name, source = model.prefix + it.meaning, it.name
        if it.top is not None:
            constants.append(numpy_helper.from_array(np.arange(it.top + 1, dtype=it.dtype), f"table {it.name}"))
            nodes.append(helper.make_node("Gather", [f"table {it.name}", it.name], [f"looked up {it.name}"]))
            source = f"looked up {it.name}"
        element = _element(model.cast or it.dtype)
        how = {} if it.dtype == "string" else {"to": element}
        nodes.append(helper.make_node("Cast" if how else "Identity", [source], [f"cast {name}"], **how))
        if model.shape == "column":
            constants.append(numpy_helper.from_array(np.array([-1]), f"axes {name}"))
            nodes.append(helper.make_node("Unsqueeze", [f"cast {name}", f"axes {name}"], [name]))
        elif model.shape == "twice":
            nodes.append(helper.make_node("Concat", [f"cast {name}"] * 2, [name], axis=-1))
        else:
            nodes.append(helper.make_node("Identity", [f"cast {name}"], [name]))
        outputs.append(helper.make_tensor_value_info(name, element, _returned_shape(it.shape, model.shape)))
    graph = helper.make_graph(nodes, "echo", inputs, outputs, constants)
    path = folder / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return _through_the_leaf(path, model)


def _element(dtype: str) -> int:
    """ONNX's code of a dtype."""
    from onnx import TensorProto, helper

    return TensorProto.STRING if dtype == "string" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _returned_shape(shape: tuple[Any, ...], how: str) -> tuple[Any, ...]:
    if how == "column":
        return (*shape, 1)
    return (*shape[:-1], shape[-1] * 2) if how else shape


def torchscript(model: Model, folder: Path) -> Exported:
    """Compiled from source, run by torch.jit."""
    import torch

    module = type("Echo", (torch.jit.ScriptModule,), {})()  # a class of its own, for methods are kept by class
    module.define(_source(model, script=True))
    path = folder / "model.pt"
    torch.jit.save(module, str(path))
    return _through_the_leaf(path, model)


def pt2(model: Model, folder: Path) -> Exported:
    """Exported with torch.export, run by torch."""
    import torch

    namespace: dict[str, Any] = {"torch": torch}
    exec(_source(model, script=False), namespace)
    echo = type("Echo", (torch.nn.Module,), {"forward": namespace["forward"]})()
    dims = {name: torch.export.Dim(name, min=low, max=high) for name, low, high in model.bounds}
    sizes = {name: min(low + 3, high) for name, low, high in model.bounds}
    examples = [
        torch.ones([sizes.get(dim, dim) for dim in it.shape], dtype=getattr(torch, it.dtype)) for it in model.inputs
    ]
    dynamic = {
        it.name: {axis: dims[dim] for axis, dim in enumerate(it.shape) if isinstance(dim, str)} for it in model.inputs
    }
    program = torch.export.export(echo, tuple(examples), dynamic_shapes=dynamic)
    path = folder / "model.pt2"
    torch.export.save(program, str(path))
    return _through_the_leaf(path, model)


def _source(model: Model, *, script: bool) -> str:
    """The Python of a function that returns its arguments by their meaning."""
    arguments, returned, body = ["self"], [], []
    for it in model.inputs:
        if it.scalar:
            kind = "int" if it.dtype.startswith("int") else "float"
        else:
            kind = "Optional[Tensor]" if it.optional else "Tensor"
        default = " = None" if it.optional else "" if it.default is None else f" = {it.default}"
        arguments.append(f"{it.name}: {kind}{default}" if script else it.name)
    for it in model.returned:
        value = it.name
        if it.scalar:
            value = f"torch.tensor({it.name})"
        elif it.optional:
            body.append(f"    {it.name}_ = {it.name} if {it.name} is not None else torch.zeros(0)\n")
            value = f"{it.name}_"
        elif it.top is not None:
            value = f"torch.arange({it.top + 1})[{it.name}]"
        if model.cast:
            value = f"{value}.to(torch.{model.cast})"
        value = {"column": f"{value}.unsqueeze(-1)", "twice": f"torch.cat([{value}, {value}], -1)"}.get(
            model.shape, value
        )
        returned.append(f"{model.prefix + it.meaning!r}: {value}.clone()")
    return f"def {model.entry_point}({', '.join(arguments)}):\n{''.join(body)}    return {{{', '.join(returned)}}}\n"
