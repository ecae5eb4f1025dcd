"""One small corruption of a real SavedModel for each thing that can go wrong, with the rule that must see it.

The protos are changed through protobuf's own classes, never by bytes. `UNSEEN_BY_TENSORFLOW` are those that TensorFlow
loads, and answers, without any error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Change = Callable[[Any], None]
"""What is done to a MetaGraphDef."""

FLOAT, DOUBLE, INT32, STRING, INT64, RESOURCE = 1, 2, 3, 7, 9, 20


class Corruption(NamedTuple):
    """A change of the model of that name in the corpus, and the rule that sees it."""

    name: str
    rule: str
    change: Change
    model: str = "multi_sigs"


CORRUPTIONS: list[Corruption] = []


def corruption(rule: str, model: str = "multi_sigs") -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        CORRUPTIONS.append(Corruption(change.__name__, rule, change, model))
        return change

    return add


def function(graph: Any, part: str) -> Any:
    """The FunctionDef whose name holds `part`."""
    return next(each for each in graph.graph_def.library.function if part in each.signature.name)


def concrete(graph: Any, part: str) -> Any:
    functions = graph.object_graph_def.concrete_functions
    return functions[next(name for name in sorted(functions) if part in name)]


def node(graph: Any, name: str) -> Any:
    return next(each for each in graph.graph_def.node if each.name == name)


def call_in(definition: Any) -> Any:
    return next(each for each in definition.node_def if each.op.endswith("PartitionedCall"))


def spec_of(graph: Any, part: str, key: str) -> Any:
    """The TensorSpecProto of a wrapper's input."""
    keywords = concrete(graph, part).canonicalized_input_signature.tuple_value.values[1]
    return keywords.dict_value.fields[key].tensor_spec_value


def objects(graph: Any) -> Any:
    return graph.object_graph_def.nodes


def swap_names(infos: Any, one: str, other: str) -> None:
    infos[one].name, infos[other].name = infos[other].name, infos[one].name


def batch_normalization(graph: Any) -> tuple[int, int]:
    """The nodes of two captured variables of one type."""
    bound = concrete(graph, "signature_wrapper").bound_inputs
    names = {objects(graph)[node_id].variable.name: node_id for node_id in bound}
    return names["batch_normalization/gamma"], names["batch_normalization/beta"]


def swap_captures(saved: Any, one: int, other: int) -> None:
    bound = saved.bound_inputs
    places = list(bound).index(one), list(bound).index(other)
    bound[places[0]], bound[places[1]] = other, one


# place 2: SignatureDef


@corruption("SIGNATURE_DEF_DTYPE")
def signature_def_says_another_dtype(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].dtype = INT32


@corruption("SIGNATURE_DEF_SHAPE")
def signature_def_says_another_shape(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].tensor_shape.dim[1].size = 7


@corruption("SIGNATURE_DEF_SHAPE")
def signature_def_says_an_unknown_dimension_is_known(graph: Any) -> None:
    graph.signature_def["train"].outputs["output_1"].tensor_shape.dim[0].size = 1


@corruption("SIGNATURE_SPEC")
def signature_def_and_graph_agree_against_the_wrapper(graph: Any) -> None:
    graph.signature_def["train"].inputs["y"].tensor_shape.dim[0].size = 5
    placeholder = node(graph, "train_y")
    placeholder.attr["shape"].shape.dim[0].size = 5
    placeholder.attr["_output_shapes"].list.shape[0].dim[0].size = 5


@corruption("SIGNATURE_DEF_TENSOR")
def signature_def_names_no_tensor(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].name = "nope:0"


@corruption("SIGNATURE_DEF_TENSOR")
def signature_def_names_an_operation(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].name = "train_x"


@corruption("SIGNATURE_FEED")
def signature_def_inputs_swapped(graph: Any) -> None:
    swap_names(graph.signature_def["train"].inputs, "x", "y")


@corruption("SIGNATURE_FEED")
def signature_def_feeds_another_signature(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].name = "embed_x:0"


@corruption("SIGNATURE_FETCH")
def signature_def_outputs_swapped(graph: Any) -> None:
    swap_names(graph.signature_def["train"].outputs, "output_0", "output_1")


@corruption("SIGNATURE_FETCH")
def outputs_of_one_type_swapped(graph: Any) -> None:
    swap_names(graph.signature_def["serving_default"].outputs, "Logits/raw", "scores")


