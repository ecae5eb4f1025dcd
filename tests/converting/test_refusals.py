"""What a request may lack, and how a refusal reads."""

from __future__ import annotations

import numpy as np
import pytest
from requests_strategy import add_tensor, signature_of

from trimtab.converting.converter import FeatureConverter
from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Learned, Overload, Presence, Range, Signature
from trimtab.signature.types import Literal, Mapping, Optional, Ragged, Scalar, Sequence, Tensor

AGE = Input(name="user_age", type=Tensor(DType.FLOAT32, ("N", 1)))
IDS = Input(name="ids", type=Tensor(DType.INT64, ("N", "k")), aliases=("item_ids",))
FLAG = Input(name="flag", type=Tensor(DType.BOOL, ("N",)), presence=Presence.OPTIONAL)
SIGNATURE = signature_of([AGE, IDS, FLAG], {"k": Range(minimum=1, maximum=3)})

FLOATS = np.ones((2, 1), "<f4")
LONGS = np.ones((2, 3), "<i8")


def request(*tensors, raw=True):
    message = oip.ModelInferRequest(model_name="ctr", model_version="7")
    dtypes = {"f": DType.FLOAT32, "i": DType.INT64, "b": DType.BOOL, "O": DType.BYTES}
    for name, array in tensors:
        add_tensor(message, name, array, dtypes[array.dtype.kind], raw=raw)
    return message


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            [("user_agee", FLOATS), ("ids", LONGS)],
            'request for ctr:7: input "user_agee" is not in the signature and "user_age" (float32 [N, 1], required) is'
            " missing; is it misspelled?",
        ),
        (
            [("ids", LONGS), ("entirely_else", FLOATS)],
            'request for ctr:7: input "user_age" (float32 [N, 1], required) is missing.',
        ),
        (
            [("idz", LONGS)],
            'request for ctr:7: input "user_age" (float32 [N, 1], required) is missing.\n  Also missing: "ids".',
        ),
        (
            [("user_age", LONGS), ("ids", LONGS)],
            'request for ctr:7: input "user_age": expected float32 [N, 1], got INT64 [2, 3].',
        ),
        (
            [("user_age", np.ones((2, 2), "<f4")), ("ids", LONGS)],
            'request for ctr:7: input "user_age": expected float32 [N, 1], got FP32 [2, 2].',
        ),
        (
            [("user_age", np.ones(2, "<f4")), ("ids", LONGS)],
            'request for ctr:7: input "user_age": expected float32 [N, 1], got FP32 [2].',
        ),
        (
            [("user_age", FLOATS), ("ids", np.ones((3, 2), "<i8"))],
            'request for ctr:7: input "ids": expected int64 [N, k], got INT64 [3, 2].\n  N is 2 in input "user_age".',
        ),
        (
            [("user_age", FLOATS), ("ids", np.ones((2, 4), "<i8"))],
            'request for ctr:7: input "ids": expected k to be 1..3, got 4.',
        ),
        (
            [("user_age", FLOATS), ("ids", LONGS), ("item_ids", LONGS)],
            'request for ctr:7: input "ids": expected one value, got several, as "ids" and as "item_ids".\n'
            "  Which one is meant cannot be known: send one.",
        ),
        (
            [("user_age", FLOATS), ("user_age", FLOATS), ("ids", LONGS)],
            'request for ctr:7: input "user_age": expected one value, got several, as "user_age".\n'
            "  Which one is meant cannot be known: send one.",
        ),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
def test_refusals(tensors, message, raw):
    with pytest.raises(ConversionError) as refused:
        FeatureConverter(SIGNATURE, model="ctr", version="7").from_request(
            request(*tensors, raw=raw).SerializeToString()
        )
    assert str(refused.value) == message.replace('"idz"', '"ids"')
    assert refused.value.where.startswith("request for ctr:7")


