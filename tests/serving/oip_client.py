"""A small client of the Open Inference Protocol over gRPC, on our own messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import numpy as np

from trimtab.converting.contents import datatype_of, raw_contents, read_raw
from trimtab.protocols import oip
from trimtab.signature.dtypes import dtype_of, spelling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPTIONS = [("grpc.max_receive_message_length", 1 << 30), ("grpc.max_send_message_length", 1 << 30)]


class Answer(NamedTuple):
    """Outputs by name, the message they came in, and the response metadata."""

    outputs: dict[str, np.ndarray]
    message: Any
    metadata: dict[str, str]


class OipClient:
    """One channel to a leaf."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        make = grpc.insecure_channel if credentials is None else grpc.secure_channel
        self.channel = make(address, *(() if credentials is None else (credentials,)), options=OPTIONS)
        self._infer = self.channel.unary_unary(oip.METHODS["ModelInfer"])

    def __enter__(self) -> OipClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, method: str, **fields: Any) -> Any:
        """Any method but ModelInfer."""
        request = getattr(oip, f"{method}Request")(**fields)
        answer = self.channel.unary_unary(oip.METHODS[method])(request.SerializeToString(), timeout=120)
        return getattr(oip, f"{method}Response").FromString(answer)

    def infer(self, model: str, arrays: Mapping[str, np.ndarray], version: str = "", **more: Any) -> Answer:
        """Score arrays, sent as raw contents."""
        return self.send(infer_request(model, arrays, version, **more).SerializeToString())

    def send(self, payload: bytes, timeout_s: float = 120, metadata: Sequence[tuple[str, str]] = ()) -> Answer:
        """Score a serialized request."""
        body, call = self._infer.with_call(payload, timeout=timeout_s, metadata=metadata)
        message = oip.ModelInferResponse.FromString(body)
        return Answer(read_outputs(message), message, dict(call.initial_metadata()))

    def start(self, payload: bytes, timeout_s: float = 200) -> Any:
        """Send a request and return its future."""
        return self._infer.future(payload, timeout=timeout_s)


def infer_request(
    model: str, arrays: Mapping[str, np.ndarray], version: str = "", id_: str = "", outputs: Sequence[str] = ()
) -> Any:
    """A ModelInferRequest with raw contents."""
    request = oip.ModelInferRequest(model_name=model, model_version=version, id=id_)
    for name, array in arrays.items():
        datatype = str(spelling(datatype_of(array), "oip"))
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(raw_contents(array, datatype))
    for name in outputs:
        request.outputs.add(name=name)
    return request


def read_outputs(message: Any) -> dict[str, np.ndarray]:
    """The outputs of an answer with raw contents; none when they are typed."""
    return {
        tensor.name: read_raw(dtype_of("oip", tensor.datatype), tuple(tensor.shape), raw)
        for tensor, raw in zip(message.outputs, message.raw_output_contents, strict=False)
    }
