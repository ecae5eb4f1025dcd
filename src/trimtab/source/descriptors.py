"""Message classes from a table, in a descriptor pool of our own.

Every stub package of the Open Inference Protocol registers the same symbols in protobuf's global pool, and the second
one imported in a process fails. Ours never touch that pool, so any client library or TensorFlow can share the process;
messages meet theirs by bytes alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from trimtab.source.proto import Field

if TYPE_CHECKING:
    from trimtab.source.proto import ProtoFile


def message_classes(file: ProtoFile, module: str) -> dict[str, Any]:
    """The classes of the file's top-level messages, by name, in a pool that nobody else sees.

    module: the importable module that exports them under their names, so that messages can be pickled.
    """
    pool = descriptor_pool.DescriptorPool()
    descriptor = pool.Add(_file_descriptor(file)) or pool.FindFileByName(file.name)
    classes = {}
    for name, message in descriptor.message_types_by_name.items():
        classes[name] = message_factory.GetMessageClass(message)
        classes[name].__module__ = module
    return classes


def method_paths(file: ProtoFile) -> dict[str, str]:
    """The path of each method as gRPC writes it: `{"ModelInfer": "/inference.GRPCInferenceService/ModelInfer"}`."""
    return {method.name: f"/{file.package}.{file.service}/{method.name}" for method in file.methods}


def proto_text(file: ProtoFile, comment: str = "") -> str:
    """The file in the protobuf language, for people and for other languages' compilers."""
    lines = [f"// {line}".rstrip() for line in comment.splitlines()]
    lines += ['syntax = "proto3";', "", f"package {file.package};"]
    if file.service:
        lines += ["", f"service {file.service} {{"]
        lines += [f"  rpc {method.name}({method.request}) returns ({method.response});" for method in file.methods]
        lines += ["}"]
    for name in file.messages:
        if "." not in name:
            lines += ["", *_message_text(file, name, "")]
    return "\n".join(lines) + "\n"


def _message_text(file: ProtoFile, name: str, indent: str) -> list[str]:
    inner = indent + "  "
    lines = [f"{indent}message {name.rpartition('.')[2]} {{"]
    for nested in file.messages:
        if nested.rpartition(".")[0] == name:
            lines += _message_text(file, nested, inner)
    oneof = ""
    for field in file.messages[name]:
        if oneof and field.oneof != oneof:
            lines.append(f"{inner}}}")
        if field.oneof and field.oneof != oneof:
            lines.append(f"{inner}oneof {field.oneof} {{")
        oneof = field.oneof
        margin = inner + "  " if oneof else inner
        lines.append(f"{margin}{'repeated ' if field.repeated else ''}{field.type} {field.name} = {field.number};")
    if oneof:
        lines.append(f"{inner}}}")
    return [*lines, f"{indent}}}"]


def _file_descriptor(file: ProtoFile) -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FileDescriptorProto(name=file.name, package=file.package, syntax="proto3")
    for name, values in file.enums.items():
        enum = proto.enum_type.add(name=_enum_name(name))
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name, fields in file.messages.items():
        outer, _, short = name.rpartition(".")
        message = messages[outer].nested_type.add(name=short) if outer else proto.message_type.add(name=short)
        messages[name] = message
        for field in fields:
            _add_field(message, field, file, name)
    if file.service:
        service = proto.service.add(name=file.service)
        for method in file.methods:
            service.method.add(
                name=method.name,
                input_type=f".{file.package}.{method.request}",
                output_type=f".{file.package}.{method.response}",
            )
    return proto


def _enum_name(name: str) -> str:
    return name.replace(".", "")


def _add_field(message: descriptor_pb2.DescriptorProto, field: Field, file: ProtoFile, owner: str) -> None:
    added = message.field.add(name=field.name, number=field.number)
    added.label = added.LABEL_REPEATED if field.repeated else added.LABEL_OPTIONAL
    type_name = field.type
    if entry_types := _MAP.fullmatch(field.type):
        entry_name = field.name.title().replace("_", "") + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        for number, (name, inner) in enumerate(zip(("key", "value"), entry_types.groups(), strict=True), 1):
            _add_field(entry, Field(number, name, inner), file, f"{owner}.{entry_name}")
        added.label = added.LABEL_REPEATED
        type_name = f"{owner}.{entry_name}"
    if scalar := _SCALARS.get(type_name):
        added.type = scalar
    elif type_name in file.enums:
        added.type = added.TYPE_ENUM
        added.type_name = f".{file.package}.{_enum_name(type_name)}"
    else:
        added.type = added.TYPE_MESSAGE
        added.type_name = f".{file.package}.{type_name}"
    if field.oneof:
        if field.oneof not in [oneof.name for oneof in message.oneof_decl]:
            message.oneof_decl.add(name=field.oneof)
        added.oneof_index = [oneof.name for oneof in message.oneof_decl].index(field.oneof)


_MAP = re.compile(r"map<(\w+), ([\w.]+)>")
_SCALARS = {
    name: descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{name.upper()}")
    for name in (
        *("bool", "bytes", "double", "fixed32", "fixed64", "float", "int32", "int64", "sint32", "sint64", "string"),
        *("uint32", "uint64"),
    )
}
