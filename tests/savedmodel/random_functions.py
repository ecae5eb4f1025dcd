"""Random functions with random traces, random calls of them, and what TensorFlow and trimtab say of each.

Everything follows from a seed. Calls are in the argument language of the corpus, so that both are given the very same
ones. Most are made from one of the function's traces and then changed a little, so that many match.

Run as a script for thousands of calls: python random_functions.py [SEEDS] [FUNCTIONS] [CALLS] [FIRST SEED]
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
import tensorflow_oracle as oracle
from tensorflow.core.function.polymorphism import function_cache

from trimtab import savedmodel
from trimtab.savedmodel.dispatching import dispatch_call, parse_call

Term = dict[str, Any]

DTYPES = [
    "float32",
    "float32",
    "float32",
    "int32",
    "int64",
    "float64",
    "bool",
    "string",
    "uint8",
    "float16",
    "complex64",
]
SHAPES: list[list[int | None] | None] = [[], [], [2], [3], [None], [None], [2, 3], [None, 3], [2, None], [1], [0], None]
LITERALS: list[Any] = [None, True, False, 0, 1, 2, -1, 1.5, 1.0, "a", "b", "", 300, 3_000_000_000, float("nan")]
KEYS = ["a", "b", "c", "k"]


@dataclass(frozen=True)
class Answer:
    """One call of one function: what TensorFlow did and what we say it does. A trace's name, or an error's class."""

    call: Term
    theirs: str
    ours: str
    about: str


def answers(seed: int, functions: int, calls: int) -> list[Answer]:
    """Save random functions, load them, and put random calls of them to TensorFlow and to trimtab."""
    made = random.Random(seed)
    module = tf.Module()
    traces: dict[str, list[Term]] = {}
    for position in range(functions):
        name = f"f{position}"
        function, described = random_function(made)
        if described:
            setattr(module, name, function)
            traces[name] = described
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        loaded, restored = oracle.load(folder)
        names = {id(function): name for name, function in restored.items()}
        model = savedmodel.load(folder)
        found = []
        for name, described in traces.items():
            for _ in range(calls):
                call = {"path": name, **random_call(made, made.choice(described))}
                found.append(compare(model, getattr(loaded, name), names, call))
        return found


def compare(model: savedmodel.SavedModel, function: Any, names: dict[int, str], call: Term) -> Answer:
    """One call, by both. TensorFlow's restored function forgets the call before, so that its caches decide nothing."""
    for memory in ("_variable_creation_config", "_no_variable_creation_config", "_created_variables"):
        setattr(function, memory, None)
    function._function_cache = function_cache.FunctionCache()
    text = ""
    with oracle.watched(names) as (_, chosen):
        try:
            oracle.invoke(function, call)
            theirs = chosen[0]
        except Exception as error:  # noqa: BLE001  every class that TensorFlow raises is an answer
            theirs, text = chosen[0] if chosen else type(error).__name__, str(error)
    said = dispatch_call(model.meta_graph, parse_call(call))
    ours = said.trace or (said.refusal.tensorflow if said.refusal is not None else "nothing")
    return Answer(call, theirs, ours, f"{text[:600]}\n  ours: {said.refusal.message[:300] if said.refusal else ''}")


def random_function(made: random.Random) -> tuple[Any, list[Term]]:
    """A tf.function of random parameters and the calls that its traces were made with; none when none could be."""
    names = made.sample(["x", "y", "z", "training", "Camel", "_low"], made.randint(0, 3))
    with_default = made.randint(0, len(names))
    defaults = {name: default(made) for name in names[with_default:]}
    varargs = made.random() < 0.15
    keywords = made.sample(["mask", "scale", "mode"], made.choice([0, 0, 1, 2]))
    keyword_defaults = {name: default(made) for name in keywords if made.random() < 0.6}
    varkw = made.random() < 0.15
    parts = [f"{name}=_d[{name!r}]" if name in defaults else name for name in names]
    if varargs or keywords:
        parts.append("*args" if varargs else "*")
    parts += [f"{name}=_k[{name!r}]" if name in keyword_defaults else name for name in keywords]
    if varkw:
        parts.append("**options")
    space: dict[str, Any] = {"_d": defaults, "_k": keyword_defaults, "tf": tf}
    exec(f"def f({', '.join(parts)}):\n  return tf.constant(1.0)", space)
    signature = None
    if made.random() < 0.25 and not (set(keywords) - set(keyword_defaults)):
        count = made.randint(max(1, with_default), max(1, len(names))) if names else 0
        signature = [constraint(made) for _ in range(count + (made.randint(0, 2) if varargs else 0))]
    try:
        function = tf.function(space["f"], autograph=False, input_signature=signature)
    except (TypeError, ValueError):
        return None, []
    described: list[Term] = []
    for _ in range(1 if signature else made.randint(1, 5)):
        call = traced_call(made, names, with_default, keywords, keyword_defaults, varargs=varargs, varkw=varkw)
        if signature is not None:
            call = {"args": [describe(each) for each in signature], "kwargs": {}}
        with contextlib.suppress(Exception):  # a trace that cannot be made is not made
            if signature is not None:
                function.get_concrete_function()
            else:
                args = [as_spec(term) for term in call["args"]]
                function.get_concrete_function(*args, **{key: as_spec(term) for key, term in call["kwargs"].items()})
            described.append(call)
    return function, described


