"""Modules to export. Without postponed annotations: torch.jit.script does not resolve all of those."""

from typing import Any

import torch


class Ranker(torch.nn.Module):
    def forward(
        self, user: torch.Tensor, feats: dict[str, torch.Tensor], temperature: float = 0.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        score = user.sum(1) + feats["age"].sum(1) * temperature
        return score, score + feats["item.price"].sum(1)

    @torch.jit.export
    def embed(self, user: torch.Tensor) -> torch.Tensor:
        return user * 2


class Renamed(torch.nn.Module):
    def forward(self, fork: torch.Tensor, nan: torch.Tensor) -> torch.Tensor:
        return fork + nan


class KeywordOnly(torch.nn.Module):
    def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
        return x * scale


class NotAscii(torch.nn.Module):
    def forward(self, größe: torch.Tensor) -> torch.Tensor:  # noqa: PLC2401  # the name is what is tested
        return größe


class TwoInputs(torch.nn.Module):
    def forward(self, user: Any, item: Any) -> Any:
        return {"score": (user * item).sum(1)}
