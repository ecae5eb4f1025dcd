"""Make the small repository of real models that every page of the documentation starts with.

    python docs/models.py FOLDER

Three models over the features user_age, item_price and item_ids, one per format; each uses what its signature says.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

import trimtab.onnx
import trimtab.torch


class Click(nn.Module):
    """Uses all three features."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 4)
        self.tower = nn.Linear(6, 1)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        ids = self.table(features["item_ids"] % 100).sum(1)
        joined = torch.cat([features["user_age"], features["item_price"], ids], -1)
        return {"score": torch.sigmoid(self.tower(joined)).squeeze(-1)}


class Save(nn.Module):
    """Uses the price alone."""

    def forward(self, item_price: Tensor) -> Tensor:
        return torch.sigmoid(1 - item_price).squeeze(-1)


class Related(nn.Module):
    """Uses the ids alone."""

    def forward(self, item_ids: Tensor) -> Tensor:
        return (item_ids % 7).to(torch.float32).mean(-1)


def make(folder: Path) -> None:
    torch.manual_seed(0)
    price, ids = torch.rand(3, 1), torch.randint(0, 1000, (3, 8))
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    click = folder / "click" / "1" / "model.pt"
    save = folder / "save" / "1" / "model.pt2"
    related = folder / "related" / "1" / "model.onnx"
    for path in (click, save, related):
        path.parent.mkdir(parents=True)
    features = {"user_age": torch.rand(3, 1), "item_price": price, "item_ids": ids}
    trimtab.torch.save(torch.jit.script(Click().eval()), click, example_inputs=(features,))
    program = torch.export.export(Save().eval(), (price,), dynamic_shapes=(batch,))
    trimtab.torch.save(program, save, output_names=["score"])
    program = torch.export.export(Related().eval(), (ids,), dynamic_shapes=(batch,))
    trimtab.onnx.save(torch.onnx.export(program, output_names=["score"], verbose=False), related)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    make(Path(sys.argv[1]))
