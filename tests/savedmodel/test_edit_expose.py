"""Expose functions that never had a signature: TensorFlow computes through it what it computes by itself.

The reference is always the unedited model's own trace, called by TensorFlow with the same tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load, verify
from trimtab.savedmodel.editing import Editor, edit
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.exposing import expose
from trimtab.savedmodel.editing.names import keyword_of
from trimtab.savedmodel.editing.wrapper import Input, Wrapper

MODELS = ["captures", "composites", "example", "keras3_export", "kwonly_defaults", "multi_sigs", "nested"]
MODELS += ["no_signatures", "pbtxt", "polymorphic", "shapes", "strings", "training_flag"]

REORDERED = {("kwonly_defaults", "v"), ("nested", "g"), ("nested", "h"), ("nested", "f")}
"""Sums of three and more numbers, which TF1's graph optimizer adds in another order, whoever has made the signature."""


class Exposed:
    """One trace under a key of its own, and its tensors: fed by name, and as the trace itself takes them."""

    def __init__(self, key: str, path: str, position: int, wrapper: Wrapper) -> None:
        self.key = key
        self.path = path
        self.position = position
        self.wrapper = wrapper
        self.names = [each.name for each in wrapper.arguments if isinstance(each, Input)]
        self.expected: Any = None
        self.feeds: dict[str, Any] = {}


def every_trace(folder: Path, editor: Editor) -> list[Exposed]:
    """Give every trace that can be served a signature."""
    exposed: list[Exposed] = []
    draft = Draft(editor.saved_model, editor.meta_graph)
    for path, function in editor.meta_graph.functions.items():
        for position, trace in enumerate(function.traces):
            try:
                wrapper = expose(draft, trace.name)
            except ArtifactError:
                continue  # it returns nothing, or takes a resource
            key = f"key_{len(exposed)}"
            editor.add_signature(key, f"{path}:{position}")
            exposed.append(Exposed(key, path, position, wrapper))
    return exposed


@pytest.mark.parametrize("name", MODELS)
def test_every_trace_computes_what_it_did(corpus: Path, tmp_path: Path, name: str) -> None:
    """In TF2, in TF1 and after TensorFlow has saved it again, bit for bit; and nothing is left for verify to find."""
    pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served
    from traces_in_tensorflow import arguments_for, arrays, flat, trace_at

    folder = corpus / "savedmodel" / name / "model"
    with edit(folder) as editor:
        exposed = every_trace(folder, editor)
        editor.save(tmp_path / "made")
    assert exposed
    original = served.loaded(folder)
    for seed, each in enumerate(exposed):
        trace = trace_at(original, each.path, each.position)
        args, kwargs = arguments_for(trace, seed)
        tensors = flat((args, kwargs))
        each.feeds = dict(zip(each.names, tensors, strict=True))
        each.expected = arrays_by_key(each.wrapper, arrays(trace(*args, **kwargs)))

    assert verify(tmp_path / "made") == ()

    served.resave(tmp_path / "made", tmp_path / "again")
    sessions = []
    for made in (tmp_path / "made", tmp_path / "again"):
        model = served.loaded(made)
        session = served.Session(made)
        sessions.append({})
        for each in exposed:
            given = {keyword_of(key): value for key, value in each.feeds.items()}
            results = model.signatures[each.key](**given)
            assert served.same({key: arrays(value) for key, value in results.items()}, each.expected), (made, each.key)
            results = session.run(each.key, {key: value.numpy() for key, value in each.feeds.items()})
            listed = {key: value if isinstance(value, list) else [value] for key, value in results.items()}
            sessions[-1][each.key] = listed
            if (name, each.path) not in REORDERED:
                assert served.same(listed, each.expected), (made, each.key)
    assert served.same(*sessions)


def arrays_by_key(wrapper: Wrapper, results: list[Any]) -> dict[str, list[Any]]:
    return {output.key: [results[each.position] for each in output.results] for output in wrapper.outputs}


