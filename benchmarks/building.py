"""Build requests from columns: templates beside protobuf's own API and tritonclient's, in one process and run.

    python benchmarks/building.py [--json FILE]

Payload a: fp32 scalars; payload c: scalars, ids, id lists, embeddings and flags in the proportions of a real ranker;
both with a batch of 64. The second table is about request-level features: 200 scalars per candidate and 50 user
vectors of 64 floats, which travel once per request or are repeated for every candidate. The times are the least of
many repetitions, in microseconds. glibc's allocator is tuned the way the servers tune it, for every competitor alike.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.protocols import oip
from trimtab.trimming.building import InputLayout, RequestLayout, RequestTemplate

sys.path.insert(0, str(Path(__file__).resolve().parent))
from timing import arguments, least_us

if TYPE_CHECKING:
    pass

BATCH = 64
COUNTS = (250, 500, 1000)
BROADCAST = (("broadcast", True),)
BUDGET_US = {250: 35.0, 1000: 120.0}
MIX = (
    (8, "FP32", (1,), "f4"),
    (4, "INT64", (1,), "i8"),
    (2, "INT32", (1,), "i4"),
    (3, "INT64", (32,), "i8"),
    (2, "FP32", (64,), "f4"),
    (1, "BOOL", (8,), "?"),
)


def inputs(payload: str, count: int) -> tuple[RequestLayout, list[np.ndarray]]:
    mix = ((1, "FP32", (1,), "f4"),) if payload == "a" else MIX
    kinds = [kind for kind in mix for _ in range(kind[0])]
    random = np.random.default_rng(0)
    layout, columns = [], []
    for index in range(count):
        _, datatype, trailing, code = kinds[index % len(kinds)]
        layout.append(InputLayout(f"feature.group_{index % 17}.name_{index}", datatype, (None, *trailing)))
        columns.append(random.integers(0, 2, (BATCH, *trailing)).astype(code))
    return RequestLayout("ranker", "3", tuple(layout)), columns


def with_protobuf(layout: RequestLayout, columns: list[np.ndarray]) -> bytes:
    request = oip.ModelInferRequest(model_name=layout.model_name, model_version=layout.model_version)
    add, append = request.inputs.add, request.raw_input_contents.append
    for value, column in zip(layout.inputs, columns, strict=True):
        add(name=value.name, datatype=value.datatype, shape=column.shape)
        append(column.tobytes())
    return request.SerializeToString()


def with_tritonclient(layout: RequestLayout, columns: list[np.ndarray]) -> bytes:
    from tritonclient import grpc
    from tritonclient.grpc._utils import _get_inference_request

    values = []
    for value, column in zip(layout.inputs, columns, strict=True):
        tensor = grpc.InferInput(value.name, list(column.shape), value.datatype)
        tensor.set_data_from_numpy(column)
        values.append(tensor)
    request = _get_inference_request(
        inputs=values, model_name=layout.model_name, model_version=layout.model_version, outputs=None,
        request_id="", sequence_id=0, sequence_start=False, sequence_end=False, priority=0, timeout=None,
        parameters=None,
    )  # fmt: skip
    return request.SerializeToString()


def measure() -> list[dict[str, Any]]:
    rows = []
    for payload in ("a", "c"):
        for count in COUNTS:
            layout, columns = inputs(payload, count)
            template = RequestTemplate(layout, BATCH)
            built = template.build(columns)
            assert oip.ModelInferRequest.FromString(built) == oip.ModelInferRequest.FromString(
                with_protobuf(layout, columns)
            )
            ours = least_us(lambda t=template, c=columns: t.build(c))
            protobuf = least_us(lambda v=layout, c=columns: with_protobuf(v, c))
            triton = least_us(lambda v=layout, c=columns: with_tritonclient(v, c))
            cold = least_us(lambda v=layout: RequestTemplate(v, BATCH))
            row = {
                "payload": payload,
                "inputs": count,
                "bytes": len(built),
                "template_us": ours,
                "protobuf_us": protobuf,
                "tritonclient_us": triton,
                "new_template_us": cold,
                "protobuf_ratio": protobuf / ours,
                "tritonclient_ratio": triton / ours,
            }
            if payload == "a" and count in BUDGET_US:
                row["budget_us"] = BUDGET_US[count]
            rows.append(row)
    return rows


def measure_broadcast() -> list[dict[str, Any]]:
    rows = []
    for candidates in (64, 256, 1024):
        scalars = [np.zeros((candidates, 1), np.float32) for _ in range(200)]
        users = [np.zeros((1, 64), np.float32) for _ in range(50)]
        names = [InputLayout(f"item_{index}", "FP32", (None, 1)) for index in range(200)]
        once = [InputLayout(f"user_{index}", "FP32", (1, 64), BROADCAST) for index in range(50)]
        repeated = [InputLayout(f"user_{index}", "FP32", (None, 64)) for index in range(50)]
        sends = RequestTemplate(RequestLayout("ranker", "3", (*names, *once)), candidates)
        repeats = RequestTemplate(RequestLayout("ranker", "3", (*names, *repeated)), candidates)

        def build_once(t=sends, c=(*scalars, *users)) -> bytes:
            return t.build(c)

        def build_repeated(t=repeats, c=scalars, u=users, n=candidates) -> bytes:
            return t.build([*c, *(user.tobytes() * n for user in u)])

        rows.append(
            {
                "candidates": candidates,
                "once_bytes": len(build_once()),
                "repeated_bytes": len(build_repeated()),
                "bytes_ratio": len(build_repeated()) / len(build_once()),
                "once_us": (once_us := least_us(build_once)),
                "repeated_us": (repeated_us := least_us(build_repeated)),
                "time_ratio": repeated_us / once_us,
            }
        )
    return rows


def main() -> None:
    given = arguments(__doc__)
    rows = measure()
    print(f"{'payload':8}{'inputs':>7}{'bytes':>12}{'template':>12}{'protobuf':>18}{'tritonclient':>18}{'budget':>10}")
    for row in rows:
        print(
            f"{row['payload']:8}{row['inputs']:>7}{row['bytes']:>12,}{row['template_us']:>9.1f} us"
            f"{row['protobuf_us']:>9.0f} us ({row['protobuf_ratio']:.1f}x)"
            f"{row['tritonclient_us']:>9.0f} us ({row['tritonclient_ratio']:.1f}x)"
            + (f"{row['budget_us']:>7.0f} us" if "budget_us" in row else "")
        )
    shared = measure_broadcast()
    print(f"\n{'candidates':>10}{'once':>24}{'repeated':>26}")
    for row in shared:
        print(
            f"{row['candidates']:>10}{row['once_bytes']:>12,} B{row['once_us']:>7.0f} us"
            f"{row['repeated_bytes']:>14,} B{row['repeated_us']:>7.0f} us"
            f"   {row['bytes_ratio']:.1f}x the bytes, {row['time_ratio']:.1f}x the time"
        )
    if given.json:
        document = {"benchmark": "building", "batch": BATCH, "rows": rows, "request_level": shared}
        given.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
