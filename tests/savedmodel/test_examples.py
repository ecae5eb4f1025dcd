"""Features inside serialized examples: what TensorFlow was told to parse, found again in the saved graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trimtab import savedmodel
from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.message import decode
from trimtab.savedmodel.signature import signature_of
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Feature, Presence, Signature
from trimtab.signature.types import Literal, Ragged, Sparse, Tensor

tf = pytest.importorskip("tensorflow")

REQUIRED, OPTIONAL, DEFAULT = Presence.REQUIRED, Presence.OPTIONAL, Presence.DEFAULT
F32, I64, BYTES = DType.FLOAT32, DType.INT64, DType.BYTES

FEATURES = {
    "age": tf.io.FixedLenFeature([], tf.int64),
    "height": tf.io.FixedLenFeature([2], tf.float32, default_value=[0.5, 2.0]),
    "name": tf.io.FixedLenFeature([1], tf.string, default_value="nobody"),
    "grid": tf.io.FixedLenFeature([2, 2], tf.int64, default_value=[[1, 2], [3, 4]]),
    "tags": tf.io.VarLenFeature(tf.string),
    "scores": tf.io.RaggedFeature(tf.float32),
    "steps": tf.io.FixedLenSequenceFeature([2], tf.float32, allow_missing=True),
    "wide": tf.io.SparseFeature("index", "weight", tf.float32, 10),
    "parts": tf.io.RaggedFeature(tf.int64, "flat", [tf.io.RaggedFeature.RowLengths("lengths")]),
}

EXPECTED = {
    Feature(name="age", type=Tensor(I64, ())),
    Feature(name="height", type=Tensor(F32, (2,)), presence=DEFAULT, default=Literal.from_python((0.5, 2.0))),
    Feature(name="name", type=Tensor(BYTES, (1,)), presence=DEFAULT, default=Literal.from_python((b"nobody",))),
    Feature(name="grid", type=Tensor(I64, (2, 2)), presence=DEFAULT, default=Literal.from_python(((1, 2), (3, 4)))),
    Feature(name="tags", type=Sparse(BYTES, (None,)), presence=OPTIONAL),
    Feature(name="scores", type=Ragged(F32, (None,)), presence=OPTIONAL),
    Feature(name="steps", type=Tensor(F32, (None, 2)), presence=OPTIONAL),
    Feature(name="index", type=Sparse(I64, (None,)), presence=OPTIONAL),
    Feature(name="weight", type=Sparse(F32, (None,)), presence=OPTIONAL),
    Feature(name="flat", type=Ragged(I64, (None,)), presence=OPTIONAL),
    Feature(name="lengths", type=Ragged(I64, (None,)), presence=OPTIONAL),
}
"""What TensorFlow needs of an example that is parsed with FEATURES: the keys in it, not the names of the results."""


def flat(parsed: dict[str, Any]) -> dict[str, Any]:
    """Parsed features as what a signature may return."""
    return {name: value.values if hasattr(value, "values") else value for name, value in parsed.items()}


class Examples(tf.Module):
    """One signature for each way by which strings come to where they are parsed."""

    def __init__(self) -> None:
        super().__init__()
        self.captured_key = tf.constant(["age"])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def plain(self, examples: Any) -> Any:
        return flat(tf.io.parse_example(examples, FEATURES))

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "example")])
    def one(self, example: Any) -> Any:
        few = {key: FEATURES[key] for key in ("age", "height", "tags")}
        return flat(tf.io.parse_single_example(example, few))

    @tf.function
    def inner(self, examples: Any) -> Any:
        return tf.io.parse_example(tf.reshape(examples, [-1]), {"age": FEATURES["age"]})["age"]

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "examples"), tf.TensorSpec([], tf.bool, "p")])
    def deep(self, examples: Any, p: Any) -> Any:
        squeezed = tf.identity(tf.squeeze(examples[:, :1], 1))
        if p:
            return self.inner(squeezed)
        return tf.io.parse_example(squeezed, {"age": tf.io.FixedLenFeature([], tf.int64, default_value=7)})["age"]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def mapped(self, examples: Any) -> Any:
        return tf.map_fn(
            lambda each: tf.io.parse_single_example(each, {"age": FEATURES["age"]})["age"],
            examples,
            fn_output_signature=tf.int64,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def captured(self, examples: Any) -> Any:
        parsed = tf.raw_ops.ParseExampleV2(
            serialized=examples,
            names=tf.constant([], tf.string),
            sparse_keys=tf.constant([], tf.string),
            dense_keys=self.captured_key,
            ragged_keys=tf.constant([], tf.string),
            dense_defaults=[tf.constant([], tf.int64)],
            num_sparse=0,
            sparse_types=[],
            ragged_value_types=[],
            ragged_split_types=[],
            dense_shapes=[[]],
        )
        return parsed.dense_values[0]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples"), tf.TensorSpec([], tf.string, "key")])
    def computed(self, examples: Any, key: Any) -> Any:
        parsed = tf.raw_ops.ParseExampleV2(
            serialized=examples,
            names=tf.constant([], tf.string),
            sparse_keys=tf.constant([], tf.string),
            dense_keys=tf.reshape(tf.strings.lower(key), [1]),
            ragged_keys=tf.constant([], tf.string),
            dense_defaults=[tf.constant([], tf.int64)],
            num_sparse=0,
            sparse_types=[],
            ragged_value_types=[],
            ragged_split_types=[],
            dense_shapes=[[]],
        )
        return parsed.dense_values[0]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def also_hashed(self, examples: Any) -> Any:
        parsed = tf.io.parse_example(examples, {"age": FEATURES["age"]})
        return parsed["age"], tf.strings.to_hash_bucket_fast(examples, 10)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def no_example(self, text: Any) -> Any:
        return tf.strings.upper(text)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "sequences")])
    def sequence(self, sequences: Any) -> Any:
        context, steps, _ = tf.io.parse_sequence_example(
            sequences,
            {"user": tf.io.FixedLenFeature([], tf.int64, default_value=4), "likes": tf.io.VarLenFeature(tf.string)},
            {
                "user": tf.io.FixedLenSequenceFeature([2], tf.float32),
                "maybe": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
                "notes": tf.io.RaggedFeature(tf.string),
            },
        )
        return {"c": context["user"], "s": steps["user"], "n": steps["notes"].flat_values}


SIGNATURES = ["plain", "one", "deep", "mapped", "captured", "computed", "also_hashed", "no_example", "sequence"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "model"
    module = Examples()
    tf.saved_model.save(module, str(path), signatures={name: getattr(module, name) for name in SIGNATURES})
    return path


@pytest.fixture(scope="module")
def signature(folder: Path) -> Signature:
    with savedmodel.load(folder) as model:
        return signature_of(model)


def features(signature: Signature, key: str, name: str = "examples") -> set[Feature]:
    [found] = [it for it in signature.entry_point(key).overloads[0].inputs if it.name == name]
    return set(found.features)


def test_every_kind_of_feature(signature: Signature) -> None:
    assert features(signature, "plain") == EXPECTED


def test_one_example_at_a_time(signature: Signature) -> None:
    wanted = {it for it in EXPECTED if it.name in ("age", "height", "tags")}
    assert features(signature, "one", "example") == wanted


AGE = Feature(name="age", type=Tensor(I64, ()))


@pytest.mark.parametrize("key", ["deep", "mapped", "captured", "also_hashed"])
def test_strings_are_followed_to_where_they_are_parsed(signature: Signature, key: str) -> None:
    """Of a key that one branch requires and the other has a default for, the requirement counts."""
    assert features(signature, key) == {AGE}


def test_no_features_where_nothing_is_parsed_or_keys_are_computed(signature: Signature) -> None:
    assert features(signature, "no_example", "text") == set()
    assert features(signature, "computed") == set()
    assert features(signature, "computed", "key") == set()


def test_a_note_says_that_more_than_the_features_counts(signature: Signature) -> None:
    computed, hashed = sorted(signature.provenance.notes, reverse=True)
    assert hashed.startswith("also_hashed: examples: the examples are not only parsed (StringToHashBucketFast)")
    assert computed.startswith("computed: examples: examples are parsed under keys that cannot be found")


def test_the_parts_of_a_sequence_example_are_told_apart(signature: Signature) -> None:
    assert features(signature, "sequence", "sequences") == {
        Feature(name='context["user"]', type=Tensor(I64, ()), presence=DEFAULT, default=Literal(4)),
        Feature(name='context["likes"]', type=Sparse(BYTES, (None,)), presence=OPTIONAL),
        Feature(name='feature_lists["user"]', type=Tensor(F32, (None, 2)), presence=REQUIRED),
        Feature(name='feature_lists["maybe"]', type=Tensor(I64, (None,)), presence=OPTIONAL),
        Feature(name='feature_lists["notes"]', type=Ragged(BYTES, (None, None)), presence=OPTIONAL),
    }


def test_tensorflow_agrees_on_what_is_required(folder: Path) -> None:
    """An example with the required keys alone is parsed; without one of them it is not."""
    plain = tf.saved_model.load(str(folder)).signatures["plain"]
    age = tf.train.Feature(int64_list=tf.train.Int64List(value=[3]))
    whole = tf.train.Example(features=tf.train.Features(feature={"age": age})).SerializeToString()
    assert plain(examples=tf.constant([whole]))["age"].numpy().tolist() == [3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="age"):
        plain(examples=tf.constant([b""]))


@pytest.mark.parametrize(
    "function",
    [
        pytest.param("ParseExample", id="ParseExample"),
        pytest.param("ParseSingleSequenceExample", id="ParseSingleSequenceExample"),
    ],
)
def test_the_older_operations(tmp_path: Path, function: str) -> None:
    """What TensorFlow 1 wrote, and what functions of today do not."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        strings = v1.placeholder(tf.string, [None] if function == "ParseExample" else [], "strings")
        if function == "ParseExample":
            parsed = tf.raw_ops.ParseExample(
                serialized=strings,
                names=tf.constant([], tf.string),
                sparse_keys=[tf.constant("tags")],
                dense_keys=[tf.constant("age"), tf.constant("height")],
                dense_defaults=[tf.constant([], tf.int64), tf.constant([2.0, 3.0])],
                sparse_types=[tf.string],
                dense_shapes=[[], [2]],
            )
            output = parsed.dense_values[0]
        else:
            context, _ = tf.io.parse_single_sequence_example(
                strings, {"age": FEATURES["age"]}, {"item": tf.io.FixedLenSequenceFeature([], tf.int64)}
            )
            output = context["age"]
        v1.saved_model.simple_save(session, str(tmp_path / "model"), {"strings": strings}, {"age": output})
    with savedmodel.load(tmp_path / "model") as model:
        found = features(signature_of(model), "serving_default", "strings")
    if function == "ParseExample":
        height = Feature(
            name="height", type=Tensor(F32, (2,)), presence=DEFAULT, default=Literal.from_python((2.0, 3.0))
        )
        assert found == {AGE, height, Feature(name="tags", type=Sparse(BYTES, (None,)), presence=OPTIONAL)}
    else:
        assert found == {
            Feature(name='context["age"]', type=Tensor(I64, ())),
            Feature(name='feature_lists["item"]', type=Tensor(I64, (None,))),
        }


