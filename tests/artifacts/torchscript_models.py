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


class Uses(torch.nn.Module):
    """Every way in which a body may use an argument, and some that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.count = 0

    def forward(
        self,
        x: torch.Tensor,
        unused: torch.Tensor,
        dropped: torch.Tensor,
        weight: torch.Tensor,
        named_in_text: torch.Tensor,
        into_the_void: torch.Tensor,
        unread: dict[str, torch.Tensor],
        feats: dict[str, torch.Tensor],
        pair: tuple[torch.Tensor, torch.Tensor],
        deep: tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]],
        condition: torch.Tensor,
        rounds: int,
        written: torch.Tensor,
        items: list[torch.Tensor],
        maybe: torch.Tensor | None,
        attribute: int,
        asserted: torch.Tensor,
        shape_only: torch.Tensor,
        forked: torch.Tensor,
    ) -> torch.Tensor:
        _ = dropped * 2 + 1
        void = torch.zeros(2)
        void.add_(into_the_void)
        y = self.inner(x) if bool(condition.sum() > 0) else x * self.weight
        for _i in range(rounds):
            y = y + feats["age"]
        for item in items:
            y = y + item * feats["item price"]
        if maybe is not None:
            y = y + maybe
        y[0] = written[0]
        self.count = attribute
        assert asserted.sum() > 0, "named_in_text"  # the assertion is what is tested
        future = torch.jit.fork(torch.relu, forked)
        first, _second = pair
        return y + first + deep[1][0] + torch.ones(shape_only.size(0), 2).sum() + torch.jit.wait(future)


class HookedUses(torch.nn.Module):
    def forward(self, x: torch.Tensor, seen_by_a_hook: torch.Tensor) -> torch.Tensor:
        return x
