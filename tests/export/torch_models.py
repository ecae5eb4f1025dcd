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


class Scorer(torch.nn.Module):
    """Takes a dict of features, reads three of them, one from a dict inside; untyped, so it cannot be scripted."""

    def forward(self, feats: Any, scale: float = 1.0, *, bias: Any = None) -> Any:
        score = feats["age"].sum(1) * scale + feats.get("price", feats["age"]).sum(1) + feats["user"]["rank"].sum(1)
        return {"score": score if bias is None else score + bias}


class WalksOverFeatures(torch.nn.Module):
    def forward(self, feats: Any) -> Any:
        return sum(value.sum(1) for value in feats.values()) + feats["age"].sum(1)


class CountsFeatures(torch.nn.Module):
    def forward(self, feats: Any) -> Any:
        return feats["age"].sum(1) * len(feats)


class ReadsInBranches(torch.nn.Module):
    def forward(self, feats: dict[str, torch.Tensor]) -> torch.Tensor:
        score = feats["age"].sum(1)
        if bool(score.sum() > 1000):
            score = score + feats["price"].sum(1)
        return score


class ReadsByVariable(torch.nn.Module):
    def forward(self, feats: dict[str, torch.Tensor], names: list[str]) -> torch.Tensor:
        score = torch.zeros(3)
        for name in names:
            score = score + feats[name].sum(1)
        return score


class AsksForMore(torch.nn.Module):
    def forward(self, feats: Any) -> Any:
        return feats["age"] + 1 if "extra" in feats else feats["age"]


class OneRow(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x.reshape(3, 4)


class Untraceable(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x.tolist()[0]


class RenamedDict(torch.nn.Module):
    def forward(self, fork: dict[str, torch.Tensor]) -> torch.Tensor:
        return fork["a"] + fork["b"]
