"""What is foretold of operations that run, from shapes alone: which refuse, and which may be simplified away before."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from trimtab import savedmodel
from trimtab.savedmodel.dispatching import TensorValue, dispatch_signature
from trimtab.savedmodel.dispatching.op_shapes import Known
from trimtab.savedmodel.dispatching.operations import result_of
from trimtab.savedmodel.dispatching.report import as_dict, as_text
from trimtab.savedmodel.graph import NodeDef
from trimtab.savedmodel.messages import classes

X = (2, 3)


def node(op: str, **attributes: Any) -> NodeDef:
    made = classes()["NodeDef"](name="here", op=op)
    for name, value in attributes.items():
        if isinstance(value, bool):
            made.attr[name].b = value
        elif isinstance(value, bytes):
            made.attr[name].s = value
        elif isinstance(value, int):
            made.attr[name].i = value
        else:
            made.attr[name].shape.SetInParent()
            for size in value:
                made.attr[name].shape.dim.add(size=-1 if size is None else size)
    data = made.SerializeToString()
    return NodeDef(data, 0, len(data), "test")


def fed(*shape: int | None, believed: tuple[int | None, ...] | None = None) -> Known:
    """A tensor of this shape, which is what the function declares unless something else is believed."""
    return Known(shape, shape if believed is None else believed)


def numbers(*data: int) -> Known:
    return Known((len(data),), (len(data),), data=data, folded=True, any_zero=0 in data, all_zero=not any(data))


ZEROS = Known((3,), (3,), folded=True)
HALVES = Known((3,), (3,), folded=True, any_zero=False, all_zero=False)

REFUSED = [
    (node("MatMul"), [fed(2, 3), fed(2, 3)]),
    (node("MatMul"), [fed(3), fed(3, 2)]),
    (node("MatMul", transpose_b=True), [fed(2, 3), fed(3, 2)]),
    (node("BatchMatMulV2"), [fed(2, 2, 3), fed(3, 3, 2)]),
    (node("AddV2"), [fed(2), fed(3)]),
    (node("Mul"), [fed(4), HALVES]),
    (node("BiasAdd"), [fed(2, 3), fed(2)]),
    (node("BiasAdd"), [fed(3), fed(3)]),
    (node("Reshape"), [fed(4), numbers(2, 3)]),
    (node("Reshape"), [fed(2, 2, believed=(None, 2)), numbers(-1, 3)]),
    (node("ExpandDims"), [fed(4), numbers(3)]),
    (node("ConcatV2"), [fed(2, 3), fed(2, 4), numbers(0)]),
    (node("ConcatV2"), [fed(2, 3), fed(3), numbers(0)]),
    (node("Pack"), [fed(2), fed(3)]),
    (node("AddN"), [fed(2), fed(1)]),
    (node("Sum"), [fed(2), numbers(1)]),
    (node("EnsureShape", shape=(None, 3)), [fed(2, 4)]),
    (node("GatherV2"), [fed(5, 2), Known((1,), (None,), data=(5,)), numbers(0)]),
    (node("ResourceGather"), [fed(5, 2), Known((), (), data=(-1,))]),
    (node("AssignAddVariableOp"), [fed(), fed(2)]),
    (node("AssignVariableOp", validate_shape=True), [fed(2), fed(3)]),
    (node("SelectV2"), [fed(2), fed(3), fed(1)]),
    (node("Conv2D"), [fed(1, 8, 8, 4), fed(2, 2, 3, 5)]),
]

TAKEN = [
    (node("MatMul"), [fed(2, 3), fed(3, 4)], (2, 4)),
    (node("AddV2"), [fed(2, 1), fed(3)], (2, 3)),
    (node("Reshape"), [fed(2, 3), numbers(3, -1)], (3, 2)),
    (node("Reshape"), [fed(2, 3), numbers(-1)], (6,)),
    (node("Sum", keep_dims=True), [fed(2, 3), numbers(1)], (2, 1)),
    (node("GatherV2"), [fed(5, 2), Known((3,), (None,), data=(0, 1, 4)), numbers(0)], (3, 2)),
    (node("ConcatV2"), [fed(2, 3), fed(4, 3), numbers(0)], (6, 3)),
    (node("Pack", axis=1), [fed(2), fed(2)], (2, 2)),
    (node("Equal", incompatible_shape_error=False), [fed(2), fed(3)], None),
    (node("AssignVariableOp"), [fed(2), fed(3)], None),
    (node("BiasAdd", data_format=b"NCHW"), [fed(2, 3), fed(2)], None),
    (node("NoSuchOperation"), [fed(2), fed(3)], None),
    (node("MatMul"), [fed(2, 3)], None),
    (node("MatMul"), [Known(), fed(3, 2)], None),
]

SIMPLIFIED = [
    ("a reshape to what the tensor is believed to be", node("Reshape"), [fed(4, believed=(3,)), numbers(3)]),
    ("zeros added", node("AddV2"), [fed(4, believed=(3,)), ZEROS]),
    ("a product with zeros", node("Mul"), [fed(4), ZEROS]),
    ("a product of matrices with zeros", node("MatMul"), [fed(2, 2), Known((3, 2), (3, 2), folded=True)]),
    ("a reduction of what is believed to be 1", node("Sum"), [fed(2, 3, believed=(1, 3)), numbers(0)]),
    ("what seems to have no elements", node("BiasAdd"), [fed(0, 2), fed(1)]),
    ("a reduction of what may come to seem 1", node("Sum"), [fed(2, 3, believed=(None, 3)), numbers(0)]),
    ("a power of a constant", node("Pow"), [fed(4), HALVES]),
]


@pytest.mark.parametrize(("each", "inputs"), REFUSED, ids=lambda value: value.op if isinstance(value, NodeDef) else "")
def test_a_kernel_refuses(each: NodeDef, inputs: list[Known]) -> None:
    failure = result_of(each, inputs).failure
    assert failure is not None
    assert failure.node == "here"


@pytest.mark.parametrize(("each", "inputs", "shape"), TAKEN)
def test_a_kernel_may_take_it(each: NodeDef, inputs: list[Known], shape: Any) -> None:
    known = result_of(each, inputs)
    assert (known.failure, known.shape) == (None, shape)


@pytest.mark.parametrize(("_", "each", "inputs"), SIMPLIFIED, ids=[row[0] for row in SIMPLIFIED])
def test_nothing_is_said_of_what_may_be_left_out(_: str, each: NodeDef, inputs: list[Known]) -> None:
    known = result_of(each, inputs)
    assert (known.failure, known.shape) == (None, None)


@pytest.mark.parametrize(
    ("op", "others", "passes"),
    [
        ("Relu", [], True),
        ("AddV2", [fed(2)], True),
        ("Mul", [HALVES], True),
        ("Mul", [ZEROS], False),
        ("Shape", [], False),
        ("ZerosLike", [], False),
        ("Reshape", [numbers(-1)], False),
        ("NoSuchOperation", [], False),
    ],
)
def test_a_failure_passes_on_to_what_needs_the_value(op: str, others: list[Known], *, passes: bool) -> None:
    failed = result_of(node("Reshape"), [fed(4), numbers(2, 3)])
    assert (result_of(node(op), [failed, *others]).failure is not None) is passes


def test_what_is_subtracted_from_itself_need_not_be_computed() -> None:
    failed = result_of(node("MatMul"), [fed(2), fed(2)])
    assert result_of(node("Sub"), [failed, failed]).failure is None
    assert result_of(node("Sub"), [failed, fed(2)]).failure is not None


@pytest.mark.parametrize(
    ("model", "key", "given", "at"),
    [
        ("example", "capture_fn", {"x": TensorValue("float32", (2,))}, "AssignAddVariableOp"),
        ("tf1_style", "serving_default", {"x": TensorValue("float32", (1, 3))}, "MatMul"),
    ],
)
def test_a_signature_that_is_called_and_cannot_be_computed(
    corpus: Path, model: str, key: str, given: dict[str, Any], at: str
) -> None:
    with savedmodel.load(corpus / "savedmodel" / model / "model") as loaded:
        outcome = dispatch_signature(loaded.meta_graph, key, (), given)
    assert outcome.trace is not None
    assert outcome.refusal is not None
    assert (outcome.refusal.tensorflow, outcome.refusal.stage) == ("InvalidArgumentError", "run")
    assert f"at node {at}:" in outcome.refusal.message
    assert not outcome.dispatched
    assert as_dict(outcome)["error"]["stage"] == "run"
    assert "while the function runs" in as_text(outcome)
    assert f"at node {at}:" in as_text(outcome)


@pytest.mark.parametrize(
    ("serialized", "refused"), [(b"broken", True), (b"", True), (b"with age in it somewhere", False), (None, False)]
)
def test_an_example_without_a_required_key_is_refused(*, serialized: bytes | None, refused: bool) -> None:
    path = Path(__file__).parents[1] / "data" / "savedmodel" / "parse_example" / "model"
    with savedmodel.load(path) as loaded:
        data = None if serialized is None else [serialized]
        outcome = dispatch_signature(loaded.meta_graph, "classify", (), {"examples": TensorValue("string", (1,), data)})
    assert (outcome.refusal is not None) is refused


def test_negative_zero_counts_as_zero() -> None:
    made = classes()["NodeDef"](name="here", op="Const")
    tensor = made.attr["value"].tensor
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=100)
    tensor.tensor_content = struct.pack("<100f", *[-0.0] * 100)
    data = made.SerializeToString()
    assert result_of(NodeDef(data, 0, len(data), "test"), []).all_zero
