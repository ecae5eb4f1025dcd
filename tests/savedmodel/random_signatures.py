"""Random signatures and bare concrete functions, random calls of them, and what TensorFlow and trimtab say of each.

Like `random_functions`, for functions of one trace: those are bound by structure, then by flat names, and shapes that
do not fit are noticed only by the operations inside. So their bodies compute something here.

Run as a script: python random_signatures.py [SEEDS] [FUNCTIONS] [CALLS] [FIRST SEED]
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from typing import Any

import tensorflow as tf
import tensorflow_oracle as oracle
from random_functions import DTYPES, SHAPES, Answer, Term, constraint, describe, random_call, term, value

from trimtab import savedmodel
from trimtab.savedmodel.dispatching import dispatch_call, parse_call

RUNS = "runs"


def answers(seed: int, functions: int, calls: int) -> list[Answer]:
    """Save random concrete functions, bare and as signatures, load them, and put random calls to both."""
    made = random.Random(seed)
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([3, 2]))
    module.total = tf.Variable(0.0)
    signatures: dict[str, Any] = {}
    traced: dict[str, Term] = {}
    with tempfile.TemporaryDirectory() as folder:
        for position in range(functions):
            function, call = random_concrete(made, module)
            name = f"c{position}"
            setattr(module, name, function)
            traced[name] = call
            if can_be_signature(module, function, os.path.join(folder, name)):
                signatures[f"s{position}"] = function
        home = os.path.join(folder, "model")
        tf.saved_model.save(module, home, signatures=signatures)
        loaded, model = tf.saved_model.load(home), savedmodel.load(home)
        found = []
        for name, call in traced.items():
            for _ in range(calls):
                found.append(
                    compare(model, getattr(loaded, name), {"path": name, **bare_call(made, loaded, name, call)})
                )
                key = f"s{name[1:]}"
                if key in signatures:
                    served = loaded.signatures[key]
                    found.append(compare(model, served, {"signature": key, **served_call(made, served)}))
        return found


def compare(model: savedmodel.SavedModel, function: Any, call: Term) -> Answer:
    """One call, by both."""
    text = ""
    try:
        oracle.invoke(function, call)
        theirs = RUNS
    except Exception as error:  # noqa: BLE001  every class that TensorFlow raises is an answer
        theirs, text = type(error).__name__, str(error)
    said = dispatch_call(model.meta_graph, parse_call(call))
    ours = said.refusal.tensorflow if said.refusal is not None else RUNS
    return Answer(call, theirs, ours, f"{text[:600]}\n  ours: {said.refusal.message[:300] if said.refusal else ''}")


def random_concrete(made: random.Random, module: tf.Module) -> tuple[Any, Term]:
    """A concrete function and the call that it was traced with."""
    if made.random() < 0.4:
        return computing(made, module)
    count = made.choice([1, 1, 2, 3])
    specs = [spec(made, f"n{at}") for at in range(count)]
    names = made.sample(["x", "y", "zed", "Camel", "a_b"], count)
    by_keyword = made.random() < 0.3
    space: dict[str, Any] = {"tf": tf}
    exec(f"def f({'*, ' if by_keyword else ''}{', '.join(names)}):\n  return {{'out': tf.constant(1.0)}}", space)
    function = tf.function(space["f"], autograph=False)
    if by_keyword:
        given = dict(zip(names, specs, strict=True))
        return function.get_concrete_function(**given), {
            "args": [],
            "kwargs": {k: describe(v) for k, v in given.items()},
        }
    return function.get_concrete_function(*specs), {"args": [describe(each) for each in specs], "kwargs": {}}


def spec(made: random.Random, name: str) -> Any:
    if made.random() < 0.35:
        return constraint(made)
    return tf.TensorSpec(made.choice(SHAPES), made.choice(DTYPES), name=made.choice([None, None, name]))


BODIES: dict[str, tuple[list[int | None], Any]] = {
    "matmul": ([None, 3], lambda module, x: x @ module.weight),
    "dense": ([None, 3], lambda module, x: tf.nn.relu(tf.nn.bias_add(x @ module.weight, [1.0, 2.0]))),
    "add": ([2], lambda module, x: tf.add(x, [1.0, 2.0])),
    "assign": ([], lambda module, x: module.total.assign_add(x)),
    "reduce": ([None, None], lambda module, x: tf.reduce_sum(x, axis=1)),
    "reshape": ([2, 3], lambda module, x: tf.reshape(x, [3, 2])),
    "flatten": ([None, 3], lambda module, x: tf.reshape(x, [-1, 3]) @ module.weight),
    "concat": ([None, 2], lambda module, x: tf.concat([x, tf.ones([2, 2])], axis=1)),
    "mean": ([None], lambda module, x: tf.reduce_mean(x) + tf.cast(tf.size(x), tf.float32)),
    "square": ([None, None], lambda module, x: tf.square(x) * x - x / 2.0),
}


def computing(made: random.Random, module: tf.Module) -> tuple[Any, Term]:
    """A function that computes: of a few operations on one tensor, or a look-up of ids."""
    name = made.choice([*BODIES, "gather"])
    if name == "gather":
        given = tf.TensorSpec([None], tf.int64, name="ids")
        function = tf.function(lambda ids: {"out": tf.gather(module.weight, ids)}, autograph=False)
        return function.get_concrete_function(given), {"args": [describe(given)], "kwargs": {}}
    shape, body = BODIES[name]
    given = tf.TensorSpec(shape, tf.float32, name="x")
    inner = tf.function(lambda x: body(module, x), autograph=False)
    function = tf.function(lambda x: {"out": inner(x) if made.random() < 0.5 else body(module, x)}, autograph=False)
    return function.get_concrete_function(given), {"args": [describe(given)], "kwargs": {}}


def can_be_signature(module: tf.Module, function: Any, folder: str) -> bool:
    """Whether TensorFlow saves it as a signature: not every concrete function can be one."""
    try:
        tf.saved_model.save(module, folder, signatures={"s": function})
    except (TypeError, ValueError, KeyError, AttributeError):
        return False
    return True


def bare_call(made: random.Random, loaded: Any, name: str, call: Term) -> Term:
    """A call of a bare function: like its trace, or by its flat names."""
    changed = random_call(made, call)
    if made.random() < 0.3 and changed["args"]:
        names = getattr(loaded, name)._arg_keywords
        return {"args": [], "kwargs": dict(zip(names, changed["args"], strict=False))}
    return changed


def served_call(made: random.Random, served: Any) -> Term:
    """A call of a signature: by keywords, with one missing, one too many, or by position."""
    given = {key: value(made, describe(each)) for key, each in served.structured_input_signature[1].items()}
    kind = made.random()
    if kind < 0.15:
        return {"args": list(given.values()), "kwargs": {}}
    if kind < 0.3 and given:
        given.pop(next(iter(given)))
    elif kind < 0.4:
        given["odd"] = value(made, term(made, 0))
    return {"args": [], "kwargs": given}


def main() -> int:
    """Print every disagreement over many seeds, and the share of calls on which both agree."""
    seeds, functions, calls, first = (
        int(each) for each in [*sys.argv[1:], *["5", "15", "15", "0"][len(sys.argv) - 1 :]]
    )
    total = agreed = 0
    for seed in range(first, first + seeds):
        for answer in answers(seed, functions, calls):
            total += 1
            agreed += answer.theirs == answer.ours
            if answer.theirs != answer.ours:
                print(
                    f"{answer.call}\n  TensorFlow: {answer.theirs}  ours: {answer.ours}\n  {answer.about}", flush=True
                )
        print(f"seed {seed}: {agreed} of {total} agree", file=sys.stderr, flush=True)
    return 0 if agreed >= 0.995 * total else 1


if __name__ == "__main__":
    sys.exit(main())
