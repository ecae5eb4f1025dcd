"""Real rankers over the feature universe: trained for a moment, each on its own share of the features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.demo import universe
from examples.demo.universe import Kind

BUCKETS = 512
WIDTH = 8


class Recipe(NamedTuple):
    """A model of the repository: its name, the file that it is exported to, and the share of features that it uses."""

    name: str
    file: str
    share: float


RECIPES = (
    Recipe("click", "model.pt", 0.30),
    Recipe("save", "model.pt2", 0.15),
    Recipe("related", "model.onnx", 0.50),
    Recipe("hide", "model.pt", 0.22),
)


class Ranker(nn.Module):
    """Scores every candidate of a batch from a dict of features to one probability each."""

    def __init__(self, features: dict[Kind, list[str]]) -> None:
        super().__init__()
        self.features = [name for names in features.values() for name in names]
        self.rates = features[universe.RATES]
        self.references = features[universe.REFERENCES]
        self.counts = features[universe.COUNTS]
        self.histories = features[universe.HISTORIES]
        self.vectors = features[universe.EMBEDDINGS] + features[universe.TASTES]
        self.flags = features[universe.FLAGS]
        hashed = len(self.references) + len(self.histories)
        width = len(self.rates) + len(self.counts) + WIDTH * hashed + 64 * len(self.vectors) + 8 * len(self.flags)
        self.buckets = BUCKETS
        self.table = nn.Embedding(BUCKETS, WIDTH)
        self.tower = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by name, leading dimension the batch, to `{"score": [batch]}`."""
        rates = torch.stack([features[name] for name in self.rates], -1)
        counts = torch.stack([features[name] for name in self.counts], -1).to(torch.float32).log1p()
        references = self.table(torch.stack([features[name] for name in self.references], 1) % self.buckets)
        histories = torch.stack([features[name] for name in self.histories], 1)
        visited = (self.table(histories % self.buckets) * (histories > 0).unsqueeze(-1)).sum(2)
        vectors = torch.cat([features[name] for name in self.vectors], -1)
        flags = torch.cat([features[name] for name in self.flags], -1).to(torch.float32)
        joined = torch.cat([rates, counts, references.flatten(1), visited.flatten(1), vectors, flags], -1)
        return {"score": torch.sigmoid(self.tower(joined)).squeeze(-1)}


def draw_features(share: float, seed: int) -> dict[Kind, list[str]]:
    """A share of every kind of feature, chosen by the seed."""
    rng = np.random.default_rng(seed)
    return {
        kind: sorted(rng.choice(kind.names, max(1, round(kind.count * share)), replace=False).tolist())
        for kind in universe.KINDS
    }


def with_another_feature(features: dict[Kind, list[str]]) -> dict[Kind, list[str]]:
    """The same features, but one: what a modeler does on an ordinary day, and what changes a signature."""
    chosen = features[universe.RATES]
    other = next(name for name in universe.RATES.names if name not in chosen)
    return {**features, universe.RATES: [*chosen[1:], other]}


def train(ranker: Ranker, values: dict[str, NDArray[np.generic]], *, steps: int, seed: int) -> float:
    """Fit a ranker to a hidden preference over its own features; returns the last loss.

    values: arrays of shape [examples, ...] for every feature of the universe.
    """
    torch.manual_seed(seed)
    inputs = {name: torch.from_numpy(values[name]) for name in ranker.features}
    hidden = torch.stack([inputs[name] for name in ranker.rates], -1)
    wanted = torch.sigmoid(hidden @ torch.randn(hidden.shape[1]) / hidden.shape[1] ** 0.5)
    optimizer = torch.optim.Adam(ranker.parameters(), lr=3e-3)
    loss = torch.zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(ranker(inputs)["score"], wanted)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
    ranker.eval()
    return float(loss.detach())
