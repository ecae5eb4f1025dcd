"""Score requests to a root, and what they cost."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from examples.demo import universe
from trimtab.protocols import score

MESSAGE_BYTES = 512 << 20


@dataclass
class Client:
    """A client of one root: asks for candidates to be scored by models, and keeps the scores."""

    address: str
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", MESSAGE_BYTES)])
        self._score = self.channel.unary_unary(
            score.METHODS["Score"],
            request_serializer=score.ScoreRequest.SerializeToString,
            response_deserializer=score.ScoreResponse.FromString,
        )

    def score(self, models: list[str], candidates: list[str], user: str) -> Any:
        """One score request; the ScoreResponse."""
        request = score.ScoreRequest(
            models=[score.ModelRef(name=name) for name in models],
            candidates=candidates,
            entities={universe.USER: user},
        )
        return self._score(request, timeout=60)

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()


@dataclass(frozen=True)
class Run:
    """What a series of score requests gave: latencies in milliseconds, bytes sent to leaves, scores by model."""

    latencies_ms: list[float]
    bytes_per_request: float
    scores: dict[str, np.ndarray]

    def percentile(self, percent: float) -> float:
        """A latency percentile in milliseconds."""
        return float(np.percentile(self.latencies_ms, percent))


def run(client: Client, models: list[str], *, requests: int, candidates: int, progress: Any) -> Run:
    """Send `requests` score requests, one after another, the same ones in every run.

    progress: called with no argument after every request.
    """
    rng = np.random.default_rng(universe.SEED)
    items, users = universe.keys(universe.ITEM), universe.keys(universe.USER)
    latencies, sent = [], 0
    scores: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for number in range(requests):
        chosen = rng.choice(items, candidates, replace=False).tolist()
        started = time.perf_counter()
        response = client.score(models, chosen, users[number % len(users)])
        latencies.append(1000 * (time.perf_counter() - started))
        for result in response.results:
            if result.error.code:
                raise RuntimeError(f"{result.model_name}: {result.error.code}: {result.error.message}")
            scores[result.model_name].append(np.frombuffer(result.outputs[0].raw, np.float32))
            sent += result.bytes_sent
        progress()
    joined = {name: np.concatenate(parts) for name, parts in scores.items()}
    return Run(latencies, sent / requests, joined)


class Background:
    """Traffic in the background: every response and failure is kept with its moment and the versions that answered."""

    def __init__(self, client: Client, models: list[str], candidates: list[str]) -> None:
        self._client, self._models, self._candidates = client, models, candidates
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.answers: list[tuple[float, dict[str, str]]] = []
        self.failures: list[str] = []

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        users = itertools.cycle(universe.keys(universe.USER))
        while not self._stop.is_set():
            try:
                response = self._client.score(self._models, self._candidates, next(users))
            except grpc.RpcError as failure:
                self.failures.append(f"{failure.code().name}: {failure.details()}")
                continue
            failed = [f"{it.model_name}: {it.error.message}" for it in response.results if it.error.code]
            self.failures += failed
            self.answers.append((time.monotonic(), {it.model_name: it.model_version for it in response.results}))