def default(made: random.Random) -> Any:
    """What a parameter defaults to."""
    if made.random() < 0.1:
        return tf.constant(made.choice([1.0, 2.0]))
    if made.random() < 0.1:
        return made.choice([(1, 2), [1, 2], {"a": 1}, (), [True, None]])
    return made.choice(LITERALS)


def constraint(made: random.Random) -> Any:
    """One element of an input_signature: specs only."""
    kind = made.random()
    if kind < 0.75:
        return tf.TensorSpec(made.choice(SHAPES), made.choice(DTYPES))
    if kind < 0.8:
        return tf.RaggedTensorSpec(made.choice([[None, None], [2, None]]), made.choice(["float32", "int32"]))
    if kind < 0.85:
        return tf.SparseTensorSpec(made.choice([[None, 3], [2, 3]]), tf.float32)
    if kind < 0.9:
        return {key: constraint(made) for key in made.sample(KEYS, 2)}
    return made.choice([list, tuple])(constraint(made) for _ in range(made.randint(1, 2)))


def traced_call(
    made: random.Random,
    names: list[str],
    with_default: int,
    keywords: list[str],
    keyword_defaults: dict[str, Any],
    *,
    varargs: bool,
    varkw: bool,
) -> Term:
    """Random arguments to trace a function with."""
    given = made.randint(with_default, len(names))
    args = [term(made, 0) for _ in range(given)]
    if varargs and given == len(names):
        args += [term(made, 0) for _ in range(made.randint(0, 2))]
    kwargs = {name: term(made, 0) for name in keywords if name not in keyword_defaults or made.random() < 0.4}
    if varkw:
        kwargs |= {name: term(made, 0) for name in made.sample(["p", "q"], made.randint(0, 2))}
    return {"args": args, "kwargs": kwargs}


def term(made: random.Random, depth: int) -> Term:
    """A random argument to trace with, in the argument language; a tensor is `symbolic`, by its spec."""
    kind = made.random()
    if kind < 0.55:
        return {"k": "symbolic", "dtype": made.choice(DTYPES), "shape": made.choice(SHAPES)}
    if kind < 0.75 or depth > 1:
        return {"k": "py", "value": made.choice(LITERALS)}
    if kind < 0.8:
        shape = made.choice([[None, None], [2, None], [3, None]])
        return {"k": "ragged spec", "dtype": made.choice(["float32", "int32"]), "shape": shape}
    if kind < 0.83:
        return {"k": "sparse spec", "dtype": "float32", "shape": made.choice([[None, 3], [2, 3]])}
    if kind < 0.86:
        return {"k": "variable", "dtype": "float32", "value": made.choice([1.0, [1.0, 2.0]])}
    items = [term(made, depth + 1) for _ in range(made.randint(0, 2))]
    if kind < 0.91:
        return {"k": made.choice(["list", "tuple"]), "items": items}
    if kind < 0.96:
        return {"k": "dict", "items": dict(zip(made.sample(KEYS, len(items)), items, strict=True))}
    return {
        "k": "namedtuple",
        "name": made.choice(["P", "Q"]),
        "items": [[key, it] for key, it in zip("ab", items, strict=False)],
    }


