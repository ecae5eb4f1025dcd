"""The bodies of the protocol's REST form, and the ModelInferRequest that each of them means.

A body is JSON, or with the binary tensor extension JSON followed by the raw contents of some inputs. It becomes the
payload that gRPC would have carried, so that one converter and one set of checks serve both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from trimtab.converting.contents import element_count, join_bytes, numpy_dtype, raw_contents
from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, dtype_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from trimtab.serving.leaf.engines.engine import OutputArray
    from trimtab.serving.leaf.scoring import Scores

Parameters = dict[str, bool | int | float | str]


class RestInput(Struct, frozen=True):
    """One input: `data` as a flat or nested list, or `parameters.binary_data_size` bytes after the JSON."""

    name: str
    shape: tuple[int, ...] = ()
    datatype: str = ""
    parameters: Parameters = {}
    data: Any = None


class RestOutput(Struct, frozen=True):
    """A requested output; `parameters.binary_data` asks for raw contents after the answer's JSON."""

    name: str
    parameters: Parameters = {}


class RestRequest(Struct, frozen=True):
    """The JSON of an inference request."""

    inputs: tuple[RestInput, ...]
    id: str = ""
    parameters: Parameters = {}
    outputs: tuple[RestOutput, ...] = ()

    def binary(self, output: str) -> bool:
        """Whether an output is to be sent as raw contents."""
        for asked in self.outputs:
            if asked.name == output:
                return asked.parameters.get("binary_data", self.parameters.get("binary_data_output")) is True
        return self.parameters.get("binary_data_output") is True


def decode_body(body: bytes, header_length: int | None) -> tuple[RestRequest, bytes]:
    """Split a body into its JSON and what follows it. ConversionError for JSON that is no inference request.

    header_length: the value of the header Inference-Header-Content-Length; None when the whole body is JSON.
    """
    if header_length is not None and not 0 <= header_length <= len(body):
        raise ConversionError(
            where="Inference-Header-Content-Length", expected=f"0 to {len(body)}", got=str(header_length)
        )
    text, binary = (body, b"") if header_length is None else (body[:header_length], body[header_length:])
    try:
        return _DECODER.decode(text), binary
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConversionError("the body is not an inference request in JSON", got=str(error)[:_LONGEST]) from None


def infer_payload(request: RestRequest, binary: bytes, model: str, version: str, needed: Collection[str]) -> bytes:
    """The request as a serialized ModelInferRequest with raw contents.

    needed: the names that the model may want. Of the others only the name goes on, for error messages: their data is
    neither read nor checked. ConversionError for data that does not fit its own datatype and shape.
    """
    message = oip.ModelInferRequest(model_name=model, model_version=version, id=request.id)
    _set_parameters(message.parameters, request.parameters, but=("binary_data_output",))
    at = 0
    for value in request.inputs:
        size = value.parameters.get("binary_data_size")
        end = at if size is None else at + _binary_size(value, size, len(binary) - at)
        if value.name in needed:
            raw = _json_contents(value) if size is None else binary[at:end]
            tensor = message.inputs.add(name=value.name, datatype=value.datatype)
            try:
                tensor.shape.extend(value.shape)
            except (ValueError, OverflowError):
                raise _refused(value, "sizes of 64 bits", str(value.shape)[:_LONGEST]) from None
            _set_parameters(tensor.parameters, value.parameters, but=("binary_data_size",))
            message.raw_input_contents.append(raw)
        else:
            message.inputs.add(name=value.name)
            message.raw_input_contents.append(b"")
        at = end
    if at != len(binary):
        raise ConversionError(
            expected=f"{at} bytes after the JSON, by the inputs' binary_data_size", got=f"{len(binary)} bytes"
        )
    for asked in request.outputs:
        message.outputs.add(name=asked.name)
    payload: bytes = message.SerializeToString()
    return payload


