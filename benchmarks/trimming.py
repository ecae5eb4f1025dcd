"""Trim 1,000 inputs to 250, beside protobuf's parse, delete and serialize and beside a bare memcpy, in one process.

    python benchmarks/trimming.py [--json FILE]

The times are the least of many repetitions, in microseconds, of the whole call from Python, look-up included. "trim"
sees requests whose tensors are described alike from one to the next, as those of one client are; "unlike" sees, before
each one, a request of another batch size. memcpy copies as many bytes as are kept, in one piece, into memory that is
there already. glibc's allocator is tuned the way the servers tune it, for every competitor alike.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from trimtab import _kernel
from trimtab.protocols import oip
from trimtab.protocols.tables import INFER_INPUT_TENSOR, MODEL_INFER_REQUEST

sys.path.insert(0, str(Path(__file__).resolve().parent))
import payloads
from timing import arguments, least_us

TABLE = MODEL_INFER_REQUEST.compiled
TENSOR = INFER_INPUT_TENSOR.compiled
FASTER_THAN_PROTOBUF = {"a": 15.0, "b": 7.0, "c": 7.0}
OF_MEMCPY = {"b": 1.6}


def with_protobuf(payload: bytes, kept: frozenset[str]) -> bytes:
    request = oip.ModelInferRequest.FromString(payload)
    inputs, raw = request.inputs, request.raw_input_contents
    for index in range(len(inputs) - 1, -1, -1):
        if inputs[index].name not in kept:
            del inputs[index]
            del raw[index]
    return request.SerializeToString()


def measure(kind: str, choice: str, kept: list[str]) -> dict[str, Any]:
    payload, unlike = payloads.payload(kind), payloads.payload(kind, batch=payloads.BATCH - 1)
    others = sorted({*payloads.names(), *kept})  # what other models of the same map use
    lists = [np.searchsorted(others, each).astype(">u4").tobytes() for each in (sorted(kept), others)]
    models = _kernel.CompiledMap(others, lists, [(payloads.MODEL, False, 0, 1, [(payloads.VERSION, 0)])])
    ledger, mask, names = _kernel.Ledger(), _kernel.Mask(kept), frozenset(kept)

    sent, outcome, *_ = models.trim(payload, TABLE)
    assert _kernel.OUTCOMES[outcome] == "exact"
    assert sent == with_protobuf(payload, names)
    into = ctypes.create_string_buffer(len(sent))

    trim = least_us(lambda: models.trim(payload, TABLE))
    protobuf = least_us(lambda: with_protobuf(payload, names))
    memcpy = least_us(lambda: ctypes.memmove(into, payload, len(sent)))
    row = {
        "payload": kind,
        "kept": choice,
        "bytes": len(payload),
        "sent_bytes": len(sent),
        "trim_us": trim,
        "trim_with_ledger_us": least_us(lambda: models.trim(payload, TABLE, False, ledger)),
        "trim_unlike_us": least_us(lambda: models.trim(payload, TABLE), lambda: models.trim(unlike, TABLE)),
        "locate_us": least_us(lambda: mask.locate(payload, TABLE, TENSOR)),
        "protobuf_us": protobuf,
        "memcpy_us": memcpy,
        "protobuf_ratio": protobuf / trim,
        "protobuf_ratio_claimed": FASTER_THAN_PROTOBUF[kind],
        "memcpy_ratio": trim / memcpy,
    }
    if kind in OF_MEMCPY:
        row["memcpy_ratio_claimed"] = OF_MEMCPY[kind]
    return row


def main() -> None:
    given = arguments(__doc__)
    rows = []
    print(
        f"{'payload':9}{'kept':14}{'bytes':>12}{'sent':>11}{'trim':>10}{'+ ledger':>10}{'unlike':>10}{'locate':>10}"
        f"{'protobuf':>11}{'ratio':>15}{'memcpy':>10}{'ratio':>15}   (us)"
    )
    for kind in ("a", "b", "c"):
        for choice, kept in payloads.kept_sets().items():
            row = measure(kind, choice, kept)
            rows.append(row)
            limit = f" (<= {row['memcpy_ratio_claimed']})" if "memcpy_ratio_claimed" in row else ""
            print(
                f"{kind:9}{choice:14}{row['bytes']:>12,}{row['sent_bytes']:>11,}{row['trim_us']:>10.1f}"
                f"{row['trim_with_ledger_us']:>10.1f}{row['trim_unlike_us']:>10.1f}{row['locate_us']:>10.1f}"
                f"{row['protobuf_us']:>11.1f}{row['protobuf_ratio']:>7.1f} (>= {row['protobuf_ratio_claimed']:.0f})"
                f"{row['memcpy_us']:>10.1f}{row['memcpy_ratio']:>6.2f}{limit}",
                flush=True,
            )
    if given.json:
        figures = {"benchmark": "trimming", "batch": payloads.BATCH, "rows": rows}
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