def as_spec(described: Term) -> Any:
    """What to trace with: specs for tensors, everything else as it is."""
    kind = described["k"]
    if kind == "symbolic":
        return tf.TensorSpec(described["shape"], described["dtype"])
    if kind == "ragged spec":
        return tf.RaggedTensorSpec(described["shape"], described["dtype"])
    if kind == "sparse spec":
        return tf.SparseTensorSpec(described["shape"], described["dtype"])
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(as_spec(item) for item in described["items"])
    if kind == "dict":
        return {key: as_spec(item) for key, item in described["items"].items()}
    if kind == "namedtuple":
        fields = [key for key, _ in described["items"]]
        return collections.namedtuple(described["name"], fields)(*[as_spec(item) for _, item in described["items"]])
    return oracle.argument(described)


def describe(spec: Any) -> Term:
    """A spec of an input_signature as `term` would have made it."""
    if isinstance(spec, tf.TensorSpec):
        return {"k": "symbolic", "dtype": spec.dtype.name, "shape": oracle.shape(spec.shape)}
    if isinstance(spec, tf.RaggedTensorSpec):
        return {"k": "ragged spec", "dtype": spec.dtype.name, "shape": oracle.shape(spec.shape)}
    if isinstance(spec, tf.SparseTensorSpec):
        return {"k": "sparse spec", "dtype": spec.dtype.name, "shape": oracle.shape(spec.shape)}
    if isinstance(spec, dict):
        return {"k": "dict", "items": {key: describe(each) for key, each in spec.items()}}
    return {"k": "list" if isinstance(spec, list) else "tuple", "items": [describe(each) for each in spec]}


def random_call(made: random.Random, traced: Term) -> Term:
    """A call much like the one that a trace was made with."""
    args = [value(made, each) for each in traced["args"]]
    kwargs = {key: value(made, each) for key, each in traced["kwargs"].items()}
    change = made.random()
    if change < 0.06 and args:
        args.pop()
    elif change < 0.1:
        args.append(value(made, term(made, 0)))
    elif change < 0.14 and kwargs:
        kwargs.pop(next(iter(kwargs)))
    elif change < 0.2:
        kwargs[made.choice(["x", "y", "z", "training", "mask", "scale", "p", "odd name", "_low"])] = value(
            made, term(made, 0)
        )
    elif change < 0.23 and len(args) > 1:
        made.shuffle(args)
    return {"args": args, "kwargs": kwargs}


def value(made: random.Random, described: Term) -> Term:
    """An argument that a spec would take, as often as not; otherwise one that differs from it in a single way."""
    if made.random() < 0.06:
        return value(made, term(made, 0))
    kind = described["k"]
    if kind == "symbolic":
        return tensor(made, described["dtype"], described["shape"])
    if kind == "ragged spec":
        return ragged(made, described)
    if kind == "sparse spec":
        return sparse(made, described)
    if kind == "variable":
        return described if made.random() < 0.7 else tensor(made, "float32", [])
    if kind == "py":
        return described if made.random() < 0.8 else {"k": "py", "value": made.choice(LITERALS)}
    return container(made, described)


def container(made: random.Random, described: Term) -> Term:
    """A container as described, or one with another shape."""
    kind, items = described["k"], described["items"]
    if kind == "dict":
        changed = {key: value(made, item) for key, item in items.items()}
        if made.random() < 0.08:
            changed[made.choice(KEYS)] = value(made, term(made, 1))
        return {"k": "dict", "items": changed}
    if kind == "namedtuple":
        fields = [[key, value(made, item)] for key, item in items]
        if made.random() < 0.1:
            return {"k": made.choice(["list", "tuple"]), "items": [item for _, item in fields]}
        return {"k": kind, "name": described["name"] if made.random() < 0.9 else "Other", "items": fields}
    changed_items = [value(made, item) for item in items]
    if made.random() < 0.06:
        changed_items.append(value(made, term(made, 1)))
    if made.random() < 0.08:
        kind = "tuple" if kind == "list" else "list"
    return {"k": kind, "items": changed_items}


