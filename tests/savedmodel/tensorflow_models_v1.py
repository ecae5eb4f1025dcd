"""SavedModels as TensorFlow 1 wrote them: graphs and SignatureDefs, no object graph; several meta graphs and tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from saved_model_calls import Call, many, model, py, scalar, sig, t, zeros
from tensorflow_models_examples import example

v1 = tf.compat.v1
PREDICT = "tensorflow/serving/predict"


def signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str = PREDICT) -> Any:
    """A SignatureDef over tensors of the graph."""
    info = v1.saved_model.utils.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def(
        {key: info(x) for key, x in inputs.items()}, {key: info(x) for key, x in outputs.items()}, method
    )


@model
def tf1_regression(path: str) -> list[Call]:
    """Resource variables, predict, classify and regress, ParseExample of the first version inside."""
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        parsed = v1.io.parse_example(
            serialized,
            {
                "x": tf.io.FixedLenFeature([2], tf.float32),
                "bonus": tf.io.FixedLenFeature([1], tf.float32, default_value=[2.0]),
                "tags": tf.io.VarLenFeature(tf.string),
            },
        )
        x = tf.identity(parsed["x"], name="x_in")
        w = v1.get_variable("dense/kernel", [2, 1], initializer=v1.ones_initializer(), use_resource=True)
        b = v1.get_variable("dense/bias", [1], initializer=v1.zeros_initializer(), use_resource=True)
        plain = tf.matmul(x, w) + b
        scores = tf.add(plain, parsed["bonus"], name="scores")
        classes = tf.tile(tf.constant([["no", "yes"]]), [tf.shape(x)[0], 1])
        session.run(v1.global_variables_initializer())
        utils = v1.saved_model.signature_def_utils
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": utils.classification_signature_def(
                    serialized, classes, tf.concat([scores, -scores], 1)
                ),
                "regression": utils.regression_signature_def(serialized, scores[:, 0]),
                "predict": signature({"x": x}, {"scores": plain}),
                "both": signature({"examples": serialized}, {"scores": scores, "tags": parsed["tags"].values}),
            },
        )
        builder.save()
    one = example(x=[2.0, 3.0], tags=["a"])
    return [
        sig("serving_default", inputs=t([one], "string")),
        sig("serving_default", t([one], "string")),
        sig("regression", inputs=t([one, one], "string")),
        sig("regression", inputs=t([1.0])),
        sig("predict", x=t([[1.0, 2.0]])),
        sig("predict", py([[1, 2]])),
        sig("predict", x=many(many(py(1), py(2)))),
        sig("predict", x=zeros(1, 3)),
        sig("predict", y=zeros(1, 2)),
        sig("both", examples=t([one], "string")),
    ]


@model
def tf1_reference_variables(path: str) -> list[Call]:
    """Reference variables, a sparse input, a placeholder with a default, and inputs in no sorted order."""
    with tf.Graph().as_default(), v1.Session() as session:
        sp = v1.sparse_placeholder(tf.float32, [None, 4], name="sp")
        scale = v1.placeholder_with_default(tf.constant(2.0), [], name="scale")
        a = v1.placeholder(tf.float32, [None, 4], name="a")
        flag = v1.placeholder(tf.bool, [], name="flag")
        w = v1.get_variable("w", [4], initializer=v1.ones_initializer(), use_resource=False)
        dense = tf.sparse.to_dense(tf.sparse.reorder(sp))
        out = tf.cond(flag, lambda: dense * w * scale, lambda: a + w)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve", "train"],
            signature_def_map={
                "mixed": signature({"z": sp, "a": a, "flag": flag}, {"out": out}),
                "scaled": signature({"zz": scale, "sp": sp, "b": a, "flag": flag}, {"y": out, "a": dense}),
                "part": signature({"a": a}, {"total": tf.reduce_sum(a + w)}),
            },
        )
        builder.save()
    parts = {"z_indices": t([[0, 1]], "int64"), "z_values": t([5.0]), "z_dense_shape": t([1, 4], "int64")}
    return [
        {"signature": "mixed", "args": [], "kwargs": {**parts, "a": zeros(1, 4), "flag": t(True, "bool")}},
        {"signature": "mixed", "args": [], "kwargs": {**parts, "a": zeros(1, 4), "flag": py(False)}},
        {"signature": "mixed", "args": [], "kwargs": {"z": t([1.0]), "a": zeros(1, 4), "flag": py(False)}},
        sig("part", a=zeros(2, 4)),
        sig("part", zeros(2, 4)),
        sig("part", a=scalar(1, "float32")),
        sig("scaled", zz=t(1.0)),
    ]


@model
def tf1_tables(path: str) -> list[Call]:
    """A vocabulary file as asset, tables, an init op that fills them; a train op."""
    words = Path(f"{path}_classes.txt")
    words.write_text("cat\ndog\n")
    with tf.Graph().as_default(), v1.Session() as session:
        file = tf.constant(str(words))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file)
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            -1,
        )
        names = v1.placeholder(tf.string, [None], name="names")
        ids = table.lookup(names)
        step = v1.train.get_or_create_global_step()
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={"serving_default": signature({"names": names}, {"ids": ids, "step": step})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()
    words.unlink()
    return [
        sig("serving_default", names=t(["dog", "cow"], "string")),
        sig("serving_default", t(["cat"], "string")),
        sig("serving_default", names=py("cat")),
        sig("serving_default", names=t([1], "int32")),
    ]


@model
def tf1_multi_tags(path: str) -> list[Call]:
    """Three meta graphs over the same variables, with overlapping tag sets and other signatures in each."""
    for i, tags in enumerate((["serve"], ["serve", "gpu"], ["train"])):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            w = v1.get_variable("w", [2, 3], initializer=v1.ones_initializer(), use_resource=True)
            y = tf.matmul(x, w) * (i + 1.0)
            session.run(v1.global_variables_initializer())
            if i == 0:
                builder = v1.saved_model.Builder(path)
                builder.add_meta_graph_and_variables(
                    session, tags, signature_def_map={"serving_default": signature({"x": x}, {"y": y})}
                )
            else:
                builder.add_meta_graph(
                    tags, signature_def_map={f"only_{tags[-1]}": signature({f"in_{i}": x}, {f"out_{i}": y})}
                )
    builder.save()
    return [
        sig("serving_default", x=zeros(1, 2)),
        sig("serving_default", t([[1.0, 1.0]])),
        sig("only_train", x=zeros(1, 2)),
    ]


@model
def tf1_frozen(path: str) -> list[Call]:
    """No variables at all: constants in the graph, a function library of its own, an op's second output."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, name="input")

        @tf.function
        def helper(v: Any) -> Any:
            return v * tf.constant([2.0, 3.0])

        top = tf.math.top_k(helper(x), k=1, name="top")
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={"serving_default": signature({"input": x}, {"index": top.indices, "value": top.values})},
        )
        builder.save()
    return [
        sig("serving_default", input=t([[1.0, 2.0]])),
        sig("serving_default", t([1.0, 2.0])),
        sig("serving_default", input=t([1, 2], "int32")),
        sig("serving_default", py([1.0, 2.0])),
    ]


