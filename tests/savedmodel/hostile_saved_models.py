"""SavedModels made to exhaust or to mislead whoever reads them, each made in code from a small sound one."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from wire_messages import BYTES, tagged

from trimtab.savedmodel.messages import classes, serialize

FLOAT, RESOURCE = 1, 20
MANY = 200_000


def sound() -> Any:
    """A small model: a variable, a function with one trace, and a signature that calls it."""
    model = classes()["SavedModel"](saved_model_schema_version=1)
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    graph.meta_info_def.tensorflow_version = "2.21.0"
    add_function(graph, "body")
    add_function(graph, "wrapper", calls=["body"])
    objects = graph.object_graph_def
    for node_id, (kind, children) in enumerate(
        [
            ("user_object", {"weight": 1, "predict": 2, "signatures": 3}),
            ("variable", {}),
            ("function", {}),
            ("user_object", {"serving_default": 4}),
            ("bare_concrete_function", {}),
        ]
    ):
        node = objects.nodes.add()
        getattr(node, kind).SetInParent()
        assert len(objects.nodes) == node_id + 1
        for name, child in children.items():
            node.children.add(node_id=child, local_name=name)
    objects.nodes[1].variable.dtype = FLOAT
    objects.nodes[1].variable.name = "weight"
    objects.nodes[2].function.concrete_functions.append("body")
    objects.nodes[2].function.function_spec.CopyFrom(function_spec("x"))
    objects.nodes[4].bare_concrete_function.concrete_function_name = "wrapper"
    objects.nodes[4].bare_concrete_function.argument_keywords.append("x")
    add_concrete(objects, "body", [spec("x")], {}, spec("y"))
    add_concrete(objects, "wrapper", [], {"x": spec("x")}, {"y": spec("y")})
    served = graph.signature_def["serving_default"]
    served.method_name = "tensorflow/serving/predict"
    served.inputs["x"].name, served.inputs["x"].dtype = "serving_default_x:0", FLOAT
    served.outputs["y"].name, served.outputs["y"].dtype = "StatefulPartitionedCall:0", FLOAT
    graph.graph_def.node.add(name="serving_default_x", op="Placeholder").attr["dtype"].type = FLOAT
    graph.graph_def.node.add(name="weight", op="VarHandleOp").attr["dtype"].type = FLOAT
    call = graph.graph_def.node.add(name="StatefulPartitionedCall", op="StatefulPartitionedCall")
    call.input.extend(["serving_default_x", "weight"])
    call.attr["f"].func.name = "wrapper"
    return model


def add_function(graph: Any, name: str, calls: list[str] | None = None, op: str = "PartitionedCall") -> Any:
    """A function of a tensor and a variable; it passes the tensor on, through the functions that it calls."""
    function = graph.graph_def.library.function.add()
    function.signature.name = name
    function.signature.input_arg.add(name="x", type=FLOAT)
    function.signature.input_arg.add(name="weight", type=RESOURCE)
    function.signature.output_arg.add(name="y", type=FLOAT)
    tensor = "x"
    for number, callee in enumerate(calls or [], 1):
        node = function.node_def.add(name=f"call_{number}", op=op)
        node.input.extend([tensor, "weight"])
        node.attr["f" if op != "If" else "then_branch"].func.name = callee
        if op == "If":
            node.attr["else_branch"].func.name = callee
        tensor = f"call_{number}:output:0"
    node = function.node_def.add(name="identity", op="Identity")
    node.input.append(tensor)
    function.ret["y"] = "identity:output:0"
    return function


def add_concrete(objects: Any, name: str, args: list[Any], kwargs: dict[str, Any], output: Any) -> None:
    concrete = objects.concrete_functions[name]
    concrete.bound_inputs.append(1)
    pair = concrete.canonicalized_input_signature.tuple_value.values
    pair.add().tuple_value.SetInParent()
    pair[0].tuple_value.values.extend(args)
    pair.add().dict_value.SetInParent()
    for key, value in kwargs.items():
        pair[1].dict_value.fields[key].CopyFrom(value)
    if isinstance(output, dict):
        for key, value in output.items():
            concrete.output_signature.dict_value.fields[key].CopyFrom(value)
    else:
        concrete.output_signature.CopyFrom(output)


def spec(name: str) -> Any:
    value = classes()["StructuredValue"]()
    value.tensor_spec_value.name = name
    value.tensor_spec_value.dtype = FLOAT
    return value


def function_spec(*names: str) -> Any:
    found = classes()["FunctionSpec"]()
    named = found.fullargspec.named_tuple_value
    named.name = "FullArgSpec"
    for key in ("args", "varargs", "varkw", "defaults", "kwonlyargs", "kwonlydefaults", "annotations"):
        pair = named.values.add(key=key)
        if key in ("args", "kwonlyargs"):
            pair.value.list_value.SetInParent()
        else:
            pair.value.none_value.SetInParent()
    for name in names:
        named.values[0].value.list_value.values.add().string_value = name
    found.input_signature.none_value.SetInParent()
    return found


HOSTILE: dict[str, Callable[[], bytes]] = {}


def hostile(case: Callable[[], bytes]) -> Callable[[], bytes]:
    HOSTILE[case.__name__.replace("_", " ")] = case
    return case


def edited(change: Callable[[Any, Any], None]) -> Callable[[], bytes]:
    """A case that changes the sound model: its MetaGraph and its object graph."""

    def case() -> bytes:
        model = sound()
        change(model.meta_graphs[0], model.meta_graphs[0].object_graph_def)
        return serialize(model)

    HOSTILE[change.__name__.replace("_", " ")] = case
    return case


def in_meta_graph(*fields: bytes) -> bytes:
    """The sound model with fields added to its MetaGraph."""
    model = sound()
    graph = serialize(model.meta_graphs[0])
    return b"\x08\x01" + tagged(2, BYTES, graph + b"".join(fields))


def without_objects(graph: Any) -> bytes:
    graph.ClearField("object_graph_def")
    return serialize(graph)


@hostile
def many_objects() -> bytes:
    return in_meta_graph_once(7, tagged(1, BYTES, b"") * MANY)


def in_meta_graph_once(number: int, content: bytes) -> bytes:
    """A MetaGraph of nothing but one field."""
    return tagged(2, BYTES, tagged(number, BYTES, content))


@hostile
def many_concrete_functions() -> bytes:
    return in_meta_graph_once(7, b"".join(tagged(2, BYTES, tagged(1, BYTES, b"%d" % n)) for n in range(MANY)))


@hostile
def many_functions() -> bytes:
    function = b"".join(tagged(1, BYTES, tagged(1, BYTES, tagged(1, BYTES, b"%d" % n))) for n in range(MANY))
    return in_meta_graph_once(2, tagged(2, BYTES, function))


@hostile
def many_functions_of_one_name() -> bytes:
    return in_meta_graph_once(2, tagged(2, BYTES, tagged(1, BYTES, b"") * MANY))


@hostile
def many_graph_nodes() -> bytes:
    return in_meta_graph_once(2, tagged(1, BYTES, b"") * MANY)


@hostile
def almost_too_many_graph_nodes() -> bytes:
    nodes = [tagged(1, BYTES, tagged(1, BYTES, b"n%d" % n) + tagged(3, BYTES, b"n%d" % (n - 1))) for n in range(99_000)]
    feed = tagged(5, BYTES, tagged(1, BYTES, b"s") + tagged(2, BYTES, tf1_signature(b"n0:0", b"n98999:0")))
    return tagged(2, BYTES, tagged(2, BYTES, b"".join(nodes)) + feed)


def tf1_signature(feed: bytes, fetch: bytes) -> bytes:
    """A SignatureDef by names of tensors."""
    infos = [tagged(1, BYTES, name) + b"\x10\x01" for name in (feed, fetch)]
    return b"".join(
        tagged(number, BYTES, tagged(1, BYTES, b"t") + tagged(2, BYTES, info)) for number, info in enumerate(infos, 1)
    )


@hostile
def many_meta_graphs() -> bytes:
    return tagged(2, BYTES, b"") * MANY


@hostile
def many_signatures() -> bytes:
    return tagged(2, BYTES, b"".join(tagged(5, BYTES, tagged(1, BYTES, b"%d" % n)) for n in range(MANY)))


@hostile
def many_signatures_that_are_sound() -> bytes:
    value = tagged(2, BYTES, tf1_signature(b"x:0", b"y:0"))
    return tagged(2, BYTES, b"".join(tagged(5, BYTES, tagged(1, BYTES, b"%d" % n) + value) for n in range(20_000)))


@hostile
def many_signatures_of_one_long_graph() -> bytes:
    nodes = [tagged(1, BYTES, tagged(1, BYTES, b"n%d" % n) + tagged(3, BYTES, b"n%d" % (n - 1))) for n in range(5_000)]
    value = tagged(2, BYTES, tf1_signature(b"n0:0", b"n4999:0"))
    signatures = b"".join(tagged(5, BYTES, tagged(1, BYTES, b"%d" % n) + value) for n in range(1_000))
    return tagged(2, BYTES, tagged(2, BYTES, b"".join(nodes)) + signatures)


@hostile
def many_assets() -> bytes:
    return in_meta_graph(tagged(6, BYTES, b"") * MANY)


@hostile
def many_collections() -> bytes:
    return in_meta_graph(b"".join(tagged(4, BYTES, tagged(1, BYTES, b"%d" % n)) for n in range(MANY)))


@hostile
def many_tags() -> bytes:
    return in_meta_graph_once(1, tagged(4, BYTES, b"") * MANY)


@edited
def many_traces(graph: Any, objects: Any) -> None:
    objects.nodes[2].function.concrete_functions.extend(f"trace_{number}" for number in range(200_000))


@edited
def one_trace_many_times(graph: Any, objects: Any) -> None:
    objects.nodes[2].function.concrete_functions.extend(["body"] * 200_000)


@edited
def many_captures(graph: Any, objects: Any) -> None:
    for name in ("body", "wrapper"):
        objects.concrete_functions[name].bound_inputs.extend([1] * 200_000)


@edited
def many_children(graph: Any, objects: Any) -> None:
    for number in range(150_000):
        objects.nodes[0].children.add(node_id=number % 5, local_name=f"child_{number}")


@edited
def many_dimensions(graph: Any, objects: Any) -> None:
    for shape in (
        graph.signature_def["serving_default"].inputs["x"].tensor_shape,
        objects.nodes[1].variable.shape,
        objects.concrete_functions["body"].output_signature.tensor_spec_value.shape,
    ):
        for _ in range(60_000):
            shape.dim.add(size=1)


@edited
def a_negative_dimension(graph: Any, objects: Any) -> None:
    objects.nodes[1].variable.shape.dim.add(size=-2)
    graph.signature_def["serving_default"].inputs["x"].tensor_shape.dim.add(size=-(2**63))


@edited
def many_inputs(graph: Any, objects: Any) -> None:
    for number in range(50_000):
        graph.signature_def["serving_default"].inputs[f"x{number}"].name = "serving_default_x:0"


@edited
def many_keywords(graph: Any, objects: Any) -> None:
    for number in range(20_000):
        arguments = objects.concrete_functions["wrapper"].canonicalized_input_signature.tuple_value.values[1]
        arguments.dict_value.fields[f"x{number}"].CopyFrom(spec("x"))
        objects.nodes[4].bare_concrete_function.argument_keywords.append(f"x{number}")
        graph.graph_def.library.function[1].signature.input_arg.add(name=f"x{number}", type=FLOAT)


@edited
def many_parameters(graph: Any, objects: Any) -> None:
    objects.nodes[2].function.function_spec.CopyFrom(function_spec(*(f"x{number}" for number in range(50_000))))


@edited
def many_arguments_through_many_nodes(graph: Any, objects: Any) -> None:
    body = graph.graph_def.library.function[0]
    body.ClearField("node_def")
    for number in range(8_000):
        body.signature.input_arg.add(name=f"x{number}", type=FLOAT)
        body.node_def.add(name=f"n{number}", op="AddN").input.extend([f"x{number}", f"n{number - 1}:sum:0"])
    body.ret["y"] = "n7999:sum:0"


@edited
def many_results(graph: Any, objects: Any) -> None:
    body = graph.graph_def.library.function[0]
    for number in range(8_000):
        body.signature.input_arg.add(name=f"x{number}", type=FLOAT)
        body.signature.output_arg.add(name=f"y{number}", type=FLOAT)
        body.ret[f"y{number}"] = f"x{number}"


@edited
def many_attributes(graph: Any, objects: Any) -> None:
    for number in range(100_000):
        graph.graph_def.library.function[0].node_def[0].attr[f"a{number}"].func.name = "body"


@edited
def cycles_of_objects(graph: Any, objects: Any) -> None:
    for node_id, node in enumerate(objects.nodes):
        for child in range(5):
            node.children.add(node_id=child, local_name=f"{node_id}to{child}")
            node.dependencies.add(node_id=child, local_name=f"{node_id}to{child}")


@edited
def dangling_ids(graph: Any, objects: Any) -> None:
    for node in objects.nodes:
        for child in (-1, 5, 2**31 - 1, -(2**31)):
            node.children.add(node_id=child, local_name=f"to{child}")
            node.dependencies.add(node_id=child, local_name=f"to{child}")
    objects.concrete_functions["body"].bound_inputs.extend([-1, 5, 2**31 - 1])
    objects.nodes[2].function.concrete_functions.append("nobody")
    objects.nodes.add().asset.asset_file_def_index = -7
    objects.nodes.add().bare_concrete_function.concrete_function_name = "nobody"
    objects.nodes.add().captured_tensor.concrete_function = "nobody"
    objects.nodes.add().constant.operation = "nothing"
    objects.concrete_functions["wrapper"].bound_inputs.extend(range(5, 9))


@edited
def signatures_that_are_no_functions(graph: Any, objects: Any) -> None:
    for child in (-1, 0, 1, 2, 3, 99):
        objects.nodes[3].children.add(node_id=child, local_name=f"to {child}")


@edited
def signatures_that_are_the_root(graph: Any, objects: Any) -> None:
    objects.nodes[0].children[2].node_id = 0


@edited
def objects_that_all_know_each_other(graph: Any, objects: Any) -> None:
    first = len(objects.nodes)
    for _ in range(400):
        node = objects.nodes.add()
        for number in range(400):
            node.children.add(node_id=first + number, local_name=f"n{number}")
    objects.nodes[0].children.add(node_id=first, local_name="all")


@edited
def a_long_chain_of_long_names(graph: Any, objects: Any) -> None:
    first = len(objects.nodes)
    for number in range(4_000):
        objects.nodes.add().children.add(node_id=first + number + 1, local_name="n" * 1_000)
    objects.nodes[0].children.add(node_id=first, local_name="n")


@edited
def names_that_join_in_many_ways(graph: Any, objects: Any) -> None:
    objects.nodes[0].children.add(node_id=0, local_name="a")
    for length in range(2, 200):
        objects.nodes[0].children.add(node_id=0, local_name=".".join("a" * length))


@hostile
def deep_values() -> bytes:
    value = b""
    for _ in range(20_000):
        value = tagged(51, BYTES, tagged(1, BYTES, value))
        if len(value) > 1 << 20:
            break
    return concrete_signature(value)


def concrete_signature(value: bytes) -> bytes:
    """The sound model, the signature of whose trace is this value."""
    model = sound()
    graph = model.meta_graphs[0]
    objects = serialize(graph.object_graph_def)
    concrete = tagged(2, BYTES, tagged(1, BYTES, b"body") + tagged(2, BYTES, tagged(3, BYTES, value)))
    return tagged(2, BYTES, without_objects(graph) + tagged(7, BYTES, objects + concrete))


@hostile
def values_as_deep_as_protobuf_allows() -> bytes:
    value = b""
    for _ in range(48):
        value = tagged(52, BYTES, tagged(1, BYTES, value))
    return concrete_signature(value)


@hostile
def values_that_are_wide() -> bytes:
    return concrete_signature(tagged(52, BYTES, tagged(1, BYTES, b"\x0a\x00") * 200_000))


@edited
def functions_that_call_deep(graph: Any, objects: Any) -> None:
    graph.graph_def.library.function[0].node_def[0].attr["f"].func.name = "deep_0"
    for number in range(5_000):
        add_function(graph, f"deep_{number}", calls=[f"deep_{number + 1}"])


@edited
def functions_that_call_twice(graph: Any, objects: Any) -> None:
    graph.graph_def.library.function[0].node_def[0].attr["f"].func.name = "twice_0"
    for number in range(200):
        add_function(graph, f"twice_{number}", calls=[f"twice_{number + 1}"] * 2)


@edited
def conditions_in_conditions(graph: Any, objects: Any) -> None:
    graph.graph_def.library.function[1].node_def[0].attr["f"].func.name = "if_0"
    for number in range(1_000):
        add_function(graph, f"if_{number}", calls=[f"if_{number + 1}"] * 2, op="If")


@edited
def functions_that_call_themselves(graph: Any, objects: Any) -> None:
    for function in graph.graph_def.library.function:
        node = function.node_def.add(name="again", op="PartitionedCall")
        node.input.extend(["x", "weight"])
        node.attr["f"].func.name = "wrapper"
        function.ret["y"] = "again:output:0"


@edited
def nodes_in_a_circle(graph: Any, objects: Any) -> None:
    body = graph.graph_def.library.function[0]
    for number in range(1_000):
        body.node_def.add(name=f"n{number}", op="Add").input.append(f"n{(number + 1) % 1_000}:z:0")
    body.ret["y"] = "n0:z:0"
    graph.graph_def.node[0].input.append("StatefulPartitionedCall:0")


@edited
def a_loop_that_passes_values_round(graph: Any, objects: Any) -> None:
    count = 800
    body = add_function(graph, "round")
    body.ClearField("node_def")
    body.signature.ClearField("input_arg")
    body.signature.ClearField("output_arg")
    body.ClearField("ret")
    for number in range(count):
        body.signature.input_arg.add(name=f"v{number}", type=FLOAT)
        body.signature.output_arg.add(name=f"o{number}", type=FLOAT)
        body.ret[f"o{number}"] = f"v{(number + 1) % count}"
    function = graph.graph_def.library.function[0]
    node = function.node_def.add(name="while", op="While")
    node.input.extend(["x"] * count)
    node.attr["body"].func.name = "round"
    node.attr["cond"].func.name = "round"
    function.ret["y"] = "while:output:0"


@edited
def loops_in_loops(graph: Any, objects: Any) -> None:
    graph.graph_def.library.function[1].node_def[0].attr["f"].func.name = "loop_0"
    for number in range(200):
        function = add_function(graph, f"loop_{number}")
        node = function.node_def.add(name="while", op="While")
        node.input.extend(["x", "weight"])
        for name in ("body", "cond"):
            node.attr[name].func.name = f"loop_{number + 1}"
        function.ret["y"] = "while:output:0"


@edited
def many_functions_that_are_almost_alike(graph: Any, objects: Any) -> None:
    for number in range(600):
        name = f"almost_{number}"
        function = add_function(graph, name, calls=[f"almost_{number - 1}" if number else "body"])
        for extra in range(40):
            function.node_def.add(name=f"n{extra}", op="NoOp")
        function.node_def.add(name="last", op=f"Last{number}")
        objects.nodes[2].function.concrete_functions.append(name)
        add_concrete(objects, name, [spec("x")], {}, spec("y"))
    wrap_many(graph, objects, [f"almost_{number}" for number in range(100)])


def wrap_many(graph: Any, objects: Any, callees: list[str]) -> None:
    """A signature for each of these functions, which calls a copy of it."""
    for callee in callees:
        original = next(each for each in graph.graph_def.library.function if each.signature.name == callee)
        copied = graph.graph_def.library.function.add()
        copied.CopyFrom(original)
        copied.signature.name = f"copy_{callee}"
        add_function(graph, f"wrap_{callee}", calls=[f"copy_{callee}"])
        add_concrete(objects, f"wrap_{callee}", [], {"x": spec("x")}, {"y": spec("y")})
        objects.nodes[3].children.add(node_id=len(objects.nodes), local_name=callee)
        bare = objects.nodes.add().bare_concrete_function
        bare.concrete_function_name = f"wrap_{callee}"
        bare.argument_keywords.append("x")


@edited
def many_functions_that_are_alike(graph: Any, objects: Any) -> None:
    for number in range(1_000):
        name = f"alike_{number}"
        add_function(graph, name)
        objects.nodes[2].function.concrete_functions.append(name)
        add_concrete(objects, name, [spec("x")], {}, spec("y"))
    wrap_many(graph, objects, [f"alike_{number}" for number in range(200)])


@edited
def examples_with_many_features(graph: Any, objects: Any) -> None:
    count = 60_000
    body = graph.graph_def.library.function[0]
    body.signature.input_arg[0].type = 7
    keys = body.node_def.add(name="keys", op="Const")
    keys.attr["value"].tensor.dtype = 7
    keys.attr["value"].tensor.tensor_shape.dim.add(size=count)
    keys.attr["value"].tensor.string_val.extend(b"key_%d" % number for number in range(count))
    node = body.node_def.add(name="parse", op="ParseExampleV2")
    node.input.extend(["x", "x", "x", "keys:output:0", "x"])
    node.attr["Tdense"].list.type.extend([FLOAT] * count)
    node.attr["num_sparse"].i = 2**40
    for _ in range(count):
        node.attr["dense_shapes"].list.shape.add()
    body.ret["y"] = "parse:dense_values:0"


@edited
def a_constant_that_claims_to_be_huge(graph: Any, objects: Any) -> None:
    default = graph.signature_def["serving_default"].defaults["x"]
    default.dtype = FLOAT
    default.tensor_shape.dim.add(size=2**40)
    default.float_val.append(1.0)
    constant = graph.graph_def.node.add(name="constant", op="Const")
    constant.attr["value"].tensor.CopyFrom(default)
    objects.nodes.add().constant.operation = "constant"
    value = objects.nodes[2].function.function_spec.fullargspec.named_tuple_value.values[3].value
    value.tuple_value.values.add().tensor_value.CopyFrom(default)


@edited
def names_of_control_characters(graph: Any, objects: Any) -> None:
    objects.nodes[0].children[1].local_name = "\x1b[2J\x00\n\u202e</script>"
    objects.nodes[1].variable.name = "\x1b]0;title\x07"
    graph.signature_def["\x1b[31m"].CopyFrom(graph.signature_def["serving_default"])


@edited
def long_names(graph: Any, objects: Any) -> None:
    for number in range(60):
        objects.nodes[0].children.add(node_id=2, local_name=f"{number}" + "n" * 60_000)
        add_function(graph, f"{number}" + "f" * 60_000)


@edited
def names_of_numbers_without_end(graph: Any, objects: Any) -> None:
    graph.signature_def["serving_default"].inputs["x"].name = "serving_default_x:" + "9" * 100_000
    graph.graph_def.library.function[0].ret["y"] = "identity:output:" + "9" * 100_000


@edited
def empty_names(graph: Any, objects: Any) -> None:
    objects.nodes[3].children.add(node_id=4, local_name="")
    objects.nodes[0].children.add(node_id=2, local_name="")
    graph.signature_def[""].CopyFrom(graph.signature_def["serving_default"])
    graph.signature_def["serving_default"].inputs[""].dtype = 0
    add_function(graph, "")


@edited
def the_same_twice(graph: Any, objects: Any) -> None:
    graph.graph_def.library.function.append(graph.graph_def.library.function[0])
    graph.graph_def.library.function[0].node_def.append(graph.graph_def.library.function[0].node_def[0])
    graph.graph_def.node.append(graph.graph_def.node[0])
    objects.nodes[0].children.append(objects.nodes[0].children[0])
    objects.nodes[2].function.concrete_functions.append("body")


@hostile
def nothing() -> bytes:
    return b""


@hostile
def zeros() -> bytes:
    return bytes(10 << 20)


@hostile
def noise() -> bytes:
    return random.Random(0).randbytes(10 << 20)


@hostile
def noise_after_a_sound_beginning() -> bytes:
    return serialize(sound()) + random.Random(1).randbytes(10 << 20)


@hostile
def lengths_without_end() -> bytes:
    return b"\x12\xff\xff\xff\xff\x07" * 100_000


@hostile
def messages_in_messages() -> bytes:
    content = b""
    while len(content) < 1 << 20:
        content = tagged(2, BYTES, content)
    return content


@hostile
def a_number_without_end() -> bytes:
    return b"\x08" + b"\xff" * (1 << 20)


@hostile
def many_versions() -> bytes:
    return b"\x08\x01" * 4_000_000


@hostile
def a_function_in_many_parts() -> bytes:
    spec = tagged(2, BYTES, tagged(1, BYTES, tagged(54, BYTES, tagged(1, BYTES, b"n" * 10_000))))
    node = tagged(1, BYTES, tagged(6, BYTES, tagged(1, BYTES, b"body") + spec * 1_000))
    return tagged(2, BYTES, tagged(7, BYTES, node))


@hostile
def an_object_in_many_parts() -> bytes:
    part = tagged(6, BYTES, tagged(2, BYTES, tagged(1, BYTES, b"")) + b"\xa2\x06\x80\x40" + bytes(8192))
    return tagged(2, BYTES, tagged(7, BYTES, tagged(1, BYTES, part * 1_000)))


@hostile
def two_object_graphs() -> bytes:
    graph = sound().meta_graphs[0].object_graph_def
    return in_meta_graph(tagged(7, BYTES, serialize(graph)))


@hostile
def packed_numbers_without_end() -> bytes:
    bound = tagged(2, BYTES, tagged(2, BYTES, bytes(4 << 20)))
    entry = tagged(2, BYTES, tagged(1, BYTES, b"body") + bound)
    model = sound()
    graph = model.meta_graphs[0]
    objects = serialize(graph.object_graph_def) + entry
    return tagged(2, BYTES, without_objects(graph) + tagged(7, BYTES, objects))


TEXT: dict[str, Callable[[], bytes]] = {
    "braces": lambda: b"meta_graphs { graph_def { library { function { attr { value { list {" * 20_000,
    "lists": lambda: (
        b"meta_graphs { object_graph_def { nodes { function { function_spec { fullargspec "
        + b"{ list_value { values " * 50_000
    ),
    "unclosed": lambda: b"meta_graphs {",
    "noise": lambda: random.Random(2).randbytes(1 << 20),
    "no UTF-8": lambda: b'meta_graphs { meta_info_def { tags: "\xff" } }',
    "escaped, no UTF-8": lambda: b'meta_graphs { meta_info_def { tags: "\\377" } }',
    "a lone half": lambda: b'meta_graphs { meta_info_def { tags: "\\ud800" } }',
    "a string without end": lambda: b'meta_graphs { meta_info_def { tags: "' + b"a" * (1 << 20),
    "unknown": lambda: b"meta_graphs { nothing: 1 }",
    "a number too large": lambda: b"saved_model_schema_version: " + b"9" * 5_000,
    "a float": lambda: b"saved_model_schema_version: 1e400",
    "extension": lambda: b"[type.googleapis.com/google.protobuf.Any] { }",
    "any": lambda: b"meta_graphs { meta_info_def { any_info { [type.googleapis.com/a.B] { a: 1 } } } }",
    "nothing": lambda: b"",
    "zeros": lambda: bytes(1 << 20),
    "comments": lambda: b"# nothing\n" * 100_000,
}


def write(folder: str | os.PathLike[str], data: bytes, name: str = "saved_model.pb") -> None:
    """A SavedModel's directory with this proto."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
