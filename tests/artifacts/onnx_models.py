"""ONNX models of many kinds, small and real: what onnx, onnxruntime and the exporters make, one builder for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOAT, INT64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL

BUILDERS: dict[str, Callable[[], onnx.ModelProto]] = {}


def builder(build: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
    """Enter a builder under its name."""
    BUILDERS[build.__name__] = build
    return build


def value(name: str, code: int = FLOAT, shape: Sequence[int | str | None] | None = ("n",), doc: str = "") -> Any:
    return helper.make_tensor_value_info(name, code, shape, doc)


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    *,
    ir_version: int = 10,
    opsets: Sequence[tuple[str, int]] = (("", 21),),
    **more: Any,
) -> onnx.ModelProto:
    sparse = more.pop("sparse", ())
    graph = helper.make_graph(
        list(nodes), "graph", list(inputs), list(outputs), list(initializers), sparse_initializer=list(sparse)
    )
    return helper.make_model(
        graph, ir_version=ir_version, opset_imports=[helper.make_opsetid(*each) for each in opsets], **more
    )


def array(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


@builder
def plain() -> onnx.ModelProto:
    return model([node("Add", "ab", "y")], [value("a"), value("b")], [value("y")])


@builder
def no_inputs() -> onnx.ModelProto:
    return model([node("Constant", "", "y", value=array("", [1.0]))], [], [value("y", TensorProto.DOUBLE, [1])])


@builder
def input_is_output() -> onnx.ModelProto:
    return model([node("Neg", "a", "b")], [value("a"), value("unused")], [value("b"), value("a")])


@builder
def unicode_and_odd_names() -> onnx.ModelProto:
    names = ["année", "with space", 'quo"te', "a/b:0", "dense_1_input:0", "価格", "x[0]", "a.b", "0", "\n", "'"]
    nodes = [node("Sum", names, ["score/Sigmoid:0"])]
    return model(nodes, [value(each, FLOAT, ["N"]) for each in names], [value("score/Sigmoid:0", FLOAT, ["N"])])


@builder
def symbols_and_unknowns() -> onnx.ModelProto:
    shapes: list[list[int | str | None] | None] = [["batch", 3], [None, 3], ["2*batch", None], None, [], [0], [1, 1]]
    inputs = [value(f"x{i}", FLOAT, shape) for i, shape in enumerate(shapes)]
    nodes = [node("Identity", [f"x{i}"], [f"y{i}"]) for i in range(len(shapes))]
    return model(nodes, inputs, [value(f"y{i}", FLOAT, shape) for i, shape in enumerate(shapes)])


@builder
def containers() -> onnx.ModelProto:
    tensor = helper.make_tensor_type_proto(FLOAT, ["n", 2])
    sequence = helper.make_sequence_type_proto(tensor)
    optional = helper.make_optional_type_proto(tensor)
    optional_sequence = helper.make_optional_type_proto(sequence)
    types = {"sequence": sequence, "optional": optional, "optional_sequence": optional_sequence}
    inputs = [helper.make_value_info(name, type_) for name, type_ in types.items()]
    nodes = [
        node("SequenceLength", ["sequence"], ["length"]),
        node("OptionalHasElement", ["optional"], ["has"]),
        node("OptionalHasElement", ["optional_sequence"], ["has_sequence"]),
    ]
    outputs = [value("length", INT64, []), value("has", BOOL, []), value("has_sequence", BOOL, [])]
    return model(nodes, inputs, outputs)


@builder
def maps() -> onnx.ModelProto:
    scalar = helper.make_tensor_type_proto(INT64, [])
    by_text = helper.make_map_type_proto(STRING, scalar)
    nodes = [node("DictVectorizer", ["features"], ["vector"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])]
    return model(
        nodes,
        [helper.make_value_info("features", by_text)],
        [value("vector", INT64, [1, 2])],
        opsets=(("", 21), ("ai.onnx.ml", 3)),
    )


@builder
def sequence_of_maps() -> onnx.ModelProto:
    by_class = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
    nodes = [node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])]
    return model(
        nodes,
        [value("x", FLOAT, [None, 2])],
        [helper.make_value_info("probabilities", helper.make_sequence_type_proto(by_class))],
        opsets=(("", 21), ("ai.onnx.ml", 3)),
    )


@builder
def sparse_input() -> onnx.ModelProto:
    sparse = helper.make_value_info("sparse", helper.make_sparse_tensor_type_proto(FLOAT, [10, "n"]))
    return model([node("Identity", "x", "y")], [value("x"), sparse], [value("y")])


@builder
def overridable_defaults() -> onnx.ModelProto:
    return model(
        [node("Mul", ["x", "scale"], ["z"]), node("Add", ["z", "bias"], ["y"])],
        [value("x", FLOAT, ["n", 2]), value("scale", FLOAT, []), value("bias", FLOAT, [2])],
        [value("y", FLOAT, ["n", 2])],
        [array("scale", np.float32(0.5)), array("bias", np.float32([1, -2])), array("unlisted", np.float32([1]))],
    )


@builder
def weights_listed_in_ir_3() -> onnx.ModelProto:
    return model(
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", FLOAT, ["n", 2]), value("w", FLOAT, [2, 3])],
        [value("y", FLOAT, ["n", 3])],
        [array("w", np.ones((2, 3), np.float32))],
        ir_version=3,
        opsets=(("", 8),),
    )


@builder
def weights_listed_in_ir_8() -> onnx.ModelProto:
    return model(
        [node("MatMul", ["x", "w"], ["z"]), node("Add", ["z", "b"], ["y"])],
        [value("x", FLOAT, ["n", 20]), value("w", FLOAT, [20, 30]), value("b", FLOAT, [30])],
        [value("y", FLOAT, ["n", 30])],
        [array("w", np.ones((20, 30), np.float32)), array("b", np.ones(30, np.float32))],
        ir_version=8,
        opsets=(("", 17),),
    )


@builder
def text_and_flags() -> onnx.ModelProto:
    nodes = [node("Identity", ["text"], ["same"]), node("Not", ["flag"], ["opposite"])]
    outputs = [value("same", STRING, ["n"]), value("opposite", BOOL, [None])]
    return model(nodes, [value("text", STRING, ["n"]), value("flag", BOOL, [None])], outputs)


@builder
def default_text() -> onnx.ModelProto:
    text = helper.make_tensor("country", STRING, [2], [b"SE", "Åland".encode()])
    nodes = [node("Identity", ["country"], ["y"])]
    return model(nodes, [value("country", STRING, [2]), value("x")], [value("y", STRING, [2])], [text])


@builder
def branches() -> onnx.ModelProto:
    then = helper.make_graph([node("Add", ["a", "b"], ["r"])], "then", [], [value("r", FLOAT, None)])
    otherwise = helper.make_graph([node("Identity", ["c"], ["r"])], "else", [], [value("r", FLOAT, None)])
    nodes = [node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise)]
    inputs = [value("flag", BOOL, []), value("a"), value("b"), value("c"), value("unused")]
    return model(nodes, inputs, [value("y", FLOAT, None)])


@builder
def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            node("Identity", ["going_in"], ["going_out"]),
            node("Add", ["state_in", "step"], ["state_out"]),
            node("Identity", ["state_out"], ["seen"]),
        ],
        "body",
        [value("i", INT64, []), value("going_in", BOOL, []), value("state_in", FLOAT, None)],
        [value("going_out", BOOL, []), value("state_out", FLOAT, None), value("seen", FLOAT, None)],
    )
    nodes = [node("Loop", ["times", "going", "start"], ["end", "all"], body=body)]
    inputs = [value("times", INT64, []), value("going", BOOL, []), value("start"), value("step"), value("unused")]
    return model(nodes, inputs, [value("end", FLOAT, None)])


@builder
def scan() -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Add", ["sum_in", "each"], ["sum_out"]), node("Identity", ["sum_out"], ["part"])],
        "body",
        [value("sum_in", FLOAT, [2]), value("each", FLOAT, [2])],
        [value("sum_out", FLOAT, [2]), value("part", FLOAT, [2])],
    )
    nodes = [node("Scan", ["start", "items"], ["sum", "parts"], body=body, num_scan_inputs=1)]
    inputs = [value("start", FLOAT, [2]), value("items", FLOAT, ["n", 2])]
    return model(nodes, inputs, [value("sum", FLOAT, [2]), value("parts", FLOAT, ["n", 2])])


@builder
def functions() -> onnx.ModelProto:
    inner = helper.make_function(
        "mine", "First", ["p", "q"], ["r"], [node("Neg", ["p"], ["r"]), node("Abs", ["q"], ["lost"])], OPSETS
    )
    outer = helper.make_function(
        "mine", "Twice", ["p", "q"], ["r"], [node("First", ["p", "q"], ["r"], domain="mine")], OPSETS
    )
    nodes = [node("Twice", ["a", "b"], ["z"], domain="mine"), node("Add", ["z", "c"], ["y"])]
    return model(
        nodes,
        [value("a"), value("b"), value("c")],
        [value("y")],
        opsets=(("", 21), ("mine", 1)),
        functions=[inner, outer],
    )


OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]


@builder
def documentation_and_denotations() -> onnx.ModelProto:
    image = value("image", FLOAT, ["n", 3, 8, 8], "pixels in 0..1\nRGB")
    image.type.denotation = "IMAGE"
    for dim, meaning in zip(
        image.type.tensor_type.shape.dim, ("DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", ""), strict=True
    ):
        dim.denotation = meaning
    made = model([node("Identity", ["image"], ["y"])], [image], [value("y", FLOAT, None, "the same")])
    made.doc_string = "a model"
    made.domain, made.model_version = "com.example", 7
    helper.set_model_props(made, {"author": "x", "épaisseur": "3"})
    return made


@builder
def sparse_initializer() -> onnx.ModelProto:
    sparse = helper.make_sparse_tensor(array("w", np.float32([1, 2])), array("", np.int64([0, 3])), [4])
    return model([node("Add", ["x", "w"], ["y"])], [value("x", FLOAT, [4])], [value("y", FLOAT, [4])], sparse=[sparse])


@builder
def sparse_default() -> onnx.ModelProto:
    sparse = helper.make_sparse_tensor(array("w", np.float32([1, 2])), array("", np.int64([0, 3])), [4])
    inputs = [value("x", FLOAT, [4]), value("w", FLOAT, [4])]
    return model([node("Add", ["x", "w"], ["y"])], inputs, [value("y", FLOAT, [4])], sparse=[sparse])


@builder
def optional_operator_inputs() -> onnx.ModelProto:
    nodes = [node("Clip", ["x", "", "highest"], ["y"])]
    return model(nodes, [value("x"), value("highest", FLOAT, []), value("unused")], [value("y")])


@builder
def shape_of_an_input() -> onnx.ModelProto:
    nodes = [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["y"])]
    return model(nodes, [value("x"), value("unused")], [value("y")])


@builder
def dead_chain() -> onnx.ModelProto:
    nodes = [node("Neg", ["a"], ["n"]), node("Abs", ["n"], ["lost"]), node("Identity", ["b"], ["y"])]
    return model(nodes, [value("a"), value("b")], [value("y")])


@builder
def quantized() -> onnx.ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = [array("scale", np.float32(0.1)), array("zero", np.uint8(128))]
    return model(nodes, [value("x", FLOAT, ["n", 4])], [value("y", FLOAT, ["n", 4])], constants)


@builder
def many_domains() -> onnx.ModelProto:
    nodes = [
        node("Normalizer", ["x"], ["z"], domain="ai.onnx.ml", norm="L2"),
        node("Gelu", ["z"], ["y"], domain="com.microsoft"),
    ]
    opsets = (("", 17), ("ai.onnx.ml", 3), ("com.microsoft", 1))
    return model(nodes, [value("x", FLOAT, [None, 4])], [value("y", FLOAT, None)], opsets=opsets)


@builder
def old_versions() -> onnx.ModelProto:
    return model(
        [node("Relu", ["x"], ["y"])], [value("x", FLOAT, [1, 3])], [value("y", FLOAT, [1, 3])], ir_version=4,
        opsets=(("", 7),),
    )  # fmt: skip


@builder
def training_information() -> onnx.ModelProto:
    made = plain()
    step = made.training_info.add()
    step.algorithm.CopyFrom(helper.make_graph([node("Neg", ["a"], ["g"])], "step", [], [value("g")]))
    return made


@builder
def no_types() -> onnx.ModelProto:
    made = plain()
    made.graph.input.append(onnx.ValueInfoProto(name="untyped"))
    return made


@builder
def two_hundred_inputs() -> onnx.ModelProto:
    names = [f"feature_{i}" for i in range(200)]
    return model([node("Sum", names[:190], ["y"])], [value(each) for each in names], [value("y")])


def _of_every_type() -> None:
    for spelled, code in TensorProto.DataType.items():
        if code:
            BUILDERS[f"type_{spelled.lower()}"] = lambda code=code: model(
                [node("Identity", ["x"], ["y"])],
                [value("x", code, ["n", 2])],
                [value("y", code, ["n", 2])],
                ir_version=13,
                opsets=(("", 25),),
            )


_of_every_type()