CONSTANTS = [
    (3, "int64"),
    ([1.5, -2.0], "float32"),
    ([[1, 2], [3, 4]], "int32"),
    ([7, 7, 7], "uint8"),
    ([True, False], "bool"),
    ([b"a", b""], "string"),
    ([1.5, 1.5], "float16"),
    ([0.5, 2.0], "bfloat16"),
    ([1 + 2j], "complex64"),
    ([], "float64"),
    ([[], []], "int64"),
    ([0, 0, 0], "uint64"),
]


@pytest.mark.parametrize(("value", "dtype"), CONSTANTS, ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_constants_have_the_values_of_tensorflow(value: Any, dtype: str, *, packed: bool) -> None:
    import numpy as np

    proto = tf.make_tensor_proto(tf.constant(value, dtype).numpy(), dtype)
    if packed and dtype != "string":
        proto = tf.make_tensor_proto(np.array(value, tf.as_dtype(dtype).as_numpy_dtype))
    assert constant_value(decode(TensorProto, proto.SerializeToString(), "test")) == tuples(value)


def tuples(value: Any) -> Any:
    return tuple(map(tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("proto", "value"),
    [
        (TensorProto(dtype=7, tensor_content=b"\x01\x02ab\x00"), None),  # a scalar of two strings
        (TensorProto(dtype=7, tensor_content=b"\x02ab"), b"ab"),
        (TensorProto(dtype=7, tensor_content=b"\x82\x82\x82\x82\x82\x82\x82"), None),
        (TensorProto(dtype=1, tensor_content=b"\x00"), None),
        (TensorProto(dtype=1, float_val=(1.0, 2.0)), None),
        (TensorProto(dtype=20), None),
        (TensorProto(dtype=7), b""),
        (TensorProto(dtype=3), 0),
    ],
)
def test_constants_that_are_damaged_have_no_value(proto: TensorProto, value: Any) -> None:
    assert constant_value(proto) == value
