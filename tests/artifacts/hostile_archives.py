"""Hostile zip archives: damaged ones, bombs, and sound ones with pickles, code and configurations inside."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

from hostile_making import PYTHON, SHELL, Hostile, archive, deep

MODULE = "class M(Module):\n  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n"
TORCHSCRIPT: dict[str, bytes | str] = {
    "m/data.pkl": b"\x80\x02c__torch__\nM\n)\x81}b.",
    "m/code/__torch__.py": MODULE,
    "m/constants.pkl": b"\x80\x02).",
    "m/version": "3\n",
}


def torchscript(**changes: bytes | str) -> bytes:
    return archive({**TORCHSCRIPT, **{f"m/{name}": value for name, value in changes.items()}})


def changed_end(**fields: int) -> bytes:
    """A sound archive whose end record says something else."""
    data = torchscript()
    at = data.rindex(b"PK\x05\x06")
    names = ("disk", "directory_disk", "here", "entries", "size", "offset", "comment")
    values = dict(zip(names, struct.unpack_from("<4H2IH", data, at + 4), strict=True)) | fields
    return data[: at + 4] + struct.pack("<4H2IH", *values.values()) + data[at + 22 :]


def in_both_headers(offset_local: int, offset_central: int, value: bytes) -> bytes:
    """A sound archive whose first entry says something else in both of its headers."""
    data = bytearray(torchscript())
    central = data.index(b"PK\x01\x02")
    data[offset_local : offset_local + len(value)] = value
    data[central + offset_central : central + offset_central + len(value)] = value
    return bytes(data)


def named(name: str) -> bytes:
    return archive({**TORCHSCRIPT, name: b"x"})


def zip64_end(size: int, offset: int, locator: int) -> bytes:
    data = torchscript()
    at = data.rindex(b"PK\x05\x06")
    end = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 4, 4, size, offset)
    where = struct.pack("<4sIQI", b"PK\x06\x07", 0, at if locator < 0 else locator, 1)
    old = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:at] + end + where + old


def bomb(name: str, content: bytes, times: int) -> bytes:
    """An archive in which an entry inflates to `times` as much as its bytes, made without holding it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflater.compress(content) + deflater.flush(zlib.Z_FULL_FLUSH)  # which depends on nothing before it
    data = block * times + deflater.flush()
    crc = 0
    for _ in range(times):
        crc = zlib.crc32(content, crc)
    size, encoded = len(content) * times, name.encode()
    fields = (20, 0, 8, 0, 0x21, crc, len(data), size, len(encoded))
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields, 0) + encoded + data
    sound = archive({key: value for key, value in TORCHSCRIPT.items() if key != name})
    at = sound.index(b"PK\x01\x02")
    end = sound.rindex(b"PK\x05\x06")
    record = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, *fields, 0, 0, 0, 0, 0, at) + encoded
    count = len(TORCHSCRIPT) - (name in TORCHSCRIPT) + 1
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, end - at + len(record), at + len(local), 0)
    return sound[:at] + local + sound[at:end] + record + tail


