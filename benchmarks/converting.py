"""Requests to arrays: the converter beside protobuf's parse and numpy's frombuffer, in one process and run.

    python benchmarks/converting.py [--json FILE]

Payloads a, b and c of payloads.py (1,000 inputs of batch 64, of which the model wants every fourth), a small request
of which everything is wanted, and request-level features sent once beside sent once per row. Both sides give the same
arrays; the converter alone checks datatypes, shapes and dimensions. The times are the least of many repetitions, in
microseconds. glibc's allocator is tuned the way the servers tune it, for both sides alike.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from payloads import kept_sets, payload

from trimtab.converting.converter import FeatureConverter
from trimtab.converting.requests import BROADCAST_PARAMETER
from trimtab.protocols import oip
from trimtab.signature.dtypes import dtype_of, spelling
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
from timing import arguments, least_us

BATCH = 64


def signature_of(request: bytes, wanted: list[str]) -> Signature:
    """The signature of a model that wants those inputs as the request has them, for any number of rows."""
    tensors = {tensor.name: tensor for tensor in oip.ModelInferRequest.FromString(request).inputs}
    inputs = tuple(
        Input(name=name, type=Tensor(dtype_of("oip", tensors[name].datatype), ("batch", *tensors[name].shape[1:])))
        for name in wanted
    )
    return Signature(
        entry_points=(EntryPoint(name="forward", overloads=(Overload(inputs=inputs),)),), default_entry_point="forward"
    )


def scalars(count: int, once: int = 0) -> bytes:
    """A request of so many fp32 scalars, of which `once` are request-level and marked so."""
    request = oip.ModelInferRequest(model_name="ranker", model_version="3", id="request-1")
    for number in range(count):
        rows = 1 if number < once else BATCH
        tensor = request.inputs.add(name=f"feature_{number}", datatype="FP32", shape=[rows, 1])
        if number < once:
            tensor.parameters[BROADCAST_PARAMETER].bool_param = True
        request.raw_input_contents.append(np.full((rows, 1), number, "<f4").tobytes())
    serialized: bytes = request.SerializeToString()
    return serialized


def with_protobuf(request: bytes, dtypes: dict[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
    message = oip.ModelInferRequest.FromString(request)
    raw = message.raw_input_contents
    return {
        name: np.frombuffer(raw[position], dtypes[name]).reshape(tensor.shape)
        for position, tensor in enumerate(message.inputs)
        if (name := tensor.name) in dtypes
    }


def measure() -> list[dict[str, Any]]:
    rows = []
    names = [f"feature_{number}" for number in range(250)]
    every_fourth = kept_sets()["every fourth"]
    cases = [(f"{kind}, 250 of 1000", payload(kind), every_fourth) for kind in ("a", "b", "c")]
    cases += [("12 of 12", scalars(12), names[:12]), ("250 of 250", scalars(250), names)]
    for case, request, wanted in cases:
        signature = signature_of(request, wanted)
        converter = FeatureConverter(signature)
        dtypes = {value.name: np.dtype(str(spelling(value.type.dtype, "numpy"))) for value in signature.inputs}
        ours, theirs = converter.from_request(request).arrays, with_protobuf(request, dtypes)
        assert all(np.array_equal(ours[name], theirs[name]) for name in wanted)
        converting = least_us(lambda c=converter, r=request: c.from_request(r))
        protobuf = least_us(lambda r=request, d=dtypes: with_protobuf(r, d))
        row = {"case": case, "bytes": len(request), "converter_us": converting, "protobuf_us": protobuf}
        rows.append({**row, "protobuf_ratio": protobuf / converting})
    repeated = scalars(250)
    converter = FeatureConverter(signature_of(repeated, names))
    once = scalars(250, once=125)
    converting = least_us(lambda: converter.from_request(once))
    row = {"case": "250 of 250, 125 once", "bytes": len(once), "repeated_bytes": len(repeated)}
    rows.append({**row, "converter_us": converting, "repeated_us": least_us(lambda: converter.from_request(repeated))})
    return rows


def main() -> None:
    given = arguments(__doc__)
    rows = measure()
    print(f"{'request':22}{'bytes':>12}{'converter':>14}{'peer':>34}")
    for row in rows:
        if "protobuf_us" in row:
            peer = f"protobuf {row['protobuf_us']:.0f} us ({row['protobuf_ratio']:.1f}x)"
        else:
            peer = f"all per row {row['repeated_us']:.0f} us, {row['repeated_bytes']:,} B"
        print(f"{row['case']:22}{row['bytes']:>12,}{row['converter_us']:>11.1f} us{peer:>34}")
    if given.json:
        figures = {"benchmark": "converting", "batch": BATCH, "rows": rows}
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
