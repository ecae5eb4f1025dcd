"""The torch modules of small_models.py. TorchScript wants their source in a file and without postponed annotations."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ranked(NamedTuple):
    score: Tensor
    rank: Tensor


class Scripted(torch.nn.Module):
    """Plain, optional and defaulted arguments; a named tuple comes back."""

    def forward(self, age: Tensor, clicks: Tensor, boost: Tensor | None, weight: float = 2.0) -> Ranked:
        score = age * weight + clicks
        if boost is not None:
            score = score + boost
        return Ranked(score, torch.argsort(score, dim=0))


class Nested(torch.nn.Module):
    """A dictionary, a tuple and a keyword argument; a dictionary with a nested tuple comes back."""

    def forward(self, feats: dict[str, Tensor], pair: tuple[Tensor, Tensor], *, scale: Tensor):
        score = feats["user.age"] * scale + pair[0] - pair[1]
        return {"score": score, "more": (feats["ids"] + 1, score.to(torch.bfloat16))}


class Keyed(torch.nn.Module):
    """One dictionary of features, by names that are no identifiers; a dictionary comes back."""

    def forward(self, feats: dict[str, Tensor]) -> dict[str, Tensor]:
        score = feats["user.age"] + feats["item.ids"].sum(1, keepdim=True).float()
        return {"score": score, "double": score * 2}


class Twice(torch.nn.Module):
    """Keeps the dtype of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x
