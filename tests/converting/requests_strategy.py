"""Random signatures, arrays that fit them, and the requests that carry them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from trimtab.converting.contents import raw_contents
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, spelling
from trimtab.signature.model import EntryPoint, Input, Overload, Presence, Signature
from trimtab.signature.types import Literal, Tensor

NUMBERS = {
    DType.INT8: "i1",
    DType.INT16: "<i2",
    DType.INT32: "<i4",
    DType.INT64: "<i8",
    DType.UINT8: "u1",
    DType.UINT16: "<u2",
    DType.UINT32: "<u4",
    DType.UINT64: "<u8",
    DType.FLOAT16: "<f2",
    DType.BFLOAT16: "<u2",
    DType.FLOAT32: "<f4",
    DType.FLOAT64: "<f8",
}
DTYPES = [*NUMBERS, DType.BOOL, DType.STRING, DType.BYTES]
SHAPES = [("batch", 1), ("batch",), ("batch", 3), ("batch", "k"), ("batch", "2*k + 1"), (None, 2), ("batch", None)]


def signature_of(inputs, dimensions=None):
    overload = Overload(inputs=tuple(inputs), dimensions=dimensions or {})
    return Signature(entry_points=(EntryPoint(name="forward", overloads=(overload,)),), default_entry_point="forward")


@st.composite
def array_of(draw, dtype, shape):
    count = int(np.prod(shape))
    if dtype in NUMBERS:
        element = np.dtype(NUMBERS[dtype])
        data = draw(st.binary(min_size=count * element.itemsize, max_size=count * element.itemsize))
        array = np.frombuffer(data, element).reshape(shape)
        # a signaling NaN becomes a quiet one on its way through a Python float: typed contents cannot keep it
        return np.where(np.isnan(array), element.type("nan"), array) if element.kind == "f" else array
    if dtype is DType.BOOL:
        return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(shape)
    elements = st.text(max_size=3) if dtype is DType.STRING else st.binary(max_size=3)
    array = np.empty(count, object)
    array[:] = draw(st.lists(elements, min_size=count, max_size=count))
    return array.reshape(shape)


@st.composite
def cases(draw, dtypes=DTYPES, shapes=SHAPES, optional=True):
    """A signature, and arrays for its required and for some of its other inputs, by name."""
    sizes = {"batch": draw(st.integers(1, 3)), "k": draw(st.integers(0, 2))}
    sizes["2*k + 1"] = 2 * sizes["k"] + 1
    inputs, arrays = [], {}
    for number in range(draw(st.integers(1, 5))):
        dtype, shape = draw(st.sampled_from(dtypes)), draw(st.sampled_from(shapes))
        presence = draw(st.sampled_from(Presence)) if optional else Presence.REQUIRED
        default = None
        if presence is Presence.DEFAULT:
            dtype = DType.FLOAT32
            default = draw(st.sampled_from([None, Literal(0.5)]))
        name = f"feature_{number}"
        inputs.append(
            Input(
                name=name,
                type=Tensor(dtype, shape),
                presence=presence,
                default=default,
                aliases=(f"alias_{number}",) if number % 2 else (),
            )
        )
        if presence is Presence.REQUIRED or draw(st.booleans()):
            concrete = tuple(sizes.get(dim, sizes["batch"]) if not isinstance(dim, int) else dim for dim in shape)
            arrays[name] = draw(array_of(dtype, concrete))
    return signature_of(inputs), arrays


def add_tensor(request, name, array, dtype, *, raw, once=False):
    """Add an array to a request the way any encoder would; `once` sends its first row alone."""
    if once:
        array = array[:1]
    tensor = request.inputs.add(name=name, datatype=str(spelling(dtype, "oip")), shape=array.shape)
    if once:
        tensor.parameters["broadcast"].bool_param = True
    if raw:
        request.raw_input_contents.append(raw_contents(array, tensor.datatype))
    else:
        values = array.ravel().tolist()
        if dtype is DType.STRING:
            values = [value.encode() for value in values]
        getattr(tensor.contents, oip.CONTENTS_FIELDS[tensor.datatype]).extend(values)


@st.composite
def requests(draw, signature, arrays, once=()):
    """A request that carries the arrays among other things, in any order, raw or typed where that is possible."""
    dtypes = {value.name: value.type.dtype for value in signature.inputs}
    aliases = {value.name: (value.name, *value.aliases) for value in signature.inputs}
    travels_typed = not any(dtypes[name] in (DType.FLOAT16, DType.BFLOAT16) for name in arrays)
    raw = draw(st.booleans()) if travels_typed else True
    request = oip.ModelInferRequest(model_name="ctr", model_version="7", id=draw(st.text(max_size=3)))
    surplus = [f"surplus_{number}" for number in range(draw(st.integers(0, 3)))]
    for name in draw(st.permutations([*arrays, *surplus])):
        if name in arrays:
            sent_as = draw(st.sampled_from(aliases[name]))
            add_tensor(request, sent_as, arrays[name], dtypes[name], raw=raw, once=name in once)
        else:
            tensor = request.inputs.add(name=name, datatype=draw(st.text(max_size=3)), shape=[-5, 2**60])
            tensor.contents.fp32_contents.append(1.0)
            if raw:
                request.raw_input_contents.append(draw(st.binary(max_size=5)))
    return request.SerializeToString()


def same(left, right):
    """Whether two results are equal to the last bit, names and order included."""
    return list(left) == list(right) and all(same_array(left[name], right[name]) for name in left)


def same_array(left, right):
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return left.tolist() == right.tolist() if left.dtype.kind == "O" else left.tobytes() == right.tobytes()
