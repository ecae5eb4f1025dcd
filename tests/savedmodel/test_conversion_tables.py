"""What tensor TensorFlow makes of a value of each kind, for each dtype: its answers as tables, and ours beside them.

The second column is the tensor's shape. `ok`: of the dtype asked for; another dtype: what the value stays; `-`: a
TypeError or ValueError; `!`: an OverflowError, which ends a search for a trace.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from trimtab.savedmodel.dispatching.eager_conversion import eager_tensor
from trimtab.savedmodel.dispatching.graph_conversion import graph_tensor
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue, value_of

VALUES: dict[str, Any] = {
    "True": True,
    "1": 1,
    "-1": -1,
    "300": 300,
    "3e9 int": 3_000_000_000,
    "2**70": 2**70,
    "1.5": 1.5,
    "1e300": 1e300,
    "1+2j": 1 + 2j,
    "'a'": "a",
    "b'a'": b"a",
    "None": None,
    "[]": [],
    "[1,2]": [1, 2],
    "[1,2.5]": [1, 2.5],
    "[True,1]": [True, 1],
    "['a',b'b']": ["a", b"b"],
    '[1,"a"]': [1, "a"],
    "[[1],[2,3]]": [[1], [2, 3]],
    "(1,2)": (1, 2),
    "[None]": [None],
    "np.f64 arr": np.array([1.5]),
    "np.i64 arr": np.array([1]),
    "np.bool arr": np.array([True]),
    "np.f32()": np.float32(1.5),
    "np.int64()": np.int64(5),
    "np.str arr": np.array(["a"]),
    "np.obj str": np.array(["a"], object),
    "[np.f64(1.5)]": [np.float64(1.5)],
    "[np.arr]": [np.array([1.5])],
    "range(3)": range(3),
    "Fraction": Fraction(1, 3),
    "{}": {},
    "[T int32]": [TensorValue("int32", ())],
    "[T f32,2]": [TensorValue("float32", ()), 2],
    "set": {1},
    "object": object(),
}

INSIDE_A_GRAPH = """
                     | bool i8   i16  i32  i64  u8   u32  u64  f16  bf16 f32  f64  c64  str