@corruption("SIGNATURE_FETCH")
def signature_def_fetches_another_signature(graph: Any) -> None:
    graph.signature_def["embed"].outputs["output_0"].name = "StatefulPartitionedCall_2:1"


@corruption("SIGNATURE_NODE_MISSING")
def signature_def_is_one_too_many(graph: Any) -> None:
    graph.signature_def["more"].CopyFrom(graph.signature_def["train"])


@corruption("SIGNATURE_DEF_MISSING")
def signature_def_is_gone(graph: Any) -> None:
    del graph.signature_def["train"]


@corruption("SIGNATURE_NAMES")
def signature_def_input_renamed(graph: Any) -> None:
    inputs = graph.signature_def["train"].inputs
    inputs["z"].CopyFrom(inputs["x"])
    del inputs["x"]


@corruption("SIGNATURE_DEFAULT")
def default_of_no_input(graph: Any) -> None:
    graph.signature_def["train"].defaults["z"].dtype = FLOAT


@corruption("SIGNATURE_DEFAULT")
def default_of_another_dtype(graph: Any) -> None:
    graph.signature_def["train"].defaults["x"].dtype = DOUBLE


@corruption("SIGNATURE_METHOD")
def method_that_servers_do_not_know(graph: Any) -> None:
    graph.signature_def["train"].method_name = "predict"


@corruption("SIGNATURE_CALLABLE")
def input_that_is_needed_is_not_fed(graph: Any) -> None:
    del graph.signature_def["train"].inputs["y"]


@corruption("SIGNATURE_CALLABLE", "tf1_style")
def input_of_a_tf1_signature_is_not_fed(graph: Any) -> None:
    for declared in graph.signature_def.values():
        declared.inputs.clear()


@corruption("INIT_OP")
def init_op_is_not_in_the_graph(graph: Any) -> None:
    graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "gone"


@corruption("INIT_OP", "captures")
def init_op_is_forgotten(graph: Any) -> None:
    del graph.signature_def["__saved_model_init_op"]


# place 4 and the map of the signatures


@corruption("BARE_KEYWORDS")
def argument_keywords_renamed(graph: Any) -> None:
    objects(graph)[12].bare_concrete_function.argument_keywords[0] = "renamed"


@corruption("BARE_KEYWORDS")
def argument_keywords_swapped(graph: Any) -> None:
    keywords = objects(graph)[12].bare_concrete_function.argument_keywords
    keywords[0], keywords[1] = keywords[1], keywords[0]


@corruption("BARE_KEYWORDS")
def positional_arguments_counted_wrong(graph: Any) -> None:
    objects(graph)[12].bare_concrete_function.allowed_positional_arguments = 2


@corruption("BARE_PARAMETERS")
def wrapper_parameter_renamed(graph: Any) -> None:
    spec = objects(graph)[12].bare_concrete_function.function_spec.fullargspec.named_tuple_value
    spec.values[4].value.list_value.values[0].string_value = "renamed"


@corruption("CONCRETE_FUNCTION_MISSING")
def bare_function_names_no_function(graph: Any) -> None:
    objects(graph)[12].bare_concrete_function.concrete_function_name = "nope"


@corruption("SIGNATURE_NAMES")
def signature_is_another_signature(graph: Any) -> None:
    for child in objects(graph)[6].children:
        child.node_id = 11 if child.local_name == "train" else child.node_id


@corruption("SIGNATURE_MAP")
def signature_map_is_no_map(graph: Any) -> None:
    objects(graph)[6].user_object.identifier = "_generic_user_object"


@corruption("SIGNATURE_MAP")
def signature_is_a_variable(graph: Any) -> None:
    objects(graph)[6].children[0].node_id = 1


# place 5: SavedConcreteFunction


@corruption("FUNCTION_DTYPE")
def declared_dtype_of_an_input(graph: Any) -> None:
    spec_of(graph, "wrapper_train", "x").dtype = DOUBLE


@corruption("FUNCTION_SHAPE")
def declared_shape_of_an_input(graph: Any) -> None:
    spec_of(graph, "wrapper_train", "x").shape.dim[1].size = 9


@corruption("FUNCTION_SHAPE")
def declared_shape_of_a_trace(graph: Any) -> None:
    args = concrete(graph, "inference_train").canonicalized_input_signature.tuple_value.values[0]
    args.tuple_value.values[0].tensor_spec_value.shape.dim[0].size = 4


@corruption("FUNCTION_ARGUMENT_NAME")
def arguments_of_a_trace_swapped(graph: Any) -> None:
    args = concrete(graph, "inference_train").canonicalized_input_signature.tuple_value.values[0].tuple_value
    first, second = args.values[0].tensor_spec_value, args.values[1].tensor_spec_value
    first.name, second.name = second.name, first.name


