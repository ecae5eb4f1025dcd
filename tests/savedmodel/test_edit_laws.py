"""Laws of wrappers, for any names: what is fed to what stays, however the names sort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load
from trimtab.savedmodel.editing import edit
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.exposing import expose
from trimtab.savedmodel.editing.names import argument_of, check_inputs, keyword_of, node_of
from trimtab.savedmodel.editing.rewiring import rename_inputs, rename_outputs
from trimtab.savedmodel.editing.wiring import read_served, serve
from trimtab.savedmodel.editing.wrapper import Input
from trimtab.savedmodel.messages import classes

SIGNS = "abzABZ019_.-/"
INPUT_NAME = st.text(SIGNS, min_size=1, max_size=8)
FUNCTIONS = [("nested", "__inference_h_576"), ("nested", "__inference_f_561"), ("composites", "__inference_sp_1313")]
FUNCTIONS += [("multi_sigs", "__inference_predict_23"), ("captures", "__inference_calc_252")]


def accepted(names: list[str]) -> bool:
    try:
        check_inputs("", names)
    except ArtifactError:
        return False
    return len(set(names)) == len(names)


@pytest.mark.parametrize(("model", "function"), FUNCTIONS)
@settings(max_examples=60)
@given(data=st.data())
def test_what_is_fed_to_what_is_what_was_asked_for(corpus: Path, model: str, function: str, data: Any) -> None:
    """Whatever the new names are: read back, each stands for the argument and the result that it was given to."""
    with load(corpus / "savedmodel" / model / "model") as saved_model:
        draft = Draft(saved_model, saved_model.meta_graph)
        plain = expose(draft, function)
        many = len(plain.inputs)
        names = data.draw(st.lists(INPUT_NAME, min_size=many, max_size=many).filter(accepted))
        keys = data.draw(st.lists(st.text(min_size=1), min_size=(n := len(plain.outputs)), max_size=n, unique=True))
        new = rename_inputs(plain, {old.name: name for old, name in zip(plain.inputs, names, strict=True)}, "")
        new = rename_outputs(new, {old.key: key for old, key in zip(plain.outputs, keys, strict=True)}, "")
        serve(draft, "new", new)
        got = read_served(draft, "new")
        assert got.callee == function
        assert [named(each) for each in got.arguments] == [named(each) for each in new.arguments]
        assert {each.key: each.results for each in got.outputs} == {each.key: each.results for each in new.outputs}
        five_places_agree(draft, "new")


def named(argument: Any) -> Any:
    return (argument.name, argument.dtype, argument.shape) if isinstance(argument, Input) else argument.node_id


def five_places_agree(draft: Draft, key: str) -> None:
    """The order of the keywords is that of the FunctionDef's arguments, and of what the graph feeds them with."""
    definition = draft.signature_def[key]
    name = next(iter(tensor for info in definition.outputs.values() for tensor in tensors(info)))
    call = draft.nodes[name.partition(":")[0]]
    wrapper = draft.functions[call.attr["f"].func.name]
    saved = draft.concrete_functions[call.attr["f"].func.name]
    (bare,) = (
        node.bare_concrete_function
        for node in draft.objects.values()
        if node.bare_concrete_function.concrete_function_name == wrapper.signature.name
    )
    keywords = list(bare.argument_keywords)
    structured = saved.canonicalized_input_signature.tuple_value.values[1].dict_value.fields
    assert [keyword_of(each) for each in keywords] == sorted(structured)
    assert set(definition.inputs) == set(keywords)
    assert [definition.inputs[each].name for each in keywords] == [f"{each}:0" for each in call.input[: len(keywords)]]
    arguments = wrapper.signature.input_arg
    noted = [wrapper.arg_attr[at].attr["_user_specified_name"].s.decode() for at in range(len(keywords))]
    assert noted == keywords
    assert len(arguments) == len(keywords) + len(saved.bound_inputs) == len(call.input)
    assert len({each.name for each in arguments}) == len(arguments)
    assert [each.type for each in arguments] == list(call.attr["Tin"].list.type)
    assert [each.type for each in wrapper.signature.output_arg] == list(call.attr["Tout"].list.type)
    assert set(saved.output_signature.dict_value.fields) == set(definition.outputs)
    fetched = [tensor for each in sorted(definition.outputs) for tensor in tensors(definition.outputs[each])]
    assert fetched == [f"{call.name}:{at}" for at in range(len(fetched))]
    assert len(fetched) == len(wrapper.signature.output_arg)


def tensors(info: Any) -> list[str]:
    if info.WhichOneof("encoding") == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    parts = info.composite_tensor.components
    return [part.name for part in parts] if parts else [info.name]


NAMES = [
    # input, its keyword, the FunctionDef's argument, the placeholder of the signature "My sig"
    ("x", "x", "x", "My_sig_x"),
    ("CamelCase", "CamelCase", "camelcase", "My_sig_CamelCase"),
    ("a/b", "a_b", "a_b", "My_sig_a_b"),
    ("My-Name", "My_Name", "my_name", "My_sig_My-Name"),
    ("1abc", "arg_1abc", "abc", "My_sig_1abc"),
    ("42", "arg_42", "unknown", "My_sig_42"),
    ("x.y", "x_y", "x_y", "My_sig_x.y"),
]


@pytest.mark.parametrize(("name", "keyword", "argument", "node"), NAMES)
def test_names_are_made_as_tensorflow_makes_them(name: str, keyword: str, argument: str, node: str) -> None:
    assert keyword_of(name) == keyword
    assert argument_of(name, ()) == argument
    assert argument_of(name, (argument,)) == f"{argument}_0"
    assert node_of("My sig", name) == node


def test_a_wrapper_that_does_more_than_call_is_called_itself(corpus: Path, tmp_path: Path) -> None:
    """It is none of TensorFlow's making, and keeps all that it does."""
    tf = pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served

    proto = classes()["SavedModel"].FromString((corpus / "savedmodel/multi_sigs/model/saved_model.pb").read_bytes())
    functions = proto.meta_graphs[0].graph_def.library.function
    (wrapper,) = (each for each in functions if each.signature.name.startswith("__inference_signature_wrapper_embed"))
    (result,) = wrapper.ret
    negative = wrapper.node_def.add(name="Neg", op="Neg", input=[wrapper.ret[result]])
    negative.attr["T"].type = 1
    wrapper.ret[result] = "Neg:y:0"
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString(deterministic=True))
    (folder / "variables").symlink_to((corpus / "savedmodel/multi_sigs/model/variables").resolve())
    with edit(folder) as editor:
        editor.rename_inputs("embed", {"x": "features"}).rename_outputs("embed", {"output_0": "negative"})
        editor.save(tmp_path / "made")
    ones = tf.ones([2, 3]).numpy()
    (before,) = served.in_tf2(folder, [("embed", {"x": ones})])
    for results in (served.in_tf2, served.in_tf1):
        (after,) = results(tmp_path / "made", [("embed", {"features": ones})])
        flat = after["negative"][0] if isinstance(after["negative"], list) else after["negative"]
        assert served.same(flat, before["output_0"][0])
        assert (flat < 0).all()
