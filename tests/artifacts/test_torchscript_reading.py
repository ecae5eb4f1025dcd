"""TorchScript: everything that torch's own schema says of a method is read from the archive's code text."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torchscript_models import Everything, Traced

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.torchscript.code import returned_keys, split_classes
from trimtab.artifacts.formats.torchscript.defaults import read_default
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Learned, Presence, Signature
from trimtab.signature.types import Literal, Mapping, Opaque, Scalar, Sequence, Tensor
from trimtab.signature.types import Optional as OptionalType

warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")

INT, FLOAT, BOOL, TEXT = (Scalar(it) for it in (DType.INT64, DType.FLOAT64, DType.BOOL, DType.STRING))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Signature:
    path = tmp_path_factory.mktemp("script") / "everything.pt"
    torch.jit.save(torch.jit.script(Everything()), str(path))
    return read_signature(path)


WANTED_INPUTS: dict[str, Any] = {
    "x": (Tensor(), None),
    "feats": (Mapping(DType.STRING, Tensor()), None),
    "o": (OptionalType(INT), Literal(None)),
    "t[0]": (INT, Literal(3)),
    "t[1]": (FLOAT, Literal(4.5)),
    "s": (TEXT, Literal("a\"b\\'\n\té,)([{=:")),
    "plain": (TEXT, Literal("x, y) -> (z")),
    "f": (FLOAT, Literal("inf", of="float")),
    "c": (Scalar(DType.COMPLEX128), Literal("(1+2j)", of="complex")),
    "dev": (Opaque("Device"), Literal("cpu", of="device")),
    "u": (Opaque("Union[int, str]"), Literal(3)),
    "ls": (OptionalType(Sequence(INT)), Literal(None)),
    "neg": (INT, Literal(-4)),
    "e": (FLOAT, Literal(1e-30)),
    "b": (BOOL, Literal(True)),
    "col": (
        Opaque("__torch__.torchscript_models.Color"),
        Literal("__torch__.torchscript_models.Color.RED", of="enum"),
    ),
    "anything": (Opaque("Any"), Literal(None)),
}


def test_arguments_types_and_defaults(everything: Signature) -> None:
    assert {it.name: (it.type, it.default) for it in everything.inputs} == WANTED_INPUTS
    assert {it.name for it in everything.inputs if it.presence is Presence.REQUIRED} == {"x", "feats"}
    assert {it.name for it in everything.inputs if it.nullable} == {"o", "ls"}


def test_methods_without_getters_forward_first(everything: Signature) -> None:
    assert everything.entry_points[0].name == "forward"
    assert {it.name for it in everything.entry_points} == {"forward", "nested", "built", "literal", "conditional"}


@pytest.mark.parametrize(
    ("method", "inputs", "outputs"),
    [
        ("forward", None, {"a": ".a", "b": ".b"}),
        (
            "nested",
            {"a": "n.pair.a", "b": "n.pair.b", "c": "n.c", "zs": "zs"},
            {"a": "[0].pair.a", "b": "[0].pair.b", "c": "[0].c", "output_3": "[1]"},
        ),
        ("built", {"z": "z"}, {"p": '["p"]', "q, r": '["q, r"]'}),
        ("literal", {"z": "z"}, {"p": '["p"]', "q": '["q"]'}),
        ("conditional", {"z": "z"}, {"output_0": ""}),
    ],
)
def test_structures_are_taken_apart_by_path(
    everything: Signature, method: str, inputs: dict[str, str] | None, outputs: dict[str, str]
) -> None:
    overload = everything.entry_point(method).overloads[0]
    if inputs is not None:
        assert {it.name: it.call_path for it in overload.inputs} == inputs
    assert {it.name: it.return_path for it in overload.outputs} == outputs


DTYPES = ["float64", "float16", "bfloat16", "int8", "int16", "int64", "uint8", "bool", "complex64", "float8_e4m3fn"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_traced_inputs_are_examples(tmp_path: Path, dtype: str) -> None:
    typed = torch.zeros(2, 3).to(getattr(torch, dtype))
    example = ({"a": torch.zeros(2, 3), "item.b": typed}, (torch.zeros(2, 3), typed))
    path = tmp_path / "traced.pt"
    torch.jit.save(torch.jit.trace(Traced(), example, strict=False), str(path))
    feats, first, second = read_signature(path).inputs
    typed_as = Tensor(DType(dtype), (2, 3))
    assert {it.name: it.type for it in feats.features} == {"a": Tensor(DType.FLOAT32, (2, 3)), "item.b": typed_as}
    assert feats.learned == {"features": Learned.EXAMPLE}
    assert (first.call_path, first.type) == ("pair[0]", Tensor(DType.FLOAT32, (2, 3)))
    assert (second.call_path, second.type) == ("pair[1]", typed_as)
    assert second.learned == {"type": Learned.EXAMPLE}


def test_saving_to_a_buffer_or_under_another_name_changes_nothing(tmp_path: Path) -> None:
    scripted = torch.jit.script(Everything())
    with (tmp_path / "buffer.pt").open("wb") as file:
        torch.jit.save(scripted, file)
    torch.jit.save(scripted, str(tmp_path / "model.v1.pt"))
    (tmp_path / "model.v1.pt").rename(tmp_path / "renamed")
    assert read_signature(tmp_path / "buffer.pt") == read_signature(tmp_path / "renamed")


def test_functions_are_read(tmp_path: Path) -> None:
    def score(a: torch.Tensor, b: int) -> torch.Tensor:
        return a * b

    torch.jit.save(torch.jit.script(score), str(tmp_path / "function.pt"))
    signature = read_signature(tmp_path / "function.pt")
    assert [(it.name, it.type) for it in signature.inputs] == [("a", Tensor()), ("b", INT)]


def no_constants(index: int) -> Any:
    raise AssertionError(index)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.", -0.0),
        ("1.", 1.0),
        ("1.0000000000000001e-30", 1e-30),
        ("-inf", float("-inf")),
        ('"a\\nb\\"\\\\\\101\\x41"', 'a\nb"\\AA'),
        ('""', ""),
        ('(1, (2.5, None), "x, y")', (1, (2.5, None), "x, y")),
        ("(1,)", (1,)),
        ("[]", ()),
        ("[True, False]", (True, False)),
        ("1.-2.j", complex(1, -2)),
        ("torch.foo(3)", "torch.foo(3)"),
    ],
)
def test_defaults(text: str, value: object) -> None:
    assert read_default(text, no_constants).to_python() == value


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ('    return {"a": x, "b": f(x, {"c": 1}), }\n', ["a", "b"]),
        ('    _0 = {"a": x}\n    return _0\n', ["a"]),
        ("    return x\n", None),
        ('    _0 = {"a": x}\n    g(_0)\n    return _0\n', None),
        ("    _0 = {k: x}\n    return _0\n", None),
        ('    if b:\n      return {"a": x}\n    return {"b": x}\n', None),
        ('    out = annotate(Dict[str, Tensor], {})\n    torch._set_item(out, "a", out)\n    return out\n', None),
        ("", None),
    ],
)
def test_returned_keys_are_known_only_where_the_text_settles_them(body: str, keys: list[str] | None) -> None:
    assert returned_keys(body) == keys


@pytest.mark.parametrize(
    "text", ["class A(Module):\n  def forward(self, x: Tensor", "class A(Module):\n  def f(self: A, x=3) -> B:\n"]
)
def test_text_that_torch_does_not_print_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError):
        split_classes(text, "code.py")
