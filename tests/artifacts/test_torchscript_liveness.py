"""TorchScript: which arguments something depends on, and torch's own answer to what changes when one changes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchscript_models import HookedUses, Uses

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.torchscript.uses import MAX_BODY_CHARACTERS, BodyReader, Use
from trimtab.signature.model import Input, Live, Signature

warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")

DEAD = {"unused", "dropped", "weight", "named_in_text", "into_the_void", "unread", "pair[1]", "deep[0]"}
UNSETTLED = {"deep[1][0]", "deep[1][1]"}
"""Parts of an inner tuple, of which some part is used."""


def by_liveness(signature: Signature) -> dict[Live, set[str]]:
    return {live: {it.name for it in signature.inputs if it.live is live} for live in Live}


@pytest.mark.parametrize("frozen", [False, True])
def test_every_way_of_using_an_argument_counts(tmp_path: Path, frozen: bool) -> None:
    scripted = torch.jit.script(Uses().eval())
    torch.jit.save(torch.jit.freeze(scripted) if frozen else scripted, str(tmp_path / "uses.pt"))
    found = by_liveness(read_signature(tmp_path / "uses.pt"))
    assert found[Live.NO] == DEAD
    assert found[Live.UNKNOWN] == UNSETTLED


def test_the_keys_that_are_read_are_features(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Uses()), str(tmp_path / "uses.pt"))
    features = {it.name: [each.name for each in it.features] for it in read_signature(tmp_path / "uses.pt").inputs}
    assert features["feats"] == ["age", "item price"]
    assert features["unread"] == []


def test_hooks_may_use_what_forward_does_not(tmp_path: Path) -> None:
    module = HookedUses()

    def hook(self: torch.nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return given[1], given[0]

    hook.__annotations__ = {
        "self": torch.nn.Module,
        "given": tuple[torch.Tensor, torch.Tensor],
        "return": tuple[torch.Tensor, torch.Tensor],
    }
    module.register_forward_pre_hook(hook)
    torch.jit.save(torch.jit.script(module), str(tmp_path / "hooked.pt"))
    signature = read_signature(tmp_path / "hooked.pt")
    assert by_liveness(signature)[Live.UNKNOWN] == {"seen_by_a_hook"}
    assert "hooks" in signature.provenance.notes[0]


def test_what_a_trace_left_out_is_dead(tmp_path: Path) -> None:
    class Traced(torch.nn.Module):
        def forward(self, x: Any, unused: Any, feats: Any, pair: Any) -> Any:
            _ = feats["b"] * 3
            return x + feats["a"] + pair[0]

    def tensor() -> torch.Tensor:
        return torch.randn(2)

    example = (tensor(), tensor(), {"a": tensor(), "b": tensor()}, (tensor(), tensor()))
    torch.jit.save(torch.jit.trace(Traced(), example, strict=False), str(tmp_path / "traced.pt"))
    assert by_liveness(read_signature(tmp_path / "traced.pt"))[Live.NO] == {"unused", "pair[1]"}


TENSOR, DICT, PAIR = "Tensor", "Dict[str, Tensor]", "Tuple[Tensor, Tensor]"
USES: dict[str, tuple[str, str, Use]] = {
    "no use": ("    return 1\n", TENSOR, Use(Live.NO)),
    "a use": ("    return torch.neg(x)\n", TENSOR, Use(Live.YES)),
    "a name within a name": ("    return torch.neg(ax, x1, x_)\n", TENSOR, Use(Live.NO)),
    "an attribute": ("    return (self).x\n", TENSOR, Use(Live.NO)),
    "text": ('    return f("x", "\\" x")\n', TENSOR, Use(Live.NO)),
    "after text": ('    return f("\\\\", x)\n', TENSOR, Use(Live.YES)),
    "text that torch does not print": ("    return f('\"', x)\n", TENSOR, Use(Live.YES)),
    "a remark": ('    # it is 5" wide\n    return f(x, "")\n', TENSOR, Use(Live.YES)),
    "text over lines": ('    return f("""\n"z""", x)\n', TENSOR, Use(Live.YES)),
    "text without an end": ('    return f("\\"' + '\\"' * 100_000 + " x", TENSOR, Use(Live.YES)),
    "keys": ('    a = x["a b"]\n    return x["c"] + x["c"]\n', DICT, Use(Live.YES, keys=("a b", "c"))),
    "a key that is not settled": ('    return x["a"] + x[k]\n', DICT, Use(Live.YES)),
    "a key with an escape": ('    return x["a\\n"]\n', DICT, Use(Live.YES)),
    "a dict that goes elsewhere": ('    g(x)\n    return x["a"]\n', DICT, Use(Live.YES)),
    "a dict that is written to": ('    torch._set_item(x, "b", y)\n    return x["a"]\n', DICT, Use(Live.YES)),
    "text like a key": ('    g(x, "x[", "]")\n    return 1\n', DICT, Use(Live.YES)),
    "an element": ("    return (x)[1]\n", PAIR, Use(Live.YES, elements=frozenset({1}))),
    "an unpacked element": ("    a, b, = x\n    return b\n", PAIR, Use(Live.YES, elements=frozenset({1}))),
    "text like an element": ('    g("(x)[0]", x)\n    return 1\n', PAIR, Use(Live.YES)),
    "a tuple as a whole": ("    return (x)[0], x\n", PAIR, Use(Live.YES)),
    "too much code": ("    return 1" + " " * MAX_BODY_CHARACTERS, TENSOR, Use(Live.UNKNOWN)),
}