def edited(edit):
    message = request(("user_age", FLOATS), ("ids", LONGS))
    edit(message)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\xff", "expected a serialized inference.ModelInferRequest, got malformed bytes"),
        (b"\x0a\x02\xff\xff", "got malformed bytes"),
        (edited(lambda m: m.raw_input_contents.pop()), "raw_input_contents for every input or for none"),
        (edited(lambda m: m.raw_input_contents.__setitem__(0, b"\0" * 7)), "expected 8 bytes of raw contents"),
        (edited(lambda m: m.inputs[0].contents.fp32_contents.append(1)), "raw contents or typed contents, got both"),
        (edited(lambda m: setattr(m.inputs[0], "datatype", "FP33")), r"got FP33 \[2, 1\]"),
        (edited(lambda m: setattr(m.inputs[0], "datatype", "")), r"got no datatype \[2, 1\]"),
        (edited(lambda m: setattr(m.inputs[0], "datatype", "\x1b[2J")), r"got \\x1b\[2J \[2, 1\]"),
        (edited(lambda m: m.inputs[0].shape.__setitem__(0, -2)), r"the shape of an array, got \[-2, 1\]"),
        (edited(lambda m: m.inputs[0].shape.extend([1] * 40)), "got FP32"),
        (edited(lambda m: m.ClearField("raw_input_contents")), "expected 2 elements in fp32_contents"),
    ],
)
def test_payloads_that_do_not_fit(payload, text):
    with pytest.raises(ConversionError, match=text):
        FeatureConverter(SIGNATURE).from_request(payload)


@pytest.mark.parametrize(
    ("dtype", "shape", "raw", "text"),
    [
        ("BOOL", [2], b"\0\2", "flags that are 0 or 1"),
        ("BYTES", [1], b"\1\0\0", "1 elements, each after its length"),
        ("BYTES", [1], b"\2\0\0\0a", "1 elements, each after its length"),
        ("BYTES", [1], b"\1\0\0\0ab", "1 elements, each after its length"),
        ("BYTES", [1], b"\1\0\0\0\xff", "UTF-8 text, got byte 0xff in element 0"),
        ("FP32", [0, 2**40, 2**40], b"", "the shape of an array"),
        ("FP32", [0] * 33, b"", "the shape of an array"),
    ],
)
def test_raw_contents_that_do_not_fit(dtype, shape, raw, text):
    message = oip.ModelInferRequest(raw_input_contents=[raw])
    message.inputs.add(name="x", datatype=dtype, shape=shape)
    types = {"BOOL": DType.BOOL, "BYTES": DType.STRING, "FP32": DType.FLOAT32}
    signature = signature_of([Input(name="x", type=Tensor(types[dtype], None))])
    with pytest.raises(ConversionError, match=text):
        FeatureConverter(signature).from_request(message.SerializeToString())


def test_typed_contents_that_do_not_fit():
    message = oip.ModelInferRequest()
    message.inputs.add(name="x", datatype="INT8", shape=[1]).contents.int_contents.append(300)
    message.inputs.add(name="y", datatype="FP16", shape=[0])
    signature = signature_of([Input(name="x", type=Tensor(DType.INT8, ("n",)))])
    with pytest.raises(ConversionError, match="elements that fit int8"):
        FeatureConverter(signature).from_request(message.SerializeToString())
    signature = signature_of([Input(name="y", type=Tensor(DType.FLOAT16, ("n",)))])
    with pytest.raises(ConversionError, match="raw contents, the only form in which float16 travels"):
        FeatureConverter(signature).from_request(message.SerializeToString())


def test_the_model_is_named_by_the_request_when_nobody_else_does():
    with pytest.raises(ConversionError, match=r"^request for ctr:7: input"):
        FeatureConverter(SIGNATURE).from_request(request().SerializeToString())
    with pytest.raises(ConversionError, match=r"^request: input"):
        FeatureConverter(SIGNATURE).from_columns({})


