"""Payloads for the laws of trimming: valid ones of every layout that the wire allows, and damaged ones."""

from __future__ import annotations

from hypothesis import strategies as st
from reference import FIXED32, FIXED64, LEN, VARINT

from trimtab.protocols import oip
from trimtab.protocols.tables import MODEL_INFER_REQUEST, PREDICT_REQUEST, PayloadTable

NAMES = ["age", "price", "user.id", "item_embedding_with_a_long_name", "é", "", "age2", "ag"]
MODELS = ["ctr", "cvr", "absent"]
VERSIONS = ["", "1", "2", "99"]

DEEP_KEY = PayloadTable(model_name=(1, 3), model_version=(2,), elements=4, key=(2, 1), parallel=6)
TABLES = [MODEL_INFER_REQUEST, PREDICT_REQUEST, DEEP_KEY]
KEY_FIELD = {MODEL_INFER_REQUEST: (1,), PREDICT_REQUEST: (1,), DEEP_KEY: (2, 1)}

names = st.sampled_from(NAMES) | st.text(max_size=40)
allowlists = st.lists(names, max_size=6, unique=True)


def varint(value: int, padding: int = 0) -> bytes:
    """padding: bytes more than needed; decoders accept them up to ten bytes in all."""
    encoded = []
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    padding = min(padding, 10 - len(encoded))
    if padding:
        encoded[-1] |= 0x80
        encoded += [0x80] * (padding - 1) + [0]
    return bytes(encoded)


def message_field(number: int, content: bytes, padding: int = 0) -> bytes:
    return varint(number << 3 | LEN, padding) + varint(len(content), padding) + content


def number_field(number: int, value: int, padding: int = 0) -> bytes:
    return varint(number << 3 | VARINT, padding) + varint(value % (1 << 64), padding)


def at_path(path: tuple[int, ...], content: bytes, padding: int = 0) -> bytes:
    for number in reversed(path):
        content = message_field(number, content, padding)
    return content


paddings = st.sampled_from([0, 0, 0, 0, 1, 3, 9])
unknown_fields = st.one_of(
    st.builds(message_field, st.sampled_from([3, 6, 8, 9, 16, 2000, (1 << 29) - 1]), st.binary(max_size=8), paddings),
    st.builds(number_field, st.integers(1, 20), st.integers(-5, 300), paddings),
    st.integers(1, 20).map(lambda number: varint(number << 3 | FIXED64) + bytes(8)),
    st.integers(1, 20).map(lambda number: varint(number << 3 | FIXED32) + bytes(4)),
)


@st.composite
def elements(draw: st.DrawFn, table: PayloadTable) -> bytes:
    path = KEY_FIELD[table]
    parts = draw(st.lists(unknown_fields, max_size=2))
    for name in draw(st.lists(names, min_size=0, max_size=2)):
        parts.append(at_path(path, name.encode(), draw(paddings)))
    if draw(st.booleans()):
        parts.append(message_field(2, draw(st.sampled_from([b"FP32", b"BYTES", b"\xff"]))) if len(path) == 1 else b"")
        parts.append(message_field(3, b"".join(map(varint, draw(st.lists(st.integers(0, 300), max_size=3))))))
        parts.append(number_field(3, draw(st.integers(-1, 99))))
    if draw(st.booleans()):
        parts.append(message_field(5, draw(st.binary(max_size=20))))
    parts = draw(st.permutations(parts))
    return message_field(table.elements, b"".join(parts), draw(paddings))


@st.composite
def requests(draw: st.DrawFn, table: PayloadTable) -> bytes:
    """Valid and nearly valid requests of `table`'s format, fields in any order."""
    parts = draw(st.lists(elements(table), max_size=6))
    if table.parallel:
        aligned = st.sampled_from([len(parts), len(parts), 0, len(parts) + 1])
        count = draw(aligned)
        parts += draw(
            st.lists(
                st.builds(message_field, st.just(table.parallel), st.binary(max_size=300), paddings),
                min_size=count,
                max_size=count,
            )
        )
    parts += draw(st.lists(unknown_fields, max_size=3))
    for model in draw(st.lists(st.sampled_from(MODELS), max_size=2)):
        parts.append(at_path(table.model_name, model.encode(), draw(paddings)))
    for version in draw(st.lists(st.sampled_from(VERSIONS), max_size=2)):
        if table.version_is_varint:
            inner = number_field(table.model_version[-1], int(version or 0))
            parts.append(at_path(table.model_version[:-1], inner))
        else:
            parts.append(at_path(table.model_version, version.encode()))
    if draw(st.booleans()):
        parts = draw(st.permutations(parts))
    return b"".join(parts)


@st.composite
def mutated(draw: st.DrawFn, table: PayloadTable) -> bytes:
    """Requests with bytes flipped, cut out, or cut off."""
    payload = bytearray(draw(requests(table)))
    for _ in range(draw(st.integers(1, 4))):
        if not payload:
            break
        at = draw(st.integers(0, len(payload) - 1))
        match draw(st.sampled_from(["set", "cut", "insert", "end"])):
            case "set":
                payload[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
            case "cut":
                del payload[at : at + draw(st.integers(1, 5))]
            case "insert":
                payload[at:at] = draw(st.binary(min_size=1, max_size=5))
            case _:
                del payload[at:]
    return bytes(payload)


def payloads(table: PayloadTable) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=200), requests(table), requests(table), mutated(table))


@st.composite
def infer_requests(draw: st.DrawFn) -> bytes:
    """Requests as a real client serializes them, raw or typed."""
    request = oip.ModelInferRequest(
        model_name=draw(st.sampled_from(MODELS)), model_version=draw(st.sampled_from(VERSIONS)), id="7"
    )
    raw = draw(st.booleans())
    for name in draw(st.lists(names, max_size=12)):
        tensor = request.inputs.add(name=name, datatype="FP32", shape=[draw(st.integers(0, 200)), 1])
        values = draw(st.lists(st.floats(width=32), max_size=40))
        if raw:
            request.raw_input_contents.append(bytes(4 * len(values)))
        else:
            tensor.contents.fp32_contents.extend(values)
    return bytes(request.SerializeToString())
