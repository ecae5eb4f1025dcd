"""SavedModels for the choice of a trace: which arguments fit, in which order traces are tried, what literals equal."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from saved_model_calls import (
    ANYTHING,
    SCALARS,
    VECTORS,
    Call,
    array,
    battery,
    many,
    mapping,
    model,
    on,
    pair,
    py,
    raw,
    scalar,
    sig,
    symbolic,
    t,
    variable,
    zeros,
)

Spec = tf.TensorSpec


@model
def polymorphic_many(path: str) -> list[Call]:
    """Functions with many traces whose order decides: literals, ranks, dtypes, defaults, varargs."""
    m = tf.Module()

    @tf.function
    def ranks(x: Any) -> Any:
        return tf.size(x)

    for shape in ([2], [None], [None, 3], [2, None], None):
        ranks.get_concrete_function(Spec(shape, tf.float32))
    ranks.get_concrete_function(Spec([], tf.int32))

    @tf.function
    def numbers(x: Any) -> Any:
        return tf.identity(x)

    for dtype in (tf.uint8, tf.int32, tf.int64, tf.float64, tf.complex64, tf.bool, tf.string):
        numbers.get_concrete_function(Spec([None], dtype))
        numbers.get_concrete_function(Spec([], dtype))

    @tf.function
    def modes(x: Any, mode: Any = "sum", scale: Any = 2, flag: Any = False) -> Any:
        y = tf.reduce_sum(x) if mode == "sum" else tf.reduce_max(x)
        return y * tf.cast(scale, y.dtype) if flag else y

    modes.get_concrete_function(Spec([None], tf.float32))
    modes.get_concrete_function(Spec([None], tf.float32), "max")
    modes.get_concrete_function(Spec([None], tf.float32), "sum", 3, True)
    modes.get_concrete_function(Spec([None], tf.float32), scale=Spec([], tf.float32), flag=True)
    modes.get_concrete_function(Spec([None], tf.float32), mode=None, scale=2.5)

    @tf.function
    def variadic(x: Any, *rest: Any, **named_rest: Any) -> Any:
        return x + tf.add_n([tf.cast(r, x.dtype) for r in (*rest, *named_rest.values())] or [tf.zeros([])])

    variadic.get_concrete_function(Spec([], tf.float32))
    variadic.get_concrete_function(Spec([], tf.float32), Spec([], tf.float32))
    variadic.get_concrete_function(Spec([], tf.float32), Spec([], tf.int32), Spec([], tf.float32))
    variadic.get_concrete_function(Spec([], tf.float32), b=Spec([], tf.float32))
    variadic.get_concrete_function(Spec([], tf.float32), Spec([], tf.float32), a=Spec([], tf.float32), c=2)
    m.ranks, m.numbers, m.modes, m.variadic = ranks, numbers, modes, variadic
    tf.saved_model.save(m, path)
    literals = (None, py("sum"), py("max"), py(None), py("min"), raw("sum"), t("sum", "string"), py(True))
    scales = (None, py(2), py(2.0), py(3), py(True), t(2.0), t(2, "int32"), py(None), scalar(2, "int64"), symbolic([]))
    flags = (None, py(False), py(True), py(0), py(1), py(1.0), t(True, "bool"), scalar(True, "bool"))
    return [
        *battery("ranks", ANYTHING, count=40, seed=3),
        *battery("numbers", ANYTHING, count=60, seed=4),
        on("numbers", many(py(300), py(-1))),
        on("numbers", py(3000000000)),
        on("numbers", py(2**70)),
        on("numbers", many(py(2**70))),
        on("numbers", many(py(1), py("a"))),
        on("numbers", many(many(py(1)), many(py(2), py(3)))),
        on("numbers", many(py(None))),
        on("numbers", array([1, 2], "uint8")),
        on("numbers", array(["a", "b"], "object")),
        on("numbers", array([1, 2], "complex64")),
        on("numbers", array([1, 2], "float16")),
        on("numbers", array([], "float32")),
        *battery("modes", (t([1.0]), py([1.0]), many(py(1)), t([1.0, 4.0])), literals, scales, flags, count=40, seed=5),
        on("modes", t([1.0]), scale=t(3.0), flag=py(True)),
        on("modes", t([1.0]), flag=py(True), scale=t(3.0), mode=py("sum")),
        on("modes", x=t([1.0]), mode=py(None), scale=py(2.5)),
        on("modes", t([1.0]), nope=py(1)),
        on("modes", t([1.0]), x=t([1.0])),
        *battery("variadic", SCALARS, (*SCALARS, None), (*SCALARS, None), count=30, seed=6),
        on("variadic", t(1.0), b=t(2.0)),
        on("variadic", t(1.0), b=py(2)),
        on("variadic", t(1.0), t(2.0), a=t(3.0), c=py(2)),
        on("variadic", t(1.0), t(2.0), c=py(2.0), a=t(3.0)),
        on("variadic", t(1.0), t(2.0), c=py(3), a=t(3.0)),
        on("variadic", b=t(2.0)),
    ]


@model
def keyword_only(path: str) -> list[Call]:
    """Keyword-only parameters, defaults of every literal kind, and an input_signature shorter than the parameters."""
    m = tf.Module()

    @tf.function
    def kw(x: Any, *, factor: Any = 2.0, name: Any = "n", on_top: Any = None) -> Any:
        y = x * factor
        return y if on_top is None else y + on_top

    kw.get_concrete_function(Spec([], tf.float32))
    kw.get_concrete_function(Spec([], tf.float32), factor=Spec([], tf.float32))
    kw.get_concrete_function(Spec([None], tf.float32), name="other", on_top=Spec([], tf.float32))
    kw.get_concrete_function(Spec([], tf.int32), factor=3)

    @tf.function(input_signature=[Spec([None], tf.float32)])
    def short(x: Any, extra: Any = 5.0, *, k: Any = "kk") -> Any:
        return x + extra

    @tf.function
    def shapes(x: Any, size: Any = (1, 2), how: Any = (True, "z"), nest: Any = None) -> Any:
        return tf.reshape(x, size)

    shapes.get_concrete_function(Spec([2], tf.float32))
    shapes.get_concrete_function(Spec([2], tf.float32), (2, 1))
    shapes.get_concrete_function(Spec([2], tf.float32), [2, 1], (False, "z"), {"a": 1, "b": (2, None)})

    @tf.function
    def required(x: Any, *, must: Any) -> Any:
        return x + must

    required.get_concrete_function(Spec([], tf.float32), must=Spec([], tf.float32))
    required.get_concrete_function(Spec([], tf.float32), must=1.0)
    m.kw, m.short, m.shapes, m.required = kw, short, shapes, required
    tf.saved_model.save(m, path, signatures={"short": short})
    some = (t(1.0), t([1.0, 2.0]), t(1, "int32"), py(1), py(1.5), py([1.0]), t("a", "string"))
    return [
        *[on("kw", x, **kwargs) for x in some for kwargs in KEYWORDS],
        on("kw"),
        on("kw", t(1.0), t(2.0)),
        on("kw", x=t(1.0)),
        *battery("short", VECTORS, (None, py(5.0), py(5), t(5.0), py(6.0), py(None)), count=20, seed=7),
        on("short", t([1.0]), k=py("kk")),
        on("short", t([1.0]), k=py("zz")),
        on("short", t([1.0]), extra=py(5.0), k=py("kk")),
        *battery(
            "shapes",
            (t([1.0, 2.0]), many(py(1.0), py(2.0)), symbolic([2]), symbolic([None])),
            (None, pair(py(1), py(2)), pair(py(2), py(1)), many(py(2), py(1)), pair(py(1.0), py(True)), py([2, 1])),
            (None, pair(py(True), py("z")), pair(py(False), py("z")), pair(py(0), py("z")), many(py(True), py("z"))),
            (None, py(None), mapping(a=py(1), b=pair(py(2), py(None))), mapping(b=pair(py(2), py(None)), a=py(1.0))),
            count=30,
            seed=8,
        ),
        on("required", t(1.0), must=t(2.0)),
        on("required", t(1.0), must=py(1.0)),
        on("required", t(1.0), must=py(1)),
        on("required", t(1.0), must=py(True)),
        on("required", t(1.0), must=py(2)),
        on("required", t(1.0), must=py("a")),
        on("required", t(1.0)),
        on("required", t(1.0), t(2.0)),
        sig("short", t([1.0])),
        sig("short", x=t([1.0]), extra=t(1.0)),
    ]


KEYWORDS: tuple[dict[str, Any], ...] = (
    {},
    {"factor": t(3.0)},
    {"factor": py(3)},
    {"factor": py(2)},
    {"name": py("other"), "on_top": t(1.0)},
    {"on_top": py(1.0), "name": py("other")},
    {"name": py("n"), "on_top": py(None), "factor": py(2.0)},
    {"wrong": py(1)},
)


@model
def shapes_all(path: str) -> list[Call]:
    """Scalars, known, partly known and unknown ranks, zero-sized dimensions, as traces and in a signature."""
    m = tf.Module()

    @tf.function
    def f(x: Any) -> Any:
        return tf.shape(x)

    for shape in ([0], [None, 0], [1, None, 3], [2, 2], [None, None, None, None]):
        f.get_concrete_function(Spec(shape, tf.float32))

    @tf.function(input_signature=[Spec(None, tf.float32), Spec([2, None, 3], tf.float32)])
    def g(a: Any, b: Any) -> Any:
        return {"rank": tf.rank(a), "mean": tf.reduce_mean(b, axis=1)}

    @tf.function
    def wild(x: Any) -> Any:
        return tf.rank(x)

    wild.get_concrete_function(Spec(None, tf.int32))
    wild.get_concrete_function(Spec([3], tf.int32))
    m.f, m.g, m.wild = f, g, wild
    tf.saved_model.save(m, path, signatures={"g": g})
    sized = (
        zeros(0),
        zeros(1),
        zeros(2, 2),
        zeros(2, 0),
        zeros(1, 4, 3),
        zeros(2, 4, 3),
        zeros(1, 1, 1, 1),
        zeros(),
        many(),
        many(many()),
        py([[1, 2], [3, 4]]),
        symbolic(None),
        symbolic([None]),
        symbolic([None, None]),
        symbolic([None, None, 3]),
        symbolic([2, None, None]),
        array([], "float32"),
        variable([[1.0, 2.0], [3.0, 4.0]]),
    )
    return [
        *[on("f", x) for x in sized],
        *battery("g", sized, sized, count=30, seed=19),
        *battery("wild", ANYTHING, count=20, seed=20),
        sig("g", a=t(1.0), b=zeros(2, 1, 3)),
        sig("g", a=zeros(1, 1), b=zeros(2, 5, 3)),
        sig("g", a=zeros(1, 1), b=zeros(2, 5, 4)),
        sig("g", a=zeros(1, 1), b=zeros(2, 5)),
    ]


@model
def strings_more(path: str) -> list[Call]:
    """String tensors, string and Unicode literals, empty strings, bytes against strings."""
    m = tf.Module()

    @tf.function
    def join(x: Any, sep: Any = ",", tail: Any = "") -> Any:
        return tf.strings.reduce_join(x, separator=sep) + tail

    join.get_concrete_function(Spec([None], tf.string))
    join.get_concrete_function(Spec([None], tf.string), "ü", "")
    join.get_concrete_function(Spec([None], tf.string), "", Spec([], tf.string))

    @tf.function(input_signature=[Spec([], tf.string, name="line")])
    def split(line: Any) -> Any:
        return {"length": tf.strings.length(line)}

    m.join, m.split = join, split
    tf.saved_model.save(m, path, signatures={"split": split})
    texts = (
        t(["a", "b"], "string"),
        py(["a", "b"]),
        many(py("a"), raw("b")),
        py("a"),
        raw("a"),
        array(["a"], "object"),
        array(["a"], "str"),
        array(["a"], "bytes"),
        many(),
        symbolic([None], "string"),
        t([1], "int32"),
        t("a", "string"),
    )
    return [
        *battery(
            "join",
            texts,
            (None, py(","), py("ü"), py(""), raw(","), t(",", "string")),
            (None, py(""), py("t"), t("t", "string")),
            count=40,
            seed=21,
        ),
        *[on("split", x) for x in texts],
        sig("split", line=t("a b", "string")),
        sig("split", t("a b", "string")),
        sig("split", line=py("a b")),
    ]


@model
def training_switch(path: str) -> list[Call]:
    """Traces that differ in a Python flag, tensor flags, and None for a mask."""
    m = tf.Module()
    m.w = tf.Variable(tf.ones([2, 2]), name="w")

    @tf.function
    def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        y = inputs @ m.w
        if mask is not None:
            y *= tf.cast(mask, y.dtype)
        if training is None:
            return y
        return y * (0.5 if training is True else 1.0) if isinstance(training, bool) else tf.where(training, y, -y)

    batch = Spec([None, 2], tf.float32)
    call.get_concrete_function(batch)
    call.get_concrete_function(batch, training=True)
    call.get_concrete_function(batch, training=False)
    call.get_concrete_function(batch, Spec([], tf.bool))
    call.get_concrete_function(batch, False, Spec([None, 1], tf.bool))
    m.call = call
    tf.saved_model.save(m, path, signatures={"serving_default": call.get_concrete_function(batch, False)})
    flags = (None, py(True), py(False), py(None), py(1), py(0), py(0.0), py("a"), t(True, "bool"), scalar(True, "bool"))
    masks = (None, py(None), t([[True]], "bool"), py([[True]]), py([[1]]), symbolic([None, 1], "bool"))
    return [
        *battery("call", (zeros(1, 2), py([[1, 2]]), symbolic([None, 2]), zeros(2)), flags, masks, count=50, seed=22),
        *[on("call", zeros(1, 2), training=flag) for flag in flags if flag],
        on("call", zeros(1, 2), mask=t([[True]], "bool")),
        on("call", zeros(1, 2), mask=t([[True]], "bool"), training=py(False)),
        sig("serving_default", inputs=zeros(1, 2)),
        sig("serving_default", zeros(1, 2)),
        sig("serving_default", inputs=zeros(1, 2), training=py(True)),
    ]


@model
def literals(path: str) -> list[Call]:
    """Literal arguments that compare in surprising ways: True and 1, NaN, None, dtypes, shapes, big numbers."""
    m = tf.Module()

    @tf.function
    def f(x: Any) -> Any:
        return tf.constant(str(x)) if not tf.is_tensor(x) else tf.constant("tensor")

    for value in (1, "1", None, 2.5, False, -7, 2**40, (1, "a"), [1, 2], {"k": 1}, "", 1e300):
        f.get_concrete_function(value)

    @tf.function
    def limited(x: Any, limit: Any = float("nan")) -> Any:
        return x + 1

    limited.get_concrete_function(Spec([], tf.int32))
    limited.get_concrete_function(Spec([], tf.int32), 1.0)

    @tf.function
    def cast(x: Any, dtype: Any = tf.float32) -> Any:
        return tf.cast(x, dtype)

    cast.get_concrete_function(Spec([], tf.int32))
    cast.get_concrete_function(Spec([], tf.int32), tf.int64)

    row = tf.TensorShape([1, None])

    @tf.function
    def shaped(x: Any, size: Any = row) -> Any:
        return tf.ensure_shape(x, size)

    shaped.get_concrete_function(Spec([1, 2], tf.int32))
    m.f, m.limited, m.cast, m.shaped = f, limited, cast, shaped
    tf.saved_model.save(m, path)
    return [
        *[on("f", x) for x in ANYTHING],
        *[on("f", py(v)) for v in (1, 1.0, "1", 2.5, -7, -7.0, 2**40, float(2**40), 2**64, "", 1e300, "A")],
        on("f", pair(py(1), py("a"))),
        on("f", pair(py(True), py("a"))),
        on("f", many(py(1), py(2))),
        on("f", many(py(1.0), py(2.0))),
        on("f", mapping(k=py(1))),
        on("f", mapping(k=py(True))),
        on("f", mapping(k=py(2))),
        *battery("limited", (t(1, "int32"), py(1), t(1.0)), (None, py(1.0), py(1), py(True), py(2)), count=10, seed=30),
        *battery("cast", (t(1, "int32"), py(1), t(1.0)), (None, py("float32"), py(1), py("int64")), count=8, seed=31),
        *battery(
            "shaped", (zeros(1, 2, dtype="int32"), py([[1, 2]])), (None, py(1), pair(py(1), py(None))), count=5, seed=32
        ),
    ]


DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    *("uint64", "bool", "string", "complex64", "complex128", "qint8", "quint8", "qint32", "float8_e5m2"),
    *("float8_e4m3fn", "int4", "uint4"),
)


@model
def dtypes_all(path: str) -> list[Call]:
    """A trace, a signature input and a variable of every dtype that this TensorFlow has."""
    m = tf.Module()
    here = [name for name in DTYPES if hasattr(tf.dtypes, name) or hasattr(tf, name) or known_dtype(name)]

    @tf.function
    def same(x: Any) -> Any:
        return tf.identity(x)

    specs = {}
    for name in here:
        same.get_concrete_function(Spec([None], tf.dtypes.as_dtype(name)))
        specs[f"in_{name}"] = Spec([None], tf.dtypes.as_dtype(name))

    @tf.function(input_signature=[specs])
    def everything(d: Any) -> Any:
        return {f"out_{key}": tf.identity(value) for key, value in d.items()}

    for name in ("float16", "bfloat16", "float64", "int8", "int64", "uint8", "bool", "string", "complex64"):
        setattr(m, f"v_{name}", tf.Variable(tf.cast([1, 0], name) if name != "string" else ["a", "b"], name=name))

    @tf.function(input_signature=[])
    def held() -> Any:
        return [getattr(m, key).read_value() for key in vars(m) if key.startswith("v_")]

    m.same, m.everything, m.held = same, everything, held
    tf.saved_model.save(m, path, signatures={"everything": everything, "held": held})
    plain = [
        name for name in here if name not in ("qint8", "quint8", "qint32", "int4", "uint4") and "float8" not in name
    ]
    value = {"bool": [True, False], "string": ["a", "b"]}
    return [
        *[on("same", t(value.get(name, [1, 2]), name)) for name in plain],
        *[
            on("same", array([1, 2], name))
            for name in ["float16", "float32", "float64", "int8", "int16", "uint16", "uint32", "uint64", "complex128"]
        ],
        *[on("same", scalar(1, name)) for name in ["float16", "int16", "uint64"]],
        *[on("same", symbolic([None], name)) for name in here],
        *[
            on("same", x)
            for x in (py([1, 2]), py([1.5]), py([True]), py(["a"]), many(), py([[1]]), py([300]), py([2**40]))
        ],
        on("held"),
        sig("held"),
    ]


def known_dtype(name: str) -> bool:
    """Whether TensorFlow has a dtype of this name at all."""
    try:
        tf.dtypes.as_dtype(name)
    except TypeError:
        return False
    return True