def test_names_of_anyone_are_printed_safely():
    signature = signature_of([Input(name="\x1b[31mred", type=Tensor(DType.FLOAT32, ("n",)))])
    with pytest.raises(ConversionError) as refused:
        FeatureConverter(signature).from_columns({"\x1b[31mrod" + "": np.ones(1)})
    assert str(refused.value).isprintable()
    long = signature_of([Input(name="x" * 500, type=Tensor(DType.FLOAT32, ("n",)))])
    with pytest.raises(ConversionError) as refused:
        FeatureConverter(long).from_columns({"x" * 501: np.ones(1)})
    assert len(str(refused.value)) < 400


FULL = {"batch": np.ones((3, 1), np.float32)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Input(name="x", type=Tensor(DType.FLOAT32, ("n", 2)), presence=Presence.OPTIONAL), None),
        (Input(name="x", type=Optional(Tensor(DType.FLOAT32, ("n", 2)))), None),
        (Input(name="x", type=Tensor(DType.FLOAT32, ("n", 2)), presence=Presence.DEFAULT), None),
        (Input(name="x", type=Literal(3)), None),
        (Input(name="x", type=Ragged(DType.INT64), presence=Presence.OPTIONAL), None),
        (
            Input(name="x", type=Tensor(DType.FLOAT32, ("n", 2)), presence=Presence.DEFAULT, default=Literal(0.5)),
            [[0.5, 0.5]] * 3,
        ),
        (
            Input(
                name="x",
                type=Tensor(DType.INT64, ("n", 2)),
                presence=Presence.DEFAULT,
                default=Literal.from_python([1, 2]),
            ),
            [[1, 2]] * 3,
        ),
        (Input(name="x", type=Scalar(DType.INT64), presence=Presence.DEFAULT, default=Literal(4)), 4),
        (
            Input(name="x", type=Tensor(DType.STRING, ("n",)), presence=Presence.DEFAULT, default=Literal("none")),
            ["none"] * 3,
        ),
        (
            Input(
                name="x",
                type=Tensor(DType.FLOAT32, ("n",)),
                presence=Presence.DEFAULT,
                default=Literal.from_python(float("-inf")),
            ),
            [float("-inf")] * 3,
        ),
        # where the artifact alone can say the shape or the value, its own default is used
        (Input(name="x", type=Tensor(DType.FLOAT32, ("m",)), presence=Presence.DEFAULT, default=Literal(0.5)), None),
        (Input(name="x", type=Tensor(DType.FLOAT32, None), presence=Presence.DEFAULT, default=Literal(0.5)), None),
        (Input(name="x", type=Tensor(DType.INT64, ("n",)), presence=Presence.DEFAULT, default=Literal("a")), None),
        (Input(name="x", type=Tensor(DType.INT64, ("n",)), presence=Presence.DEFAULT, default=Literal(None)), None),
    ],
)
def test_absent_inputs(value, expected):
    signature = signature_of([Input(name="batch", type=Tensor(DType.FLOAT32, ("n", 1))), value])
    converted = FeatureConverter(signature).from_columns(FULL)
    assert converted.batch == 3
    if expected is None:
        assert list(converted.arrays) == ["batch"]
    else:
        assert converted.arrays["x"].tolist() == expected


@pytest.mark.parametrize(
    ("type_", "array", "shape"),
    [
        (Scalar(DType.INT64), np.array([3]), ()),
        (Scalar(DType.INT64), np.array(3), ()),
        (Sequence(Scalar(DType.INT64)), np.array([3, 4]), (2,)),
        (Optional(Tensor(DType.INT64, ("n",))), np.array([3, 4]), (2,)),
        (Tensor(None, None), np.array([[3]]), (1, 1)),
    ],
)
def test_kinds_that_tensors_carry(type_, array, shape):
    converter = FeatureConverter(signature_of([Input(name="x", type=type_)]))
    message = request(("x", array))
    assert converter.from_request(message.SerializeToString()).arrays["x"].shape == shape
    assert converter.from_columns({"x": array}).arrays["x"].shape == shape


