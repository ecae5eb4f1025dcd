"""Rules of place 2 against the graph: what a SignatureDef names is there, and of the type that it says.

TensorFlow 1, C++ and servers go by nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.model import INIT_OPS
from trimtab.savedmodel.verifying.tensors import compatible
from trimtab.savedmodel.verifying.words import listed, shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trimtab.savedmodel.graph_protos import TensorInfo, TensorProto
    from trimtab.savedmodel.verifying.facts import Facts

MAX_WALKED = 300_000
"""How many nodes are walked over, for all signatures together."""

METHODS = tuple(f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))


@rule("SIGNATURE_DEF_TENSOR")
def signature_def_tensor(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef names tensors of the graph.

    Who breaks: TensorFlow 1, C++ and servers, at the first request: `refers to a Tensor which does not exist`.
    Instead: name the placeholder (`key_input:0`) or the call's output (`StatefulPartitionedCall:0`).
    """
    for where, name, _, _ in _tensor_infos(facts):
        tensor = facts.bodies.graph.tensor(name) if ":" in name else None
        if tensor is None:
            yield Problem(where, "names a tensor that the graph lacks", got=repr(name))


@rule("SIGNATURE_DEF_DTYPE")
def signature_def_dtype(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef gives each input and output the dtype that it has in the graph.

    Who breaks: whoever builds requests or tables by the SignatureDef: servers refuse the request, or read the bytes of
    the answer as another type. TensorFlow checks it nowhere.
    Instead: copy the dtype of the graph's tensor.
    """
    for where, name, dtype, _ in _tensor_infos(facts):
        tensor = facts.bodies.graph.tensor(name)
        known = tensor.dtype if tensor is not None else 0
        if known and dtype_name(known) != "resource" and dtype not in (known, known - 100):
            expected = f"{dtype_name(known)}, as {name!r} in the graph"
            yield Problem(where, "the dtype", expected, dtype_name(dtype))


@rule("SIGNATURE_DEF_SHAPE")
def signature_def_shape(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef gives each input and output the shape that it has in the graph.

    Who breaks: clients that batch or check by the SignatureDef send what the model refuses, or refuse what it takes.
    Instead: copy the shape of the graph's tensor.
    """
    for where, name, _, info in _tensor_infos(facts):
        tensor = facts.bodies.graph.tensor(name)
        shape = info.tensor_shape.shape
        if info.name is None or tensor is None or isinstance(tensor.shape, str):
            continue
        if dtype_name(tensor.dtype) != "resource" and shape != tensor.shape:
            expected = f"{shape_words(tensor.shape)}, as {name!r} in the graph"
            yield Problem(where, "the shape", expected, shape_words(shape))


@rule("SIGNATURE_CALLABLE")
def signature_callable(facts: Facts) -> Iterator[Problem]:
    """A SignatureDef fetches something, and feeds every placeholder that what it fetches is computed from.

    Who breaks: every caller; in TensorFlow 2, a model of TensorFlow 1 with one such signature cannot be loaded at all.
    Instead: make the placeholder an input, or give it a default in the graph.
    """
    nodes = facts.bodies.graph.nodes
    assets = {TensorName.parse(each.tensor_info.name or "").node for each in facts.meta_graph.asset_file_def}
    left = MAX_WALKED
    for key, declared in facts.meta_graph.signature_def.items():
        if key in INIT_OPS:
            continue
        where = f"{facts.where}.signature_def[{key!r}]"
        if not declared.outputs:
            yield Problem(f"{where}.outputs", "fetches nothing")
        seen = assets | {TensorName.parse(name).node for _, name, _, _ in _tensors(declared.inputs, "")}
        waiting = [TensorName.parse(name).node for _, name, _, _ in _tensors(declared.outputs, "")]
        while waiting and left:
            node = nodes.get(waiting.pop())
            if node is None or node.name in seen:
                continue
            left -= 1
            seen.add(node.name)
            if node.op == "Placeholder":
                yield Problem(f"{where}.inputs", "a placeholder that is not fed", got=repr(node.name))
            waiting += [TensorName.parse(name).node for name in facts.bodies.graph.data_inputs(node)]


@rule("SIGNATURE_DEFAULT")
def signature_default(facts: Facts) -> Iterator[Problem]:
    """A default of a SignatureDef belongs to an input, is a value of it, and is the one in the graph.

    Who breaks: a server that fills in the default.
    Instead: correct its name, dtype or shape.
    """
    for key, declared in facts.meta_graph.signature_def.items():
        for name, value in declared.defaults.items():
            where = f"{facts.where}.signature_def[{key!r}].defaults[{name!r}]"
            info = declared.inputs.get(name)
            if info is None:
                yield Problem(where, "belongs to no input", listed(sorted(declared.inputs)), repr(name))
            elif value.dtype != info.dtype or not compatible(value.tensor_shape.shape, info.tensor_shape.shape):
                expected = f"{dtype_name(info.dtype)} {shape_words(info.tensor_shape.shape)}"
                got = f"{dtype_name(value.dtype)} {shape_words(value.tensor_shape.shape)}"
                yield Problem(where, "a value of another type than its input's", expected, got)
            elif _other_value(facts, info, value):
                yield Problem(where, "another value than the graph's", f"that of {info.name!r} in the graph")


def _other_value(facts: Facts, info: TensorInfo, value: TensorProto) -> bool:
    """Whether the graph has a default for the input, written in the same way, that is another one."""
    nodes = facts.bodies.graph.nodes
    placeholder = nodes.get(TensorName.parse(info.name or "").node)
    if placeholder is None or placeholder.op != "PlaceholderWithDefault" or not placeholder.input:
        return False
    source = nodes.get(TensorName.parse(placeholder.input[0]).node)
    constant = source.attr("value") if source is not None and source.op == "Const" else None
    tensor = constant.tensor if constant is not None else None
    return tensor is not None and bool(tensor.tensor_content) == bool(value.tensor_content) and tensor != value


@rule("SIGNATURE_METHOD", level=Level.WARNING)
def signature_method(facts: Facts) -> Iterator[Problem]:
    """The method name of a model that TensorFlow 2 wrote is one that servers know.

    Who breaks: TensorFlow Serving refuses requests to a signature whose method it does not know.
    Instead: `tensorflow/serving/predict`.
    """
    for key, declared in facts.meta_graph.signature_def.items() if facts.objects is not None else ():
        if key not in INIT_OPS and declared.method_name not in METHODS:
            where = f"{facts.where}.signature_def[{key!r}].method_name"
            yield Problem(where, "the method", METHODS[0], repr(declared.method_name))


@rule("INIT_OP")
def init_op(facts: Facts) -> Iterator[Problem]:
    """The operation that runs after loading is in the graph, and both places that name it name the same.

    Who breaks: tables stay empty, or TensorFlow 1 and C++ refuse the model.
    Instead: name the operation in `signature_def['__saved_model_init_op']` and the collection `saved_model_main_op`.
    """
    nodes = facts.bodies.graph.nodes
    named = []
    for key in sorted(INIT_OPS & set(facts.meta_graph.signature_def)):
        outputs = facts.meta_graph.signature_def[key].outputs.values()
        named += [(f"{facts.where}.signature_def[{key!r}]", info.name or "") for info in outputs]
    for key in ("saved_model_main_op", "legacy_init_op", "saved_model_train_op"):
        collection = facts.meta_graph.collection_def.get(key)
        nodes_named = collection.node_list if collection is not None else None
        values = nodes_named.value if nodes_named is not None else ()
        named += [(f"{facts.where}.collection_def[{key!r}]", name) for name in values]
    for where, name in named:
        if TensorName.parse(name).node not in nodes:
            yield Problem(where, "an operation that the graph lacks", got=repr(name))
    init = {name for where, name in named if "__saved_model_init_op" in where}
    main = {name for where, name in named if "saved_model_main_op" in where}
    if init != main and (facts.objects is not None or (init and main)):
        where = f"{facts.where}.collection_def['saved_model_main_op']"
        yield Problem(where, "the operation", f"{listed(init)}, as in signature_def", listed(main))


def _tensor_infos(facts: Facts) -> Iterator[tuple[str, str, int, TensorInfo]]:
    """Every tensor that a SignatureDef names: its place, its name, the dtype that it must have, and the whole entry."""
    for key, declared in facts.meta_graph.signature_def.items():
        if key not in INIT_OPS:
            where = f"{facts.where}.signature_def[{key!r}]"
            yield from _tensors(declared.inputs, f"{where}.inputs")
            yield from _tensors(declared.outputs, f"{where}.outputs")


def _tensors(infos: Mapping[str, TensorInfo], where: str) -> Iterator[tuple[str, str, int, TensorInfo]]:
    """The tensors of inputs or outputs: a sparse one has three, another composite one its components."""
    for name, info in infos.items():
        place = f"{where}[{name!r}]"
        if info.coo_sparse is not None:
            yield f"{place}.indices", info.coo_sparse.indices_tensor_name, _INT64, info
            yield f"{place}.values", info.coo_sparse.values_tensor_name, info.dtype, info
            yield f"{place}.dense_shape", info.coo_sparse.dense_shape_tensor_name, _INT64, info
        elif info.composite_tensor is not None:
            for position, part in enumerate(info.composite_tensor.components):
                yield f"{place}.components[{position}]", part.name or "", part.dtype, part
        else:
            yield place, info.name or "", info.dtype, info


_INT64 = 9
