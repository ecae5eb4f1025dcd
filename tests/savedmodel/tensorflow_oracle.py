"""Ask TensorFlow what a SavedModel holds and what it does with a call, and write the answers down.

The answers are the truth that the TensorFlow-free reader and dispatcher are held against. The record has the shape of
`oracle.json` in the shared corpus, and the calls its argument language (`calls.json`). Restored functions are
watched at work: which traces were tried, in which pass, and which one was called.

Run as a script, it builds the models of `tensorflow_models.py`:

    python tensorflow_oracle.py OUTDIR [NAME...]              # build and record
    python tensorflow_oracle.py --build-only OUTDIR [NAME...] # build; the record is made by another TensorFlow
    python tensorflow_oracle.py --record-only OUTDIR [NAME...]
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import function_deserialization, nested_structure_coder
from tensorflow.python.saved_model import load as tf_load

Json = Any  # what json.loads gives; the shapes are those of the corpus
Call = dict[str, Json]

FRAMES = re.compile(r'^  File ".*", line \d+, in .*\n(?:\s*\n)?', re.MULTILINE)  # of the machine that recorded


def record(model_dir: str | os.PathLike[str], calls: list[Call]) -> dict[str, Json]:
    """Everything that TensorFlow says of one SavedModel: its protos, its restored functions, and every call."""
    folder = os.fspath(model_dir)
    proto = read_proto(folder)
    graph = next((g for g in proto.meta_graphs if g.HasField("object_graph_def")), None)
    told: dict[str, Json] = {
        "tf_version": tf.__version__,
        "schema_version": proto.saved_model_schema_version,
        "meta_graphs": [
            {
                "tags": list(g.meta_info_def.tags),
                "has_object_graph": g.HasField("object_graph_def"),
                "signature_defs": {key: signature_def(g.signature_def[key]) for key in sorted(g.signature_def)},
            }
            for g in proto.meta_graphs
        ],
        "is_tf2_saved_model": tf_load.is_tf2_saved_model(folder),
    }
    try:
        loaded, restored = load(folder)
    except Exception as error:  # noqa: BLE001  as below
        told["load_error_type"], told["load_error"] = type(error).__name__, str(error)
        told["calls"] = []
        return told
    told["loaded_signatures"] = {key: loaded_signature(loaded.signatures[key]) for key in loaded.signatures}
    if graph is not None:
        told.update(object_graph(graph.object_graph_def, restored))
    else:
        told["v1_variables"] = [
            {"name": v.name, "dtype": v.dtype.base_dtype.name, "shape": shape(v.shape)} for v in loaded.variables
        ]
    told["calls"] = [answer(folder, call) for call in calls]
    return told


def answer(folder: str, call: Call) -> dict[str, Json]:
    """One call on a freshly loaded model (restored functions remember earlier calls), with the traces tried."""
    loaded, restored = load(folder)
    names = {id(function): name for name, function in restored.items()}
    told: dict[str, Json] = {"call": call}
    with watched(names) as (trials, chosen):
        try:
            function = loaded.signatures[call["signature"]] if "signature" in call else child(loaded, call["path"])
            told["result"] = encode(invoke(function, call))
        except Exception as error:  # noqa: BLE001  every class that TensorFlow raises is an answer
            told["error_type"], told["error"] = type(error).__name__, FRAMES.sub("", str(error))
    if "path" in call:
        told["chosen"] = chosen[0] if chosen else None
        told["trials"] = trials
    return told


def invoke(function: Callable[..., Any], call: Call) -> Any:
    """Call a restored function; from inside a graph where an argument is symbolic."""
    terms: list[Json] = []
    find_graph_terms([call["args"], call["kwargs"]], terms)
    specs = [tf.TensorSpec(term["shape"], dtype_of(term["dtype"])) for term in terms if term["k"] == "symbolic"]
    if not specs:
        return function(*[argument(a) for a in call["args"]], **{key: argument(a) for key, a in call["kwargs"].items()})
    variables = [argument(term) if term["k"] == "variable" else None for term in terms]  # none may be made in a graph
    outputs: list[Any] = []

    def caller(*tensors: Any) -> None:
        symbolic = iter(tensors)
        ready = [next(symbolic) if variable is None else variable for variable in variables]
        args = [argument(a, ready) for a in call["args"]]
        kwargs = {key: argument(a, ready) for key, a in call["kwargs"].items()}
        outputs.append(function(*args, **kwargs))

    tf.function(caller, autograph=False).get_concrete_function(*specs)
    return outputs[0]


def argument(term: Json, ready: list[Any] | None = None) -> Any:
    """The Python value that a term of the argument language stands for.

    Inside a graph, `ready` holds the symbolic tensors and the variables among the terms, and is used up in order.
    """
    kind = term["k"]
    if kind == "tensor":
        return tf.constant(term["value"], dtype=dtype_of(term["dtype"]))
    if kind == "zeros":
        return tf.zeros(term["shape"], dtype=dtype_of(term["dtype"]))
    if kind == "np":
        return np.array(term["value"], dtype=numpy_dtype(term["dtype"]))
    if kind == "npscalar":
        return np.array(term["value"], dtype=numpy_dtype(term["dtype"]))[()]
    if kind == "py":
        return term["value"]
    if kind == "bytes":
        return term["value"].encode()
    if kind == "list":
        return [argument(item, ready) for item in term["items"]]
    if kind == "tuple":
        return tuple(argument(item, ready) for item in term["items"])
    if kind == "dict":
        return {key: argument(item, ready) for key, item in term["items"].items()}
    if kind == "namedtuple":
        made = collections.namedtuple(term["name"], [key for key, _ in term["items"]])
        return made(*[argument(item, ready) for _, item in term["items"]])
    if kind == "ragged":
        return tf.ragged.constant(
            term["value"], dtype=dtype_of(term["dtype"]), row_splits_dtype=dtype_of(term["row_splits_dtype"])
        )
    if kind == "sparse":
        rank = len(term["dense_shape"])
        return tf.SparseTensor(
            indices=np.array(term["indices"], np.int64).reshape(-1, rank),
            values=tf.constant(term["values"], dtype=dtype_of(term["dtype"])),
            dense_shape=term["dense_shape"],
        )
    if kind in ("symbolic", "variable") and ready is not None:
        return ready.pop(0)
    if kind == "variable":
        return tf.Variable(term["value"], dtype=dtype_of(term["dtype"]))
    if kind == "symbolic":
        raise ValueError("a symbolic argument exists only inside a graph")
    raise ValueError(f"the argument language has no kind {kind!r}")


def find_graph_terms(term: Json, found: list[Json]) -> None:
    """Collect the symbolic and the variable terms in the order in which `argument` uses them up."""
    if isinstance(term, list):
        for item in term:
            find_graph_terms(item, found)
    elif isinstance(term, Mapping):
        if term.get("k") in ("symbolic", "variable"):
            found.append(term)
        elif term.get("k") in ("list", "tuple", "namedtuple", "dict"):
            find_graph_terms(term["items"], found)
        elif not isinstance(term.get("k"), str):
            for item in term.values():
                find_graph_terms(item, found)


def dtype_of(name: str) -> tf.DType:
    """A dtype by TensorFlow's own name."""
    return tf.dtypes.as_dtype(name)


