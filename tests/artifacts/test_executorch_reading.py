"""ExecuTorch programs, read without ExecuTorch, agree with its own deserializer and run in its runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats import executorch
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Learned, Live, Overload, Signature
from trimtab.signature.types import Literal, Scalar, Tensor, Type
from trimtab.source.bytes import LocalFile, MemorySource

pytest.importorskip("executorch.exir")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
    from executorch.runtime import Runtime

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, user: torch.Tensor, ids: torch.Tensor, k: int = 3) -> dict[str, torch.Tensor]:
        return {"score": self.layer(user) * k, "ids": ids + 1}


class Nested(torch.nn.Module):
    def forward(self, feats: dict[str, torch.Tensor], pair: Any, *, flag: bool = True, scale: float = 2.5) -> Any:
        return (feats["a.b"] + pair[0] * scale, [pair[1], {"x y": feats['"q']}])


class Scale(torch.nn.Module):
    def forward(self, y: torch.Tensor, z: torch.Tensor) -> Any:
        return y * z, None, 5, y.shape[0]


class Odd(torch.nn.Module):
    def forward(self, x: Any, s: Any = "hi", n: Any = None, i: int = 4, b: bool = True, many: Any = (1, 2)) -> Any:
        return x * i + sum(many)


class Unused(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, a: torch.Tensor, unused: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        self.total.add_(state)
        return a + 1


class Same(torch.nn.Module):
    def forward(self, *values: torch.Tensor) -> Any:
        return tuple(it.clone() for it in values)


class Found(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.nonzero(x), x * 2


DTYPES = (
    *(torch.float32, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.float16, torch.bfloat16, torch.complex64),
)
batch = torch.export.Dim("batch", min=2, max=16)
LONG = torch.ones(4, dtype=torch.int64)


def program(methods: Any, constants: Any = None) -> bytes:
    edge = to_edge(methods, constant_methods=constants, compile_config=EdgeCompileConfig(_check_ir_validity=False))
    return bytes(edge.to_executorch(ExecutorchBackendConfig()).buffer)


def export(module: torch.nn.Module, *args: Any, dynamic_shapes: Any = None, **kwargs: Any) -> Any:
    return torch.export.export(module, args, kwargs=kwargs, dynamic_shapes=dynamic_shapes)


@pytest.fixture(scope="module")
def programs() -> dict[str, bytes]:
    shapes = {"user": {0: batch}, "ids": {0: batch}, "k": None}
    dynamic = export(Linear(), torch.randn(4, 4), LONG, k=2, dynamic_shapes=shapes)
    constants = {"get_max_len": 5, "name": "abc", "ones": torch.ones(2), "half": 0.5, "flag": True, "list": [1, 2]}
    feats = {"a.b": torch.ones(2), '"q': torch.ones(2, dtype=torch.int32)}
    pair = (torch.ones(2), torch.zeros(1, dtype=torch.bool))
    three = torch.ones(3)
    return {
        "dynamic": program(dynamic, constants),
        "documented": program(dynamic, {"module_info": json.dumps({"input_names": [], "output_names": []})}),
        "static": program(export(Linear(), torch.randn(4, 4), LONG)),
        "nested": program(export(Nested(), feats, pair, flag=False, scale=1.5)),
        "methods": program({"forward": export(Same(), three), "other": export(Scale(), three, torch.zeros(3))}),
        "odd": program(export(Odd(), torch.ones(2), "yo", None, 7, False, [3, 4])),
        "unused": program(export(Unused(), torch.ones(2), torch.ones(2), torch.ones(2))),
        "dtypes": program(export(Same(), *(torch.ones(2).to(each) for each in DTYPES))),
        "ranks": program(export(Same(), torch.tensor(1.0), torch.ones(0, 3), torch.ones(1, 2, 3))),
        "found": program(export(Found(), torch.ones(4), dynamic_shapes={"x": {0: torch.export.Dim("n", max=20)}})),
    }


NAMES = ("dynamic", "documented", "static", "nested", "methods", "odd", "unused", "dtypes", "ranks", "found")


def read(content: bytes) -> Signature:
    return read_signature(MemorySource(content, "model.pte"))


def plain(type_: Type, overload: Overload) -> Any:
    """A type as the oracle below gives it: bounds in place of the symbols that have them."""
    if not isinstance(type_, Tensor):
        return type_
    assert type_.shape is not None
    return type_.dtype, [overload.dimensions[it].maximum if isinstance(it, str) else it for it in type_.shape]


def stated(value: Any, *, output: bool = False) -> Any:
    kind = type(value).__name__
    if kind == "Tensor":
        return dtype_of("c10", int(value.scalar_type)), list(value.sizes)
    scalars = {"Int": DType.INT64, "Bool": DType.BOOL, "Double": DType.FLOAT64, "String": DType.STRING}
    if output and kind in scalars:
        return Scalar(scalars[kind])
    return Literal({"Null": lambda: None}.get(kind, lambda: next(iter(vars(value).values())))())


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_executorch(programs: dict[str, bytes], name: str) -> None:
    signature = executorch.derive(MemorySource(programs[name]))
    plans = {it.name: it for it in deserialize_pte_binary(programs[name]).program.execution_plan}
    computing = {key: it for key, it in plans.items() if it.inputs or any(c.instructions for c in it.chains)}
    assert {it.name for it in signature.entry_points} == set(computing)
    assert signature.default_entry_point == "forward"
    for key, plan in computing.items():
        overload = signature.entry_point(key).overloads[0]
        assert [plain(it.type, overload) for it in overload.inputs] == [
            stated(plan.values[index].val) for index in plan.inputs
        ]
        assert [plain(it.type, overload) for it in overload.outputs] == [
            stated(plan.values[index].val, output=True) for index in plan.outputs
        ]
        assert all(limits.minimum == 0 for limits in overload.dimensions.values())


def test_agrees_with_the_corpus(corpus: Path) -> None:
    for path in sorted((corpus / "formats").glob("*.pte")):
        oracle = json.loads(path.with_name(f"{path.name}.oracle.json").read_text())
        signature = read_signature(path)
        assert {it.name for it in signature.entry_points} <= set(oracle["methods"])
        overload = signature.entry_point("forward").overloads[0]
        for values, wanted in ((overload.inputs, "inputs"), (overload.outputs, "outputs")):
            for value, it in zip(values, oracle["forward"][wanted], strict=True):
                if "not_tensor" in it:
                    assert not isinstance(value.type, Tensor)
                else:
                    assert plain(value.type, overload) == (dtype_of("torch", it["dtype"]), it["shape"])


def test_the_call_is_described(programs: dict[str, bytes]) -> None:
    signature = read(programs["nested"])
    assert {it.name: it.call_path for it in signature.inputs} == {
        "a.b": 'args[0]["a.b"]',
        '"q': 'args[0]["\\"q"]',
        "input_2": "args[1][0]",
        "input_3": "args[1][1]",
        "flag": "flag",
        "scale": "scale",
    }
    assert {it.name: it.return_path for it in signature.outputs} == {
        "output_0": "[0]",
        "output_1": "[1][0]",
        "x y": '[1][1]["x y"]',
    }
    assert read(programs["dynamic"]).input_names == ("input_0", "input_1", "k")


def test_numbers_are_baked_in(programs: dict[str, bytes]) -> None:
    types = [it.type for it in read(programs["odd"]).inputs]
    assert types[1:] == [Literal(None), Literal(None), Literal(7), Literal(False), Literal(3), Literal(4)]


def test_constant_methods_are_notes(programs: dict[str, bytes]) -> None:
    signature = read(programs["dynamic"])
    assert [it.name for it in signature.entry_points] == ["forward"]
    (note,) = (it for it in signature.provenance.notes if it.startswith("constant methods"))
    for text in ("get_max_len = 5", "name = 'abc'", "ones = float32 [2]", "half = 0.5", "flag = True", "list = [1, 2]"):
        assert text in note


def test_a_program_of_constants_is_read_as_them(programs: dict[str, bytes]) -> None:
    file = deserialize_pte_binary(programs["dynamic"])
    plans = file.program.execution_plan
    file.program.execution_plan = [it for it in plans if it.name in ("get_max_len", "half")]
    signature = read(bytes(serialize_pte_binary(file)))
    assert {it.name: it.overloads[0].outputs[0].type for it in signature.entry_points} == {
        "get_max_len": Scalar(DType.INT64),
        "half": Scalar(DType.FLOAT64),
    }
    file.program.execution_plan = []
    with pytest.raises(ArtifactError, match="with a method"):
        read(bytes(serialize_pte_binary(file)))


def run(content: bytes, method: str, *values: Any) -> Any:
    return Runtime.get().load_program(content).load_method(method).execute(values)


def test_what_nothing_refers_to_is_dead(programs: dict[str, bytes]) -> None:
    signature = read(programs["unused"])
    assert [it.live for it in signature.inputs] == [Live.UNKNOWN, Live.NO, Live.UNKNOWN]
    one = torch.ones(2)
    first, second = (run(programs["unused"], "forward", one, each, one) for each in (one, one * 7))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for name in set(NAMES) - {"unused"}:
        for each in executorch.derive(MemorySource(programs[name])).entry_points:
            assert {it.live for it in each.overloads[0].inputs} <= {Live.UNKNOWN}


def test_the_constant_method_is_a_document(corpus: Path) -> None:
    names = {"input_names": ["input_0", "input_1", "k"], "output_names": ["score", "ids"]}
    signature = read(program(export(Linear(), torch.randn(4, 4), LONG, k=2), {"module_info": json.dumps(names)}))
    assert signature.provenance.learned is Learned.DECLARED
    assert signature.input_names == ("input_0", "input_1", "k")


@pytest.mark.parametrize("name", ["dynamic", "ranks"])  # with segments of weights, and without
def test_a_document_goes_behind_and_the_runtime_does_not_mind(
    programs: dict[str, bytes], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(programs[name])
    signature = read_signature(path)
    for _ in range(2):
        assert embed_signature(path, signature) == str(path)
        again = read_signature(path)
        assert again.provenance.learned is Learned.DECLARED
        assert again.digest == signature.digest
    assert path.read_bytes().startswith(programs[name])
    values: Any = (torch.ones(4, 4), LONG, 2)
    if name == "ranks":
        values = (torch.tensor(1.0), torch.ones(0, 3), torch.ones(1, 2, 3))
    for first, second in zip(
        run(programs[name], "forward", *values), run(path.read_bytes(), "forward", *values), strict=True
    ):
        assert torch.equal(first, second)
    assert Runtime.get().load_program(path).method_names == Runtime.get().load_program(programs[name]).method_names


def test_a_later_document_counts_before_the_constant_method(programs: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(programs["documented"])
    with pytest.raises(ArtifactError):
        read_signature(path)  # the constant method says that there are no inputs
    embed_signature(path, derive_signature(path))
    assert read_signature(path).input_names == ("input_0", "input_1", "k")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:2000], "cut short"),
        (lambda content: content[:4] + b"ET11" + content[8:], "schema ET11"),
        (lambda content: content[:4] + b"ETxx" + content[8:], "no model file"),
        (lambda content: content[:12], "cut short"),
    ],
)
def test_damage_is_named(programs: dict[str, bytes], damage: Any, problem: str) -> None:
    with pytest.raises(ArtifactError, match=problem):
        read(damage(programs["dynamic"]))


@settings(max_examples=200)
@given(st.data())
def test_damage_gives_an_answer_or_our_error(programs: dict[str, bytes], data: st.DataObject) -> None:
    content = bytearray(programs[data.draw(st.sampled_from(["dynamic", "nested", "methods"]))])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(8, len(content))))]))
    except ArtifactError:
        return


def test_weights_are_not_read(tmp_path: Path) -> None:
    class Wide(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1024, 2048))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight

    path = tmp_path / "wide.pte"
    path.write_bytes(program(export(Wide(), torch.ones(1, 1024))))
    assert path.stat().st_size > 8 << 20
    with LocalFile(path) as source:
        executorch.derive(source)
        executorch.declared(source)
        assert source.bytes_read < 128 << 10