@corruption("FUNCTION_RESULT_NAME")
def output_key_renamed_so_that_the_order_flips(graph: Any) -> None:
    fields = concrete(graph, "wrapper_train").output_signature.dict_value.fields
    fields["zz"].CopyFrom(fields["output_0"])
    del fields["output_0"]


@corruption("FUNCTION_RESULT_NAME")
def output_key_of_a_trace_renamed(graph: Any) -> None:
    fields = concrete(graph, "inference_predict").output_signature.dict_value.fields
    fields["score"].CopyFrom(fields["scores"])
    del fields["scores"]


@corruption("FUNCTION_ARITY")
def captured_node_dropped(graph: Any) -> None:
    del concrete(graph, "wrapper_train").bound_inputs[-1]


@corruption("FUNCTION_ARITY")
def captured_node_added(graph: Any) -> None:
    concrete(graph, "wrapper_train").bound_inputs.append(1)


@corruption("FUNCTION_ARITY")
def result_dropped(graph: Any) -> None:
    del concrete(graph, "wrapper_train").output_signature.dict_value.fields["output_1"]


@corruption("VALUE_EMPTY")
def value_of_no_kind(graph: Any) -> None:
    concrete(graph, "wrapper_train").output_signature.dict_value.fields["output_1"].Clear()


@corruption("SIGNATURE_FORM")
def signature_returns_a_tensor(graph: Any) -> None:
    output = concrete(graph, "wrapper_embed").output_signature
    spec = output.dict_value.fields["output_0"].tensor_spec_value
    output.tensor_spec_value.CopyFrom(spec.__class__.FromString(spec.SerializeToString()))


@corruption("SIGNATURE_LABELS")
def results_handed_out_under_each_others_names(graph: Any) -> None:
    ret = function(graph, "wrapper_predict").ret
    ret["identity"], ret["identity_2"] = ret["identity_2"], ret["identity"]


@corruption("CONCRETE_FUNCTION_UNUSED", "example")
def trace_forgotten_with_its_child(graph: Any) -> None:
    polymorphic = objects(graph)[3]
    del polymorphic.function.concrete_functions[1], polymorphic.children[1], polymorphic.dependencies[1]
    objects(graph)[7].user_object.identifier = "_generic_user_object"


# captures


@corruption("CAPTURE_GRAPH", "keras3_export")
def signature_bound_to_other_variables_of_the_type(graph: Any) -> None:
    swap_captures(concrete(graph, "signature_wrapper"), *batch_normalization(graph))


@corruption("CAPTURE_CALLEE", "keras3_export")
def trace_bound_to_other_variables_of_the_type(graph: Any) -> None:
    swap_captures(concrete(graph, "inference___call__"), *batch_normalization(graph))


@corruption("CAPTURE_TYPE")
def captures_swapped(graph: Any) -> None:
    bound = concrete(graph, "wrapper_train").bound_inputs
    bound[0], bound[1] = bound[1], bound[0]


@corruption("CAPTURE_REPEATED")
def captured_twice(graph: Any) -> None:
    concrete(graph, "wrapper_train").bound_inputs[1] = 1


@corruption("CAPTURE_KIND")
def captures_a_function(graph: Any) -> None:
    concrete(graph, "wrapper_train").bound_inputs[1] = 3


@corruption("CAPTURE_CHILDREN", "captures")
def captured_constants_swapped(graph: Any) -> None:
    bound = concrete(graph, "wrapper_lookup").bound_inputs
    bound[1], bound[3] = bound[3], bound[1]


@corruption("CAPTURE_GRAPH", "captures")
def captured_tables_swapped(graph: Any) -> None:
    bound = concrete(graph, "wrapper_lookup").bound_inputs
    bound[0], bound[2] = bound[2], bound[0]


@corruption("NODE_MISSING")
def captured_node_out_of_range(graph: Any) -> None:
    concrete(graph, "wrapper_train").bound_inputs[1] = 999


# place 3: SavedFunction


@corruption("CONCRETE_FUNCTION_MISSING")
def saved_function_names_no_function(graph: Any) -> None:
    objects(graph)[5].function.concrete_functions[0] = "nope"


@corruption("CONCRETE_FUNCTION_MISSING")
def concrete_function_of_a_trace_is_gone(graph: Any) -> None:
    functions = graph.object_graph_def.concrete_functions
    del functions[objects(graph)[5].function.concrete_functions[0]]


