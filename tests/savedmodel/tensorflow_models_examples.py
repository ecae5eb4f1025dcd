"""SavedModels whose signatures take serialized `tf.Example` records: the real features are inside the strings.

Every parse operation that TensorFlow has: ParseExampleV2 and the older ParseExample, ParseSingleExample,
ParseSequenceExampleV2, ParseSingleSequenceExample; at the top of a function, in nested calls and in branches.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from saved_model_calls import Call, many, model, on, py, sig, symbolic, t

Spec = tf.TensorSpec


def example(**features: list[Any]) -> str:
    """A serialized tf.Example as text; floats must be multiples of such powers of two that their bytes are ASCII."""
    return text(tf.train.Example(features=tf.train.Features(feature={k: feature(v) for k, v in features.items()})))


def sequence(context: dict[str, list[Any]], steps: dict[str, list[list[Any]]]) -> str:
    """A serialized tf.SequenceExample as text."""
    lists = {key: tf.train.FeatureList(feature=[feature(v) for v in values]) for key, values in steps.items()}
    return text(
        tf.train.SequenceExample(
            context=tf.train.Features(feature={k: feature(v) for k, v in context.items()}),
            feature_lists=tf.train.FeatureLists(feature_list=lists),
        )
    )


def feature(values: list[Any]) -> tf.train.Feature:
    """A feature of the kind of its first value."""
    if values and isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() for v in values]))
    if values and isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def text(message: Any) -> str:
    """The serialized message as a string; JSON cannot hold other bytes."""
    return message.SerializeToString(deterministic=True).decode("ascii")


PERSON = example(age=[3], height=[2.0, 3.0], tags=["a", "b"], name=["n"])
SPARSE_PERSON = example(age=[3], name=["n"], weight=[0.5], index=[4])


@model
def parse_example(path: str) -> list[Call]:
    """ParseExampleV2 with dense, sparse, ragged and variable-length features, with and without defaults."""
    m = tf.Module()
    features = {
        "age": tf.io.FixedLenFeature([], tf.int64),
        "height": tf.io.FixedLenFeature([2], tf.float32, default_value=[0.5, 2.0]),
        "name": tf.io.FixedLenFeature([1], tf.string, default_value="nobody"),
        "tags": tf.io.VarLenFeature(tf.string),
        "ids": tf.io.VarLenFeature(tf.int64),
        "scores": tf.io.RaggedFeature(tf.float32),
        "steps": tf.io.FixedLenSequenceFeature([2], tf.float32, allow_missing=True),
        "codes": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
        "wide": tf.io.SparseFeature("index", "weight", tf.float32, 10),
    }

    @tf.function(input_signature=[Spec([None], tf.string, name="examples")])
    def predict(serialized: Any) -> Any:
        parsed = tf.io.parse_example(serialized, features)
        return {
            "age": parsed["age"] + 1,
            "height": tf.reduce_sum(parsed["height"], -1),
            "tags": tf.sparse.to_dense(parsed["tags"]),
            "name": parsed["name"],
            "scores": tf.reduce_sum(parsed["scores"], -1),
        }

    @tf.function(input_signature=[Spec([None], tf.string, name="examples")])
    def classify(serialized: Any) -> Any:
        parsed = tf.io.parse_example(serialized, {k: features[k] for k in ("age", "wide")})
        return {"classes": tf.strings.as_string(parsed["age"]), "scores": tf.sparse.reduce_sum(parsed["wide"], -1)}

    m.predict, m.classify = predict, classify
    tf.saved_model.save(m, path, signatures={"serving_default": predict, "classify": classify})
    return [
        on("predict", t([PERSON], "string")),
        on("predict", many(py(PERSON), py(PERSON))),
        on("predict", py(PERSON)),
        on("predict", t([1], "int32")),
        on("predict", symbolic([3], "string")),
        on("predict", many()),
        on("classify", t([SPARSE_PERSON], "string")),
        sig("serving_default", examples=t([PERSON, PERSON], "string")),
        sig("serving_default", t([PERSON], "string")),
        sig("serving_default", serialized=t([PERSON], "string")),
        sig("classify", examples=t([SPARSE_PERSON], "string")),
        sig("classify", examples=t(["broken"], "string")),
    ]


@model
def parse_in_nested(path: str) -> list[Call]:
    """The parse lies two calls deep, and in both branches of a condition; a plain input stands beside it."""
    m = tf.Module()
    m.w = tf.Variable([2.0, 3.0], name="w")

    @tf.function
    def parse(serialized: Any) -> Any:
        return tf.io.parse_example(
            serialized,
            {"x": tf.io.FixedLenFeature([2], tf.float32), "bag": tf.io.RaggedFeature(tf.string)},
        )

    @tf.function
    def score(serialized: Any) -> Any:
        parsed = parse(serialized)
        return tf.reduce_sum(parsed["x"] * m.w, -1), parsed["bag"].row_lengths()

    @tf.function(input_signature=[Spec([None], tf.string, name="inputs"), Spec([], tf.bool, name="alternative")])
    def serve(inputs: Any, alternative: Any) -> Any:
        reshaped = tf.reshape(tf.identity(inputs), [-1])
        if alternative:
            parsed = tf.io.parse_example(reshaped, {"y": tf.io.FixedLenFeature([1], tf.int64, default_value=[7])})
            total, lengths = tf.cast(parsed["y"][:, 0], tf.float32), tf.zeros_like(parsed["y"][:, 0], tf.int32)
        else:
            total, lengths = score(reshaped)
        return {"total": total, "lengths": lengths}

    m.serve, m.parse = serve, parse
    tf.saved_model.save(m, path, signatures={"serving_default": serve})
    one = example(x=[2.0, 3.0], bag=["p", "q"], y=[5])
    return [
        on("serve", t([one], "string"), py(False)),
        on("serve", t([one], "string"), t(True, "bool")),
        on("serve", t([one], "string"), py(1)),
        on("parse", t([one], "string")),
        on("parse", py([one])),
        sig("serving_default", inputs=t([one], "string"), alternative=t(True, "bool")),
        sig("serving_default", inputs=t([one], "string")),
    ]


@model
def parse_single(path: str) -> list[Call]:
    """ParseSingleExample of a scalar string, and of each row by map_fn."""
    m = tf.Module()
    features = {
        "x": tf.io.FixedLenFeature([3], tf.float32, default_value=[2.0, 2.0, 2.0]),
        "n": tf.io.FixedLenFeature([], tf.int64, default_value=1),
        "words": tf.io.VarLenFeature(tf.string),
    }

    @tf.function(input_signature=[Spec([], tf.string, name="record")])
    def one(record: Any) -> Any:
        parsed = tf.io.parse_single_example(record, features)
        return {"x": parsed["x"], "n": parsed["n"], "words": tf.sparse.to_dense(parsed["words"])}

    @tf.function(input_signature=[Spec([None], tf.string, name="records")])
    def each(records: Any) -> Any:
        return tf.map_fn(
            lambda r: tf.io.parse_single_example(r, features)["x"], records, fn_output_signature=tf.float32
        )

    m.one, m.each = one, each
    tf.saved_model.save(m, path, signatures={"one": one, "each": each})
    record = example(x=[2.0, 3.0, 0.5], n=[5], words=["u"])
    return [
        on("one", t(record, "string")),
        on("one", py(record)),
        on("one", t([record], "string")),
        on("each", t([record, ""], "string")),
        sig("one", record=t(record, "string")),
        sig("each", records=t([record], "string")),
        sig("each", t([record], "string")),
    ]


@model
def parse_sequence(path: str) -> list[Call]:
    """ParseSequenceExampleV2 and ParseSingleSequenceExample: context features and feature lists."""
    m = tf.Module()
    context = {
        "user": tf.io.FixedLenFeature([], tf.int64, default_value=4),
        "likes": tf.io.VarLenFeature(tf.string),
        "bag": tf.io.RaggedFeature(tf.float32),
    }
    steps = {
        "item": tf.io.FixedLenSequenceFeature([], tf.int64),
        "vector": tf.io.FixedLenSequenceFeature([2], tf.float32, allow_missing=True),
        "text": tf.io.VarLenFeature(tf.string),
        "notes": tf.io.RaggedFeature(tf.string),
    }

    @tf.function(input_signature=[Spec([None], tf.string, name="sequences")])
    def batch(sequences: Any) -> Any:
        c, s, lengths = tf.io.parse_sequence_example(sequences, context, steps)
        return {"user": c["user"], "items": s["item"], "lengths": lengths["item"]}

    single_steps = {key: steps[key] for key in ("item", "text")}

    @tf.function(input_signature=[Spec([], tf.string, name="sequence")])
    def single(sequence: Any) -> Any:
        c, s = tf.io.parse_single_sequence_example(sequence, {"user": context["user"]}, single_steps)
        return {"user": c["user"], "items": s["item"]}

    m.batch, m.single = batch, single
    tf.saved_model.save(m, path, signatures={"batch": batch, "single": single})
    record = sequence({"user": [6], "likes": ["a"]}, {"item": [[1], [2]], "text": [["p"], ["q"]]})
    return [
        on("batch", t([record], "string")),
        on("batch", py([record])),
        on("batch", py(record)),
        on("single", t(record, "string")),
        sig("batch", sequences=t([record, record], "string")),
        sig("single", sequence=t(record, "string")),
        sig("single", t(record, "string")),
    ]


@model
def parse_example_keys(path: str) -> list[Call]:
    """Only one kind of feature each: dense alone, sparse alone, ragged alone; unknown batch rank; unused feature."""
    m = tf.Module()
    wanted = {
        "dense": {"b": tf.io.FixedLenFeature([2, 2], tf.int64), "a": tf.io.FixedLenFeature([], tf.float32, 0.5)},
        "sparse": {"z": tf.io.VarLenFeature(tf.float32), "Ünicode key": tf.io.VarLenFeature(tf.string)},
        "ragged": {
            "r": tf.io.RaggedFeature(tf.int64),
            "part": tf.io.RaggedFeature(
                tf.float32, value_key="values", partitions=[tf.io.RaggedFeature.RowLengths("lengths")]
            ),
        },
    }
    made = {name: first_of(features, 3 if name == "dense" else None) for name, features in wanted.items()}
    m.dense, m.sparse, m.ragged = made["dense"], made["sparse"], made["ragged"]
    tf.saved_model.save(m, path, signatures=made)
    dense = example(a=[2.0], b=[1, 2, 3, 4])
    return [
        on("dense", t([dense] * 3, "string")),
        on("dense", t([dense] * 2, "string")),
        on("sparse", t([example(z=[2.0])], "string")),
        on("ragged", t([example(values=[2.0, 3.0], lengths=[1, 1])], "string")),
        sig("dense", s=t([dense] * 3, "string")),
        sig("sparse", s=t([example(z=[2.0])], "string")),
        sig("ragged", s=t([example(values=[2.0, 3.0], lengths=[1, 1], r=[1])], "string")),
    ]


def first_of(features: dict[str, Any], batch: int | None) -> Any:
    """A function that parses all features and returns the flat values of the first."""

    @tf.function(input_signature=[Spec([batch], tf.string, name="s")])
    def f(serialized: Any) -> Any:
        parsed = tf.io.parse_example(serialized, features)
        first = parsed[sorted(features)[0]]
        while not isinstance(first, tf.Tensor):
            first = first.values
        return {"first": first}

    return f


@model
def parse_raw_operations(path: str) -> list[Call]:
    """The operations that old models have and that today's functions no longer write."""
    m = tf.Module()
    keys = [tf.constant(k) for k in ("age", "height")]

    @tf.function(input_signature=[Spec([None], tf.string, name="examples")])
    def first(examples: Any) -> Any:
        parsed = tf.raw_ops.ParseExample(
            serialized=examples,
            names=tf.constant([], tf.string),
            sparse_keys=[tf.constant("tags"), tf.constant("ids")],
            dense_keys=keys,
            dense_defaults=[tf.constant([], tf.int64), tf.constant([2.0, 2.0])],
            sparse_types=[tf.string, tf.int64],
            dense_shapes=[[], [2]],
        )
        return {"age": parsed.dense_values[0], "height": parsed.dense_values[1], "tags": parsed.sparse_values[0]}

    @tf.function(input_signature=[Spec([], tf.string, name="example")])
    def single(example: Any) -> Any:
        parsed = tf.raw_ops.ParseSingleExample(
            serialized=example,
            dense_defaults=[tf.constant([], tf.int64), tf.constant([2.0, 2.0])],
            num_sparse=1,
            sparse_keys=["tags"],
            dense_keys=["age", "height"],
            sparse_types=[tf.string],
            dense_shapes=[[], [2]],
        )
        return {"age": parsed.dense_values[0], "tags": parsed.sparse_values[0]}

    @tf.function(input_signature=[Spec([None], tf.string, name="sequences")])
    def steps(sequences: Any) -> Any:
        parsed = tf.raw_ops.ParseSequenceExample(
            serialized=sequences,
            debug_name=tf.constant([], tf.string),
            context_dense_defaults=[tf.constant([4], tf.int64)],
            feature_list_dense_missing_assumed_empty=[],
            context_sparse_keys=["likes"],
            context_dense_keys=["user"],
            feature_list_sparse_keys=[],
            feature_list_dense_keys=["item"],
            Ncontext_sparse=1,
            Ncontext_dense=1,
            Nfeature_list_sparse=0,
            Nfeature_list_dense=1,
            context_sparse_types=[tf.string],
            feature_list_dense_types=[tf.int64],
            context_dense_shapes=[[1]],
            feature_list_sparse_types=[],
            feature_list_dense_shapes=[[]],
        )
        return {"user": parsed.context_dense_values[0], "items": parsed.feature_list_dense_values[0]}

    @tf.function(input_signature=[Spec([], tf.string, name="sequence")])
    def one_sequence(sequence: Any) -> Any:
        parsed = tf.raw_ops.ParseSingleSequenceExample(
            serialized=sequence,
            feature_list_dense_missing_assumed_empty=tf.constant(["item"]),
            context_sparse_keys=[tf.constant("likes")],
            context_dense_keys=[tf.constant("user")],
            feature_list_sparse_keys=[tf.constant("text")],
            feature_list_dense_keys=[tf.constant("item")],
            context_dense_defaults=[tf.constant([4], tf.int64)],
            debug_name=tf.constant(""),
            context_sparse_types=[tf.string],
            feature_list_dense_types=[tf.int64],
            context_dense_shapes=[[1]],
            feature_list_sparse_types=[tf.string],
            feature_list_dense_shapes=[[]],
        )
        return {"user": parsed.context_dense_values[0], "items": parsed.feature_list_dense_values[0]}

    m.first, m.single, m.steps, m.one_sequence = first, single, steps, one_sequence
    signatures = {"first": first, "single": single, "steps": steps, "one_sequence": one_sequence}
    tf.saved_model.save(m, path, signatures=signatures)
    record = sequence({"user": [6], "likes": ["a"]}, {"item": [[1], [2]]})
    return [
        on("first", t([PERSON], "string")),
        on("single", t(PERSON, "string")),
        on("steps", t([record], "string")),
        sig("first", examples=t([PERSON], "string")),
        sig("single", example=t(PERSON, "string")),
        sig("steps", sequences=t([record], "string")),
        sig("one_sequence", sequence=t(record, "string")),
    ]
