"""Protobuf files as data: a message is a row of fields, so that a protocol is a table and not generated code.

Nothing here needs the protobuf package: tables also say to a reader of the wire format what a field means.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Field(NamedTuple):
    """One field: `type` is a scalar's name, a message's or an enum's name in the same package, or `map<KEY, VALUE>`."""

    number: int
    name: str
    type: str
    repeated: bool = False
    oneof: str = ""


class Method(NamedTuple):
    """One unary method of a service, with the names of its messages."""

    name: str
    request: str
    response: str


class ProtoFile(NamedTuple):
    """One proto3 file. Messages are keyed by their name below the package; `Outer.Inner` comes after `Outer`.

    enums: their values by name; the first one is zero. They lie at the top of the file, whatever their name.
    """

    name: str
    package: str
    messages: dict[str, tuple[Field, ...]]
    service: str = ""
    methods: tuple[Method, ...] = ()
    enums: Mapping[str, Mapping[str, int]] = MappingProxyType({})
