"""Hostile binary messages: protobuf, flatbuffers, UBJSON, and weights behind a header."""

from __future__ import annotations

import struct

from hostile_making import PYTHON, Hostile, deep


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx(graph: bytes, *others: bytes) -> bytes:
    return field(1, 8) + field(7, graph) + field(8, field(2, 13)) + b"".join(others)


def value(name: bytes, *dims: bytes) -> bytes:
    tensor = field(1, 1) + field(2, b"".join(field(1, dim) for dim in dims))
    return field(1, name) + field(2, field(1, tensor))


def node(*inputs: bytes, output: bytes = b"y", attributes: bytes = b"") -> bytes:
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, b"Neg") + attributes)


def subgraphs(depth: int) -> bytes:
    graph = node(b"x")
    for _ in range(depth):
        graph = node(b"x", attributes=field(5, field(1, b"body") + field(6, graph) + field(20, 5)))
    return graph


X, Y = field(11, value(b"x")), field(12, value(b"y"))

ONNX: dict[str, Hostile] = {
    "ONNX, sound": Hostile(lambda: onnx(node(b"x") + X + Y), "read"),
    "ONNX, no graph": Hostile(lambda: field(1, 8) + field(8, field(2, 13))),
    "ONNX, subgraphs 3 000 deep": Hostile(lambda: onnx(subgraphs(3_000) + X + Y), "either"),
    "ONNX, a chain of 100 000 nodes": Hostile(
        lambda: onnx(b"".join(node(b"t%d" % i, output=b"t%d" % (i + 1)) for i in range(100_000)) + X + Y), "either"
    ),
    "ONNX, a node of 400 000 inputs": Hostile(lambda: onnx(node(*[b"x"] * 400_000) + X + Y), "either"),
    "ONNX, 30 000 inputs of sizes of their own": Hostile(
        lambda: onnx(b"".join(field(11, value(b"x%d" % i, field(2, b"n%d" % i))) for i in range(30_000)) + Y), "read"
    ),
    "ONNX, a node of 60 000 subgraphs": Hostile(
        lambda: onnx(node(b"x", attributes=field(5, field(1, b"b") + field(6, node(b"x"))) * 60_000) + X + Y), "either"
    ),
    "ONNX, 100 000 functions": Hostile(
        lambda: onnx(node(b"x") + X + Y, *[field(25, field(1, b"f%d" % i)) for i in range(100_000)]), "either"
    ),
    "ONNX, a name of 20 MiB": Hostile(lambda: onnx(field(11, value(b"x" * (20 << 20))))),
    "ONNX, a name that is not text": Hostile(lambda: onnx(field(11, value(b"\xff\xfe"))), "either"),
    "ONNX, a size of 2^63": Hostile(lambda: onnx(field(11, value(b"x", field(1, 2**63)))), "either"),
    "ONNX, a rank of 100 000": Hostile(lambda: onnx(field(11, value(b"x", *[field(1, 1)] * 100_000))), "either"),
    "ONNX, code as a size": Hostile(lambda: onnx(field(11, value(b"x", field(2, PYTHON.encode())))), "read"),
    "ONNX, a function that calls itself": Hostile(
        lambda: onnx(
            node(b"x") + X + Y,
            field(25, field(1, b"Neg") + field(4, b"a") + field(5, b"b") + field(7, node(b"a", output=b"b")[2:])),
        ),
        "either",
    ),
    "ONNX, a length of 2^64 - 1": Hostile(lambda: field(1, 8) + b"\x3a" + varint(2**64 - 1) + b"x"),
    "ONNX, a varint of eleven bytes": Hostile(lambda: b"\x08" + b"\xff" * 11 + field(7, X)),
    "ONNX, external data at /etc/passwd": Hostile(
        lambda: onnx(
            field(5, field(8, b"w") + field(14, 1) + field(13, field(1, b"location") + field(2, b"/etc/passwd"))) + X
        ),
        "read",
    ),
    "ONNX, documents by the thousand": Hostile(
        lambda: onnx(X, *[field(14, field(1, b"module_info.json") + field(2, b"{}"))] * 5_000)
    ),
    "CoreML, types 3 000 deep": Hostile(
        lambda: field(1, 4) + field(2, field(1, field(1, b"x") + field(3, deep_type(3_000)))) + field(500, b""),
        "either",
    ),
    "CoreML, a size of 2^63": Hostile(
        lambda: (
            field(1, 4)
            + field(2, field(1, field(1, b"x") + field(3, field(5, field(1, 2**63) + field(2, 65568)))))
            + field(500, field(1, b""))
        ),
        "either",
    ),
    "CoreML, 200 000 shapes of one input": Hostile(
        lambda: (
            field(1, 4)
            + field(
                2,
                field(1, field(1, b"x") + field(3, field(5, field(1, 3) + field(21, field(1, field(1, 7)) * 200_000)))),
            )
            + field(500, b"")
        )
    ),
    "CoreML, 60 000 functions": Hostile(
        lambda: (
            field(1, 9) + field(2, b"".join(field(20, field(1, b"f%d" % i)) for i in range(60_000))) + field(500, b"")
        )
    ),
    "CoreML, 300 000 inputs": Hostile(lambda: field(1, 4) + field(2, field(1, b"") * 300_000) + field(500, b"")),
}


