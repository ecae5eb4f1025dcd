"""torch.export archives: paths, names, constants and symbols as torch itself has them."""

from __future__ import annotations

import dataclasses
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import torch
from torch.utils import _pytree

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.pt2.pytree import leaf_paths, read_tree
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.dtypes import DType, spelling
from trimtab.signature.model import Presence, Range
from trimtab.signature.path import format_path
from trimtab.signature.types import Literal, Scalar, Tensor


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Request:
    user: Any
    item: Any
    note: Any = None


_pytree._register_namedtuple(Point, serialized_type_name="tests.Point")
torch.export.register_dataclass(Request, serialized_type_name="tests.Request")

X = torch.zeros(3, 2)

TREES: dict[str, Any] = {
    "a leaf": 1,
    "a tuple": (1, (2, [3])),
    "a dict": {"a": 1, "b c": {"d.e": 2}, 7: 3},
    "an ordered dict": OrderedDict(b=1, a=2),
    "a default dict": defaultdict(list, {"k": 1}),
    "a named tuple": Point(1, Point(2, 3)),
    "a data class": Request(1, {"z": 2}),
    "nothing": (),
    "empty parts": {"a": [], "b": 1},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=list(TREES))
def test_paths_are_those_of_pytree(tree: Any) -> None:
    spec = _pytree.tree_structure(tree)
    text = _pytree.treespec_dumps(spec)
    ours = [format_path("", path) for path in leaf_paths(read_tree(text, "tree"), {"tests.Point": ["x", "y"]}, "tree")]
    theirs = [_pytree.keystr(path).replace("'", '"') for path, _ in _pytree.tree_flatten_with_path(tree)[0]]
    assert ours == theirs


class Rich(torch.nn.Module):
    def forward(self, req: Request, p: Point, *rest: Any, n: int, mode: str = "sum", w: Any = None) -> Any:
        score = req.user + req.item["price"] + p.x + p.y + rest[0] * n
        return OrderedDict(score=score, parts=[score, req.user], again={"score": score}, none=None, five=5)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = {
        "req": [{0: batch}, {"price": {0: batch}}],
        "p": Point({0: batch}, {0: batch}),
        "rest": ({0: batch},),
        "n": torch.export.Dim.DYNAMIC,
        "mode": None,
        "w": None,
    }
    program = torch.export.export(
        Rich(), (Request(X, {"price": X}), Point(X, X), X), {"n": 3, "mode": "sum", "w": None}, dynamic_shapes=shapes
    )
    path = tmp_path_factory.mktemp("export") / "rich.pt2"
    torch.export.save(program, str(path))
    return path


def test_inputs(rich: Path) -> None:
    inputs = read_signature(rich).inputs
    assert {it.name: it.call_path for it in inputs} == {
        "user": "req.user",
        "price": 'req.item["price"]',
        "x": "p.x",
        "y": "p.y",
        "rest_0": "rest_0",
        "n": "n",
        "mode": "mode",
        "w": "w",
    }
    by_name = {it.name: it for it in inputs}
    symbol = by_name["user"].type.shape[0]  # type: ignore[union-attr,index]  # a tensor, or the next line fails
    assert isinstance(symbol, str)
    assert by_name["price"].type == Tensor(DType.FLOAT32, (symbol, 2))
    assert by_name["n"].type == Scalar(DType.INT64)
    for name, constant in (("mode", "sum"), ("w", None)):
        assert by_name[name].type == by_name[name].default == Literal(constant)
        assert by_name[name].presence is Presence.DEFAULT
    assert read_signature(rich).entry_point().overloads[0].dimensions[symbol] == Range(minimum=2, maximum=64)


def test_outputs(rich: Path) -> None:
    assert {it.name: (it.return_path, type(it.type)) for it in read_signature(rich).outputs} == {
        "score": ('["score"]', Tensor),
        "parts[0]": ('["parts"][0]', Tensor),
        "parts[1]": ('["parts"][1]', Tensor),
        'again["score"]': ('["again"]["score"]', Tensor),
        "none": ('["none"]', Literal),
        "five": ('["five"]', Literal),
    }


DTYPES = [it for it in DType if spelling(it, "torch_export") is not None and it is not DType.COMPLEX32]


def test_every_dtype_that_torch_can_export(tmp_path: Path) -> None:
    class Many(torch.nn.Module):
        def forward(self, **values: Any) -> Any:
            return values

    values = {f"v_{it}": torch.zeros(2, 3).to(getattr(torch, it)) for it in DTYPES}
    torch.export.save(torch.export.export(Many(), (), values), str(tmp_path / "many.pt2"))
    assert {it.name: it.type for it in read_signature(tmp_path / "many.pt2").inputs} == {
        f"v_{it}": Tensor(it, (2, 3)) for it in DTYPES
    }


