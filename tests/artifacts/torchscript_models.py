"""Modules that use all that TorchScript keeps of a signature.

Without postponed annotations: torch.jit.script does not resolve those of named tuples.
"""

from enum import Enum
from typing import Any, NamedTuple

import torch


class Pair(NamedTuple):
    a: torch.Tensor
    b: int | None


class Nested(NamedTuple):
    pair: Pair
    c: torch.Tensor


class Color(Enum):
    RED = "r"
    BLUE = "b"


class Everything(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)
        self.k = 3

    @property
    def size(self) -> int:
        return self.k

    def forward(
        self,
        x: torch.Tensor,
        feats: dict[str, torch.Tensor],
        o: int | None = None,
        t: tuple[int, float] = (3, 4.5),
        s: str = "a\"b\\'\n\té,)([{=:",
        plain: str = "x, y) -> (z",
        f: float = float("inf"),
        c: complex = 1 + 2j,
        dev: torch.device = torch.device("cpu"),  # noqa: B008  # torch.jit.script wants it here
        u: int | str = 3,
        ls: list[int] | None = None,
        neg: int = -4,
        e: float = 1e-30,
        b: bool = True,
        col: Color = Color.RED,
        anything: Any = None,
    ) -> Pair:
        return Pair(self.inner(x), o)

    @torch.jit.export
    def nested(self, n: Nested, zs: list[tuple[int, torch.Tensor]]) -> tuple[Nested, torch.Tensor]:
        return n, zs[0][1]

    @torch.jit.export
    def built(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
        out: dict[str, torch.Tensor] = {}
        out["p"] = z
        out["q, r"] = z + 1
        return out

    @torch.jit.export
    def literal(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"p": z, "q": z + 1}

    @torch.jit.export
    def conditional(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
        out = {"p": z}
        if bool(z.sum() > 0):
            out["q"] = z
        return out


class Traced(torch.nn.Module):
    def forward(
        self, feats: dict[str, torch.Tensor], pair: tuple[torch.Tensor, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {"y": feats["a"] + pair[0]}