def deep_type(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = field(7, field(1, content))
    return content


def shared_tables(magic: bytes, width: int) -> bytes:
    """A root whose vector names one table `width` times, which has such a vector of its own."""
    vtable = struct.pack("<3H", 6, 8, 4)
    body = bytearray(b"\0\0\0\0" + magic + vtable + b"\0\0")
    root = len(body)
    body += struct.pack("<iI", root - 8, 4)
    first = len(body)
    body += struct.pack("<I", width) + bytes(4 * width)
    table = len(body)
    body += struct.pack("<iI", table - 8, 4)
    second = len(body)
    body += struct.pack("<I", width) + bytes(4 * width)
    leaf = len(body)
    body += struct.pack("<iI", leaf - 8, 0)
    for at, target in ((first, table), (second, leaf)):
        for index in range(width):
            place = at + 4 + 4 * index
            struct.pack_into("<I", body, place, target - place)
    struct.pack_into("<I", body, 0, root)
    return bytes(body)


def flat(magic: bytes, root: int, *words: int) -> bytes:
    return (
        struct.pack("<I", root & 0xFFFFFFFF)
        + magic
        + struct.pack(f"<{len(words)}I", *(word & 0xFFFFFFFF for word in words))
    )


FLATBUFFERS: dict[str, Hostile] = {
    f"{name}, {words}": Hostile(lambda make=make, prefix=prefix, magic=magic: prefix + make(magic))
    for name, prefix, magic in (
        ("TFLite", b"", b"TFL3"),
        ("ExecuTorch", b"", b"ET12"),
        ("ExecuTorch with a header", b"", b"ET12"),
        ("ONNX Runtime", b"", b"ORTM"),
        ("CatBoost", b"CBM1\xff\xff\0\0", b""),
    )
    for words, make in {
        "root outside": lambda magic: flat(magic, 2**31 - 1, 0, 0),
        "root at itself": lambda magic: flat(magic, 0, 0, 0, 0),
        "vtable outside": lambda magic: flat(magic, 8, 2**30, 0, 0),
        "vtable before the file": lambda magic: flat(magic, 8, 2**31, 0, 0),
        "vtable of odd size": lambda magic: flat(magic, 12, 0x00080003, 4, 0),
        "vector of 2^32 - 1": lambda magic: flat(magic, 16, 0x000C000A, 0x00080008, -8, 8, 4, 2**32 - 1, 0),
        "vector that holds itself": lambda magic: flat(magic, 16, 0x000C000A, 0x00040004, 8, 0, 0, 0, 0),
        "tables shared by 30 000": lambda magic: shared_tables(magic, 30_000),
        "nothing": lambda magic: b"\0\0\0\0" + magic,
    }.items()
}


def ubj(*parts: bytes) -> bytes:
    """An XGBoost model in UBJSON that goes on with these bytes behind the key `learner`."""
    return b"{L" + struct.pack(">q", 7) + b"learner" + b"".join(parts)


UBJSON: dict[str, Hostile] = {
    "UBJSON, 2^60 numbers": Hostile(lambda: ubj(b"[$d#L", struct.pack(">q", 2**60))),
    "UBJSON, 2^40 values of no bytes": Hostile(lambda: ubj(b"[$T#L", struct.pack(">q", 2**40))),
    "UBJSON, 2^40 nulls in an object": Hostile(lambda: ubj(b"{$Z#L", struct.pack(">q", 2**40))),
    "UBJSON, a count below zero": Hostile(lambda: ubj(b"[$d#L", struct.pack(">q", -1))),
    "UBJSON, a text below zero": Hostile(lambda: ubj(b"{L", struct.pack(">q", -5))),
    "UBJSON, a text of 2^62": Hostile(lambda: ubj(b"{L", struct.pack(">q", 2**62), b"x")),
    "UBJSON, lists 200 000 deep": Hostile(lambda: ubj(b"[" * 200_000)),
    "UBJSON, objects 100 000 deep": Hostile(lambda: ubj((b"{L" + struct.pack(">q", 1) + b"a") * 100_000)),
    "UBJSON, lists of lists by type": Hostile(lambda: ubj(b"[$[#i\x01" * 50_000)),
    "UBJSON, a million no-ops": Hostile(lambda: ubj(b"N" * 1_000_000)),
    "UBJSON, a type that is none": Hostile(lambda: ubj(b"[$?#i\x05")),
    "UBJSON, a number of 2^31 digits": Hostile(lambda: ubj(b"Hl", struct.pack(">i", 2**31 - 1), b"9")),
    "UBJSON, cut behind a key": Hostile(ubj),
}


def gguf(keys: int, tensors: int, body: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


def gguf_key(name: bytes, kind: int, body: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + body


HEADERS: dict[str, Hostile] = {
    "GGUF, 2^63 keys": Hostile(lambda: gguf(2**63, 0, bytes(64))),
    "GGUF, 2^63 tensors": Hostile(lambda: gguf(0, 2**63, bytes(64))),
    "GGUF, a text of 2^63": Hostile(lambda: gguf(1, 0, struct.pack("<Q", 2**63) + b"x")),
    "GGUF, an array of 2^61": Hostile(lambda: gguf(1, 0, gguf_key(b"a", 9, struct.pack("<IQ", 0, 2**61)))),
    "GGUF, arrays 50 000 deep": Hostile(
        lambda: gguf(1, 0, gguf_key(b"a", 9, struct.pack("<IQ", 9, 1) * 50_000 + struct.pack("<IQ", 0, 0)))
    ),
    "GGUF, an array of empty texts": Hostile(
        lambda: gguf(1, 0, gguf_key(b"a", 9, struct.pack("<IQ", 8, 800_000)) + bytes(8 * 800_000))
    ),
    "GGUF, 2 000 000 tokens": Hostile(
        lambda: gguf(
            1, 0, gguf_key(b"a", 9, struct.pack("<IQ", 8, 2_000_000)) + (struct.pack("<Q", 2) + b"ab") * 2_000_000
        )
    ),
    "GGUF, 300 000 keys": Hostile(
        lambda: gguf(300_000, 0, b"".join(gguf_key(b"k%d" % i, 0, b"\1") for i in range(300_000)))
    ),
    "GGUF, an unknown type": Hostile(lambda: gguf(1, 0, gguf_key(b"a", 77, bytes(64)))),
    "GGUF, version 99": Hostile(lambda: gguf(0, 0, b"", version=99)),
    "GGUF, a document that is none": Hostile(
        lambda: gguf(1, 0, gguf_key(b"module_info.json", 8, struct.pack("<Q", 1) + b"{"))
    ),
    "safetensors, a header of 2^63": Hostile(lambda: struct.pack("<Q", 2**63) + b"{}"),
    "safetensors, a header longer than the file": Hostile(lambda: struct.pack("<Q", 100) + b"{}"),
    "safetensors, a header of 90 MiB": Hostile(lambda: struct.pack("<Q", 90 << 20) + b"{" + b" " * (90 << 20)),
    "safetensors, objects 90 000 deep": Hostile(lambda: safetensors(deep('{"a":', "}", 90_000, "1"))),
    "safetensors, metadata that is no text": Hostile(lambda: safetensors('{"__metadata__": {"module_info": 7}}')),
    "safetensors, metadata twice": Hostile(
        lambda: safetensors('{"__metadata__": {"module_info": "{}"}, "__metadata__": {}}')
    ),
    "safetensors, 500 000 tensors": Hostile(
        lambda: safetensors(
            "{" + ",".join(f'"{i}":{{"dtype":"F32","shape":[],"data_offsets":[0,0]}}' for i in range(300_000)) + "}"
        )
    ),
}


def safetensors(header: str) -> bytes:
    return struct.pack("<Q", len(header)) + header.encode()