True          ()     | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   bool
1             ()     | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
-1            ()     | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
300           ()     | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
3e9 int       ()     | i64  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i64
2**70         ()     | -    !    !    !    !    !    !    !    ok   -    ok   ok   ok   -
1.5           ()     | f32  f32  f32  f32  f32  f32  f32  f32  ok   ok   ok   ok   ok   f32
1e300         ()     | f32  f32  f32  f32  f32  f32  f32  f32  ok   ok   ok   ok   ok   f32
1+2j          ()     | c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 ok   c128
'a'           ()     | str  str  str  str  str  str  str  str  str  str  str  str  str  ok
b'a'          ()     | str  str  str  str  str  str  str  str  str  str  str  str  str  ok
None          -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
[]            (0,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok
[1,2]         (2,)   | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
[1,2.5]       (2,)   | f32  f32  f32  f32  f32  f32  f32  f32  ok   ok   ok   ok   ok   f32
[True,1]      (2,)   | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
['a',b'b']    (2,)   | str  str  str  str  str  str  str  str  str  str  str  str  str  ok
[1,"a"]       -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
[[1],[2,3]]   -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
(1,2)         (2,)   | i32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i32
[None]        -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
np.f64 arr    (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   f64
np.i64 arr    (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i64
np.bool arr   (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   bool
np.f32()      ()     | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   f32
np.int64()    ()     | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   i64
np.str arr    (1,)   | ok   str  str  str  str  str  str  str  str  str  str  str  str  ok
np.obj str    (1,)   | ok   str  str  str  str  str  str  str  str  str  str  str  str  ok
[np.f64(1.5)] (1,)   | f32  f32  f32  f32  f32  f32  f32  f32  ok   ok   ok   ok   ok   f32
[np.arr]      -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
range(3)      (3,)   | i32  ok   ok   ok   ok   i32  ok   ok   i32  ok   ok   ok   i32  i32
Fraction      ()     | -    -    -    -    -    -    -    -    ok   -    ok   ok   ok   -
{}            ()     | ok   -    -    -    -    -    -    -    -    -    -    -    -    -
[T int32]     (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok
[T f32,2]     (2,)   | f32  ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   f32
set           -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
object        -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
"""

OUTSIDE = """
                     | bool i8   i16  i32  i64  u8   u32  u64  f16  bf16 f32  f64  c64  str
True          ()     | ok   -    -    ok   ok   -    -    ok   ok   -    ok   ok   -    -
1             ()     | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
-1            ()     | -    ok   ok   ok   ok   ok   ok   -    ok   ok   ok   ok   ok   -
300           ()     | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
3e9 int       ()     | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
2**70         ()     | -    -    -    -    -    -    -    -    ok   -    ok   ok   -    -
1.5           ()     | -    -    -    -    -    -    -    -    ok   ok   ok   ok   ok   -
1e300         ()     | -    -    -    -    -    -    -    -    ok   ok   ok   ok   ok   -
1+2j          ()     | -    -    -    -    -    -    -    -    -    -    -    -    ok   -
'a'           ()     | -    -    -    -    -    -    -    -    -    -    -    -    -    ok
b'a'          ()     | -    -    -    -    -    -    -    -    -    -    -    -    -    ok
None          -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
[]            (0,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok
[1,2]         (2,)   | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
[1,2.5]       (2,)   | -    -    -    -    -    -    -    -    ok   ok   ok   ok   ok   -
[True,1]      (2,)   | -    -    -    ok   ok   -    -    ok   ok   -    ok   ok   -    -
['a',b'b']    (2,)   | -    -    -    -    -    -    -    -    -    -    -    -    -    ok
[1,"a"]       -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
[[1],[2,3]]   -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
(1,2)         (2,)   | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
[None]        -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
np.f64 arr    (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
np.i64 arr    (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
np.bool arr   (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
np.f32()      ()     | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
np.int64()    ()     | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
np.str arr    (1,)   | ok   -    -    -    -    -    -    -    -    -    -    -    -    ok
np.obj str    (1,)   | ok   -    -    -    -    -    -    -    -    -    -    -    -    ok
[np.f64(1.5)] (1,)   | -    -    -    -    -    -    -    -    ok   ok   ok   ok   ok   -
[np.arr]      (1,1)  | -    -    -    -    -    -    -    -    ok   ok   ok   ok   ok   -
range(3)      (3,)   | -    -    -    ok   ok   -    -    -    ok   ok   ok   ok   -    -
Fraction      -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
{}            -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
[T int32]     (1,)   | ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
[T f32,2]     (2,)   | -    ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   ok   -
set           -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
object        -      | -    -    -    -    -    -    -    -    -    -    -    -    -    -
"""


SHORT = "bool i8 i16 i32 i64 u8 u32 u64 f16 bf16 f32 f64 c64 c128 str"
LONG = "bool int8 int16 int32 int64 uint8 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128 string"
DTYPES = dict(zip(SHORT.split(), LONG.split(), strict=True))


def cells(table: str) -> list[Any]:
    header, *rows = table.strip("\n").split("\n")
    dtypes = header.split("|")[1].split()
    found = []
    for row in rows:
        (name, shape), answers = row.split(" | ")[0].rsplit(maxsplit=1), row.split(" | ")[1].split()
        for dtype, answer in zip(dtypes, answers, strict=True):
            found.append(pytest.param(name.strip(), dtype, shape, answer, id=f"{name.strip()} to {dtype}"))
    return found


@pytest.mark.parametrize(("name", "dtype", "shape", "answer"), cells(INSIDE_A_GRAPH))
def test_a_graph_converts_with_a_hint_as_tensorflow(name: str, dtype: str, shape: str, answer: str) -> None:
    try:
        made = graph_tensor(value_of(VALUES[name]), hint=DTYPES[dtype])
        ours = "ok" if made.dtype == DTYPES[dtype] else made.dtype
        assert str(made.shape).replace(" ", "") == shape
    except Raises as error:
        ours = "!" if error.tensorflow == "OverflowError" else "-"
    assert ours == DTYPES.get(answer, answer)


@pytest.mark.parametrize(("name", "dtype", "shape", "answer"), cells(OUTSIDE))
def test_an_input_signature_casts_as_tensorflow(name: str, dtype: str, shape: str, answer: str) -> None:
    try:
        made = eager_tensor(value_of(VALUES[name]), DTYPES[dtype])
        ours = "ok"
        assert (made.dtype, str(made.shape).replace(" ", "")) == (DTYPES[dtype], shape)
    except Raises:
        ours = "-"
    assert ours == answer


def test_a_list_of_tensors_is_cast_without_a_word() -> None:
    made = graph_tensor([TensorValue("int32", ()), TensorValue("int32", ())], hint="float32")
    assert (made.dtype, made.shape) == ("float32", (2,))


def test_a_first_empty_list_ends_the_look_at_the_others_outside_a_graph() -> None:
    assert eager_tensor([[], 1, "a"], "float32").shape == (3, 0)