@corruption("TRACE_CHILDREN", "example")
def traces_in_another_order(graph: Any) -> None:
    names = objects(graph)[3].function.concrete_functions
    names[0], names[1] = names[1], names[0]


@corruption("TRACE_CHILDREN", "example")
def trace_forgotten(graph: Any) -> None:
    del objects(graph)[3].function.concrete_functions[1]


@corruption("TRACE_REPEATED")
def trace_of_another_function(graph: Any) -> None:
    objects(graph)[3].function.concrete_functions.append(objects(graph)[4].function.concrete_functions[0])


@corruption("FUNCTION_SPEC")
def parameter_renamed(graph: Any) -> None:
    spec = objects(graph)[5].function.function_spec.fullargspec.named_tuple_value
    spec.values[0].value.list_value.values[0].string_value = "renamed"


@corruption("FUNCTION_SPEC")
def parameters_named_alike(graph: Any) -> None:
    spec = objects(graph)[5].function.function_spec.fullargspec.named_tuple_value
    spec.values[0].value.list_value.values[0].string_value = "y"


@corruption("TRACE_PARAMETERS")
def parameter_dropped(graph: Any) -> None:
    spec = objects(graph)[5].function.function_spec.fullargspec.named_tuple_value
    del spec.values[0].value.list_value.values[1]


@corruption("TRACE_PARAMETERS", "training_flag")
def tensor_in_another_parameters_place(graph: Any) -> None:
    spec = objects(graph)[2].function.function_spec.fullargspec.named_tuple_value
    names = spec.values[0].value.list_value.values
    names[0].string_value, names[1].string_value = names[1].string_value, names[0].string_value


@corruption("TRACE_INPUT_SIGNATURE")
def input_signature_of_another_dtype(graph: Any) -> None:
    signature = objects(graph)[4].function.function_spec.input_signature.tuple_value
    signature.values[0].tensor_spec_value.dtype = DOUBLE


@corruption("TRACE_JIT")
def compiled_by_xla_on_one_side(graph: Any) -> None:
    objects(graph)[5].function.function_spec.jit_compile = 1


@corruption("TRACE_UNREACHABLE", "example")
def first_trace_takes_everything(graph: Any) -> None:
    for name in objects(graph)[3].function.concrete_functions[:1]:
        saved = graph.object_graph_def.concrete_functions[name].canonicalized_input_signature
        saved.tuple_value.values[0].tuple_value.values[0].tensor_spec_value.shape.unknown_rank = True


@corruption("TRACE_AMBIGUOUS", "training_flag")
def literal_that_told_traces_apart(graph: Any) -> None:
    names = objects(graph)[2].function.concrete_functions
    functions = graph.object_graph_def.concrete_functions
    for name in names:
        keywords = functions[name].canonicalized_input_signature.tuple_value.values[0].tuple_value.values
        if keywords[1].HasField("bool_value"):
            keywords[1].bool_value = True


@corruption("TYPE_SPEC", "composites")
def ragged_type_of_another_class(graph: Any) -> None:
    for saved in graph.object_graph_def.concrete_functions.values():
        for value in saved.canonicalized_input_signature.tuple_value.values[0].tuple_value.values:
            if value.HasField("type_spec_value"):
                value.type_spec_value.type_spec_class = 2 if value.type_spec_value.type_spec_class == 1 else 1


@corruption("SIGNATURE_SPEC", "composites")
def composite_result_of_another_type(graph: Any) -> None:
    for declared in graph.signature_def.values():
        for info in declared.outputs.values():
            if info.HasField("composite_tensor"):
                state = info.composite_tensor.type_spec.type_state.tuple_value
                state.values[1].tensor_dtype_value = DOUBLE


@corruption("FUNCTION_ARGUMENT_NAME")
def arguments_of_one_type_swapped(graph: Any) -> None:
    names = function(graph, "inference_train").signature.input_arg
    names[0].name, names[1].name = names[1].name, names[0].name


@corruption("SIGNATURE_DEFAULT", "kwonly_defaults")
def default_of_another_value(graph: Any) -> None:
    defaults = next(each.defaults for each in graph.signature_def.values() if each.defaults)
    for value in defaults.values():
        for number in range(len(value.float_val)):
            value.float_val[number] += 1


@corruption("DEFAULT_NAN", "training_flag")
def default_that_is_never_matched(graph: Any) -> None:
    defaults = objects(graph)[2].function.function_spec.fullargspec.named_tuple_value.values[3].value
    defaults.tuple_value.values[0].float64_value = float("nan")