def numpy_dtype(name: str) -> Any:
    """A NumPy dtype by its own name, or by TensorFlow's (`string`, `bfloat16`)."""
    try:
        return np.dtype(name)
    except TypeError:
        return dtype_of(name).as_numpy_dtype


@contextlib.contextmanager
def watched(names: Mapping[int, str]) -> Iterator[tuple[list[list[Any]], list[str]]]:
    """See every trial of a trace as [function, second pass, verdict], and the functions called; None is a raise."""
    trials: list[list[Any]] = []
    chosen: list[str] = []
    try_one = function_deserialization._concrete_function_callable_with
    call_one = function_deserialization._call_concrete_function

    def trying(function: Any, inputs: Any, allow_conversion: bool) -> bool:
        trial: list[Any] = [names.get(id(function)), allow_conversion, None]
        trials.append(trial)
        trial[2] = bool(try_one(function, inputs, allow_conversion))
        return trial[2]

    def calling(function: Any, inputs: Any) -> Any:
        chosen.append(names[id(function)])
        return call_one(function, inputs)

    function_deserialization._concrete_function_callable_with = trying
    function_deserialization._call_concrete_function = calling
    try:
        yield trials, chosen
    finally:
        function_deserialization._concrete_function_callable_with = try_one
        function_deserialization._call_concrete_function = call_one


def load(folder: str) -> tuple[Any, dict[str, Any]]:
    """The loaded model, and its restored concrete functions under the names that the file has for them."""
    restored: dict[str, Any] = {}
    read_library = function_deserialization.load_function_def_library

    def reading(*args: Any, **kwargs: Any) -> Any:
        functions = read_library(*args, **kwargs)
        restored.update(functions)
        return functions

    function_deserialization.load_function_def_library = reading
    try:
        loaded = tf.saved_model.load(folder, tags=only_tags(folder))
    finally:
        function_deserialization.load_function_def_library = read_library
    return loaded, restored


