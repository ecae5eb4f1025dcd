"""torch.export: which inputs something depends on, and torch's own answer to what changes when one changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import Dim
from torch.utils import _pytree

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.pt2.liveness import MAX_GRAPH_BYTES, live_values
from trimtab.signature.model import Live


def row() -> torch.Tensor:
    return torch.randn(5, 2)


def plain(x: Any, y: Any, feats: Any) -> Any:
    _ = y.float() * 2
    return {"s": x + feats["a"]}


def in_place(x: Any, y: Any, z: Any) -> Any:
    x = x.clone()
    x[0] = y[0]
    torch.zeros_like(z).add_(z)
    return x


def branch(x: Any, y: Any, z: Any, w: Any) -> Any:
    return torch.cond(x.sum() > 0, lambda it, _: it + 1, lambda it, _: it * 2, (y, z))


def loop(x: Any, y: Any, z: Any) -> Any:
    from torch._higher_order_ops import while_loop

    return while_loop(lambda n, it: n < 3, lambda n, it: (n + 1, it + y), (torch.tensor(0), x))


def assertion(x: Any, y: Any, z: Any) -> Any:
    torch.ops.aten._assert_async.msg(y.any(), "y is all zero")
    return x + 1


def sizes(x: Any, y: Any, z: Any) -> Any:
    return torch.ones(x.shape[0]) + y.shape[0]


def chance(x: Any, y: Any, z: Any) -> Any:
    return torch.rand_like(x), torch.nn.functional.dropout(y)


def look_up(x: Any, y: Any, z: Any) -> Any:
    x[y.long().abs() % 5]
    return x + 1


def nothing(x: Any, y: Any) -> Any:
    return None


def counted(x: Any, n: Any, m: Any) -> Any:
    return x * n


ROWS = {0: Dim.DYNAMIC}
PROGRAMS: dict[str, tuple[Any, tuple[Any, ...], Any, set[str]]] = {
    "plain": (plain, (row(), row().long(), {"a": row(), "b": row()}), None, {"y", "b"}),
    "in place": (in_place, (row(), row(), row()), None, set()),
    "a branch": (branch, (row(), row(), row(), row()), None, {"z", "w"}),
    "a loop": (loop, (row(), row(), row()), None, {"z"}),
    "an assertion": (assertion, (row(), row(), row()), None, {"z"}),
    "sizes": (sizes, (row(), torch.randn(4, 2), row()), ({0: Dim("a")}, {0: Dim("b")}, {0: Dim("c")}), {"z"}),
    "chance": (chance, (row(), row(), row()), None, {"z"}),
    "a look-up that may fail": (look_up, (row(), row(), row()), None, {"z"}),
    "nothing": (nothing, (row(), row()), None, {"x", "y"}),
    "scalars": (counted, (row(), 3, 4), (None, Dim.DYNAMIC, Dim.DYNAMIC), {"m"}),
}


class Wrapped(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.forward = function


@pytest.mark.parametrize("way", ["traced", "strict", "decomposed"])
@pytest.mark.parametrize(("function", "example", "shapes", "dead"), PROGRAMS.values(), ids=list(PROGRAMS))
def test_dead_inputs_are_found_and_change_nothing(
    tmp_path: Path, function: Any, example: tuple[Any, ...], shapes: Any, dead: set[str], way: str
) -> None:
    program = torch.export.export(Wrapped(function), example, dynamic_shapes=shapes, strict=way == "strict")
    program = program.run_decompositions() if way == "decomposed" else program
    torch.export.save(program, str(tmp_path / "model.pt2"))
    inputs = read_signature(tmp_path / "model.pt2").inputs
    found = {it.name for it in inputs if it.live is Live.NO}
    baked_in = {it.name for it in inputs if it.default is not None}  # strict tracing bakes an unused number in
    assert found >= dead - baked_in
    if way == "traced":
        assert found == dead
    leaves, tree = _pytree.tree_flatten(example)
    before = outputs_of(program, example)
    for position, value in enumerate(inputs):
        if value.live is Live.NO:
            changed = [*leaves[:position], other(leaves[position]), *leaves[position + 1 :]]
            after = outputs_of(program, _pytree.tree_unflatten(changed, tree))
            assert all(map(torch.equal, before, after)), value.name


def outputs_of(program: Any, call: Any) -> list[torch.Tensor]:
    torch.manual_seed(7)
    call = _pytree.tree_map(lambda it: it.clone() if isinstance(it, torch.Tensor) else it, call)
    returned = _pytree.tree_leaves(program.module()(*call))
    return [torch.as_tensor(it) for it in returned if it is not None]


def other(value: Any) -> Any:
    return torch.full_like(value, 7) if isinstance(value, torch.Tensor) else value + 1


def test_state_that_an_input_changes_keeps_it_alive(tmp_path: Path) -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(2))

        def forward(self, x: Any, y: Any, z: Any) -> Any:
            self.seen.add_(y.sum(0))
            z.mul_(2)
            return x + 1

    for name, program in (("as traced", None), ("functional", "run_decompositions")):
        exported = torch.export.export(Counting(), (row(), row(), row()))
        torch.export.save(getattr(exported, program)() if program else exported, str(tmp_path / f"{name}.pt2"))
        assert {it.live for it in read_signature(tmp_path / f"{name}.pt2").inputs} == {Live.YES}, name


def test_arguments_that_are_baked_in_are_left_open(tmp_path: Path) -> None:
    program = torch.export.export(Wrapped(counted), (row(), 3, None))
    torch.export.save(program, str(tmp_path / "model.pt2"))
    assert [it.live for it in read_signature(tmp_path / "model.pt2").inputs] == [Live.YES, Live.UNKNOWN, Live.UNKNOWN]


def node(target: str, given: dict[str, Any], made: str) -> dict[str, Any]:
    return {"target": target, "inputs": [{"name": "self", "arg": given}], "outputs": [{"as_tensor": {"name": made}}]}


NEG, CUSTOM = "torch.ops.aten.neg.default", "torch.ops.mine.send.default"
GRAPHS: dict[str, tuple[list[Any], set[str] | None]] = {
    "no nodes": ([], {"out"}),
    "a pure chain": (
        [node(NEG, {"as_tensor": {"name": "x"}}, "a"), node(NEG, {"as_tensor": {"name": "a"}}, "b")],
        {"out"},
    ),
    "a chain into the output": ([node(NEG, {"as_tensor": {"name": "x"}}, "out")], {"out", "x"}),
    "an operation that is not known": ([node(CUSTOM, {"as_tensor": {"name": "x"}}, "a")], {"out", "x"}),
    "several": ([node(CUSTOM, {"as_tensors": [{"name": "x"}, {"name": "y"}]}, "a")], {"out", "x", "y"}),
    "optional": (
        [node(CUSTOM, {"as_optional_tensors": [{"as_none": True}, {"as_tensor": {"name": "y"}}]}, "a")],
        {"out", "y"},
    ),
    "a number": ([node(CUSTOM, {"as_sym_int": {"as_name": "x"}}, "a")], {"out", "x"}),
    "text like a name": ([node(CUSTOM, {"as_string": '"name": "x"'}, "a")], {"out"}),
    "a name with an escape": ([node(CUSTOM, {"as_tensor": {"name": "é"}}, "a")], {"out", "é"}),
    "an argument of a newer kind": ([node(CUSTOM, {"as_hologram": {"name": "x"}}, "a")], None),
    "a value from nowhere": ([node(CUSTOM, {"as_tensor": {"name": "w"}}, "a")], None),
    "an overload that writes": ([node("torch.ops.aten.neg.out", {"as_tensor": {"name": "x"}}, "a")], {"out", "x"}),
    "a circle": (
        [node(NEG, {"as_tensor": {"name": "b"}}, "out"), node(NEG, {"as_tensor": {"name": "out"}}, "b")],
        {"out", "b"},
    ),
    "no list": ([3], None),
}


@pytest.mark.parametrize(("nodes", "live"), GRAPHS.values(), ids=list(GRAPHS))
def test_graphs(nodes: list[Any], live: set[str] | None) -> None:
    given = json.dumps([{"as_tensor": {"name": name}} for name in ("x", "y", "é", "out")]).encode()
    outputs = b'[{"as_tensor": {"name": "out"}}]'
    found = live_values(json.dumps(nodes).encode(), given, outputs)
    assert (None if found is None else {name.decode() for name in found}) == live


def test_a_graph_that_is_too_large_is_left_open() -> None:
    assert live_values(b"[" + b" " * MAX_GRAPH_BYTES + b"]", b"[]", b"[]") is None
    assert live_values(b"[" + b"{}," * (MAX_GRAPH_BYTES // 4) + b"{}]", b"[]", b"[]") is None
