"""Requests made for the old version of a model, sent to the new one: refused, or read, and then as what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from echo_models import Arrays, Exported

from trimtab.converting.contents import raw_contents, read_raw
from trimtab.converting.converter import FeatureConverter
from trimtab.errors import TrimtabError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, dtype_of, spelling
from trimtab.signature.model import Input, Range, Signature
from trimtab.signature.types import Optional, Scalar, Tensor, Type
from trimtab.trimming.trimmer import Trimmer


def requests_for(
    signature: Signature, count: int, seed: int = 0, *, entry_point: str | None = None
) -> Iterator[Arrays]:
    """Requests that the signature allows: every size at its ends and between, optional inputs there and not."""
    overload = signature.entry_point(entry_point).overloads[0]
    for number in range(count):
        random = np.random.default_rng((seed, number))
        sizes: dict[str, int] = {}
        arrays = {}
        for value in overload.inputs:
            optional = str(value.presence) != "required"
            if optional and random.random() < 0.5:
                continue
            shape = [_size(dim, sizes, overload.dimensions, random, number) for dim in _shape(value.type)]
            arrays[random.choice([value.name, *value.aliases])] = _values(value, shape, random)
        yield arrays


def send(arrays: Arrays, to: Exported, *, entry_point: str | None = None) -> Arrays | None:
    """What the model reads, by meaning, after trimming by its allowlist; None where anything refuses the request."""
    payload = _encoded(arrays)
    trimmed = Trimmer.from_allowlist(to.signature.allowlist).trim(payload)
    try:
        converter = FeatureConverter(to.signature, entry_point=entry_point)
        return to.run(converter.from_request(trimmed).aligned().arrays)
    except TrimtabError:
        return None
    except Exception:  # noqa: BLE001  # whatever the framework raises is its way to refuse
        return None


def handed(arrays: Arrays, to: Exported) -> Arrays | None:
    """What the model reads when the framework itself is handed arrays by name; None where it refuses."""
    try:
        return to.run(arrays)
    except Exception:  # noqa: BLE001  # whatever the framework raises is its way to refuse
        return None


def misread(old: Exported, new: Exported, count: int = 8) -> list[str]:
    """What went wrong with requests of the old version, one word each; empty where all are read as they were meant."""
    wrong = []
    named = old.signature.default_entry_point
    for arrays in requests_for(old.signature, count):
        meant = send(arrays, old)
        assert meant is not None, f"the old model refuses its own request {arrays}"
        read = send(arrays, new)
        if read is None or send(arrays, new, entry_point=named) is None:
            wrong.append("refused")
        elif any(not same(meant[it], read[it]) for it in meant.keys() & read.keys()):
            wrong.append("misread")
    return wrong


def decoded_otherwise(old: Exported, new: Exported, count: int = 4) -> bool:
    """Whether the bytes of a value are other values by the new signature's dtype."""
    types = {name: it.type for it in new.signature.inputs for name in (it.name, *it.aliases)}
    for arrays in requests_for(old.signature, count):
        for name, array in arrays.items():
            if name not in types:
                continue
            stated = _dtype(types[name])
            dtype = dtype_of("numpy", array.dtype.name) if stated is None else stated
            assert dtype is not None
            try:
                read = read_raw(dtype, array.shape, raw_contents(array, "BYTES" if array.dtype == object else "RAW"))
            except TrimtabError:
                return True
            if read.dtype != array.dtype or not same(read, array):
                return True
    return False


def _encoded(arrays: Arrays) -> bytes:
    request = oip.ModelInferRequest(model_name="ctr", model_version="1")
    for name, array in arrays.items():
        dtype = dtype_of("numpy", array.dtype.name) if array.dtype != object else DType.STRING
        assert dtype is not None
        request.inputs.add(name=name, datatype=str(spelling(dtype, "oip")), shape=array.shape)
        request.raw_input_contents.append(raw_contents(array, str(spelling(dtype, "oip"))))
    return bytes(request.SerializeToString())


def _shape(type_: Type) -> tuple[Any, ...]:
    if isinstance(type_, Optional):
        return _shape(type_.element)
    return type_.shape or () if isinstance(type_, Tensor) else ()


def _size(dim: Any, sizes: dict[str, int], limits: dict[str, Range], random: Any, number: int) -> int:
    if isinstance(dim, int):
        return dim
    if dim in sizes:
        return sizes[dim]
    bounds = limits.get(dim) or Range()
    low = max(1, int(bounds.minimum or 1))
    high = int(bounds.maximum) if bounds.maximum is not None else low + 5
    size = (low, high)[number] if number < 2 else int(random.integers(low, high + 1))
    if dim is not None:
        sizes[dim] = size
    return size


def _values(value: Input, shape: list[int], random: Any) -> np.ndarray:
    limits = value.constraints
    open_ = (DType.STRING if limits and limits.categorical else DType.FLOAT32, DType.INT64)
    dtype = _dtype(value.type) or open_[random.integers(2)]
    if limits and limits.categories:
        return _of(dtype, random.choice(np.array(limits.categories, dtype=object), size=shape))
    name = str(spelling(dtype, "numpy"))
    if limits and limits.range and limits.range.maximum is not None:
        return random.integers(int(limits.range.minimum or 0), int(limits.range.maximum) + 1, size=shape).astype(name)
    if dtype in (DType.STRING, DType.BYTES):
        return _of(dtype, random.choice(np.array(["a", "b", "über"], dtype=object), size=shape))
    values = np.asarray(random.normal(size=shape) * 100)
    if value.nullable and dtype in (DType.FLOAT32, DType.FLOAT64):
        values = np.where(random.random(size=shape) < 0.3, np.nan, values)
    return np.asarray(values, name)


def _of(dtype: DType, words: np.ndarray) -> np.ndarray:
    """Words as the elements of a tensor of text, or of one of bytes."""
    return np.vectorize(str.encode, otypes=[object])(words) if dtype is DType.BYTES and words.size else words


def _dtype(type_: Type) -> DType | None:
    if isinstance(type_, Optional):
        return _dtype(type_.element)
    return type_.dtype if isinstance(type_, Tensor | Scalar) else None


def same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == object or other.dtype == object:
        return one.tolist() == other.tolist()
    return one.shape == other.shape and one.tobytes() == other.astype(one.dtype).tobytes()