ARCHIVES: dict[str, Hostile] = {
    "zip, fewer entries than there are": Hostile(lambda: changed_end(here=1, entries=1)),
    "zip, more entries than there are": Hostile(lambda: changed_end(here=900, entries=900)),
    "zip, directory outside of the file": Hostile(lambda: changed_end(offset=0x7FFFFFFF)),
    "zip, directory of 4 GiB": Hostile(lambda: changed_end(size=0xFFFFFFFE)),
    "zip, directory of no bytes": Hostile(lambda: changed_end(size=0, here=0, entries=0)),
    "zip, on two disks": Hostile(lambda: changed_end(disk=1, directory_disk=1)),
    "zip, a comment that is not there": Hostile(lambda: changed_end(comment=0xFFFF), "either"),
    "zip, encrypted": Hostile(lambda: in_both_headers(6, 8, b"\x01\x00")),
    "zip, compressed with LZMA": Hostile(lambda: in_both_headers(8, 10, struct.pack("<H", 14))),
    "zip, compressed by an unknown method": Hostile(lambda: in_both_headers(8, 10, struct.pack("<H", 99))),
    "zip, deflated by the directory alone": Hostile(lambda: in_both_headers(8, 10, b"\x08\x00")),
    "zip64, end record of 2^63 bytes": Hostile(lambda: zip64_end(2**63, 0, -1)),
    "zip64, directory at 2^64 - 1": Hostile(lambda: zip64_end(100, 2**64 - 1, -1)),
    "zip64, locator outside of the file": Hostile(lambda: zip64_end(100, 0, 2**62)),
    "zip64, locator at itself": Hostile(lambda: zip64_end(100, 0, len(torchscript()) + 34)),
    "zip, code of 1 GiB": Hostile(lambda: bomb("m/code/__torch__.py", bytes(1 << 20), 1 << 10)),
    "zip, pickle of 1 GiB": Hostile(lambda: bomb("m/data.pkl", b"N0" * (1 << 19), 1 << 10), "either"),
    "zip, constants of 1 GiB": Hostile(lambda: bomb("m/constants.pkl", b"N0" * (1 << 19), 1 << 10), "either"),
    "zip, document of 1 GiB": Hostile(lambda: bomb("m/extra/module_info.json", b" " * (1 << 20), 1 << 10)),
    **{
        f"zip, an entry called {name[:20]!r}": Hostile(lambda name=name: named(name), expect)
        for name, expect in {
            "m/../../escape": "error",
            "/etc/passwd": "error",
            "C:/x": "error",
            "m\\data.pkl": "error",
            "other/x": "error",
            "": "error",
            "m/code/__torch__.PY": "either",
            "m/": "either",
            "m/a\nb": "either",
            "m/" + "x" * 65_000: "error",
            "m/extra/MODULE_INFO.JSON": "either",
        }.items()
    },
    "zip, 60 000 entries": Hostile(
        lambda: archive({**TORCHSCRIPT, **{f"m/{i}": b"" for i in range(60_000)}}), "either"
    ),
    "zip, end record in front of 70 000 bytes": Hostile(lambda: torchscript() + bytes(70_000)),
    "zip, two archives": Hostile(lambda: torchscript() + torchscript(), "either"),
    "zip, nothing but an end record": Hostile(lambda: b"PK\x03\x04" + b"PK\x05\x06" + bytes(18)),
}


def reduced(function: bytes, argument: str, protocol: int) -> bytes:
    """A pickle that calls a function with a text."""
    text = argument.encode()
    if protocol < 2:
        return b"c" + function.replace(b".", b"\n") + b"\n(S'" + text + b"'\ntR."
    module, name = function.split(b".")
    stated = b"\x8c%c%b\x8c%c%b\x93" % (len(module), module, len(name), name)
    if protocol == 2:
        stated = b"c" + module + b"\n" + name + b"\n"
    return b"\x80%c" % protocol + stated + b"X" + struct.pack("<I", len(text)) + text + b"\x85R."


EVIL = reduced(b"posix.system", SHELL, 2)