def tensor(made: random.Random, dtype: str, shape: list[int | None] | None) -> Term:
    """A tensor, an array, a nested list, a number or a symbolic tensor, mostly of the dtype and shape."""
    if made.random() < 0.12:
        dtype = made.choice(DTYPES)
    known = (
        made.choice([[], [2], [2, 3]])
        if shape is None
        else [made.choice([0, 1, 2, 3]) if n is None else n for n in shape]
    )
    if made.random() < 0.12:
        known = made.choice([[], [2], [3], [4], [1, 2], [2, 3, 1]])
    kind = made.random()
    if kind < 0.25 or dtype == "complex64":
        return {"k": "zeros", "dtype": dtype, "shape": known}
    if kind < 0.4 and dtype != "string":
        return {"k": "np", "dtype": dtype, "value": filled(made, dtype, known)}
    if kind < 0.45 and dtype != "string":
        return {"k": "npscalar", "dtype": dtype, "value": filled(made, dtype, [])}
    if kind < 0.6:
        partly = [n if made.random() < 0.7 else None for n in known] if made.random() < 0.9 else None
        return {"k": "symbolic", "dtype": dtype, "shape": partly}
    if kind < 0.64 and dtype in ("float32", "int32", "int64"):
        return {"k": "variable", "dtype": dtype, "value": filled(made, dtype, known)}
    if kind < 0.8:
        return {"k": "py", "value": filled(made, dtype, known)}
    if kind < 0.9:
        return mixed(made, dtype, known)
    return {"k": "tensor", "dtype": dtype, "value": filled(made, dtype, known)} if 0 not in known else {
        "k": "zeros", "dtype": dtype, "shape": known
    }  # fmt: skip


def mixed(made: random.Random, dtype: str, shape: list[int]) -> Term:
    """Nested lists or tuples of the shape whose leaves are of several kinds."""
    if not shape:
        kind = made.random()
        if kind < 0.35:
            return {"k": "zeros", "dtype": dtype if made.random() < 0.8 else made.choice(DTYPES), "shape": []}
        if kind < 0.45:
            return {"k": "symbolic", "dtype": dtype, "shape": made.choice([[], [], None])}
        if kind < 0.9:
            return {"k": "py", "value": filled(made, dtype, [])}
        return {"k": "py", "value": made.choice(LITERALS)}
    items = [mixed(made, dtype, shape[1:]) for _ in range(shape[0])]
    if made.random() < 0.05:
        items.append({"k": "py", "value": made.choice(LITERALS)})
    return {"k": made.choice(["list", "list", "tuple"]), "items": items}


def filled(made: random.Random, dtype: str, shape: list[int]) -> Any:
    """Nested lists of the shape with values that a dtype has; now and then integers where floats would do."""
    if shape:
        return [filled(made, dtype, shape[1:]) for _ in range(shape[0])]
    if dtype == "string":
        return made.choice(["a", "b"])
    if dtype == "bool":
        return made.random() < 0.5
    if dtype.startswith("float"):
        return made.choice([1.0, 2.5, 0.0, 1])
    return made.choice([0, 1, 2, 100])


def ragged(made: random.Random, described: Term) -> Term:
    """A ragged tensor like the spec, or with other rows, dtype, splits or depth."""
    rows = described["shape"][0] or 2
    dtype = described["dtype"]
    if made.random() < 0.15:
        rows = 4
    if made.random() < 0.1:
        dtype = "float64"
    number: Any = 1.0 if dtype.startswith("float") else 1
    rowed: Any = [[number] * made.randint(0, 2) for _ in range(rows)]
    if made.random() < 0.08:
        rowed = [[each] for each in rowed]
    if made.random() < 0.08:
        return {"k": "py", "value": rowed}
    splits = "int64" if made.random() < 0.85 else "int32"
    return {"k": "ragged", "dtype": dtype, "value": rowed, "row_splits_dtype": splits}


def sparse(made: random.Random, described: Term) -> Term:
    """A sparse tensor like the spec, or of another dtype or shape."""
    dense = [n or 2 for n in described["shape"]]
    if made.random() < 0.2:
        dense = made.choice([[2, 4], [4, 3], [3]])
    dtype = "float32" if made.random() < 0.9 else "int32"
    return {
        "k": "sparse", "dtype": dtype, "indices": [[0] * len(dense)], "values": [1], "dense_shape": dense,
    }  # fmt: skip


def main() -> int:
    """Print every disagreement over many seeds, and the share of calls on which both agree."""
    seeds, functions, calls, first = (
        int(each) for each in [*sys.argv[1:], *["5", "60", "40", "0"][len(sys.argv) - 1 :]]
    )
    total = agreed = dispatched = 0
    for seed in range(first, first + seeds):
        for answer in answers(seed, functions, calls):
            total += 1
            agreed += answer.theirs == answer.ours
            dispatched += answer.theirs.startswith("__inference")
            if answer.theirs != answer.ours:
                print(
                    f"{answer.call}\n  TensorFlow: {answer.theirs}  ours: {answer.ours}\n  {answer.about}", flush=True
                )
        print(f"seed {seed}: {agreed} of {total} agree, {dispatched} dispatched", file=sys.stderr, flush=True)
    return 0 if agreed >= 0.995 * total else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
