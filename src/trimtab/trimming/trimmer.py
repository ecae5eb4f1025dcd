"""The trimmer: from a request's bytes to the bytes worth sending, by what its model's signature names.

Trimming is an optimization, so it fails open: whatever goes wrong, the request is sent on as it came, and a count says
what happened.
"""

from __future__ import annotations

import logging
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from trimtab import _kernel
from trimtab.bundles.outcomes import MissPolicy, Outcome
from trimtab.protocols.tables import MODEL_INFER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trimtab.protocols.tables import PayloadTable

_log = logging.getLogger(__name__)


class HasCompiledMap(Protocol):
    """What a trimmer needs of a map; a `trimtab.ConsolidatedMap` is one."""

    @property
    def compiled(self) -> _kernel.CompiledMap:
        """The kernel's form of the map."""
        ...


class Trimmed(NamedTuple):
    """A request after the trimmer.

    payload: the bytes to send; the very object that was given when nothing was dropped.
    outcome: how the allowlist was chosen, or why the request passes through.
    kept, dropped: how many inputs the request had and has no more; both 0 when it could not be read.
    """

    payload: bytes
    outcome: Outcome
    kept: int
    dropped: int


class Trimmer:
    """Drops from requests every input that their model's signature does not name.

    models: a map, or a callable that gives the map in force (the `current` of a loader or a watcher), called once per
      request, so that a new map takes effect with the next request.
    table: the requests' format, `inference.ModelInferRequest` unless told otherwise.
    policy: what happens to a request for a version that the map does not have; set it per leaf.
    ledger: counts bytes per feature, over every trimmer that shares it.

    Thread-safe. Costs one pass over the positions in the payload and one copy of what is kept, without the GIL.
    """

    def __init__(
        self,
        models: HasCompiledMap | Callable[[], HasCompiledMap],
        table: PayloadTable = MODEL_INFER_REQUEST,
        policy: MissPolicy = MissPolicy.LENIENT,
        ledger: _kernel.Ledger | None = None,
    ) -> None:
        compiled_table, strict = table.compiled, policy is MissPolicy.STRICT
        if callable(models):
            current = models
            self._start(lambda payload: current().compiled.trim(payload, compiled_table, strict, ledger), ledger)
        else:
            fixed = models.compiled
            self._start(lambda payload: fixed.trim(payload, compiled_table, strict, ledger), ledger)

    @classmethod
    def from_allowlist(
        cls,
        names: Iterable[str],
        table: PayloadTable = MODEL_INFER_REQUEST,
        ledger: _kernel.Ledger | None = None,
    ) -> Self:
        """A trimmer for requests to one model, whatever name and version they state: it keeps the inputs `names`.

        For a service with a single model, `Trimmer.from_allowlist(trimtab.read_signature(path).allowlist)`.
        """
        mask, compiled_table = _kernel.Mask(sorted(set(names))), table.compiled
        trimmer = cls.__new__(cls)
        trimmer._start(lambda payload: mask.trim(payload, compiled_table, ledger), ledger)
        return trimmer

    def _start(self, kernel: Callable[[bytes], tuple[bytes, int, int, int]], ledger: _kernel.Ledger | None) -> None:
        self.ledger = ledger
        self._kernel = kernel
        self._counts = dict.fromkeys(Outcome, 0)
        self._lock = Lock()

    def trim(self, payload: bytes) -> bytes:
        """The bytes to send in place of `payload`: all that most callers want, and what interceptors compose with.

        Everything that is kept is byte for byte what it was, in the same order. When nothing can be trimmed safely
        (unknown model, malformed bytes), that is `payload` itself. Never raises; `counts` says what happened.
        """
        return self.trim_explained(payload).payload

    def trim_explained(self, payload: bytes) -> Trimmed:
        """As `trim`, with the outcome and how many inputs were kept and dropped, for those who report each request."""
        try:
            sent, number, kept, dropped = self._kernel(payload)
            trimmed = Trimmed(sent, _OUTCOMES[number], kept, dropped)
        except Exception as problem:  # noqa: BLE001 - the request must be sent on whatever happens here
            trimmed = Trimmed(payload, Outcome.INTERNAL_ERROR, 0, 0)
            if not self._counts[Outcome.INTERNAL_ERROR]:  # once: a lasting fault must not flood the log
                _log.error("a request could not be trimmed and passes through", exc_info=problem)
        with self._lock:
            self._counts[trimmed.outcome] += 1
        return trimmed

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many requests had each outcome so far; a copy."""
        with self._lock:
            return MappingProxyType(dict(self._counts))


_OUTCOMES = tuple(Outcome(name) for name in _kernel.OUTCOMES)