PICKLES: dict[str, Hostile] = {
    **{
        f"pickle of protocol {protocol} that calls {function.decode()}": Hostile(
            lambda function=function, argument=argument, protocol=protocol: reduced(function, argument, protocol)
        )
        for protocol in (0, 2, 4, 5)
        for function, argument in ((b"posix.system", SHELL), (b"builtins.eval", PYTHON), (b"builtins.exec", PYTHON))
    },
    "pickle in a checkpoint": Hostile(lambda: archive({"m/data.pkl": EVIL, "m/version": "3\n"})),
    "pickle for the attributes of a module": Hostile(lambda: torchscript(**{"data.pkl": EVIL})),
    "pickle for the constants of a module": Hostile(lambda: torchscript(**{"constants.pkl": EVIL}), "either"),
    "pickle for the examples of a module": Hostile(lambda: torchscript(**{"traced_inputs.pkl": EVIL}), "either"),
    "pickle in a torch.package": Hostile(lambda: archive({"m/.data/extern_modules": b"os", "m/data.pkl": EVIL})),
    "pickle of the old layout": Hostile(lambda: bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + EVIL),
    "pickle, a text of 2^63 bytes": Hostile(lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x."),
    "pickle, a number of 2 GiB": Hostile(lambda: b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."),
    "pickle, a million lists": Hostile(lambda: b"\x80\x02" + b"]" * 1_000_000 + b"."),
    "pickle, a million names": Hostile(lambda: b"\x80\x02" + b"".join(b"cm%d\nn\n" % i for i in range(60_000)) + b"."),
    "pickle, a frame that lies": Hostile(lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N."),
    "pickle, gets without end": Hostile(
        lambda: torchscript(**{"constants.pkl": b"\x80\x02(" + b"h\x00" * 9 + b"t."}), "either"
    ),
    "pickle, marks without end": Hostile(
        lambda: torchscript(**{"constants.pkl": b"\x80\x02" + b"(" * 100_000 + b"."}), "either"
    ),
    "pickle, nested tuples": Hostile(
        lambda: torchscript(**{"constants.pkl": b"\x80\x02)" + b"\x85" * 100_000 + b"."}), "either"
    ),
}


def exported(**changes: Any) -> bytes:
    """A torch.export archive of a schema that names everything it needs."""
    value = {"dtype": 7, "sizes": [{"as_expr": {"expr_str": changes.get("expression", "Symbol('s0')")}}], "layout": 7}
    spec = changes.get("tree", '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]')
    graph = {
        "inputs": [{"as_tensor": {"name": "x"}}],
        "outputs": [{"as_tensor": {"name": "x"}}],
        "nodes": [],
        "tensor_values": {"x": value},
    }
    signature = {
        "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "x"}}}}],
    }
    calls = [{"fqn": "", "signature": {"in_spec": spec, "out_spec": spec, "forward_arg_names": ["x"]}}]
    program = {
        "graph_module": {"graph": graph, "signature": signature, "module_call_graph": calls},
        "opset_version": {"aten": 10},
        "range_constraints": changes.get("ranges", {}),
        "schema_version": {"major": 8, "minor": 8},
    }
    return archive({"m/archive_format": "pt2", "m/models/model.json": json.dumps(program)})


TREE = '[1, {"type": "builtins.tuple", "context": "null", "children_spec": [%s]}]'


def nested_tree(depth: int) -> str:
    node = '{"type": null, "context": null, "children_spec": []}'
    for _ in range(depth):
        node = '{"type": "builtins.list", "context": "null", "children_spec": [' + node + "]}"
    return TREE % node


def calls(depth: int) -> str:
    """Classes of which each calls the next one twice."""
    body = "    y = (self.a).forward(x, )\n    return (self.a).forward(y, )\n"
    classes = (
        f"class C{i}(Module):\n  a : __torch__.C{i + 1}\n"
        f"  def forward(self: __torch__.C{i}, x: Tensor) -> Tensor:\n{body}"
        for i in range(depth)
    )
    return "".join(classes)


CODE: dict[str, Hostile] = {
    **{
        f"torch.export, {PYTHON[:20]} in {place}": Hostile(make)
        for place, make in {
            "an expression": lambda: exported(expression=PYTHON),
            "a symbol": lambda: exported(expression=f'Symbol("{PYTHON}")'),
            "a range": lambda: exported(expression="Symbol('s0')", ranges={PYTHON: {"min_val": 1, "max_val": 2}}),
            "a tree's type": lambda: exported(tree=TREE.replace("builtins.tuple", "posix.system") % ""),
            "a tree's context": lambda: exported(tree=TREE.replace('"null"', json.dumps(PYTHON)) % ""),
        }.items()
    },
    "torch.export, brackets": Hostile(lambda: exported(expression="Add(" * 50_000)),
    "torch.export, powers": Hostile(lambda: exported(expression="Pow(Integer(9), " * 40 + "Integer(9)" + ")" * 40)),
    "torch.export, a number of 100 000 digits": Hostile(lambda: exported(expression=f"Integer({'9' * 100_000})")),
    "torch.export, a deep tree": Hostile(lambda: exported(tree=nested_tree(3_000))),
    "TorchScript, code in a default": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE.replace("x: Tensor", f"x: int={PYTHON}")}), "either"
    ),
    "TorchScript, code in a type": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE.replace("x: Tensor", f"x: {PYTHON}")}), "either"
    ),
    "TorchScript, parentheses": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE.replace("x: Tensor", "x: int=" + "(" * 100_000)})
    ),
    "TorchScript, operators": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE.replace("x: Tensor", "x: int=" + "-" * 100_000 + "1")}),
        "either",
    ),
    "TorchScript, statements of 60 000 names": Hostile(
        lambda: torchscript(
            **{"code/__torch__.py": MODULE + "".join(f"    a{i} = torch.neg(a{i - 1})\n" for i in range(60_000))}
        ),
        "either",
    ),
    "TorchScript, calls of calls, 2^60 of them": Hostile(
        lambda: torchscript(
            **{"code/__torch__.py": MODULE.replace("return x", "return (self.a).forward(x, )") + calls(60)}
        ),
        "either",
    ),
    "TorchScript, a line of 9 MiB": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE.replace("return x", f"return f({'x, ' * 3_000_000})")}),
        "either",
    ),
    "TorchScript, 40 000 files": Hostile(
        lambda: torchscript(**{f"code/__torch__/f{i}.py": MODULE for i in range(40_000)}), "either"
    ),
    "TorchScript, blocks in blocks": Hostile(
        lambda: torchscript(**{"code/__torch__.py": MODULE + "".join(f"{' ' * i}if x:\n" for i in range(4, 3_000))}),
        "either",
    ),
}