# place 1: FunctionDef, and the graph


@corruption("CALLEE_MISSING")
def wrapper_calls_no_function(graph: Any) -> None:
    call_in(function(graph, "wrapper_train")).attr["f"].func.name = "nope"


@corruption("CALL_TYPES")
def wrapper_calls_another_function(graph: Any) -> None:
    call_in(function(graph, "wrapper_train")).attr["f"].func.name = function(graph, "inference_embed").signature.name


@corruption("CALL_TYPES")
def argument_of_another_dtype(graph: Any) -> None:
    function(graph, "wrapper_train").signature.input_arg[0].type = INT32


@corruption("CALL_SHAPES")
def argument_of_another_shape(graph: Any) -> None:
    argument = function(graph, "wrapper_train").arg_attr[0].attr["_output_shapes"]
    argument.list.shape[0].dim[1].size = 9


@corruption("NODE_SHAPE")
def copy_of_another_shape(graph: Any) -> None:
    ret = function(graph, "wrapper_train").ret["identity_1"].partition(":")[0]
    copy = next(each for each in function(graph, "wrapper_train").node_def if each.name == ret)
    copy.attr["_output_shapes"].list.shape[0].dim[1].size = 9


@corruption("NODE_INPUT_COUNT")
def graph_call_lacks_an_input(graph: Any) -> None:
    del node(graph, "StatefulPartitionedCall_2").input[3]


@corruption("NODE_INPUT_MISSING")
def graph_call_takes_what_is_not_there(graph: Any) -> None:
    node(graph, "StatefulPartitionedCall_2").input[0] = "nope"


@corruption("NODE_INPUT_MISSING")
def result_is_not_there(graph: Any) -> None:
    function(graph, "wrapper_train").ret["identity"] = "nope:output:0"


@corruption("NODE_INPUT_DTYPE")
def graph_call_takes_another_dtype(graph: Any) -> None:
    node(graph, "StatefulPartitionedCall_2").input[0] = "serving_default_ids"


@corruption("FUNCTION_RESULTS")
def result_of_another_dtype(graph: Any) -> None:
    function(graph, "wrapper_train").signature.output_arg[0].type = DOUBLE


@corruption("FUNCTION_RESULTS")
def result_that_nothing_returns(graph: Any) -> None:
    function(graph, "wrapper_train").signature.output_arg.add(name="more", type=FLOAT)


@corruption("FUNCTION_ARGUMENT_ATTRIBUTES")
def shapes_written_twice_differ(graph: Any) -> None:
    shapes = function(graph, "inference_train").attr["_input_shapes"].list.shape
    shapes[0].dim[1].size = 9


@corruption("FUNCTION_ARGUMENT_ATTRIBUTES")
def attributes_of_no_argument(graph: Any) -> None:
    function(graph, "inference_train").arg_attr[99].attr["_user_specified_name"].s = b"x"


@corruption("SIGNATURE_ORDER")
def inputs_renamed_in_place(graph: Any) -> None:
    """Everywhere, but without permuting the arguments: TensorFlow 2 swaps them, TensorFlow 1 does not."""
    attributes = function(graph, "wrapper_train").arg_attr
    attributes[0].attr["_user_specified_name"].s = b"zz"
    keywords = concrete(graph, "wrapper_train").canonicalized_input_signature.tuple_value.values[1].dict_value.fields
    keywords["zz"].CopyFrom(keywords["x"])
    keywords["zz"].tensor_spec_value.name = "zz"
    del keywords["x"]
    inputs = graph.signature_def["train"].inputs
    inputs["zz"].CopyFrom(inputs["x"])
    del inputs["x"]
    bare = objects(graph)[12].bare_concrete_function
    bare.argument_keywords[0] = "zz"
    spec = bare.function_spec.fullargspec.named_tuple_value
    spec.values[4].value.list_value.values[0].string_value = "zz"


@corruption("HANDLE_DATA")
def handle_data_of_another_dtype(graph: Any) -> None:
    function(graph, "inference_train").signature.input_arg[2].handle_data[0].dtype = DOUBLE


@corruption("FUNCTION_DEF_MISSING")
def function_def_is_gone(graph: Any) -> None:
    functions = graph.graph_def.library.function
    names = [each.signature.name for each in functions]
    del functions[names.index(function(graph, "inference_train").signature.name)]