def only_tags(folder: str) -> list[str] | None:
    """None where TensorFlow can choose; the first meta graph's tags where there are several."""
    graphs = read_proto(folder).meta_graphs
    return list(graphs[0].meta_info_def.tags) if len(graphs) > 1 else None


def child(loaded: Any, path: str) -> Any:
    """The object at a dotted path of child names; list items go by index and dict items by key."""
    at = loaded
    for name in path.split("."):
        at = getattr(at, name) if hasattr(at, name) else at[int(name) if name.isdigit() else name]
    return at


def read_proto(folder: str) -> saved_model_pb2.SavedModel:
    """The SavedModel proto, binary or text."""
    proto = saved_model_pb2.SavedModel()
    binary = Path(folder, "saved_model.pb")
    if binary.exists():
        proto.ParseFromString(binary.read_bytes())
    else:
        text_format.Parse(Path(folder, "saved_model.pbtxt").read_text(), proto)
    return proto


def signature_def(proto: Any) -> dict[str, Json]:
    """A SignatureDef as data."""
    defaults = getattr(proto, "defaults", {})
    return {
        "method_name": proto.method_name,
        "inputs": {key: tensor_info(proto.inputs[key]) for key in sorted(proto.inputs)},
        "outputs": {key: tensor_info(proto.outputs[key]) for key in sorted(proto.outputs)},
        "defaults": {key: plain(tf.make_ndarray(defaults[key])) for key in sorted(defaults)},
    }