MARSHALLED = base64.b64encode(b"\xe3" + bytes(40)).decode()
LAMBDA = {
    "class_name": "Lambda",
    "module": "keras.layers",
    "name": "evil",
    "config": {"name": "evil", "function": {"class_name": "__lambda__", "config": {"code": MARSHALLED}}},
}


def keras(config: object) -> bytes:
    text = config if isinstance(config, str) else json.dumps(config)
    return archive(
        {"metadata.json": '{"keras_version": "3.15.1"}', "config.json": text, "model.weights.h5": b"\x89HDF"}
    )


def functional(layers: list[object], inputs: object, outputs: object) -> dict[str, object]:
    config = {"name": "m", "trainable": True, "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def skops(schema: object) -> bytes:
    return archive({"schema.json": schema if isinstance(schema, str) else json.dumps(schema)})


EVIL_NODE = {
    "__class__": "system",
    "__module__": "posix",
    "__loader__": "FunctionNode",
    "content": {"module_path": "posix", "function": "system"},
    "protocol": 2,
    "_skops_version": "0.16.0",
}

ZIPPED: dict[str, Hostile] = {
    "Keras, code in a Lambda": Hostile(
        lambda: keras(functional([LAMBDA], [["evil", 0, 0]], [["evil", 0, 0]])), "either"
    ),
    "Keras, a class of os": Hostile(
        lambda: keras({"module": "os", "class_name": "system", "config": SHELL, "registered_name": "os>system"}),
        "either",
    ),
    "Keras, lists 100 000 deep": Hostile(lambda: keras(deep("[", "]", 100_000))),
    "Keras, layers in layers": Hostile(
        lambda: keras(deep('{"class_name": "Sequential", "config": {"layers": [', "]}}", 150))
    ),
    "Keras, layers without end": Hostile(
        lambda: keras(functional([{"class_name": "InputLayer", "config": {}}] * 200_000, [], []))
    ),
    "Keras, names that are no text": Hostile(
        lambda: keras(functional([{"class_name": 7, "config": []}], 7, {})), "either"
    ),
    "Keras, a shape of texts": Hostile(
        lambda: keras(
            functional(
                [{"class_name": "InputLayer", "name": "x", "config": {"batch_shape": ["a", {}], "name": "x"}}],
                [["x", 0, 0]],
                [["x", 0, 0]],
            )
        ),
        "either",
    ),
    "Keras, no weights": Hostile(lambda: archive({"metadata.json": "{}", "config.json": "{}"}), "either"),
    "skops, a function of posix": Hostile(lambda: skops(EVIL_NODE), "either"),
    "skops, a step of posix": Hostile(
        lambda: skops({**EVIL_NODE, "__class__": "Pipeline", "content": {"steps": {"content": [EVIL_NODE] * 3}}}),
        "either",
    ),
    "skops, objects 100 000 deep": Hostile(lambda: skops(deep('{"content":', "}", 100_000, "1"))),
    "skops, 2 000 000 objects": Hostile(lambda: skops('{"content": [' + "{}," * 2_000_000 + "{}]}")),
    "skops, not JSON": Hostile(lambda: skops("\0")),
}