def encode_answer(scores: Scores, request: RestRequest) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON when raw contents follow it."""
    outputs, blobs = [], []
    for name, output in scores.outputs.items():
        described: dict[str, Any] = {"name": name, "datatype": output.datatype, "shape": output.array.shape}
        if request.binary(name):
            blobs.append(raw_contents(output.array, output.datatype))
            described["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            described["data"] = _json_data(name, output)
        outputs.append(described)
    answer: dict[str, Any] = {"model_name": scores.model.name, "model_version": str(scores.model.version)}
    if scores.header.id:
        answer["id"] = scores.header.id
    text = msgspec.json.encode(answer | {"outputs": outputs})
    return (b"".join((text, *blobs)), len(text)) if blobs else (text, None)


_DECODER = msgspec.json.Decoder(RestRequest)
_LONGEST = 300


def _binary_size(value: RestInput, size: object, left: int) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        raise _refused(value, f"a binary_data_size of 0 to {left}, what is left of the body", repr(size)[:_LONGEST])
    if value.data is not None:
        raise _refused(value, "data or binary_data_size", "both")
    return size


def _json_contents(value: RestInput) -> bytes:
    """Raw contents of JSON data. Numbers are not rounded to fit: what the datatype cannot hold is refused."""
    dtype = dtype_of("oip", value.datatype)
    if dtype is None or dtype is DType.BFLOAT16:
        raise _refused(value, "a datatype that travels as JSON", repr(value.datatype)[:_LONGEST])
    if value.data is None:
        raise _refused(value, "data or binary_data_size", "neither")
    try:
        count = element_count(value.shape)
    except ConversionError as error:
        raise error.within(f"input {value.name!r}") from None
    elements = np.array(value.data, dtype=object).ravel() if value.datatype == "BYTES" else _numbers(value, dtype)
    if elements.size != count:
        raise _refused(value, f"{count} elements for the shape {list(value.shape)}", str(elements.size))
    if value.datatype == "BYTES":
        if not all(isinstance(it, str) for it in elements):
            raise _refused(value, "strings", "something else")
        return join_bytes(elements.tolist())
    return elements.tobytes()


def _numbers(value: RestInput, dtype: DType) -> np.ndarray[Any, Any]:
    element = numpy_dtype(dtype)
    assert element is not None
    try:
        natural = np.array(value.data).ravel()
        if element.kind == "u" and natural.dtype.kind == "f":  # numpy's meeting point of small and very large integers
            natural = _whole(np.array(value.data, dtype=object).ravel())
        if natural.size and natural.dtype.kind not in _JSON_KINDS[element.kind]:
            raise _refused(value, f"elements of {dtype}", f"{natural.dtype.name}")
        if element.kind in "iu" and natural.size:
            limits = np.iinfo(element)
            if int(natural.min()) < limits.min or int(natural.max()) > limits.max:
                raise _refused(value, f"elements of {dtype}", f"{natural.min()} to {natural.max()}")
        with np.errstate(over="ignore"):  # told below
            numbers = natural.astype(element)
        if element.kind == "f" and not np.isfinite(numbers).all():
            raise _refused(value, f"elements that {dtype} can hold", "a larger one")
        return numbers
    except (ValueError, TypeError, OverflowError) as error:
        raise _refused(value, f"a list of {dtype}", str(error)[:_LONGEST]) from None


def _whole(elements: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not all(type(element) is int for element in elements):
        raise TypeError("not all of them are whole numbers")
    return elements.astype(np.uint64)


_JSON_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}


def _json_data(name: str, output: OutputArray) -> list[Any]:
    array = output.array.ravel()
    if output.datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if output.datatype != "BYTES":
        numbers: list[Any] = array.tolist()
        return numbers
    try:
        return [it.decode() if isinstance(it, bytes) else it for it in array.tolist()]
    except UnicodeDecodeError:
        raise ConversionError(
            f"output {name!r} is not text, and JSON carries only text",
            hint="Ask for it with the parameter binary_data true.",
        ) from None


def _set_parameters(target: Any, parameters: Parameters, *, but: tuple[str, ...]) -> None:
    for key, value in parameters.items():
        if key not in but:
            kind = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}[type(value)]
            try:
                setattr(target[key], kind, value)
            except ValueError:
                raise ConversionError(where=f"parameter {key!r}", expected="a number of 64 bits", got="more") from None


def _refused(value: RestInput, expected: str, got: str) -> ConversionError:
    return ConversionError(where=f"input {value.name[:_LONGEST]!r}", expected=expected, got=got)