@model
def tf1_simple_save(path: str) -> list[Call]:
    """What `simple_save` wrote, with a control-flow-v1 loop in the graph and a ragged output."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.int64, [None], name="ids")
        table = v1.get_variable("embedding", [5, 2], initializer=v1.ones_initializer(), use_resource=True)
        rows = tf.nn.embedding_lookup(table, x)
        looped = tf.while_loop(lambda i, _: i < 3, lambda i, r: [i + 1, r + 1.0], [tf.constant(0), rows])[1]
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, path, inputs={"ids": x}, outputs={"rows": rows, "looped": looped})
    return [
        sig("serving_default", ids=t([1, 2], "int64")),
        sig("serving_default", ids=t([9], "int64")),
        sig("serving_default", py([1])),
        sig("serving_default", ids=t([1], "int32")),
    ]


@model
def tf1_parse_example(path: str) -> list[Call]:
    """The first ParseExample in a graph without functions, its keys as constants, as estimators exported it."""
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="input_example_tensor")
        parsed = tf.raw_ops.ParseExample(
            serialized=serialized,
            names=tf.constant([], tf.string),
            sparse_keys=[tf.constant("words")],
            dense_keys=[tf.constant("age"), tf.constant("size")],
            dense_defaults=[tf.constant([7], tf.int64), tf.constant([], tf.float32)],
            sparse_types=[tf.string],
            dense_shapes=[[1], [2]],
        )
        w = v1.get_variable("w", [2], initializer=v1.ones_initializer(), use_resource=True)
        score = tf.reduce_sum(parsed.dense_values[1] * w, -1)
        age = parsed.dense_values[0]
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": signature({"examples": serialized}, {"score": score, "age": age}),
                "predict": signature({"age": age, "size": parsed.dense_values[1]}, {"score": score}),
                "words": signature({"examples": serialized}, {"words": parsed.sparse_values[0]}),
            },
        )
        builder.save()
    one = example(age=[3], size=[2.0, 3.0], words=["a", "b"])
    return [
        sig("serving_default", examples=t([one], "string")),
        sig("serving_default", t([one, one], "string")),
        sig("serving_default", examples=t([example(size=[2.0, 2.0])], "string")),
        sig("predict", age=t([[1]], "int64"), size=zeros(1, 2)),
        sig("words", examples=t([one], "string")),
    ]


@model
def tf1_unliftable(path: str) -> list[Call]:
    """A signature that leaves out a placeholder which it needs: the whole model will not load in TensorFlow 2."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = v1.placeholder(tf.float32, [None], name="y")
        builder = v1.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "good": signature({"x": x, "y": y}, {"sum": x + y}),
                "bad": signature({"x": x}, {"product": x * y}),
            },
        )
        builder.save()
    return []
