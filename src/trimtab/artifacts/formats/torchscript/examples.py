"""What a traced module's example inputs looked like: `traced_inputs.pkl` of a TorchScript archive.

torch.jit.trace keeps, per method, the nested structure of the example call, with dtype and shape of every tensor and
without their elements. It is an example and no contract: the batch size is whatever was used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.signature.dtypes import DType
from trimtab.signature.types import Tensor
from trimtab.source.pickle import Call, Global, Persistent, read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator

_DTYPES = {
    "BoolStorage": DType.BOOL,
    "ByteStorage": DType.UINT8,
    "CharStorage": DType.INT8,
    "ShortStorage": DType.INT16,
    "IntStorage": DType.INT32,
    "LongStorage": DType.INT64,
    "UInt16Storage": DType.UINT16,
    "UInt32Storage": DType.UINT32,
    "UInt64Storage": DType.UINT64,
    "HalfStorage": DType.FLOAT16,
    "BFloat16Storage": DType.BFLOAT16,
    "FloatStorage": DType.FLOAT32,
    "DoubleStorage": DType.FLOAT64,
    "ComplexHalfStorage": DType.COMPLEX32,
    "ComplexFloatStorage": DType.COMPLEX64,
    "ComplexDoubleStorage": DType.COMPLEX128,
    "Float8_e4m3fnStorage": DType.FLOAT8_E4M3FN,
    "Float8_e4m3fnuzStorage": DType.FLOAT8_E4M3FNUZ,
    "Float8_e5m2Storage": DType.FLOAT8_E5M2,
    "Float8_e5m2fnuzStorage": DType.FLOAT8_E5M2FNUZ,
    "Float8_e8m0fnuStorage": DType.FLOAT8_E8M0FNU,
}
"""dtype by the storage class that TorchScript's pickler names (`<ScalarType>Storage`)."""

_MAX_RANK = 64


def read_examples(data: bytes, where: str) -> dict[str, list[Any]]:
    """By method, the pickled values of the example call's arguments, for `Example` to look into."""
    by_method = _untag(read_pickle(data, where))
    if not isinstance(by_method, dict):
        return {}
    return {
        method: values
        for method, tagged in by_method.items()
        if isinstance(method, str) and isinstance(values := _untag(tagged), list)
    }


class Example:
    """One value of an example call, or no value."""

    def __init__(self, value: Any = None) -> None:
        self._value = _untag(value)

    def at(self, indices: tuple[int, ...]) -> Example:
        """The element of a nest of tuples, or no value where there is no such element."""
        value = self._value
        for index in indices:
            value = _untag(value[index]) if isinstance(value, tuple | list) and index < len(value) else None
        return Example(value)

    def tensor(self) -> Tensor | None:
        """Its dtype and shape, where it is a dense tensor."""
        value = self._value
        if not isinstance(value, Call) or str(value.function) != "torch._utils._rebuild_tensor_v2":
            return None
        match value.arguments:
            case (Persistent(id=("storage", Global(name=storage), *_)), _, tuple() as shape, *_) if (
                storage in _DTYPES
                and len(shape) <= _MAX_RANK
                and all(type(size) is int and 0 <= size < 1 << 63 for size in shape)
            ):
                return Tensor(_DTYPES[storage], shape)
        return None

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Key and tensor of each item, where it is a mapping from text to tensors."""
        if isinstance(self._value, dict):
            for key, value in self._value.items():
                tensor = Example(value).tensor()
                if isinstance(key, str) and tensor is not None:
                    yield key, tensor


def _untag(value: Any) -> Any:
    """The value inside of `restore_type_tag(value, "type")`, with which TorchScript's pickler wraps containers."""
    for _ in range(8):
        if not isinstance(value, Call) or str(value.function) != "torch.jit._pickle.restore_type_tag":
            break
        value = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
    return value