@pytest.mark.parametrize("type_", [Ragged(DType.INT64), Mapping(DType.STRING, Tensor()), Sequence(Tensor())])
def test_kinds_that_no_tensor_carries(type_):
    with pytest.raises(ConversionError, match=r'input "x" .* cannot travel in a request'):
        FeatureConverter(signature_of([Input(name="x", type=type_)]))


def test_a_name_for_two_inputs_is_refused():
    with pytest.raises(ConversionError, match='the name "ids" belongs to two inputs'):
        FeatureConverter(signature_of([IDS, Input(name="other", type=Tensor(), aliases=("ids",))]))


def test_overloads_are_tried_in_order_and_the_nearest_explains():
    overloads = (
        Overload(name="dense", inputs=(Input(name="dense", type=Tensor(DType.FLOAT32, ("n", 2))),)),
        Overload(name="ids", inputs=(Input(name="ids", type=Tensor(DType.INT64, ("n",))), AGE)),
        Overload(name="wide", inputs=(Input(name="dense", type=Tensor(DType.FLOAT32, ("n", 3))),)),
    )
    signature = Signature(entry_points=(EntryPoint(name="f", overloads=overloads),), default_entry_point="f")
    converter = FeatureConverter(signature)
    for columns, name in [
        ({"dense": np.ones((1, 2), np.float32)}, "dense"),
        ({"dense": np.ones((1, 3), np.float32)}, "wide"),
        ({"ids": np.ones(2, np.int64), "user_age": FLOATS}, "ids"),
    ]:
        assert converter.from_columns(columns).overload.name == name
        payload = request(*columns.items()).SerializeToString()
        assert converter.from_request(payload).overload.name == name
    with pytest.raises(ConversionError, match=r'"user_age" .* is missing'):
        converter.from_columns({"ids": np.ones(2, np.int64)})
    with pytest.raises(ConversionError, match=r'"dense": expected float32 \[n, 2\], got float32 \[1, 4\]'):
        converter.from_columns({"dense": np.ones((1, 4), np.float32)})


def test_entry_points():
    signature = Signature(
        entry_points=(
            EntryPoint(name="a", overloads=(Overload(inputs=(AGE,)),)),
            EntryPoint(name="b", overloads=(Overload(),)),
        ),
        default_entry_point="a",
    )
    assert FeatureConverter(signature, entry_point="b").from_columns({"user_age": FLOATS}).arrays == {}
    assert list(FeatureConverter(signature).from_columns({"user_age": FLOATS}).arrays) == ["user_age"]


def test_bfloat16_is_refused_where_nobody_could_tell_its_bits_from_numbers():
    converter = FeatureConverter(signature_of([Input(name="x", type=Tensor(None, ("N",)))]))
    message = oip.ModelInferRequest()
    add_tensor(message, "x", np.array([0x3FC0], "<u2"), DType.BFLOAT16, raw=True)
    with pytest.raises(ConversionError, match="declares bfloat16"):
        converter.from_request(message.SerializeToString())
    message.inputs[0].datatype = "UINT16"
    assert converter.from_request(message.SerializeToString()).arrays["x"].tolist() == [0x3FC0]


def test_the_batch_of_an_example_is_any():
    traced = Input(name="x", type=Tensor(DType.FLOAT32, (8, 4)), learned={"type": Learned.EXAMPLE})
    converter = FeatureConverter(signature_of([traced], {}))
    for rows in (1, 3, 8):
        arrays = converter.from_columns({"x": np.ones((rows, 4), np.float32)}).arrays
        assert arrays["x"].shape == (rows, 4)
    with pytest.raises(ConversionError, match=r"expected float32 \[\?, 4\], got float32 \[8, 3\]"):
        converter.from_columns({"x": np.ones((8, 3), np.float32)})
    declared = Input(name="x", type=traced.type, learned={"type": Learned.DECLARED})
    with pytest.raises(ConversionError, match=r"expected float32 \[8, 4\], got float32 \[3, 4\]"):
        FeatureConverter(signature_of([declared], {})).from_columns({"x": np.ones((3, 4), np.float32)})