@pytest.mark.parametrize(("body", "type_", "wanted"), USES.values(), ids=list(USES))
def test_uses(body: str, type_: str, wanted: Use) -> None:
    assert BodyReader().uses(body, [("x", type_)]) == {"x": wanted}


def test_many_structured_arguments_in_long_code_stay_cheap() -> None:
    arguments = [(f"d{index}", DICT) for index in range(5000)]
    body = "".join(f'    y{index} = d{index}["k"]\n' for index in range(5000))
    uses = BodyReader().uses(body, arguments)
    assert {it.live for it in uses.values()} == {Live.YES}


NAMES = ("a", "b", "c", "d")
EXPRESSIONS = st.recursive(
    st.sampled_from([*NAMES, "torch.ones(2)", "t[0]", "t[1]", 'f["k"]', 'f["l"]', "v"]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "*", "-"]), inner, inner).map(lambda it: f"({it[1]} {it[0]} {it[2]})"),
        inner.map(lambda it: f"torch.relu({it})"),
        inner.map(lambda it: f"torch.zeros_like({it})"),
        inner.map(lambda it: f"({it}).sum()"),
    ),
    max_leaves=4,
)
STATEMENTS = st.one_of(
    EXPRESSIONS.map(lambda it: f"v = {it}"),
    EXPRESSIONS.map(lambda it: f"w = {it}"),
    EXPRESSIONS.map(lambda it: f"v = v.clone()\n    v.add_({it})"),
    EXPRESSIONS.map(lambda it: f"w = torch.zeros(2)\n    w.mul_({it})"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda it: f"if bool(({it[0]}).sum() > 0):\n        v = v + {it[1]}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda it: f"for i in range(2):\n        w = {it[0]}\n        v = v + {it[1]}"
    ),
)


@settings(max_examples=60)
@given(st.lists(STATEMENTS, max_size=5), EXPRESSIONS, st.integers(0, 2**31))
def test_changing_a_dead_input_never_changes_an_output(
    tmp_path_factory: pytest.TempPathFactory, statements: list[str], returned: str, seed: int
) -> None:
    body = "\n    ".join(["v = torch.ones(2)", *statements, f"return v + {returned}"])
    tensors = ", ".join(f"{it}: Tensor" for it in NAMES)
    text = f"def forward({tensors}, t: Tuple[Tensor, Tensor], f: Dict[str, Tensor]):\n    {body}\n"
    module = torch.jit.CompilationUnit(text).forward
    path = tmp_path_factory.mktemp("random") / "model.pt"
    torch.jit.save(module, str(path))
    signature = read_signature(path)
    torch.manual_seed(seed)
    call: dict[str, Any] = {it: torch.randn(2) for it in NAMES}
    call["t"] = (torch.randn(2), torch.randn(2))
    call["f"] = {"k": torch.randn(2), "l": torch.randn(2)}
    before = module(**call)
    for value in signature.inputs:
        if value.live is Live.NO:
            assert torch.equal(module(**_changed(call, value)), before), (value.name, body)
    for value in signature.inputs:
        if value.features:
            only = {it.name for it in value.features}
            kept = {key: it for key, it in call["f"].items() if key in only}
            assert torch.equal(module(**{**call, "f": kept}), before), body
    for name in NAMES:  # an input that occurs nowhere is found
        if not any(name in f" {line} ".replace("(", " ").replace(")", " ").split() for line in body.splitlines()):
            assert signature.inputs[NAMES.index(name)].live is Live.NO


def _changed(call: dict[str, Any], value: Input) -> dict[str, Any]:
    other = torch.full((2,), 7.0)
    root, _, index = value.call_path.partition("[")
    if root == "t":
        position = int(index[0])
        return {**call, "t": tuple(other if at == position else it for at, it in enumerate(call["t"]))}
    return {**call, root: dict.fromkeys(call["f"], other) if root == "f" else other}
