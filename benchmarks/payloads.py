"""The payloads that every benchmark of the request path measures: requests of 1,000 inputs with a batch of 64.

a: fp32 scalars. b: vectors of 64 floats. c: a realistic mix of scalars, ids, zero-padded id lists, embeddings, user
vectors repeated for every candidate, and flags. Serialized `inference.ModelInferRequest` with raw contents; one seed,
so that every run measures the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trimtab.protocols import oip

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = 1000
BATCH = 64
MODEL, VERSION = "ranker", "3"


def payload(kind: str, batch: int = BATCH) -> bytes:
    """The serialized request `kind`: "a", "b" or "c"."""
    random = np.random.default_rng(7)
    request = oip.ModelInferRequest(model_name=MODEL, model_version=VERSION, id="request-1")
    for name, draw in zip(names(), _draws(kind, batch), strict=True):
        values = draw(random)
        request.inputs.add(name=name, datatype=_DATATYPES[values.dtype.str], shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
    serialized: bytes = request.SerializeToString()
    return serialized


def names() -> list[str]:
    """The names of the inputs, in the order of the payloads."""
    groups = ("user", "item", "context", "user_item_cross", "session")
    return [f"{groups[i % 5]}.window_{i % 13}.feature_{i}" for i in range(INPUTS)]


def kept_sets() -> dict[str, list[str]]:
    """Two choices of a quarter of the inputs: every fourth, and as many at random."""
    every = names()
    chosen = np.random.default_rng(11).permutation(INPUTS)[: INPUTS // 4]
    return {"every fourth": every[::4], "random": [every[i] for i in sorted(chosen)]}


def _draws(kind: str, batch: int) -> list[Callable[[np.random.Generator], np.ndarray]]:
    if kind == "a":
        return [_floats(batch, 1)] * INPUTS
    if kind == "b":
        return [_floats(batch, 64)] * INPUTS
    mix = [
        (400, _floats(batch, 1)),
        (200, lambda r: r.integers(0, 1 << 40, (batch, 1))),
        (100, lambda r: r.integers(0, 50, (batch, 1))),
        (150, lambda r: _id_lists(r, batch)),
        (50, _floats(batch, 64)),
        (50, lambda r: np.repeat(r.standard_normal((1, 16), np.float32), batch, axis=0)),
        (50, lambda r: r.integers(0, 2, (batch, 8)).astype(bool)),
    ]
    draws = [draw for count, draw in mix for _ in range(count)]
    return [draws[i] for i in np.random.default_rng(3).permutation(INPUTS)]


def _floats(batch: int, width: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: random.standard_normal((batch, width), np.float32)


def _id_lists(random: np.random.Generator, batch: int) -> np.ndarray:
    ids = random.integers(1, 1 << 40, (batch, 32))
    ids[np.arange(32) >= random.integers(0, 33, (batch, 1))] = 0
    return ids


_DATATYPES = {"<f4": "FP32", "<i8": "INT64", "|b1": "BOOL"}