INPUT_NAMES = [
    # as TensorFlow names them: the spec's own name, or else the parameter's, numbered where several tensors share it
    ("nested", "h:0", ["pair", "pair_1", "d", "d_1"]),
    ("nested", "f:1", ["inputs", "custom", "inputs_1", "inputs_2"]),
    ("composites", "sp", ["x", "x_1", "x_2"]),
    ("composites", "mixed", ["d", "d_1", "y"]),
    ("multi_sigs", "predict", ["features", "ids"]),
    ("kwonly_defaults", "v:2", ["args_0", "a", "b"]),
    ("kwonly_defaults", "nodef", []),
    ("keras3_export", "serve", ["alpha", "beta"]),
    # the ways to say which function is meant
    ("example", "model.capture_fn", ["x"]),
    ("example", "root.capture_fn", ["x"]),
    ("example", "capture_fn:0", ["x"]),
    ("multi_sigs", "signatures.train", ["x", "y"]),
    ("multi_sigs", "serving_default", ["features", "ids"]),
    ("multi_sigs", "__inference_predict_23", ["features", "ids"]),
]


@pytest.mark.parametrize(("name", "source", "expected"), INPUT_NAMES)
def test_inputs_have_the_names_that_tensorflow_gives(corpus: Path, name: str, source: str, expected: list[str]) -> None:
    with edit(corpus / "savedmodel" / name / "model") as editor:
        plan = editor.add_signature("new", source).plan()
    definition = next(change for change in plan.changes if change.place == "signature_def")
    assert inputs_of(definition.after) == sorted(expected)


def test_a_nested_input_is_known_by_its_path_too(corpus: Path) -> None:
    """A trace calls it `d_z_y`, a signature `d_1`: either is understood."""
    with edit(corpus / "savedmodel" / "nested" / "model") as editor:
        plan = editor.add_signature("new", "h:0", rename={"d_z_y": "deep", "pair": "first"}).plan()
    definition = next(change for change in plan.changes if change.place == "signature_def")
    assert inputs_of(definition.after) == ["d", "deep", "first", "pair_1"]


def inputs_of(definition: bytes | None) -> list[str]:
    from trimtab.savedmodel.messages import classes

    return sorted(classes()["SignatureDef"].FromString(definition).inputs)


def test_a_name_that_tensorflow_would_give_is_that_of_its_own_signature(corpus: Path) -> None:
    """Whatever function of a model has a signature already: exposed again, it has the same inputs and outputs."""
    from trimtab.savedmodel.editing.wiring import read_served

    compared = 0
    for name in MODELS:
        with load(corpus / "savedmodel" / name / "model") as model:
            draft = Draft(model, model.meta_graph)
            for key, signature in model.signatures.items():
                for function, position in signature.traces[:1]:
                    exposed = expose(draft, function.traces[position].name)
                    served = read_served(draft, key)
                    assert [each.name for each in exposed.inputs] == [each.name for each in served.inputs]
                    assert [(each.name, each.dtype) for each in served.inputs] == sorted(
                        ((each.name, each.dtype) for each in exposed.inputs), key=lambda pair: keyword_of(pair[0])
                    )
                    assert {each.key for each in exposed.outputs} == {each.key for each in served.outputs}
                    compared += 1
    assert compared > 20


REFUSED = [
    ("example", "polymorphic_fn", "one of the 2 traces polymorphic_fn:0 to polymorphic_fn:1"),
    ("example", "polymorphic_fn:2", "one of the 2 traces"),
    ("example", "capture_fm", "'capture_fn'"),
    ("composites", "nothing.at.all", "trimtab tour"),
]


@pytest.mark.parametrize(("name", "source", "message"), REFUSED)
def test_a_source_that_names_no_one_function_is_refused(corpus: Path, name: str, source: str, message: str) -> None:
    with edit(corpus / "savedmodel" / name / "model") as editor, pytest.raises(ArtifactError) as caught:
        editor.add_signature("new", source).plan()
    assert message in str(caught.value)