def tensor_info(proto: Any) -> dict[str, Json]:
    """A TensorInfo as data; the shape is as written (-1 is an unknown dimension, null an unknown rank)."""
    encoding = proto.WhichOneof("encoding") or "name"
    told: dict[str, Json] = {
        "encoding": encoding,
        "dtype": tf.dtypes.as_dtype(proto.dtype).name if proto.dtype else "invalid",
        "shape": None if proto.tensor_shape.unknown_rank else [d.size for d in proto.tensor_shape.dim],
    }
    if encoding == "name":
        told["name"] = proto.name
    elif encoding == "coo_sparse":
        sparse = proto.coo_sparse
        told["names"] = [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    else:
        told["components"] = [tensor_info(c) for c in proto.composite_tensor.components]
        told["type_spec_class"] = proto.composite_tensor.type_spec.type_spec_class_name
        if not told["type_spec_class"].isidentifier():
            told["type_spec_class"] = told["type_spec_class"].rsplit(".", 1)[-1]
    return told


def loaded_signature(function: Any) -> dict[str, Json]:
    """A signature as `tf.saved_model.load` restores it."""
    args, kwargs = function.structured_input_signature
    return {
        "args": describe(args),
        "kwargs": describe(kwargs),
        "outputs": describe(function.structured_outputs),
        "arg_keywords": list(function._arg_keywords),
        "num_positional": function._num_positional_args,
    }


def object_graph(proto: Any, restored: Mapping[str, Any]) -> dict[str, Json]:
    """The functions, variables and node kinds of an object graph, by the shortest path from the root."""
    paths = paths_of(proto)
    functions: dict[str, Json] = {}
    bare: dict[str, Json] = {}
    variables: dict[str, Json] = {}
    kinds: dict[str, Json] = {}
    for index, node in enumerate(proto.nodes):
        kind = node.WhichOneof("kind") or "user_object"
        path = paths.get(index)
        key = path if path is not None else f"#{index}"
        kinds[str(index)] = {"kind": kind, "path": path}
        if kind == "function":
            spec = node.function.function_spec
            functions[key] = {
                "node": index,
                "fullargspec": str(nested_structure_coder.decode_proto(spec.fullargspec)),
                "input_signature": describe(nested_structure_coder.decode_proto(spec.input_signature)),
                "jit_compile": {0: None, 1: True, 2: False}[spec.jit_compile],
                "concrete": [concrete(name, proto, restored) for name in node.function.concrete_functions],
            }
            if functions[key]["input_signature"] == {"py": None}:
                functions[key]["input_signature"] = None
        elif kind == "bare_concrete_function":
            name = node.bare_concrete_function.concrete_function_name
            bare[key] = {"node": index, **concrete(name, proto, restored)}
        elif kind == "variable":
            variables[key] = {
                "node": index,
                "name": f"{node.variable.name}:0",
                "dtype": tf.dtypes.as_dtype(node.variable.dtype).name,
                "shape": shape(tf.TensorShape(node.variable.shape)),
                "trainable": node.variable.trainable,
            }
    return {"functions": functions, "bare_functions": bare, "variables": variables, "node_kinds": kinds}


def concrete(name: str, proto: Any, restored: Mapping[str, Any]) -> dict[str, Json]:
    """One concrete function: what it takes and gives after restoring, and the nodes that it captures."""
    function = restored[name]
    return {
        "name": name,
        "structured_input_signature": describe(function.structured_input_signature),
        "structured_outputs": describe(function.structured_outputs),
        "captures": list(proto.concrete_functions[name].bound_inputs),
    }


def paths_of(proto: Any) -> dict[int, str]:
    """The first path to every node, breadth first."""
    paths = {0: "root"}
    queue = collections.deque([0])
    while queue:
        index = queue.popleft()
        for edge in proto.nodes[index].children:
            if edge.node_id not in paths:
                paths[edge.node_id] = f"{paths[index]}.{edge.local_name}"
                queue.append(edge.node_id)
    return paths


def describe(value: Any) -> Json:
    """A structure of specs as data; where TensorFlow holds a tensor in place of a spec, its dtype and shape."""
    return encode(value, lambda tensor: {"tensor": tensor.dtype.name, "shape": shape(tensor.shape)})


def encode(value: Any, leaf: Callable[[Any], Json] | None = None) -> Json:
    """A structure of tensors, specs and Python values as data."""
    leaf = leaf or encode_tensor
    if isinstance(value, tf.TensorSpec):
        return {"spec": "TensorSpec", "dtype": value.dtype.name, "shape": shape(value.shape), "name": value.name}
    if isinstance(value, tf.TypeSpec):
        return {"spec": type(value).__name__, "repr": repr(value)}
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        return {"composite": type(value).__name__, "repr": repr(value)}
    if isinstance(value, tf.Variable):
        value = value.read_value()
    if tf.is_tensor(value):
        return leaf(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {
            "namedtuple": type(value).__name__,
            "fields": [[key, encode(getattr(value, key), leaf)] for key in value._fields],
        }
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [encode(item, leaf) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": {key: encode(item, leaf) for key, item in value.items()}}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"py": value}
    return {"py_repr": repr(value)}


def encode_tensor(value: Any) -> Json:
    """An eager tensor with its value; a symbolic one with what is known of its shape."""
    if not hasattr(value, "numpy") or value.dtype in (tf.resource, tf.variant):
        return {"dtype": value.dtype.name, "shape": shape(value.shape)}
    return {"dtype": value.dtype.name, "shape": shape(value.shape), "value": plain(value.numpy())}


def plain(array: Any) -> Json:
    """A NumPy array or scalar as lists that JSON can hold; complex numbers become [real, imaginary]."""
    array = np.asarray(array)
    if array.dtype.kind == "O" or array.dtype.kind == "S":
        flat = [item.decode("utf-8", "backslashreplace") for item in array.ravel()]
        return np.array(flat, dtype=object).reshape(array.shape).tolist() if array.shape else flat[0]
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1).tolist()
    if array.dtype.kind == "V":  # bfloat16 and its small siblings
        return array.astype(np.float32).tolist()
    return array.tolist()


def shape(of: tf.TensorShape) -> Json:
    """A shape as a list with None for what is unknown, or None where even the rank is."""
    return None if of.rank is None else of.as_list()


def main() -> int:
    """Build models, or record what TensorFlow says of built ones, or both."""
    import tensorflow_models as models

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--record-only", action="store_true")
    parser.add_argument("--small", type=int, metavar="CALLS", help="keep at most so many calls, and write no spaces")
    parser.add_argument("outdir", type=Path)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    failed = 0
    for name in chosen.names or list(models.MODELS):
        folder = chosen.outdir.resolve() / name
        try:
            if not chosen.record_only:
                write(folder, models.MODELS[name], chosen.small)
            if not chosen.build_only and folder.is_dir():
                calls = json.loads((folder / "calls.json").read_text())
                (folder / "oracle.json").write_text(as_json(record(folder / "model", calls), chosen.small))
                print(f"{name}: {len(calls)} calls", flush=True)
        except models.NotHere as why:
            print(f"{name}: left out, {why}", flush=True)
        except Exception as error:  # noqa: BLE001  the other models are still wanted
            failed = 1
            print(f"{name}: FAILED {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return failed


def write(folder: Path, build: Callable[[str], list[Call]], most: int | None) -> None:
    """Save one model and its calls under `folder`, whole or not at all; the file names no folder of this machine."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        tf.keras.backend.clear_session()
        calls = build("model")
        if most is not None and len(calls) > most:
            calls = [calls[i * len(calls) // most] for i in range(most)]
        Path("calls.json").write_text(as_json(calls, most))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scratch, folder)


def as_json(data: Json, most: int | None) -> str:
    """Data as text: a line for each thing, or nothing but the data where it has to be small."""
    return json.dumps(data, indent=1) if most is None else json.dumps(data, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