def test_several_programs_are_several_entry_points(tmp_path: Path) -> None:
    from torch.export.pt2_archive._package import package_pt2

    class Add(torch.nn.Module):
        def forward(self, a: Any) -> Any:
            return a + 1

    class Scale(torch.nn.Module):
        def forward(self, b: Any) -> Any:
            return b * 2

    programs = {"stage/first": torch.export.export(Add(), (X,)), "second": torch.export.export(Scale(), (X,))}
    package_pt2(str(tmp_path / "two.pt2"), exported_programs=programs)
    signature = read_signature(tmp_path / "two.pt2")
    assert {it.name: it.input_names for it in signature.entry_points} == {"stage/first": ("a",), "second": ("b",)}
    assert signature.allowlist == {"a", "b"}


def edited(path: Path, target: Path, change: Any) -> Path:
    """A copy of the archive whose program went through `change`."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("models/model.json"):
                program = msgspec.json.decode(data)
                change(program)
                data = msgspec.json.encode(program)
            new.writestr(zipfile.ZipInfo(entry.filename), data)
    return target


def values_of(program: Any) -> Any:
    return program["graph_module"]["graph"]["tensor_values"]


def call_of(program: Any) -> Any:
    return program["graph_module"]["module_call_graph"][0]["signature"]


BROKEN: dict[str, tuple[Any, str]] = {
    "a dtype of a newer schema": (lambda it: values_of(it)["p_x"].update(dtype=99), "codes? of schema 8"),
    "code for a size": (
        lambda it: values_of(it)["p_x"].update(sizes=[{"as_expr": {"expr_str": "__import__('os').abort()"}}]),
        "expected a number or a function",
    ),
    "code for a bound": (lambda it: it["range_constraints"].update({"os.abort()": {}}), "a symbolic size"),
    "a value that is not there": (lambda it: values_of(it).pop("p_x"), "no such value"),
    "a leaf too few": (lambda it: it["graph_module"]["signature"]["input_specs"].pop(), "a call of"),
    "a tree of a newer version": (lambda it: call_of(it).update(in_spec='[2, {"type": null}]'), "version 1"),
    "a tree that is no JSON": (lambda it: call_of(it).update(in_spec="nonsense"), "tree specification"),
    "a dict that lost its keys": (
        lambda it: call_of(it).update(
            out_spec=call_of(it)["out_spec"].replace("score", "")[:0]
            or '[1, {"type": "builtins.dict", "context": "[]", "children_spec": [{"type": null}]}]'
        ),
        "names of 1 children",
    ),
    "no graph": (lambda it: it.pop("graph_module"), "graph_module"),
    "two kinds in one value": (
        lambda it: it["graph_module"]["signature"]["input_specs"][0].update(token=1),
        "one kind",
    ),
}


@pytest.mark.parametrize(("change", "says"), BROKEN.values(), ids=list(BROKEN))
def test_programs_that_do_not_fit_the_schema_are_refused(rich: Path, tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(ArtifactError, match=says) as error:
        read_signature(edited(rich, tmp_path / "edited.pt2", change))
    assert "model.json" in error.value.where


def test_a_package_of_compiled_code_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/code.wrapper.so", b"\x7fELF")
    with pytest.raises(RefusedArtifactError, match="compiled code"):
        read_signature(path)


def test_the_loss_of_a_training_program_is_a_tensor(tmp_path: Path) -> None:
    from torch.export.experimental import _export_forward_backward

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            loss: torch.Tensor = self.linear(x).sum()
            return loss

    path = tmp_path / "model.pt2"
    torch.export.save(_export_forward_backward(torch.export.export(Loss(), (X,))), path)
    (output,) = read_signature(path).outputs
    assert output.type == Tensor(DType.FLOAT32, ())


def test_limits_of_values_that_were_dropped_are_dropped_as_torch_does(tmp_path: Path) -> None:
    class Summing(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            total = y.sum().item()
            torch._check(total >= 2)
            return x[0], x[:total], y.long().sum().item() * 0

    class Dropping(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            y.sum().item()
            return x[0]

    for name, module in (("kept", Summing()), ("dropped", Dropping())):
        path = tmp_path / f"{name}.pt2"
        torch.export.save(torch.export.export(module, (X, torch.ones(3, dtype=torch.int64))), str(path))
        ours = read_signature(path).entry_point().overloads[0].dimensions
        assert set(ours) == {str(it) for it in torch.export.load(str(path)).range_constraints}, name