@corruption("NAME_REPEATED")
def function_defined_twice(graph: Any) -> None:
    graph.graph_def.library.function.add().CopyFrom(function(graph, "inference_train"))


# the object graph, and what is stored


@corruption("NODE_MISSING")
def child_out_of_range(graph: Any) -> None:
    objects(graph)[0].children[0].node_id = 999


@corruption("NODE_KIND")
def node_of_no_kind(graph: Any) -> None:
    objects(graph)[2].ClearField("variable")


@corruption("CHILD_REPEATED")
def children_of_one_name(graph: Any) -> None:
    objects(graph)[0].children[1].local_name = objects(graph)[0].children[0].local_name


@corruption("DEPENDENCIES")
def dependency_on_another_node(graph: Any) -> None:
    objects(graph)[5].dependencies[0].node_id = 7


@corruption("DEPENDENCY_CYCLE")
def nodes_that_wait_for_one_another(graph: Any) -> None:
    objects(graph)[9].children.add(node_id=5, local_name="capture_9")
    objects(graph)[9].dependencies.add(node_id=5, local_name="capture_9")


@corruption("CHECKPOINT_OBJECTS")
def functions_under_each_others_names(graph: Any) -> None:
    by_name = {child.local_name: child for child in objects(graph)[0].children}
    by_name["train"].node_id, by_name["embed"].node_id = by_name["embed"].node_id, by_name["train"].node_id


@corruption("CHECKPOINT_OBJECTS", "keras3_export")
def variables_under_each_others_names(graph: Any) -> None:
    one, other = batch_normalization(graph)
    variables = next(child.node_id for child in objects(graph)[0].children if child.local_name == "variables")
    by_id = {child.node_id: child for child in objects(graph)[variables].children}
    by_id[one].node_id, by_id[other].node_id = other, one


@corruption("RESTORE_KEY")
def variable_under_another_name(graph: Any) -> None:
    next(each for each in objects(graph)[0].children if each.local_name == "w").local_name = "renamed"


@corruption("CHECKPOINT_TENSOR")
def variable_shape(graph: Any) -> None:
    objects(graph)[1].variable.shape.dim[0].size = 2


@corruption("VARIABLE_GRAPH")
def variable_dtype(graph: Any) -> None:
    objects(graph)[1].variable.dtype = DOUBLE


@corruption("VARIABLE_NAME")
def variable_renamed(graph: Any) -> None:
    objects(graph)[1].variable.name = "renamed"


@corruption("OBJECT_GRAPH_MISSING")
def object_graph_is_gone(graph: Any) -> None:
    graph.ClearField("object_graph_def")


@corruption("SAVER")
def saver_names_no_node(graph: Any) -> None:
    graph.saver_def.restore_op_name = "nope"


@corruption("CONSTANT_MISSING", "captures")
def constant_is_another_constant(graph: Any) -> None:
    constants = [each for each in objects(graph) if each.HasField("constant")]
    constants[0].constant.operation = constants[1].constant.operation


@corruption("ASSET_MISSING", "captures")
def asset_out_of_range(graph: Any) -> None:
    next(each for each in objects(graph) if each.HasField("asset")).asset.asset_file_def_index = 7


@corruption("ASSET_MISSING", "captures")
def asset_file_is_elsewhere(graph: Any) -> None:
    graph.asset_file_def[0].filename = "../saved_model.pb"


@corruption("TAGS")
def tag_of_another_kind(graph: Any) -> None:
    graph.meta_info_def.tags[0] = "train"


@corruption("PART_UNREADABLE")
def dimension_below_unknown(graph: Any) -> None:
    graph.signature_def["train"].inputs["x"].tensor_shape.dim[0].size = -2


UNSEEN_BY_TENSORFLOW = {
    "sigdef_dtype": signature_def_says_another_dtype,
    "sigdef_shape": signature_def_says_another_shape,
    "sigdef_tensor_missing": signature_def_names_no_tensor,
    "sigdef_inputs_swapped": signature_def_inputs_swapped,
    "sigdef_outputs_swapped": signature_def_outputs_swapped,
    "concrete_dtype": declared_dtype_of_an_input,
    "concrete_shape": declared_shape_of_an_input,
    "argument_keywords_renamed": argument_keywords_renamed,
    "output_dict_key_renamed_flips_order": output_key_renamed_so_that_the_order_flips,
    "extra_sigdef_only": signature_def_is_one_too_many,
    "sigdef_removed_only": signature_def_is_gone,
    "fullargspec_arg_renamed": parameter_renamed,
}
