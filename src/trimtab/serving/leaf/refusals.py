"""Why a leaf does not answer with scores, and what gRPC and HTTP call each reason."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from trimtab.errors import ConversionError, MissingExtraError, TrimtabError
from trimtab.serving.compression import PayloadEncodingError


class UnknownModelError(TrimtabError):
    """The request names a model or a version that this leaf does not serve."""


class NotReadyError(TrimtabError):
    """The leaf is still loading, or already stopping."""


class OverloadedError(TrimtabError):
    """All engine threads are busy and the queue is full; the request was not started."""


class DeadlinePassedError(TrimtabError):
    """The caller's deadline passed before the scores were there."""


class EngineFailedError(TrimtabError):
    """The framework raised while it scored a request that fits the signature."""


class UnsupportedEncodingError(TrimtabError):
    """The request's payload has an encoding that this leaf does not have."""


class AnswerTooLargeError(TrimtabError):
    """The scores do not fit into one message."""


class Status(NamedTuple):
    """A reason as gRPC's status name, as an HTTP status, and as the `reason` label of the metrics."""

    grpc: str
    http: int
    reason: str


def status_of(error: TrimtabError) -> Status:
    """The status of a refusal. Whatever has no row of its own is the leaf's fault."""
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return _INTERNAL


def wire_text(error: TrimtabError) -> str:
    """The error's text, cut to what fits the 8 KB of gRPC's metadata beside the rest.

    gRPC percent-encodes the status message: a line feed takes 3 bytes and a letter of most scripts 6 to 12.
    """
    text = str(error)
    if len(text) <= _SURELY_FITS:
        return text
    if len(quote(text, safe=_PRINTABLE)) <= _MOST_BYTES:
        return text
    low, high = 0, min(len(text), _MOST_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(quote(text[:middle], safe=_PRINTABLE)) <= _MOST_BYTES else (low, middle - 1)
    return text[:low] + "…"


_STATUSES: dict[type[TrimtabError], Status] = {
    ConversionError: Status("INVALID_ARGUMENT", 400, "conversion"),
    PayloadEncodingError: Status("INVALID_ARGUMENT", 400, "encoding"),
    UnsupportedEncodingError: Status("UNIMPLEMENTED", 415, "encoding"),
    MissingExtraError: Status("UNIMPLEMENTED", 415, "encoding"),
    UnknownModelError: Status("NOT_FOUND", 404, "unknown_model"),
    OverloadedError: Status("RESOURCE_EXHAUSTED", 429, "overload"),
    AnswerTooLargeError: Status("RESOURCE_EXHAUSTED", 413, "answer_size"),
    DeadlinePassedError: Status("DEADLINE_EXCEEDED", 504, "deadline"),
    NotReadyError: Status("UNAVAILABLE", 503, "not_ready"),
    EngineFailedError: Status("INTERNAL", 500, "engine"),
}
_INTERNAL = Status("INTERNAL", 500, "engine")
REASONS = tuple(dict.fromkeys(status.reason for status in (*_STATUSES.values(), _INTERNAL)))
"""Every value of the metrics' label `reason`."""

_MOST_BYTES = 4096
_SURELY_FITS = _MOST_BYTES // 12
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
